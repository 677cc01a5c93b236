"""GEO names, FQDNs ("RESTful API Interface Description", 3.7.1): stored, synchronised, checked for form.

A name's sites, its *maps*, are `geo_maps`. Names are kept with a trailing dot, as they are read back.
"""

import re
from collections.abc import Mapping
from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.geo_records import map_record, maps_of
from loadmaster_ha.agent.api.handlers.geo_clusters import NO_DATA, UNCHECKED
from loadmaster_ha.agent.api.unit import Snapshot, Unit
from loadmaster_ha.agent.settings.model import Change, Delete, Fields, Json, Kind, Put

_LONGEST: Final = 63
"""Characters of a name (v2 collection, addfqdn)."""
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?", re.ASCII)
_MINUTE: Final = 60
_FAIL_TIME: Final = "FailTime"

_DEFAULTS: Final[Mapping[str, Json]] = {
    "SelectionCriteria": "rr",
    _FAIL_TIME: 0,
    "SiteRecoveryMode": "auto",
    "failover": False,
    "publicRequestValue": 0,
    "privateRequestValue": 0,
    "LocalSettings": False,
    "UnanimousChecks": False,
}
_STORED: Final = {
    "SelectionCriteria": "SelectionCriteria",
    "FailTime": _FAIL_TIME,
    "siterecoverymode": "SiteRecoveryMode",
    "failover": "failover",
    "publicRequestValue": "publicRequestValue",
    "privateRequestValue": "privateRequestValue",
    "LocalSettings": "LocalSettings",
    "localttl": "LocalTTL",
    "localsticky": "LocalSticky",
    "unanimouschecks": "UnanimousChecks",
}


@handles("listfqdns")
async def listfqdns(_call: Call, unit: Unit) -> Reply:
    """All names with their sites."""
    snapshot = unit.settings.snapshot
    entities = snapshot.entities(Kind.GEO_FQDN)
    if not entities:
        raise Refused(422, NO_DATA)
    return Data({"fqdn": [_record(name, snapshot, unit) for name in sorted(entities)]})


@handles("showfqdn")
async def showfqdn(call: Call, unit: Unit) -> Reply:
    """One name with its sites."""
    snapshot = unit.settings.snapshot
    return Data({"fqdn": [{"Status": UNCHECKED, **_record(name_in(call, snapshot), snapshot, unit)}]})


@handles("addfqdn")
async def addfqdn(call: Call, unit: Unit) -> Reply:
    """Create a name."""
    snapshot = unit.settings.snapshot
    given = call.text("fqdn") or ""
    name = _checked(given)
    if _existing(name, snapshot) is not None:
        raise Refused(422, f"fqdn: {name} is there already.")
    unit.settings.commit([Put(Kind.GEO_FQDN, name, {"SelectionCriteria": "rr"})])
    return Done(f"Added FQDN {given}")


@handles("modfqdn")
async def modfqdn(call: Call, unit: Unit) -> Reply:
    """Change a name."""
    snapshot = unit.settings.snapshot
    name = name_in(call, snapshot)
    sent = {stored: call.parameters[given] for given, stored in _STORED.items() if call.sent(given)}
    fields = {**_DEFAULTS, **(snapshot.get(Kind.GEO_FQDN, name) or {}), **sent}
    if sent.get("failover") and fields["SelectionCriteria"] != "lb":
        raise Refused(422, "failover: needs SelectionCriteria lb (location based).")
    if {"LocalTTL", "LocalSticky"} & {key for key, value in sent.items() if value is not None}:
        _check_local(fields)
    unit.settings.commit([Put(Kind.GEO_FQDN, name, sent)])
    return Done()


@handles("delfqdn")
async def delfqdn(call: Call, unit: Unit) -> Reply:
    """Delete a name with its sites."""
    snapshot = unit.settings.snapshot
    name = name_in(call, snapshot)
    changes: list[Change] = [Delete(Kind.GEO_MAP, key) for key in maps_of(name, snapshot)]
    unit.settings.commit([*changes, Delete(Kind.GEO_FQDN, name)])
    return Done()


def name_in(call: Call, snapshot: Snapshot) -> str:
    """The stored name that `fqdn` means, with or without the trailing dot, whatever its case.

    Raises:
        Refused: there is none.
    """
    given = call.text("fqdn") or ""
    name = _existing(_dotted(given), snapshot)
    if name is None:
        raise Refused(422, f"fqdn: there is no FQDN {given}.")
    return name


def _check_local(fields: Fields) -> None:
    if not fields["LocalSettings"]:
        raise Refused(422, "LocalSettings: has to be on for localttl and localsticky.")


def _existing(name: str, snapshot: Snapshot) -> str | None:
    entities = snapshot.entities(Kind.GEO_FQDN)
    if name in entities:
        return name
    return next((each for each in entities if each.lower() == name.lower()), None)


def _dotted(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def _checked(given: str) -> str:
    name = _dotted(given)
    labels = name.removesuffix(".").split(".")
    if len(name) - 1 > _LONGEST or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused(
            422,
            f"fqdn: {given!r} is not a domain name of at most {_LONGEST} characters: letters, digits, - "
            "and _ in parts that are separated by dots.",
        )
    return name


def _record(name: str, snapshot: Snapshot, unit: Unit) -> dict[str, Json]:
    fields = snapshot.get(Kind.GEO_FQDN, name) or {}
    record: dict[str, Json] = {each: fields.get(each, default) for each, default in _DEFAULTS.items()}
    minutes = record[_FAIL_TIME]
    maps: list[Json] = [
        map_record(key, each, snapshot, unit.own_addresses) for key, each in maps_of(name, snapshot).items()
    ]
    local = (
        {each: fields.get(each) for each in ("LocalTTL", "LocalSticky")} if record["LocalSettings"] else {}
    )
    return (
        record
        | local
        | {
            "FullyQualifiedDomainName": name,
            # Set in minutes and read back in seconds, as the appliance has it (Kemp's client divides).
            _FAIL_TIME: minutes * _MINUTE if isinstance(minutes, int) else 0,
            "LocalSettings": int(bool(record["LocalSettings"])),
            "Mapping": len(maps),
            "Map": maps or None,
        }
    )

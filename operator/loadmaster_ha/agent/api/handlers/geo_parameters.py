"""GEO's parameters and whether it is on ("RESTful API Interface Description", 3.7.3, 3.7.8, 3.12.4.2).

Nothing on a node agent answers DNS yet. The settings are kept, checked for form and synchronised all the
same, so that they are there on the day, and with an appliance that they are restored to; `isgeoenabled`
says how it is.
"""

import re
from collections.abc import Mapping
from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.unit import Snapshot, Unit
from loadmaster_ha.agent.settings.model import Json, Kind, Put

_SOA: Final[Mapping[str, Json]] = {
    "Zone": None,
    "SourceOfAuthority": None,
    "namesrv": None,
    "SOAEmail": None,
    "TTL": 10,
    "persist": 0,
    "PerzoneSoa": False,
    "DClustUnavail": False,
    "glueip": None,
    "Txt": None,
    "EDNSECS": True,
}
_CHECK: Final[Mapping[str, Json]] = {"CheckInterval": 120, "ConnTimeout": 20, "RetryAttempts": 2}
_NAMES: Final = ("Zone", "SourceOfAuthority", "namesrv", "SOAEmail")
_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.@-]*[A-Za-z0-9_.])?", re.ASCII)
_ENABLED: Final = "enabled"
_SILENT: Final = "nothing on this unit answers DNS yet"


@handles("listparams")
async def listparams(_call: Call, unit: Unit) -> Reply:
    """The parameters, in two parts."""
    snapshot = unit.settings.snapshot
    return Data({"soa": _values(_SOA, snapshot), "check": _values(_CHECK, snapshot)})


@handles("modparams")
async def modparams(call: Call, unit: Unit) -> Reply:
    """Change parameters."""
    for name in _NAMES:
        text = call.text(name)
        if text is not None and not _NAME.fullmatch(text):
            raise Refused(422, f"{name}: {text!r} is not a domain name.")
    changed = dict(call.parameters)
    changed |= _interval(changed, unit.settings.snapshot)
    unit.settings.commit([Put(Kind.GEO_PARAMETER, name, {"value": value}) for name, value in changed.items()])
    return Done()


@handles("enablegeo", "disablegeo")
async def enablegeo(call: Call, unit: Unit) -> Reply:
    """Keep the setting, and say that it has no effect yet."""
    enable = call.command.name == "enablegeo"
    unit.settings.commit([Put(Kind.GEO_PARAMETER, _ENABLED, {"value": enable})])
    return Done(f"The setting is kept, but {_SILENT}" if enable else "GEO is disabled")


@handles("isgeoenabled")
async def isgeoenabled(_call: Call, unit: Unit) -> Reply:
    """Never "GEO is enabled": a client would send its users here."""
    wanted = _value(_ENABLED, None, unit.settings.snapshot)
    return Done(f"GEO is set to be enabled, but {_SILENT}" if wanted else "GEO is not enabled")


@handles("getgeopartnerstatus")
async def getgeopartnerstatus(_call: Call, unit: Unit) -> Reply:
    """Of every partner in `geopartners`: nothing is known, since nothing talks to them."""
    stored = (unit.settings.snapshot.get(Kind.PARAMETER, "geopartners") or {}).get("value")
    partners = [str(each) for each in stored] if isinstance(stored, list) else []
    rows: list[Json] = [{"Address": each, "Status": "Unknown"} for each in partners]
    return Data({"Partner": rows or None})


def _interval(changed: Mapping[str, Json], snapshot: Snapshot) -> dict[str, Json]:
    """The next check does not begin before this one has ended: the interval grows by itself (3.7.3.2)."""
    interval, timeout, attempts = (
        changed.get(name) or _value(name, default, snapshot) for name, default in _CHECK.items()
    )
    if not (isinstance(interval, int) and isinstance(timeout, int) and isinstance(attempts, int)):
        return {}
    shortest = timeout * attempts + 2
    return {"CheckInterval": shortest} if interval < shortest else {}


def _values(defaults: Mapping[str, Json], snapshot: Snapshot) -> dict[str, Json]:
    return {name: _value(name, default, snapshot) for name, default in defaults.items()}


def _value(name: str, default: Json, snapshot: Snapshot) -> Json:
    value = (snapshot.get(Kind.GEO_PARAMETER, name) or {}).get("value")
    return default if value is None else value

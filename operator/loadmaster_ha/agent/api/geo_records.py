"""The sites of GEO names as they are stored and read back; for the handlers of names and of sites."""

from collections.abc import Mapping
from typing import Final

from loadmaster_ha.agent.api.handlers.geo_clusters import UNCHECKED, name_of
from loadmaster_ha.agent.api.unit import Snapshot
from loadmaster_ha.agent.settings.addresses import resolve
from loadmaster_ha.agent.settings.model import Fields, Json, Kind

_DEFAULTS: Final[Mapping[str, Json]] = {
    "Index": 0,
    "Checker": "icmp",
    "CheckerPort": 0,
    "Weight": 1000,
    "Enable": True,
    "LocationLatitude": "",
    "LocationLongitude": "",
}
_WHEN_SET: Final = (
    "CheckerUrl",
    "CheckerCodes",
    "CheckerHost",
    "CheckerHTTPMethod",
    "CheckerPostData",
    "MappedPort",
)
_ADDRESSES: Final = ("MappedAddress", "checkerAddr")


def maps_of(name: str, snapshot: Snapshot) -> Mapping[str, Fields]:
    """The sites of a name by their keys (`name.|address`), by index."""
    prefix = f"{name}|"
    found = {key: each for key, each in snapshot.entities(Kind.GEO_MAP).items() if key.startswith(prefix)}
    return dict(sorted(found.items(), key=lambda item: _number(item[1].get("Index"))))


def map_record(key: str, fields: Fields, snapshot: Snapshot, own: Mapping[str, str]) -> dict[str, Json]:
    """One site as it is read back."""
    record: dict[str, Json] = {name: fields.get(name, default) for name, default in _DEFAULTS.items()}
    record |= {name: fields[name] for name in _WHEN_SET if fields.get(name) not in (None, "", [])}
    record |= {name: resolve(str(fields[name]), own) for name in _ADDRESSES if fields.get(name)}
    record |= {
        "Status": UNCHECKED,
        "IPAddress": resolve(key.partition("|")[2], own),
        "continent": _places(fields.get("Continents")),
        "country": _places(fields.get("Countries")),
    }
    if fields.get("Cluster") is not None:
        record["Cluster"] = name_of(snapshot, fields["Cluster"])
    return record


def _places(codes: Json) -> Json:
    places: list[Json] = [{"code": code} for code in codes] if isinstance(codes, list) else []
    return places or None


def _number(value: Json) -> int:
    return value if isinstance(value, int) else 0

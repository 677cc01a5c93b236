"""The sites of GEO names, *maps* ("RESTful API Interface Description", 3.7.1.6 to 3.7.1.12).

A site on an own address of the unit is stored by the interface's name (guide, 1).
"""

from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.geo_records import maps_of
from loadmaster_ha.agent.api.handlers.geo_clusters import index_of
from loadmaster_ha.agent.api.handlers.geo_names import name_in
from loadmaster_ha.agent.api.service_indices import next_index
from loadmaster_ha.agent.api.unit import Unit
from loadmaster_ha.agent.settings.addresses import stored_key, symbolic
from loadmaster_ha.agent.settings.model import Delete, Fields, Json, Kind, Put

_MOST: Final = 256
"""Addresses of one name (3.7.1.6)."""
_CONTINENTS: Final = frozenset({"AF", "AN", "AS", "EU", "NA", "OC", "SA", "ALL"})
_DEFAULT_CHECK_PORT: Final = 80
_STORED: Final = {
    "Checker": "Checker",
    "checkerurl": "CheckerUrl",
    "checkercodes": "CheckerCodes",
    "checkerhost": "CheckerHost",
    "checkerhttpmethod": "CheckerHTTPMethod",
    "checkerpostdata": "CheckerPostData",
    "Weight": "Weight",
    "Enable": "Enable",
    "MapPort": "MappedPort",
}


@handles("addmap")
async def addmap(call: Call, unit: Unit) -> Reply:
    """Add a site to a name."""
    snapshot = unit.settings.snapshot
    name = name_in(call, snapshot)
    sites = maps_of(name, snapshot)
    key = _site_key(call, unit, name)
    if key in sites:
        raise Refused(422, f"ip: {name} has {call.text('ip')} already.")
    if len(sites) >= _MOST:
        raise Refused(422, f"Too many IP addresses already specified: {_MOST} is the limit.")
    fields: dict[str, Json] = {"Index": next_index(snapshot, Kind.GEO_MAP)}
    if cluster := call.text("clust"):
        fields["Cluster"] = index_of(snapshot, cluster)
    unit.settings.commit([Put(Kind.GEO_MAP, key, fields)])
    return Done()


@handles("modmap")
async def modmap(call: Call, unit: Unit) -> Reply:
    """Change a site."""
    key = _existing(call, unit)
    fields: dict[str, Json] = {
        stored: call.parameters[given] for given, stored in _STORED.items() if call.sent(given)
    }
    url = fields.get("CheckerUrl")
    if isinstance(url, str) and not url.startswith("/"):
        raise Refused(422, f"checkerurl: {url!r} does not begin with a slash.")
    if call.sent("Cluster"):
        which = call.text("Cluster")
        fields["Cluster"] = None if which in {None, "0"} else index_of(unit.settings.snapshot, which or "")
    if call.sent("MapAddress"):
        address = call.text("MapAddress")
        fields["MappedAddress"] = None if address is None else symbolic(address, unit.own_addresses)
    unit.settings.commit([Put(Kind.GEO_MAP, key, fields)])
    return Done()


@handles("delmap")
async def delmap(call: Call, unit: Unit) -> Reply:
    """Take a site out of a name."""
    unit.settings.commit([Delete(Kind.GEO_MAP, _existing(call, unit))])
    return Done()


@handles("changemaploc")
async def changemaploc(call: Call, unit: Unit) -> Reply:
    """Set where a site is, in seconds of arc."""
    place = {"LocationLatitude": call.number("lat"), "LocationLongitude": call.number("long")}
    unit.settings.commit([Put(Kind.GEO_MAP, _existing(call, unit), place)])
    return Done()


@handles("changecheckeraddr")
async def changecheckeraddr(call: Call, unit: Unit) -> Reply:
    """Set where a site is checked; an empty address is the site's own, an empty port is 80 (3.7.1.12)."""
    key = _existing(call, unit)
    fields: dict[str, Json] = {}
    if call.sent("checkerip"):
        address = call.text("checkerip")
        fields["checkerAddr"] = None if address is None else symbolic(address, unit.own_addresses)
    if call.sent("port"):
        fields["CheckerPort"] = call.number("port") or _DEFAULT_CHECK_PORT
    unit.settings.commit([Put(Kind.GEO_MAP, key, fields)])
    return Done()


@handles("addcountry", "removecountry")
async def addcountry(call: Call, unit: Unit) -> Reply:
    """Give a site a country or a continent, or take it away."""
    key = _existing(call, unit)
    if call.text("customlocation"):
        raise Refused(422, "customlocation: this unit does not have locations of one's own.")
    code = call.text("countrycode")
    if code is None:
        raise Refused(422, "countrycode: String Value missing")
    continent = bool(call.flag("iscontinent"))
    _check_code(code, continent=continent)
    field = "Continents" if continent else "Countries"
    codes = _codes(unit.settings.snapshot.get(Kind.GEO_MAP, key) or {}, field)
    if call.command.name == "addcountry":
        codes.add(code)
    elif code not in codes:
        raise Refused(422, f"countrycode: the site does not have {code}.")
    else:
        codes.remove(code)
    unit.settings.commit([Put(Kind.GEO_MAP, key, {field: list[Json](sorted(codes))})])
    return Done()


def _check_code(code: str, *, continent: bool) -> None:
    if continent and code not in _CONTINENTS:
        raise Refused(422, f"countrycode: {code!r} is no continent; {', '.join(sorted(_CONTINENTS))} are.")
    if not continent and not (len(code) == 2 and code.isascii() and code.isalpha() and code.isupper()):
        raise Refused(422, f"countrycode: {code!r} is not an ISO code of two capital letters.")


def _codes(fields: Fields, field: str) -> set[str]:
    stored = fields.get(field)
    return {str(each) for each in stored} if isinstance(stored, list) else set()


def _site_key(call: Call, unit: Unit, name: str) -> str:
    address = call.text("ip") or ""
    present = {key.partition("|")[2] for key in maps_of(name, unit.settings.snapshot)}
    return f"{name}|{stored_key(address, unit.own_addresses, present)}"


def _existing(call: Call, unit: Unit) -> str:
    snapshot = unit.settings.snapshot
    name = name_in(call, snapshot)
    key = _site_key(call, unit, name)
    if snapshot.get(Kind.GEO_MAP, key) is None:
        raise Refused(422, f"ip: {name} has no address {call.text('ip')}.")
    return key

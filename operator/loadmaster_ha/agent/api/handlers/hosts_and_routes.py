"""Commands of names of hosts and of additional routes ("RESTful API Interface Description", 3.14, 3.15).

Names of hosts are synchronised, routes are not (guide, 1). Both are kept and read back; the operating
system's own files and tables are not touched.
"""

import ipaddress
import re
from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.unit import Unit
from loadmaster_ha.agent.settings.addresses import resolve, stored_key
from loadmaster_ha.agent.settings.model import Delete, Json, Kind, Put

_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", re.ASCII)


@handles("gethosts")
async def gethosts(_call: Call, unit: Unit) -> Reply:
    """All names of hosts."""
    entities = unit.settings.snapshot.entities(Kind.HOST_ENTRY)
    rows: list[Json] = [
        {"HostIP": resolve(key, unit.own_addresses), "HostFQDN": str(entities[key].get("name", ""))}
        for key in sorted(entities)
    ]
    return Data({"HostsEntry": rows})


@handles("addhostsentry")
async def addhostsentry(call: Call, unit: Unit) -> Reply:
    """Give an address a name."""
    name = call.text("hostfqdn") or ""
    if not _NAME.fullmatch(name):
        raise Refused(422, f"hostfqdn: {name!r} is not a host name.")
    unit.settings.commit([Put(Kind.HOST_ENTRY, _host_key(call, unit), {"name": name})])
    return Done()


@handles("delhostsentry")
async def delhostsentry(call: Call, unit: Unit) -> Reply:
    """Take the name of an address away."""
    key = _host_key(call, unit)
    if unit.settings.snapshot.get(Kind.HOST_ENTRY, key) is None:
        raise Refused(422, f"hostip: there is no name for {call.text('hostip')}.")
    unit.settings.commit([Delete(Kind.HOST_ENTRY, key)])
    return Done()


@handles("showroute")
async def showroute(_call: Call, unit: Unit) -> Reply:
    """All additional routes."""
    entities = unit.settings.snapshot.entities(Kind.ROUTE)
    rows: list[Json] = [
        {"Destination": key, "Gateway": str(entities[key].get("gateway", ""))} for key in sorted(entities)
    ]
    return Data({"Route": rows})


@handles("addroute")
async def addroute(call: Call, unit: Unit) -> Reply:
    """Note a route."""
    network, gateway = _network(call), call.text("gateway") or ""
    if ipaddress.ip_address(gateway).version != ipaddress.ip_network(network).version:
        raise Refused(422, f"gateway: {gateway} and {network} are of different IP versions.")
    unit.settings.commit([Put(Kind.ROUTE, network, {"gateway": gateway})])
    return Done()


@handles("delroute")
async def delroute(call: Call, unit: Unit) -> Reply:
    """Forget a route."""
    network = _network(call)
    if unit.settings.snapshot.get(Kind.ROUTE, network) is None:
        raise Refused(422, f"dest: there is no route to {network}.")
    unit.settings.commit([Delete(Kind.ROUTE, network)])
    return Done()


def _host_key(call: Call, unit: Unit) -> str:
    entities = unit.settings.snapshot.entities(Kind.HOST_ENTRY)
    return stored_key(call.text("hostip") or "", unit.own_addresses, entities)


def _network(call: Call) -> str:
    text = call.text("dest") or ""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise Refused(422, f"dest: {text!r} is not a network, such as 10.1.0.0/16.") from None

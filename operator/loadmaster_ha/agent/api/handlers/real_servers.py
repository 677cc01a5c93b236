"""Commands of the real servers of a virtual service ("RESTful API Interface Description", 3.10)."""

from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.service_changes import (
    FoundServer,
    address_of,
    change,
    everything,
    find,
    find_server,
)
from loadmaster_ha.agent.api.service_indices import next_index
from loadmaster_ha.agent.api.service_records import server_record
from loadmaster_ha.agent.api.unit import Snapshot, Unit
from loadmaster_ha.agent.service_settings import ServerAddress
from loadmaster_ha.agent.settings.model import Change, Delete, Json, Kind, Put

_STORED: Final = {
    "weight": "Weight",
    "limit": "Limit",
    "enable": "Enable",
    "drain": "Drain",
    "critical": "Critical",
}
"""Parameters by the names that they are stored and read back by."""


@handles("showrs")
async def showrs(call: Call, unit: Unit) -> Reply:
    """One real server."""
    return await _shown(find_server(call, unit.settings.snapshot, unit), unit)


@handles("addrs")
async def addrs(call: Call, unit: Unit) -> Reply:
    """Add a real server; the reply is the server, down until its first health check."""
    where = ServerAddress(address_of(call.text("rs") or "", "rs"), _port(call))

    def plan(snapshot: Snapshot) -> list[Change]:
        found = find(call, snapshot, unit)
        if where in found.servers:
            raise Refused(422, f"rs: virtual service {found.index} has {where} already; change it by modrs.")
        index = next_index(snapshot, Kind.REAL_SERVER)
        given = {name: value for name, value in _fields(call).items() if value is not None}
        return [Put(Kind.REAL_SERVER, found.key.server(where), {"RsIndex": index, **given})]

    snapshot = await change(unit, plan)
    owner = find(call, snapshot, unit)
    return await _shown(FoundServer(owner, where, owner.servers[where]), unit)


@handles("modrs")
async def modrs(call: Call, unit: Unit) -> Reply:
    """Change a real server, also its port."""

    def plan(snapshot: Snapshot) -> list[Change]:
        found = find_server(call, snapshot, unit)
        fields = _fields(call)
        port = call.number("newport")
        where = found.where if port is None else ServerAddress(found.where.address, port)
        if where == found.where:
            return [Put(Kind.REAL_SERVER, found.key, fields)]
        if where in found.owner.servers:
            raise Refused(422, f"newport: virtual service {found.owner.index} has {where} already.")
        kept = {name: value for name, value in {**found.fields, **fields}.items() if value is not None}
        moved = Put(Kind.REAL_SERVER, found.owner.key.server(where), kept)
        return [Delete(Kind.REAL_SERVER, found.key), moved]

    await change(unit, plan)
    return Done()


@handles("delrs")
async def delrs(call: Call, unit: Unit) -> Reply:
    """Remove a real server."""
    await change(unit, lambda before: [Delete(Kind.REAL_SERVER, find_server(call, before, unit).key)])
    return Done()


@handles("enablers", "disablers")
async def enablers(call: Call, unit: Unit) -> Reply:
    """Enable, or disable, a real server in every virtual service that has it."""
    address, port = address_of(call.text("rs") or "", "rs"), call.number("rsport")
    enable = call.command.name == "enablers"

    def plan(snapshot: Snapshot) -> list[Change]:
        hits = [
            found.key.server(where)
            for found in everything(snapshot, unit)
            for where in found.servers
            if where.address == address and port in {None, where.port}
        ]
        if not hits:
            raise Refused(422, f"Unknown RS: no virtual service has a real server {address}.")
        return [Put(Kind.REAL_SERVER, key, _switch(enable=enable)) for key in hits]

    await change(unit, plan)
    return Done()


async def _shown(found: FoundServer, unit: Unit) -> Reply:
    statistics = await unit.balancing.statistics()
    return Data({"Rs": [server_record(found, statistics.get(found.owner.service.key))]})


def _port(call: Call) -> int:
    port = call.number("rsport")
    if port is None:
        raise Refused(422, "rsport: Integer Value missing")
    return port


def _fields(call: Call) -> dict[str, Json]:
    """The fields that the parameters name; None takes one back to its default."""
    _check_supported(call)
    fields: dict[str, Json] = {
        stored: call.parameters[name] for name, stored in _STORED.items() if call.sent(name)
    }
    if call.flag("drain"):
        # Who drains is disabled; persistent clients still get there.
        fields["Enable"] = False
    elif "Enable" in fields:
        fields |= _switch(enable=fields["Enable"] is not False)
    return fields


def _switch(*, enable: bool) -> dict[str, Json]:
    return {"Enable": enable, "Drain": None}


def _check_supported(call: Call) -> None:
    if call.text("forward") == "route":
        raise Refused(
            422, "forward: route needs layer 4 forwarding, which this unit does not have; nat it is."
        )
    if call.number("follow"):
        raise Refused(422, "follow: this unit checks every real server by itself; leave it 0.")
    if call.number("ratelimit"):
        raise Refused(
            422, "ratelimit: this unit does not limit new connections of a real server; leave it 0."
        )
    if call.flag("addtoallsubvs"):
        raise Refused(422, "addtoallsubvs: this unit does not have SubVSs.")

"""Commands of virtual services ("RESTful API Interface Description", 3.6.1); real servers are `real_servers`.

A virtual service is on an own address of the unit (guide, 1.1), stored by the name of the interface, so that
the partner serves it on its own one. Kemp's commands refer to it by address, port and protocol, or by index.
"""

from collections.abc import Mapping
from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.service_changes import (
    Found,
    change,
    everything,
    find,
    interface_of,
    port_of,
)
from loadmaster_ha.agent.api.service_fields import checked_fields, extra_ports_of
from loadmaster_ha.agent.api.service_indices import next_index
from loadmaster_ha.agent.api.service_records import service_record, state_of_server, state_of_service
from loadmaster_ha.agent.api.unit import Snapshot, Unit
from loadmaster_ha.agent.service_settings import HIGHEST_PORT, LOWEST_PORT, StoredKey, by_port
from loadmaster_ha.agent.settings.model import Change, Delete, Fields, Json, Kind, Put
from loadmaster_ha.agent.unit_settings import HaSettings
from loadmaster_ha.domain.ha import AGENT_METRICS_PORT, SSH_PORT, SYNCHRONISATION_PORT

_STATES: Final = ("Up", "Down", "Disabled")


@handles("listvs")
async def listvs(_call: Call, unit: Unit) -> Reply:
    """All virtual services, each with its real servers."""
    statistics = await unit.balancing.statistics()
    found = everything(unit.settings.snapshot, unit)
    return Data({"VS": [service_record(each, statistics.get(each.service.key)) for each in found]})


@handles("showvs")
async def showvs(call: Call, unit: Unit) -> Reply:
    """One virtual service with its real servers."""
    return await _shown(find(call, unit.settings.snapshot, unit), unit)


@handles("addvs")
async def addvs(call: Call, unit: Unit) -> Reply:
    """Create a virtual service; the reply is the service."""
    key = _key(call.text("vs") or "", port_of(call), call.text("prot") or "tcp", unit)

    def plan(snapshot: Snapshot) -> list[Change]:
        if snapshot.get(Kind.VIRTUAL_SERVICE, str(key)) is not None:
            raise Refused(422, f"vs: there is already a virtual service {_named(key, unit)}.")
        fields = checked_fields(call, by_port(key.port), snapshot)
        _check_ports(key, fields, snapshot, unit)
        index = next_index(snapshot, Kind.VIRTUAL_SERVICE)
        return [Put(Kind.VIRTUAL_SERVICE, str(key), {"Index": index, **_set(fields)})]

    snapshot = await change(unit, plan)
    return await _shown(_found(key, snapshot, unit), unit)


@handles("modvs")
async def modvs(call: Call, unit: Unit) -> Reply:
    """Change a virtual service, also its address, port and protocol; the reply is the service."""
    new = StoredKey("", 0, "")

    def plan(snapshot: Snapshot) -> list[Change]:
        nonlocal new
        found = find(call, snapshot, unit)
        new = _new_key(call, found.key, unit)
        fields = checked_fields(call, found.fields, snapshot)
        _check_ports(new, fields, snapshot, unit, but=found.key)
        if new == found.key:
            sent = {name: fields[name] for name in fields if fields[name] != found.fields.get(name)}
            return [Put(Kind.VIRTUAL_SERVICE, str(new), sent)]
        return _moved(found, new, fields)

    snapshot = await change(unit, plan)
    return await _shown(_found(new, snapshot, unit), unit)


@handles("delvs")
async def delvs(call: Call, unit: Unit) -> Reply:
    """Delete a virtual service with its real servers."""

    def plan(snapshot: Snapshot) -> list[Change]:
        found = find(call, snapshot, unit)
        servers = [Delete(Kind.REAL_SERVER, found.key.server(where)) for where in found.servers]
        return [*servers, Delete(Kind.VIRTUAL_SERVICE, str(found.key))]

    await change(unit, plan)
    return Done()


@handles("vstotals")
async def vstotals(_call: Call, unit: Unit) -> Reply:
    """How many virtual services and real servers there are in each state; there are no SubVSs."""
    statistics = await unit.balancing.statistics()
    services: list[str] = []
    servers: list[str] = []
    for found in everything(unit.settings.snapshot, unit):
        counted = statistics.get(found.service.key)
        services.append(state_of_service(found.service, counted))
        servers += [state_of_server(found.service, each, counted) for each in found.service.real_servers]
    totals: dict[str, Json] = {}
    for what, states in (("VS", services), ("SubVS", list[str]()), ("RS", servers)):
        totals[f"{what}_Total"] = len(states)
        # What is neither up nor disabled takes no connections, whatever its more exact name is.
        counts = {"Up": states.count("Up"), "Disabled": states.count("Disabled")}
        counts["Down"] = len(states) - sum(counts.values())
        totals |= {f"{what}_{state}": counts[state] for state in _STATES}
    return Data(totals)


async def _shown(found: Found, unit: Unit) -> Reply:
    statistics = await unit.balancing.statistics()
    return Data(service_record(found, statistics.get(found.service.key)))


def _found(key: StoredKey, snapshot: Snapshot, unit: Unit) -> Found:
    return next(each for each in everything(snapshot, unit) if each.key == key)


def _key(address: str, port: int, protocol: str, unit: Unit) -> StoredKey:
    if not LOWEST_PORT <= port <= HIGHEST_PORT:
        raise Refused(422, f"port: {port} is not possible; {LOWEST_PORT} to {HIGHEST_PORT} are.")
    return StoredKey(interface_of(address, unit), port, protocol)


def _new_key(call: Call, old: StoredKey, unit: Unit) -> StoredKey:
    address = call.text("VSAddress") or unit.own_addresses[old.interface]
    port = old.port if call.text("VSPort") is None else port_of(call, "VSPort")
    return _key(address, port, call.text("Protocol") or old.protocol, unit)


def _named(key: StoredKey, unit: Unit) -> str:
    return f"{unit.own_addresses[key.interface]}:{key.port}/{key.protocol}"


def _set(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _moved(found: Found, new: StoredKey, fields: Fields) -> list[Change]:
    """The same service under another key, indices and all, in one commit."""
    changes: list[Change] = []
    for where, server in found.servers.items():
        changes.append(Delete(Kind.REAL_SERVER, found.key.server(where)))
        changes.append(Put(Kind.REAL_SERVER, new.server(where), server))
    changes.append(Delete(Kind.VIRTUAL_SERVICE, str(found.key)))
    changes.append(Put(Kind.VIRTUAL_SERVICE, str(new), _set({**found.fields, **fields})))
    return changes


def _check_ports(
    key: StoredKey, fields: Fields, snapshot: Snapshot, unit: Unit, but: StoredKey | None = None
) -> None:
    """Refuse ports that the unit itself, or another service on this address, listens on."""
    ports = {key.port, *extra_ports_of(fields)}
    for port, owner in _own_ports(snapshot, unit).items():
        if port in ports:
            raise Refused(
                422, f"port: {port} is the unit's own ({owner}); give the virtual service another one."
            )
    for other in everything(snapshot, unit):
        if other.key == but or (other.key.interface, other.key.protocol) != (key.interface, key.protocol):
            continue
        taken = ports & {other.key.port, *other.service.extra_ports}
        if taken:
            raise Refused(
                422,
                f"port: {min(taken)} belongs to virtual service {other.index} ({_named(other.key, unit)}).",
            )


def _own_ports(snapshot: Snapshot, unit: Unit) -> Mapping[int, str]:
    return {
        unit.management_port: "management",
        SYNCHRONISATION_PORT: "synchronisation with the partner",
        SSH_PORT: "SSH",
        AGENT_METRICS_PORT: "metrics",
        HaSettings.of(snapshot).port: "health check",
    }

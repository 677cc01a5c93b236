"""`stats`: counters of the unit, its virtual services and their real servers (interface description, 3.8).

The numbers of services are HAProxy's, which begin anew with each reload; those of the machine are the
kernel's. Rates are of the time since the last call, or of a short moment when that was long ago.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from loadmaster_ha.agent.api import machine
from loadmaster_ha.agent.api.dispatch import Call, Data, Reply, handles
from loadmaster_ha.agent.api.machine import Link, Processor
from loadmaster_ha.agent.api.service_changes import Found, everything
from loadmaster_ha.agent.api.service_records import counters, state_of_service
from loadmaster_ha.agent.api.unit import ServiceStatistics, Unit
from loadmaster_ha.agent.settings.model import Json
from loadmaster_ha.domain.virtual_services import ServiceKey

_MOMENT: Final = 0.25
"""Seconds between two samples when there is no recent one."""
_RECENT: Final = 60.0
"""Seconds after which a sample is too old to tell a rate."""
_MIB: Final = 1024
_GIB: Final = 1024**3
_BITS: Final = 8


@dataclass(frozen=True, slots=True)
class _Sample:
    """Counters at one moment."""

    at: float
    processors: Mapping[str, Processor]
    links: Mapping[str, Link]
    service_bytes: int


class _Memory:
    """What is remembered of a unit between two calls."""

    def __init__(self, unit: Unit) -> None:
        self.sample: _Sample | None = None
        self._settings: object = unit.settings.snapshot
        self._changed = int(unit.boot_time.timestamp())

    def change_time(self, unit: Unit) -> int:
        """When the settings were last found to have changed: equal as long as they have not."""
        if unit.settings.snapshot is not self._settings:
            self._settings = unit.settings.snapshot
            # Later than the last time that was told, also when both changes are of the same second.
            self._changed = max(int(time.time()), self._changed + 1)
        return self._changed


_memories: WeakKeyDictionary[Unit, _Memory] = WeakKeyDictionary()


@handles("stats")
async def stats(_call: Call, unit: Unit) -> Reply:
    """Everything that is counted."""
    memory = _memories.setdefault(unit, _Memory(unit))
    counted = await unit.balancing.statistics()
    before = memory.sample
    if before is None or not _MOMENT <= time.monotonic() - before.at <= _RECENT:
        before = _sample(unit, counted)
        await asyncio.sleep(_MOMENT)
        counted = await unit.balancing.statistics()
    now = memory.sample = _sample(unit, counted)
    found = everything(unit.settings.snapshot, unit)
    seconds = now.at - before.at
    return Data(
        {
            "CPU": _cpu(before, now),
            "Memory": _memory(),
            "Network": {"Interface": _network(before, now, seconds)},
            "DiskUsage": {"partition": _disks()},
            "VStotals": _totals(counted, max(0, now.service_bytes - before.service_bytes), seconds),
            "Vs": [_service(each, counted.get(each.service.key)) for each in found] or None,
            "Rs": [row for each in found for row in _servers(each, counted.get(each.service.key))] or None,
            "TPS": _transactions(found, counted),
            "Timestamp": _timestamp(seconds),
            "ChangeTime": memory.change_time(unit),
        }
    )


def _sample(unit: Unit, counted: Mapping[ServiceKey, ServiceStatistics]) -> _Sample:
    links = {name: machine.link_with(address) for name, address in unit.own_addresses.items()}
    return _Sample(
        at=time.monotonic(),
        processors=machine.processors(),
        links={name: each for name, each in links.items() if each is not None},
        service_bytes=sum(each.bytes_in + each.bytes_out for each in counted.values()),
    )


def _cpu(before: _Sample, now: _Sample) -> dict[str, Json]:
    shares = {
        name: _shares(before.processors[name], ticks)
        for name, ticks in now.processors.items()
        if name in before.processors
    }
    total = {name: value for name, value in shares.pop("total", {}).items() if "Interrupts" not in name}
    rows: list[Json] = [{"cpu": int(name.removeprefix("cpu")), **share} for name, share in shares.items()]
    return {"total": dict(total), "cpu": rows}


def _shares(before: Processor, now: Processor) -> dict[str, Json]:
    """Percent of the time between."""
    total = max(1, now.total - before.total)

    def share(ticks: Callable[[Processor], int]) -> int:
        return round(100 * (ticks(now) - ticks(before)) / total)

    return {
        "User": share(lambda each: each.user),
        "System": share(lambda each: each.system),
        "HWInterrupts": share(lambda each: each.hardware),
        "SWInterrupts": share(lambda each: each.software),
        "Idle": share(lambda each: each.idle),
        "IOWaiting": share(lambda each: each.waiting),
    }


def _memory() -> Json:
    facts = machine.memory()
    if facts is None:
        return None
    used = facts.total - facts.free
    percent = round(100 * used / facts.total)
    return {
        "MBtotal": facts.total // _MIB,
        "memused": used,
        "MBused": used // _MIB,
        "percentmemused": percent,
        "memfree": facts.free,
        "MBfree": facts.free // _MIB,
        "percentmemfree": 100 - percent,
    }


def _network(before: _Sample, now: _Sample, seconds: float) -> list[Json]:
    rows: list[Json] = []
    for number, (name, link) in enumerate(now.links.items()):
        earlier = before.links.get(name, link)
        row: dict[str, Json] = {"Name": name, "ifaceID": number, "speed": link.speed}
        for way, total, was in (("in", link.received, earlier.received), ("out", link.sent, earlier.sent)):
            if total is None or was is None:
                continue
            rate = max(0, total - was) / seconds
            # The share of what the link can carry, percent, as far as the link says what that is.
            row[way] = round(100 * rate * _BITS / (link.speed * 1e6), 1) if link.speed else 0.0
            row[f"{way}bytes"] = round(rate)
            row[f"{way}bytesTotal"] = total
        rows.append(row)
    return rows


def _disks() -> list[Json]:
    rows: list[Json] = []
    for each in machine.partitions():
        used = each.total - each.free
        percent = round(100 * used / each.total) if each.total else 0
        rows.append(
            {
                "name": each.name,
                "GBtotal": round(each.total / _GIB, 2),
                "GBused": round(used / _GIB, 2),
                "percentused": percent,
                "GBfree": round(each.free / _GIB, 2),
                "percentfree": 100 - percent,
            }
        )
    return rows


def _totals(
    counted: Mapping[ServiceKey, ServiceStatistics], recent_bytes: int, seconds: float
) -> dict[str, Json]:
    services = counted.values()
    total = sum(each.bytes_in + each.bytes_out for each in services)
    rate = round(recent_bytes / seconds)
    return {
        "ConnsPerSec": sum(each.connections_per_second for each in services),
        "TotalConns": sum(each.total_connections for each in services),
        "BitsPerSec": rate * _BITS,
        "TotalBits": total * _BITS,
        "BytesPerSec": rate,
        "TotalBytes": total,
        # HAProxy counts no packets; clients of the appliance read these all the same.
        "PktsPerSec": 0,
        "TotalPackets": 0,
    }


def _service(found: Found, counted: ServiceStatistics | None) -> dict[str, Json]:
    service = found.service
    read, written = (counted.bytes_in, counted.bytes_out) if counted else (0, 0)
    return {
        "VSAddress": service.key.address,
        "VSPort": service.key.port,
        "VSProt": service.key.protocol.value,
        "Index": service.index,
        "Status": state_of_service(service, counted).lower(),
        "ErrorCode": service.error_code,
        "Enable": service.enabled,
        "TotalConns": counted.total_connections if counted else 0,
        "TotalPkts": 0,
        "TotalBytes": read + written,
        "TotalBits": (read + written) * _BITS,
        "ActiveConns": counted.current_connections if counted else 0,
        "BytesRead": read,
        "BytesWritten": written,
        "ConnsPerSec": counted.connections_per_second if counted else 0,
        "WafEnable": False,
    }


def _servers(found: Found, counted: ServiceStatistics | None) -> Iterable[dict[str, Json]]:
    for server in found.service.real_servers:
        own = counters(server, counted)
        read, written = (own.bytes_in, own.bytes_out) if own else (0, 0)
        yield {
            "VSIndex": found.index,
            "RSIndex": server.index,
            "Addr": server.address,
            "Port": server.port,
            "Enable": server.enabled,
            "Weight": server.weight,
            "ActivConns": own.current_connections if own else 0,
            "Persist": 0,
            "Conns": own.total_connections if own else 0,
            "Pkts": 0,
            "Bytes": read + written,
            "Bits": (read + written) * _BITS,
            "BytesRead": read,
            "BytesWritten": written,
            "ConnsPerSec": own.connections_per_second if own else 0,
        }


def _transactions(found: Iterable[Found], counted: Mapping[ServiceKey, ServiceStatistics]) -> dict[str, Json]:
    """Transactions a second, each connection taken for one; those over TLS are terminated here."""
    known = [(each.service, counted[each.service.key]) for each in found if each.service.key in counted]
    return {
        "Total": sum(each.connections_per_second for _, each in known),
        "SSL": sum(each.connections_per_second for service, each in known if service.tls is not None),
    }


def _timestamp(seconds: float) -> dict[str, Json]:
    now = time.time()
    return {"Sec": int(now), "Usec": int(now % 1 * 1e6), "Period": round(seconds * 1e6)}

"""Many light stand-ins for node agents in one process: health ports, frontends, management with long poll.

All listen on two sockets; which unit is meant is the local address of a connection (127.x.y.z). They tell
what an agent tells, by literal answers written here, and change who is active on command. Nothing of the
product's code is used. As a program (`python -m tests.support.light_units PAIRS CERTIFICATE`) it takes
commands on standard input, one a line, and answers each with one line of JSON.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import contextlib
import hashlib
import json
import resource
import ssl
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JSON = dict[str, Any]
API_KEY = "the key of all stand-ins"
VERSION = "7.2.60.0.agent"
APPLIANCE = "7.2.59.2.22338.RELEASE"
COMMANDS = [
    "get",
    "getazurehaparams",
    "azurehamode",
    "azurehaparam",
    "agentgetparams",
    "agentstatus",
    "agentwatch",
    "agentswitchover",
    "listvs",
    "listapi",
    "listcert",
    "stats",
]


def unit_address(pair: int, role: str) -> str:
    """127.16.x.y: both units of a pair are neighbours."""
    number = 2 * pair + (role == "Slave")
    return f"127.16.{number // 250}.{1 + number % 250}"


def frontend_address(pair: int) -> str:
    """127.17.x.y."""
    return f"127.17.{pair // 250}.{1 + pair % 250}"


def fingerprint_of(pem: str) -> str:
    """SHA-256 of the certificate in a PEM text, lower-case hex."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    only = begin + pem.partition(begin)[2].partition(end)[0] + end
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(only)).hexdigest()


@dataclass
class Unit:
    """One stand-in."""

    pair: Pair
    role: str
    state: str
    reason: str = "NobodyActive"
    revision: int = 2
    settings_revision: int = 1
    settings: JSON = field(default_factory=dict)
    """Fields of `getazurehaparams` that differ from what is wanted."""
    linked: bool = True
    """It hears its partner."""
    silent: bool = False
    """Its health port takes questions and answers none."""
    waiting: set[asyncio.Future[None]] = field(default_factory=set)
    active_since: float = field(default_factory=time.monotonic)

    @property
    def address(self) -> str:
        return unit_address(self.pair.number, self.role)

    @property
    def partner(self) -> Unit:
        return self.pair.units["Slave" if self.role == "Master" else "Master"]

    def turn(self, state: str, reason: str) -> None:
        """Change, and tell everybody who waits for that."""
        self.state, self.reason, self.revision = state, reason, self.revision + 1
        self.active_since = time.monotonic()
        self.tell()
        if self.partner.linked:  # it hears of it at once
            self.partner.revision += 1
            self.partner.tell()

    def change_settings(self) -> None:
        """Somebody changes a setting."""
        self.settings_revision += 1
        self.revision += 1
        self.tell()

    def tell(self) -> None:
        """End the waiting."""
        for future in self.waiting:
            if not future.done():
                future.set_result(None)
        self.waiting.clear()

    @property
    def page(self) -> bytes:
        active = self.state == "Active"
        text = f"{self.role} is {self.state.lower()}\n".encode()
        status = b"200 OK" if active else b"503 Service Unavailable"
        head = b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        return head % (status, len(text)) + text


@dataclass
class Pair:
    """Two stand-ins and their frontend."""

    number: int
    service_says: list[str] = field(default_factory=lambda: ["Up"])
    """What a unit says of its virtual service, one word each time; the last one again and again. `Refused`:
    it does not say."""
    units: dict[str, Unit] = field(default_factory=dict)

    @property
    def active(self) -> Unit | None:
        return next((unit for unit in self.units.values() if unit.state == "Active"), None)


class LightUnits:
    """All stand-ins of a process."""

    def __init__(self, pairs: int, *, preferred: str = "0", appliances: bool = False) -> None:
        self.pairs = [Pair(number) for number in range(pairs)]
        self.preferred = preferred
        self.appliances = appliances
        self.by_address: dict[str, Unit] = {}
        self.frontends: dict[str, Pair] = {}
        self.health_port = self.management_port = 0
        self.counts = {"health": 0, "frontend": 0, "management": 0, "watch": 0, "services": 0}
        self.asked: dict[str, list[float]] = {}
        """Per unit address: when its health port was asked, if `journal` is on."""
        self.journal = False
        for pair in self.pairs:
            for role, state in (("Master", "Active"), ("Slave", "Standby")):
                unit = pair.units[role] = Unit(pair, role, state)
                self.by_address[unit.address] = unit
            self.frontends[frontend_address(pair.number)] = pair

    def change(self, number: int, reason: str = "PartnerDown") -> str:
        """Let the standby of a pair take over; the new active one's role."""
        pair = self.pairs[number]
        old = pair.active or pair.units["Master"]
        new = old.partner
        old.turn("Standby", "PartnerActive")
        new.turn("Active", reason)
        return new.role

    async def start(self, certificate: str, *, health_port: int = 0) -> None:
        """Listen; `certificate` is a PEM file with key and certificate."""
        asyncio.sslproto.SSLProtocol.max_size = 16 * 1024  # type: ignore[misc]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.num_tickets = 0  # as an agent's
        loop = asyncio.get_running_loop()
        self._servers = [
            await loop.create_server(lambda: _Health(self), "0.0.0.0", health_port, backlog=4096),
            await loop.create_server(lambda: _Management(self), "0.0.0.0", 0, ssl=context, backlog=4096),
        ]
        self.health_port, self.management_port = (
            server.sockets[0].getsockname()[1] for server in self._servers
        )

    async def stop(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.close()
        for unit in self.by_address.values():
            unit.tell()


class _Health(asyncio.Protocol):
    def __init__(self, units: LightUnits) -> None:
        self._units = units
        self._transport: asyncio.Transport | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        if b"\r\n\r\n" not in self._got or self._transport is None:
            return
        address = self._transport.get_extra_info("sockname")[0]
        units = self._units
        unit = units.by_address.get(address)
        if unit is None:
            units.counts["frontend"] += 1
            pair = units.frontends.get(address)
            unit = pair.active if pair is not None else None
        else:
            units.counts["health"] += 1
            if units.journal:
                units.asked.setdefault(address, []).append(time.monotonic())
        if unit is not None and unit.silent:
            return
        if unit is not None:
            self._transport.write(unit.page)
        self._transport.close()


class _Management(asyncio.Protocol):
    """HTTP/1.1 with one JSON request at a time."""

    _tasks: ClassVar[set[asyncio.Task[None]]] = set()

    def __init__(self, units: LightUnits) -> None:
        self._units = units
        self._transport: asyncio.Transport | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, rest = self._got.partition(b"\r\n\r\n")
        if not end:
            return
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(rest) < length:
            return
        self._got = rest[length:]
        task = asyncio.create_task(self._answer(json.loads(rest[:length] or b"{}")))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: JSON) -> None:
        transport = self._transport
        if transport is None:
            return
        unit = self._units.by_address[transport.get_extra_info("sockname")[0]]
        if request.get("apikey") != API_KEY:
            body: JSON = {"code": 401, "message": "no", "status": "fail"}
        else:
            body = {"code": 200, **await self._fields(unit, request), "status": "ok"}
        text = json.dumps(body).encode()
        head = b"HTTP/1.1 %d x\r\nContent-Type: text/json\r\nContent-Length: %d\r\n\r\n"
        if self._transport is not None:
            self._transport.write(head % (body["code"], len(text)) + text)

    async def _fields(self, unit: Unit, request: JSON) -> JSON:
        counts, command = self._units.counts, request["cmd"]
        counts["management"] += 1
        if command == "agentwatch":
            counts["watch"] += 1
            if int(request.get("since", 0)) == unit.revision:
                await self._wait(unit, float(request.get("seconds", 25)))
        if command in ("agentwatch", "agentstatus"):
            return self._status(unit)
        if command == "get":
            return {request["param"]: self._parameter(unit, request["param"])}
        if command == "getazurehaparams":
            return self._parameters(unit)
        if command == "listapi" and self._units.appliances:
            return {"commands": [each for each in COMMANDS if "agent" not in each], "version": APPLIANCE}
        if command == "listvs":
            counts["services"] += 1
            return self._service(unit)
        return _SAME_FOR_ALL.get(command) or {"frontend": frontend_address(unit.pair.number), **_PROBE}

    @staticmethod
    def _service(unit: Unit) -> JSON:
        says = unit.pair.service_says
        said = says.pop(0) if len(says) > 1 else says[0]
        if said == "Refused":
            return {"code": 500, "message": "not now"}
        return {"VS": [{**_SERVICE, "VSAddress": unit.address, "Status": said}]}

    def _parameters(self, unit: Unit) -> JSON:
        return {
            "HaMode": unit.role.lower(),
            "HaPrefered": self._units.preferred,
            "Partner": unit.partner.address,
            "Port": str(self._units.health_port),
            "HealthCheckAllInterfaces": "unset",
            **unit.settings,
        }

    @staticmethod
    def _parameter(unit: Unit, name: str) -> str:
        known = {
            "version": VERSION,
            "serialnumber": f"{1000 + unit.pair.number}{unit.role}",
            "hastatus": {"Unconnected": "Passive"}.get(unit.state, unit.state),
            "boottime": "Mon, 23 Nov 26 08:00:00 UTC",
        }
        return known.get(name, "0")

    @staticmethod
    async def _wait(unit: Unit, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        unit.waiting.add(future)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await future
        unit.waiting.discard(future)

    def _status(self, unit: Unit) -> JSON:
        active = unit.state == "Active"
        return {
            "revision": unit.revision,
            "settingsrevision": unit.settings_revision,
            "mode": unit.role,
            "state": unit.state,
            "reason": unit.reason,
            "detail": "",
            "activeseconds": int(time.monotonic() - unit.active_since) if active else 0,
            "draining": False,
            "held": False,
            "partnerconnected": unit.linked,
            "partner": unit.partner.address,
            "partnermode": unit.partner.role if unit.linked else None,
            "partnerstate": unit.partner.state if unit.linked else None,
            "linkbytesin": 1000,
            "linkbytesout": 1000,
            "linkrefusals": [],
            "synclag": 0,
            "version": VERSION,
            "boottime": "Mon, 23 Nov 26 08:00:00 UTC",
            "notices": [],
            "serialnumber": self._parameter(unit, "serialnumber"),
            "activetime": "0",
            **{_IN_STATUS.get(name, name): value for name, value in self._parameters(unit).items()},
            "frontend": frontend_address(unit.pair.number),
            **_PROBE,
        }


_IN_STATUS = {
    "HaMode": "hamode",
    "HaPrefered": "haprefered",
    "Partner": "hapartner",
    "Port": "haport",
    "HealthCheckAllInterfaces": "hacheckallinterfaces",
}
_PROBE = {"probesource": "168.63.129.16", "probeinterval": 5, "probethreshold": 2}
_SERVICE = {
    "Index": 1,
    "NickName": "lm_web_https@12345678",
    "VSPort": "443",
    "Protocol": "tcp",
    "Status": "Up",
    "VStype": "gen",
    "Rs": [{"RsIndex": 1, "VSIndex": 1, "Addr": "10.9.0.1", "Port": 443, "Status": "Up"}],
}
_SAME_FOR_ALL = {
    "listapi": {"commands": COMMANDS, "version": VERSION},
    "stats": {"VStotals": {"TotalConns": 3}, "Vs": [{"Index": 1, "ActiveConns": 3}]},
    "listcert": {"cert": []},
}


@contextlib.asynccontextmanager
async def light_units(pairs: int, certificate: str, **options: Any) -> AsyncIterator[LightUnits]:
    """Serve stand-ins in this process."""
    units = LightUnits(pairs, **options)
    await units.start(certificate)
    try:
        yield units
    finally:
        await units.stop()


async def _serve(pairs: int, certificate: str) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    async with light_units(pairs, certificate) as units:
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        _say({"health": units.health_port, "management": units.management_port})
        while line := (await reader.readline()).decode().split():
            match line:
                case ["change", number]:
                    role = units.change(int(number))
                    _say({"time": time.time(), "active": role})
                case ["counts"]:
                    _say(units.counts)


def _say(what: JSON) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))

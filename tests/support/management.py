"""A unit with a real store and scripted everything else, and the management API served for it over HTTPS."""

import asyncio
import base64
import contextlib
import http.client
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

from loadmaster_ha.agent import certificates
from loadmaster_ha.agent.api import authentication, passwords
from loadmaster_ha.agent.api.server import Limits, ManagementServer
from loadmaster_ha.agent.api.unit import PartnerLinkStatus
from loadmaster_ha.agent.certificate_work.pairs import read_pem
from loadmaster_ha.agent.ha.model import SwitchoverEnded, View
from loadmaster_ha.agent.settings.model import Kind, Put
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.domain.ha import Mode, Role, UnitState

ADDRESS = "127.0.0.1"
PASSWORD = "correct horse 8"
CHEAP = passwords.Cost(n=2, r=8, p=1)
NO_LIMIT = Limits(calls=100_000)


class ScriptedUnit:
    """What `agent.api.unit.Unit` asks for; `state` and the like are the test's to change."""

    def __init__(self, folder: Path, own_addresses: Mapping[str, str] | None = None) -> None:
        self.settings = Store.open(folder / "settings.db")
        self.balancing = SimpleNamespace(check_change=self._check_change, statistics=self._statistics)
        self.own_addresses = own_addresses or {"eth0": "10.0.2.4"}
        self.management_port = 8443
        self.version = "7.2.54.12.1.AGENT"
        self.serial_number = "5f1c0de0a9b8c7d6"
        self.boot_time = datetime(2025, 8, 8, 10, 7, 9, tzinfo=UTC)
        self.monotonic = 1000.0
        self.current = View(
            Mode.SINGLE, UnitState.ACTIVE, "Single", "Serves alone.", 940.0, partner=None, partner_heard=None
        )
        self.link = PartnerLinkStatus()
        self.revision = self.settings_revision = 1
        self.reboots = 0
        self.switchovers: list[tuple[Role, float | None]] = []
        self.switchover_ends = SwitchoverEnded("1", done=True, reason="Done", message="Handed over.")
        self.switchover_may_end = asyncio.Event()
        self.switchover_may_end.set()
        self.holds_undone = 0
        self.drains: list[float | None] = []
        self.undrains = 0
        self.certificate: bytes | None = None
        self.replaced: Any = None
        self.watched = 0
        """How often somebody has begun to wait for a change."""
        self._change = asyncio.Event()

    def close(self) -> None:
        self.settings.close()

    def view(self) -> View:
        return self.current

    def is_in(self, state: UnitState, mode: Mode = Mode.MASTER) -> None:
        """Be so from now on, and wake those who watch."""
        self.current = replace(
            self.current, state=state, mode=mode, active_since=940.0 if state is UnitState.ACTIVE else None
        )
        self.revision += 1
        self._change.set()
        self._change = asyncio.Event()

    def link_status(self) -> PartnerLinkStatus:
        return self.link

    async def changed(self, since: int) -> int:
        self.watched += 1
        while self.revision == since:
            await self._change.wait()
        return self.revision

    async def switchover(self, to: Role, hold: float | None) -> SwitchoverEnded:
        self.switchovers.append((to, hold))
        self.current = replace(self.current, switchover=self.switchover_ends.id)
        await self.switchover_may_end.wait()
        self.current = replace(self.current, switchover="")
        return self.switchover_ends

    def undo_hold(self) -> None:
        self.holds_undone += 1

    def drain(self, duration: float | None) -> None:
        self.drains.append(duration)

    def undrain(self) -> None:
        self.undrains += 1

    def request_reboot(self) -> None:
        self.reboots += 1

    async def replace_management_certificate(self, pem: bytes) -> None:
        read_pem(pem)
        self.certificate = pem
        if self.replaced is not None:
            await self.replaced(pem)

    async def _check_change(self, _services: Sequence[object]) -> None:
        return None

    async def _statistics(self) -> dict[object, object]:
        return {}

    def add_user(self, name: str, password: str, *permissions: str) -> None:
        fields = {"hash": passwords.hash_password(password, CHEAP), "permissions": list(permissions)}
        self.settings.commit([Put(Kind.USER, name, fields)])


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("iso-8859-1")

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.content)
        return found


@dataclass
class Served:
    """A management API that listens, and how to ask it."""

    unit: ScriptedUnit
    server: ManagementServer
    identity: certificates.Identity
    port: int
    user: str = "bal"
    password: str = PASSWORD
    folder: Path = field(default_factory=Path)

    async def v1(
        self, command: str, /, method: str = "GET", data: bytes | None = None, **parameters: str
    ) -> Reply:
        query = urlencode(parameters, quote_via=quote)
        path = f"/access/{command}" + (f"?{query}" if query else "")
        return await self.ask(method if data is None else "POST", path, data, self.basic())

    async def v2(self, command: str, /, **parameters: Any) -> Reply:
        body = {"cmd": command, "apiuser": self.user, "apipass": self.password, **parameters}
        return await self.ask("POST", "/accessv2", json.dumps(body).encode(), {})

    def basic(self, user: str | None = None, password: str | None = None) -> dict[str, str]:
        text = f"{self.user if user is None else user}:{self.password if password is None else password}"
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    async def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        return await asyncio.to_thread(self._ask, method, path, body, dict(headers or {}))

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPSConnection(ADDRESS, self.port, timeout=60, context=trusting())
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers), response.read())
        finally:
            connection.close()


def trusting() -> ssl.SSLContext:
    """A client that asks for no certificate of a known issuer, as all public clients of Kemp's API do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.asynccontextmanager
async def served(folder: Path, limits: Limits = NO_LIMIT) -> AsyncIterator[Served]:
    """A unit with user `bal`, its API served on a free port."""
    unit = ScriptedUnit(folder)
    unit.add_user(authentication.ADMINISTRATOR, PASSWORD)
    identity = certificates.management_identity(folder, [ADDRESS])
    server = ManagementServer(unit, identity, limits=limits)
    port = await server.start(ADDRESS, 0)
    try:
        yield Served(unit, server, identity, port, folder=folder)
    finally:
        await server.stop(0.1)
        unit.close()

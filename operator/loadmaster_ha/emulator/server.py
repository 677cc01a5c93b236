"""The running emulator: TLS, listening, and the order of start and stop."""

from __future__ import annotations

import ipaddress
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from aiohttp import web

from loadmaster_ha.emulator import effects, registry
from loadmaster_ha.emulator.certificates import server_context
from loadmaster_ha.emulator.cloud import Cloud
from loadmaster_ha.emulator.dataplane.configuration import Options
from loadmaster_ha.emulator.dataplane.plane import DataPlane
from loadmaster_ha.emulator.frontdoor import Frontdoor
from loadmaster_ha.emulator.store import Store
from loadmaster_ha.emulator.traffic_log import TrafficLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from loadmaster_ha.emulator.settings import Settings

_MAX_BODY = 8 * 1024 * 1024
_SHUTDOWN_SECONDS = 5


class Emulator:
    """An emulator that serves while the `async with` block runs.

    Attributes:
        url: Where it answers, for example `https://127.0.0.1:8453`.
        state_dir: Where `ca.pem` and the state are.

    Raises:
        OSError: If the address cannot be listened on, or the traffic log not be written.
        DataPlaneError: If the data plane does not come up.
        StateDirectoryInUseError: If another emulator holds the state directory.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._settings = settings
        self._temporary = settings.state_dir is None
        self.state_dir = settings.state_dir or Path(tempfile.mkdtemp(prefix="loadmaster-emulator-"))
        self._store: Store | None = None
        self._traffic: TrafficLog | None = None
        self._runner: web.AppRunner | None = None
        self._plane: DataPlane | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self._store = Store(self.state_dir, registry.links_of)
        if self._settings.traffic_log is not None:
            self._traffic = TrafficLog(self._settings.traffic_log)
        cloud = Cloud(self._settings, self._store, effects.finish, self._clock)
        if self._settings.data_plane:
            self._plane = DataPlane(cloud, _options(self._settings))
            await self._plane.start()
        frontdoor = Frontdoor(cloud, self._traffic, self._plane)
        application = web.Application(client_max_size=_MAX_BODY)
        application.router.add_route("*", "/{path:.*}", frontdoor.handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        context = server_context(self.state_dir, _names(self._settings.host))
        listener = _listen(self._settings.host, self._settings.port)
        await web.SockSite(self._runner, listener, ssl_context=context).start()
        port = listener.getsockname()[1]
        shown = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        self.url = f"https://{shown}:{port}"

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._plane is not None:
            await self._plane.stop()
        if self._traffic is not None:
            self._traffic.close()
        if self._store is not None:
            self._store.close()
        if self._temporary:
            shutil.rmtree(self.state_dir, ignore_errors=True)


def _options(settings: Settings) -> Options:
    disputed = settings.disputed
    return Options(
        probe_source=settings.probe_source,
        probe_interval=settings.probe_interval,
        idle_timeout=settings.idle_timeout,
        transparent=settings.transparent,
        reset_is_answer=disputed.probe_reset_is_answer,
        one_answer_suffices=disputed.probe_one_answer_suffices,
        fluctuating_members_wait=disputed.probe_fluctuating_wait,
        probe_rules_act_late=disputed.probe_security_rules_late,
    )


def _names(host: str) -> list[str]:
    """Return the names in the server's certificate: loopback always, and the host that was asked for."""
    names = ["localhost", "127.0.0.1", "::1"]
    try:
        unspecified = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        unspecified = False
    if host not in names and not unspecified:
        names.append(host)
    if unspecified:
        names.append(socket.gethostname())
    return names


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener

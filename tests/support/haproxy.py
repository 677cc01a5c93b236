"""A real HAProxy for tests, started as the supervisor does, and real servers for it to forward to."""

import asyncio
import contextlib
import ctypes
import inspect
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from loadmaster_ha.agent.dataplane.command import Paths, command_line
from loadmaster_ha.agent.dataplane.controller import DataPlane
from loadmaster_ha.agent.dataplane.model import Node
from loadmaster_ha.domain.virtual_services import RealServer, ServiceKey, VirtualService

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def own_address() -> str:
    """A loopback address that no other test is likely to use."""
    return f"127.{random.randint(64, 191)}.{random.randint(1, 254)}.{random.randint(1, 254)}"  # noqa: S311


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class HAProxy:
    """The master process; `start` may be called again after an end."""

    paths: Paths
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self.paths.directory / "haproxy.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                command_line(self.paths),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - the test process has no other threads yet
            )

    @property
    def log(self) -> str:
        return (self.paths.directory / "haproxy.log").read_text(errors="replace")

    def kill(self) -> None:
        """As the kernel out of memory would: no good-bye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class Rig:
    """A unit's data plane with its HAProxy, and real servers behind it."""

    address: str
    node: Node
    haproxy: HAProxy
    plane: DataPlane
    healths: list = field(default_factory=list)

    def service(self, port: int, *servers: RealServer, **more) -> VirtualService:
        more.setdefault("index", port)
        return VirtualService(key=ServiceKey(self.address, port), real_servers=servers, **more)

    async def serve(self, *services: VirtualService, certificates=None):
        """Have HAProxy run these, started if it is not."""
        outcome = await self.plane.apply(services, certificates or {})
        if self.haproxy.process is None:
            self.haproxy.start()
            await self.well()
            outcome = await self.plane.apply(services, certificates or {})
        return outcome

    async def well(self) -> None:
        await eventually(lambda: self.plane.health.healthy)

    async def worker(self) -> int:
        return (await self.plane._applier.master.processes()).workers[0]

    async def ask(self, *commands: str) -> str:
        return await self.plane._applier.master.worker(commands)


async def eventually(condition, limit: float = 20.0):
    """Wait until something is so (`condition` may be a coroutine function); the limit is a safety net."""
    async with asyncio.timeout(limit):
        while True:
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a path that is short enough for sockets (pytest's are not)."""
    path = Path(tempfile.mkdtemp(prefix="lm-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.asynccontextmanager
async def running_rig(**more) -> AsyncIterator[Rig]:
    address = own_address()
    with short_folder() as folder:
        folder.chmod(0o711)  # workers may be told to become somebody else
        paths = Paths(folder / "haproxy", sockets=folder / "run")
        node = Node(paths, {"eth0": address}, threads=1, **more)
        healths: list = []
        plane = DataPlane(node, health_changed=healths.append)
        rig = Rig(address, node, HAProxy(node.paths), plane, healths)
        await plane.start()
        try:
            yield rig
        finally:
            await plane.close()
            rig.haproxy.stop()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Give a data plane; HAProxy starts with the first `serve`."""
    if shutil.which("haproxy") is None:
        pytest.skip("HAProxy is not installed (make system)")
    async with running_rig() as made:
        yield made


@dataclass
class Backend:
    """An HTTP server that tells who it is and what it was asked."""

    name: str
    address: str
    port: int
    requests: list[dict] = field(default_factory=list)
    checks: list[dict] = field(default_factory=list)
    status: int = 200
    """What it answers to a health check."""
    cookie: str = ""
    """A cookie that it sets, as an application does."""

    def real_server(self, index: int, **more) -> RealServer:
        return RealServer(index, self.address, self.port, **more)


@contextlib.asynccontextmanager
async def backend(name: str = "one", address: str | None = None, *, tls=None) -> AsyncIterator[Backend]:
    """Serve `/` (who am I), `/check` (health), `/slow?seconds=` and `/long?chunks=&pause=`."""
    made = Backend(name, address or own_address(), 0)
    app = web.Application()

    def seen(request: web.Request) -> dict:
        return {
            "server": made.name,
            "method": request.method,
            "path": request.path_qs,
            "version": f"{request.version.major}.{request.version.minor}",
            "headers": {key.lower(): value for key, value in request.headers.items()},
            "forwarded": request.headers.getall("X-Forwarded-For", []),
        }

    async def who(request: web.Request) -> web.Response:
        made.requests.append(seen(request))
        answer = web.json_response(seen(request))
        if made.cookie:
            answer.set_cookie(made.cookie, f"session-of-{made.name}")
        return answer

    async def check(request: web.Request) -> web.Response:
        made.checks.append(seen(request))
        return web.Response(status=made.status, text="all is well here")

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query["seconds"]))
        return await who(request)

    async def long(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(int(request.query["chunks"])):
            await answer.write(b"x" * 1000)
            await asyncio.sleep(float(request.query["pause"]))
        return answer

    app.router.add_route("*", "/check", check)
    app.router.add_get("/slow", slow)
    app.router.add_get("/long", long)
    app.router.add_route("*", "/{tail:.*}", who)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, made.address, 0, ssl_context=tls)
        await site.start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()


async def get(address: str, port: int, path: str = "/", headers: str = "") -> tuple[int, dict, str]:
    """One request on a connection of its own: status, headers, body."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n".encode())
        async with asyncio.timeout(20):
            data = await reader.read()
    finally:
        writer.close()
    head, _, body = data.decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    pairs = [line.split(": ", 1) for line in lines[1:]]
    fields = {name.lower(): value for name, value in pairs}
    return int(lines[0].split()[1]), fields, body


async def server_of(address: str, port: int, path: str = "/", headers: str = "") -> str:
    """Which backend answers."""
    status, _, body = await get(address, port, path, headers)
    assert status == 200, (status, body)
    return json.loads(body)["server"]


def listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((address, port)) == 0


def send_signal(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)

"""What stands between the operator and a unit's management API, to stop the one or the other at a write.

    async with UnitProxy("127.0.5.14", unit.address, folder) as proxy:
        proxy.on_write = told          # before the unit gets it, and after the unit has answered

Manifests name the proxy's address and `fingerprint`. It speaks HTTPS on both sides and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import aiohttp
from aiohttp import web
from tests.support.pem import self_signed, trusting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

WRITES: Final = frozenset(
    {
        "set", "setlmcommsecret", "azurehamode", "azurehaparam", "setcloudhamode", "setcloudhaparam",
        "agentsetparams", "agentswitchover", "reboot", "addcert", "delcert", "addvs", "modvs", "delvs",
        "addrs", "modrs", "delrs",
    }
)  # fmt: skip
"""Commands that change something, as Kemp's "RESTful API" names them."""
SECRETS: Final = frozenset({"apikey", "apiuser", "apipass", "secret", "data", "password"})
PORT: Final = 8443
LARGEST: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Write:
    """One command that changes something, without its secrets."""

    command: str
    parameters: tuple[tuple[str, str], ...] = ()


When = Literal["before", "after"]


class Dropped(Exception):  # noqa: N818 - what `on_write` raises
    """Close the connection without an answer."""


class UnitProxy:
    """One unit's. `on_write` is awaited for each write, before it is passed on and after its answer came."""

    def __init__(self, address: str, target: str, folder: Path) -> None:
        self.address = address
        self.on_write: Callable[[Write, When], Awaitable[None]] | None = None
        self._target = f"https://{target}:{PORT}"
        self._pem = folder / f"proxy-{address}.pem"
        pem = self_signed("proxy.example")
        folder.mkdir(parents=True, exist_ok=True)
        self._pem.write_text(pem, encoding="ascii")
        certificate = pem[: pem.index("-----BEGIN PRIVATE KEY")]
        self.fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=trusting(), force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        application = web.Application(client_max_size=LARGEST)
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._pem)
        await web.TCPSite(self._runner, self.address, PORT, ssl_context=context).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        write = _write(request, body)
        try:
            await self._tell(write, "before")
            headers = {
                name: value
                for name, value in request.headers.items()
                if name.lower() not in {"host", "connection", "content-length", "transfer-encoding"}
            }
            async with self._session.request(
                request.method, self._target + request.raw_path, data=body or None, headers=headers
            ) as answer:
                text = await answer.read()
                given = web.Response(status=answer.status, body=text)
                given.headers["Content-Type"] = answer.headers.get("Content-Type", "text/plain")
            await self._tell(write, "after")
        except (Dropped, aiohttp.ClientError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
        return given

    async def _tell(self, write: Write | None, when: When) -> None:
        if write is not None and self.on_write is not None:
            await self.on_write(write, when)


def _write(request: web.Request, body: bytes) -> Write | None:
    """The write that a request is, in either version of the API; None for a read."""
    parameters: dict[str, Any]
    if request.path.startswith("/accessv2"):
        try:
            parameters = json.loads(body)
        except ValueError:
            return None
        command = str(parameters.pop("cmd", ""))
    else:
        command = request.path.removeprefix("/access/")
        parameters = dict(request.query)
    command = command.lower()
    if command not in WRITES:
        return None
    shown = {name: str(value) for name, value in parameters.items() if name.lower() not in SECRETS}
    return Write(command, tuple(sorted(shown.items())))

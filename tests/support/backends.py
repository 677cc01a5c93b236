"""Scripted members behind an emulated balancer: a health responder and a service on a loopback address."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEALTH_PORT = 8444
SERVICE_PORT = 8080


@dataclass(slots=True)
class Backend:
    """One member. Change `health` at any time; what came in is in the lists.

    `health` is a status such as `"200"`, or `"silent"` (accepts and says nothing), `"reset"` (accepts and
    resets) or `"closed"` (accepts and closes). The service says `name` and a newline, then echoes.
    """

    address: str
    name: str
    health: str = "200"
    probed_from: list[str] = field(default_factory=list)
    clients: list[tuple[str, int]] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """How connections to the service ended: `"end"` or `"reset"`."""
    _servers: list[asyncio.Server] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        await self.open_health()
        self._servers.append(await asyncio.start_server(self._serve, self.address, SERVICE_PORT))

    async def open_health(self) -> None:
        self._servers.append(await asyncio.start_server(self._health, self.address, HEALTH_PORT))

    async def close_health(self) -> None:
        """Listen for probes no more: they are refused."""
        server = next(item for item in self._servers if item.sockets[0].getsockname()[1] == HEALTH_PORT)
        self._servers.remove(server)
        server.close()

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _health(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            self.probed_from.append(writer.get_extra_info("peername")[0])
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await self._answer_probe(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer_probe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self.health:
            case "silent":
                await reader.read()
            case "reset":
                writer.transport.abort()
            case "closed":
                pass
            case status:
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.clients.append(writer.get_extra_info("peername"))
        writer.write(f"{self.name}\n".encode())
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            self.ends.append("end")
            writer.write(b"bye\n")
            await writer.drain()
        except OSError:
            self.ends.append("reset")
        finally:
            self._open.discard(writer)
            writer.close()


@contextlib.asynccontextmanager
async def running_backends(*addresses: str) -> AsyncIterator[list[Backend]]:
    """Run a member on each address, named by its position."""
    made = [Backend(address, f"member-{index}") for index, address in enumerate(addresses)]
    try:
        for backend in made:
            await backend.start()
        yield made
    finally:
        for backend in made:
            await backend.stop()

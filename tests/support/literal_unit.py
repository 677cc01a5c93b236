"""A TLS server that stands in for a unit and answers literal bytes: what a client is tested with as evidence.

Nothing of the wire code takes part: requests are kept as they came, answers are written as the test gives
them. An answer is bytes, or something that becomes of the connection (`Drop`,
`Farewell`, `Silence`, `Drip`, `Endless`).

    async with LiteralUnit() as unit:
        unit.answers = lambda asked: xml("<Response ...>")
"""

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

from tests.support import unit_certificates
from tests.support.unit_certificates import ADDRESS, UnitCertificate


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    at: float
    connection: int
    """Which connection it came over, counted from 1."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("ascii"), keep_blank_values=True))


@dataclass(frozen=True)
class Drop:
    """End the connection without TLS' farewell, after these bytes."""

    after: bytes = b""


@dataclass(frozen=True)
class Farewell:
    """These bytes, and then the end of the connection in good order."""

    content: bytes


@dataclass(frozen=True)
class Silence:
    """Say nothing, and keep the connection."""


@dataclass(frozen=True)
class Drip:
    """One byte at a time."""

    content: bytes
    seconds: float


@dataclass(frozen=True)
class Endless:
    """This head, and then zeros as long as somebody reads, up to so many bytes."""

    head: bytes
    most: int


Answer = bytes | Drop | Farewell | Silence | Drip | Endless


def http(status: str, content_type: str | None, body: bytes, *more: str) -> bytes:
    """Head and body of an answer: status line, headers and content as they are given."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def xml(body: str | bytes, status: str = "200 OK") -> bytes:
    """An answer of API v1 in the vendor's encoding."""
    content = body if isinstance(body, bytes) else body.encode("iso-8859-1")
    return http(status, "text/xml", b'<?xml version="1.0" encoding="ISO-8859-1"?>\n' + content)


def json(body: str, status: str = "200 OK") -> bytes:
    """An answer of API v2."""
    return http(status, "text/json", body.encode())


@dataclass
class LiteralUnit:
    """Listens on a free port of loopback while its `async with` lasts."""

    certificate: UnitCertificate = field(default_factory=unit_certificates.self_signed)
    answers: Callable[[Asked], Answer] = field(default=lambda _: http("404 Not Found", "text/html", b""))
    drops_handshakes: int = 0
    """So many connections are dropped before TLS begins."""
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    """Handshakes that ended well."""
    accepted: int = 0
    written: int = 0
    port: int = 0
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "unit.pem"
            file.write_text(self.certificate.pem, encoding="ascii")
            context.load_cert_chain(file)
        self._context = context
        self._server = await asyncio.start_server(self._accepted, ADDRESS, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._open):
            if writer.transport is not None:
                writer.transport.abort()
        await self._server.wait_closed()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        raw = writer.transport
        try:
            if self.drops_handshakes > 0:
                self.drops_handshakes -= 1
                return
            await writer.start_tls(self._context)
            self.connections += 1
            await self._serve(reader, writer, self.connections)
        except (OSError, EOFError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self._open.discard(writer)
            raw.abort()
            if (
                writer.transport is None
            ):  # the client left in the handshake; its end wants a transport to close
                writer._transport = raw

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
            first, *lines = head.strip().split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            asked = Asked(method, target, headers, body, asyncio.get_running_loop().time(), connection)
            self.asked.append(asked)
            self.was_asked.set()
            if not await self._answer(self.answers(asked), writer):
                return

    async def _answer(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
            return True
        if isinstance(answer, Drop):
            if answer.after:
                writer.write(answer.after)
                await writer.drain()
                await asyncio.sleep(0.05)  # an abort would take what is still under way with it
            return False
        if isinstance(answer, Farewell):
            writer.write(answer.content)
            writer.close()
            await writer.wait_closed()
            return False
        if isinstance(answer, Drip):
            for byte in answer.content:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(answer.seconds)
            return True
        if isinstance(answer, Endless):
            await self._endless(answer, writer)
            return False
        await asyncio.sleep(3600)
        return False

    async def _endless(self, answer: Endless, writer: asyncio.StreamWriter) -> None:
        writer.write(answer.head)
        chunk, written = bytes(1 << 20), 0
        with contextlib.suppress(OSError):
            while written < answer.most:
                writer.write(chunk)
                await writer.drain()
                written += len(chunk)
                self.written += len(chunk)

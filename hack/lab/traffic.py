"""Web servers behind the units, and clients in front of the balancer that note what becomes of each request.

A client never retries: what it did not get is a failure that a user would have seen. The servers answer
`GET /` with their name, `GET /bytes/N` with N bytes, `GET /slow/N` with N lines, one a tenth of a second.
"""

import asyncio
import contextlib
import itertools
import re
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from lab.places import Place

ANSWER_SECONDS: Final = 5.0
"""After so long without a byte a client gives up."""

_CHUNK = b"x" * 65536


@contextlib.asynccontextmanager
async def web_servers(place: Place, port: int = 8080) -> AsyncIterator[tuple[str, ...]]:
    """Serve on each of a place's addresses; yields `address:port` of each. They are called `web-NUMBER`."""
    servers = []
    try:
        for number, address in enumerate(place.addresses):
            listening = place.listening(port, address)
            servers.append(await asyncio.start_server(_serving(f"web-{number}"), sock=listening))
        yield tuple(f"{address}:{port}" for address in place.addresses)
    finally:
        for server in servers:
            server.close()


def _serving(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (path := await _request(reader)) is not None:
                await _answer(writer, path, name)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    return serve


async def _request(reader: asyncio.StreamReader) -> str | None:
    """The path of the next request; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    return head.split(b" ", 2)[1].decode("latin-1")


async def _answer(writer: asyncio.StreamWriter, path: str, name: str) -> None:
    kind, _, number = path.strip("/").partition("/")
    if kind == "bytes":
        await _send(writer, int(number), 0.0, _CHUNK)
    elif kind == "slow":
        line = b"still here\n"
        await _send(writer, int(number) * len(line), 0.1, line)
    else:
        body = f"{name}\n".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()


async def _send(writer: asyncio.StreamWriter, length: int, pause: float, portion: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
    while length > 0:
        writer.write(portion[:length])
        length -= len(portion)
        await writer.drain()
        if pause:
            await asyncio.sleep(pause)


@dataclass(frozen=True, slots=True)
class Request:
    """What became of one request. Times are monotonic seconds."""

    began: float
    ended: float
    outcome: str
    """`ok`, or what went wrong: `refused`, `reset`, `timeout`, `short`, an HTTP status."""
    body: bytes = b""
    certificate: bytes = b""
    """What the server showed, in DER form; empty without TLS."""

    @property
    def ok(self) -> bool:
        """Whether the user got what was asked for."""
        return self.outcome == "ok"


@dataclass(slots=True)
class Log:
    """All requests of a client, in the order in which they ended."""

    requests: list[Request] = field(default_factory=list)

    def outcomes(self) -> Counter[str]:
        """How many there are of each."""
        return Counter(request.outcome for request in self.requests)

    def failures(self) -> list[Request]:
        """Those that went wrong."""
        return [request for request in self.requests if not request.ok]

    def told(self) -> str:
        """What went wrong, and when since the first request, for messages."""
        first = min((request.began for request in self.requests), default=0.0)
        each = [f"{request.began - first:.2f} s: {request.outcome}" for request in self.failures()]
        return f"{len(each)} of {len(self.requests)} failed: {', '.join(each[:20])}"

    def recovered(self) -> bool:
        """Whether the request that began last was answered; one that began before may end after it."""
        return max(self.requests, key=lambda request: request.began).ok

    def gap(self, since: float = float("-inf")) -> float:
        """The longest time in which no request was answered, seconds: from one good answer to the next.

        Between requests that succeed one after the other it is the time between them. The end of the log
        counts, so that a service that never came back has a gap as long as the client went on.
        """
        ends = sorted(request.ended for request in self.requests if request.ok and request.ended >= since)
        edges = [max(since, min(request.began for request in self.requests)), *ends]
        edges.append(max(request.ended for request in self.requests))
        return max(later - earlier for earlier, later in itertools.pairwise(edges))


class Client:
    """Sends requests from a place to an address, as many users would; over TLS if `tls` is given."""

    def __init__(
        self,
        place: Place,
        target: str,
        port: int,
        *,
        source: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._place = place
        self._target = (target, port)
        self._source = source
        self._tls = tls

    async def get(self, path: str = "/") -> Request:
        """One request on a connection of its own."""
        began, shown = time.monotonic(), b""
        try:
            async with self._connected() as (reader, writer):
                shown = _shown(writer)
                outcome, body = await self._exchange(reader, writer, path, close=True)
        except OSError as error:
            outcome, body = _word(error), b""
        return Request(began, time.monotonic(), outcome, body, shown)

    @contextlib.asynccontextmanager
    async def steady(self, interval: float = 0.01, path: str = "/") -> AsyncIterator[Log]:
        """Meanwhile, open a connection every `interval` seconds, whatever becomes of those before."""
        log, running = Log(), set[asyncio.Task[None]]()

        async def one() -> None:
            log.requests.append(await self.get(path))

        async def go_on() -> None:
            due = time.monotonic()
            while True:
                task = asyncio.create_task(one())
                running.add(task)
                task.add_done_callback(running.discard)
                due += interval
                await asyncio.sleep(max(0.0, due - time.monotonic()))

        going = asyncio.create_task(go_on())
        try:
            yield log
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
            await asyncio.gather(*running)

    @contextlib.asynccontextmanager
    async def kept_alive(self, interval: float = 0.05, path: str = "/") -> AsyncIterator[Log]:
        """Meanwhile, send request after request on one connection; connect anew when the server ends it.

        The server may end a connection between two answers when it said `Connection: close`; then the next
        request goes over a new one. Anything else is a failure.
        """
        log = Log()
        going = asyncio.create_task(self._keep_alive(log, interval, path))
        try:
            yield log
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)

    async def _keep_alive(self, log: Log, interval: float, path: str) -> None:
        while True:
            began = time.monotonic()
            try:
                async with self._connected() as (reader, writer):
                    outcome = "ok"
                    while outcome == "ok":
                        began = time.monotonic()
                        outcome, body = await self._exchange(reader, writer, path, close=False)
                        closing = outcome == "closing"
                        log.requests.append(
                            Request(began, time.monotonic(), "ok" if closing else outcome, body)
                        )
                        await asyncio.sleep(interval)
            except OSError as error:
                log.requests.append(Request(began, time.monotonic(), _word(error)))
                await asyncio.sleep(interval)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        connection = self._place.connection(self._source)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_connect(connection, self._target)
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(
                    sock=connection, ssl=self._tls, server_hostname=None if self._tls is None else ""
                )
        except BaseException:
            connection.close()
            raise
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, *, close: bool
    ) -> tuple[str, bytes]:
        """One request and its answer: `ok`, `closing` (the server wants to end it after this), or an error.

        Raises:
            OSError: the connection broke, or nothing came in time.
        """
        connection = "close" if close else "keep-alive"
        host = f"{self._target[0]}:{self._target[1]}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n".encode())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = int(found[1]) if (found := re.search(r"(?i)\r\ncontent-length: *(\d+)", head)) else 0
            body = await self._body(reader, length)
        except asyncio.IncompleteReadError as error:
            return ("short" if error.partial else "reset"), error.partial
        status = head.split(" ", 2)[1]
        if status != "200":
            return status, body
        return ("closing" if re.search(r"(?i)\r\nconnection: *close", head) and not close else "ok"), body

    async def _body(self, reader: asyncio.StreamReader, length: int) -> bytes:
        body = bytearray()
        while len(body) < length:
            async with asyncio.timeout(ANSWER_SECONDS):
                portion = await reader.read(min(65536, length - len(body)))
            if not portion:
                raise asyncio.IncompleteReadError(bytes(body), length)
            body += portion
        return bytes(body)


def _shown(writer: asyncio.StreamWriter) -> bytes:
    tls = writer.get_extra_info("ssl_object")
    return b"" if tls is None else tls.getpeercert(binary_form=True) or b""


def _word(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionError):
        return "reset"
    return error.strerror or str(error)

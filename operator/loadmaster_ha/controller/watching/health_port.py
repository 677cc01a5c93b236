"""Asking a health port, or the frontend, as the balancer's probe does: plain HTTP, GET /.

`lane` asks; `http_status` reads the answer. A unit's connection is kept for the next question if the unit
lets it. The frontend's never is: an established flow stays with the member that it was opened to, also after
that has become the standby, so only a new connection tells who is served now.
"""

import asyncio
import errno
import logging
from dataclasses import dataclass
from typing import Final

from loadmaster_ha.controller.watching.http_status import NotHTTP, StatusReader
from loadmaster_ha.planning.diagnosis.model import Silence

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 2.0
"""From the question (connecting included) to the status."""

USER_AGENT: Final = "loadmaster-operator"

_UNREACHABLE: Final = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EACCES, errno.EPERM}
)
_OURS: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN}
)


class CannotAsk(Exception):  # noqa: N818 - reads as what is the case
    """This process lacks what it takes (descriptors, ports, memory): nothing is known of the other side."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one question."""

    code: int | None
    text: str = ""
    silence: Silence | None = None
    """Set when there is no code."""


class _Connection(asyncio.Protocol):
    """One connection; at most one question at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.reader: StatusReader | None = None
        self.answered: asyncio.Future[Said] | None = None
        self.heard = False
        """Whether anything has come since the question."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP
        self.transport = transport

    def ask(self, request: bytes) -> "asyncio.Future[Said]":
        """Send the question."""
        assert self.transport is not None  # noqa: S101 - connected
        self.reader, self.heard = StatusReader(), False
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answered

    def data_received(self, data: bytes) -> None:
        if self.reader is None:  # something that nobody asked for
            self.close()
            return
        self.heard = True
        try:
            self.reader.feed(data)
        except NotHTTP:
            self._answer(Said(None, silence=Silence.NOT_HTTP))
            return
        if self.reader.done:
            self._answer(self.so_far())

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        if self.reader is None:
            return
        try:
            self.reader.end()
        except NotHTTP:
            self._answer(Said(None, silence=Silence.NOT_HTTP))
        else:
            self._answer(self.so_far() or Said(None, silence=Silence.CLOSED))

    def so_far(self) -> Said | None:
        """The answer as far as it has come; None: not even the status."""
        if self.reader is None or self.reader.code is None:
            return None
        return Said(self.reader.code, self.reader.text)

    def _answer(self, said: Said | None) -> None:
        reader, self.reader = self.reader, None
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(said or Said(None, silence=Silence.CLOSED))
        if reader is None or not reader.reusable:
            self.close()

    def close(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()
            self.transport = None


class HealthPort:
    """One address and port that is asked again and again.

    Args:
        address: IPv4 address.
        port: the check port.
        keep: keep the connection between questions, if the other side does.
        seconds: how long an answer may take.
    """

    def __init__(
        self, address: str, port: int, *, keep: bool = True, seconds: float = ANSWER_SECONDS
    ) -> None:
        self.address, self.port = address, port
        self._keep = keep
        self._seconds = seconds
        self._connection: _Connection | None = None

    @property
    def _request(self) -> bytes:
        wish = "keep-alive" if self._keep else "close"
        return (
            f"GET / HTTP/1.1\r\nHost: {self.address}:{self.port}\r\nUser-Agent: {USER_AGENT}\r\n"
            f"Accept: */*\r\nConnection: {wish}\r\n\r\n"
        ).encode("ascii")

    async def ask(self) -> Said:
        """Ask once. Not to be called again before it has answered.

        Raises:
            CannotAsk: this process could not ask.
        """
        kept, self._connection = self._connection, None
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(self._seconds):
                if kept is not None and kept.transport is not None:
                    connection = kept
                    said = await connection.ask(self._request)
                    if connection.heard:
                        return self._done(connection, said)
                    # The other side had given the kept connection up: that says nothing about it.
                connection = await self._connect()
                return self._done(connection, await connection.ask(self._request))
        except TimeoutError:
            said_so_far = connection.so_far() if connection is not None else None
            return said_so_far or Said(None, silence=Silence.TIMED_OUT)
        except OSError as problem:
            return Said(None, silence=_silence(problem))
        finally:
            if connection is not None and connection is not self._connection:
                connection.close()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self.address, self.port)
        return connection

    def _done(self, connection: _Connection, said: Said) -> Said:
        if self._keep and connection.transport is not None and not connection.transport.is_closing():
            self._connection = connection
        return said

    def close(self) -> None:
        """Let the kept connection go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _silence(problem: OSError) -> Silence:
    if problem.errno in _OURS:
        raise CannotAsk(problem.strerror or str(problem)) from problem
    if isinstance(problem, ConnectionRefusedError):
        return Silence.REFUSED
    if isinstance(problem, ConnectionError):
        return Silence.CLOSED
    if isinstance(problem, TimeoutError):  # the kernel's own
        return Silence.TIMED_OUT
    return Silence.UNREACHABLE if problem.errno in _UNREACHABLE else Silence.CLOSED

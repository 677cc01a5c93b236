"""Asking a health port, or the frontend, as the balancer's probe does: plain HTTP, GET /.

`lane` asks; `http_status` reads the answer. A unit's connection is kept for the next question if the unit
lets it. The frontend's never is: an established flow stays with the member that it was opened to, also after
that has become the standby, so only a new connection tells who is served now.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from dataclasses import dataclass
from typing import Final, Self

from loadmaster_ha.controller.watching.http_status import NotHTTP, StatusReader
from loadmaster_ha.planning.diagnosis.model import Silence

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 2.0
"""From the question (connecting included) to the status."""

USER_AGENT: Final = "loadmaster-operator"

_PIECE: Final = 4096
"""Bytes that are read at a time: an answer, as a rule."""

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


class _Connection:
    """One connection; at most one question at a time.

    A bare socket: asyncio's transports are cycles of references, and of some hundred that end in each second
    the garbage collector leaves megabytes behind.
    """

    __slots__ = ("_plain", "heard", "reader")

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self.reader = StatusReader()
        self.heard = False
        """Whether anything has come since the question."""

    @classmethod
    async def open(cls, address: str, port: int) -> Self:
        """Connect.

        Raises:
            OSError: there is no connection.
        """
        plain = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            plain.setblocking(False)
            await asyncio.get_running_loop().sock_connect(plain, (address, port))
        except BaseException:
            plain.close()
            raise
        return cls(plain)

    @property
    def idle(self) -> bool:
        """Whether it waits for a question: it has not ended, and nothing came that nobody asked for."""
        try:
            self._plain.recv(1)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    async def ask(self, request: bytes) -> Said:
        """Send the question and wait for the answer."""
        loop = asyncio.get_running_loop()
        reader, self.heard = StatusReader(), False
        self.reader = reader
        try:
            with contextlib.suppress(OSError):  # ends as if the other side had closed
                await loop.sock_sendall(self._plain, request)
                while not reader.done and (data := await loop.sock_recv(self._plain, _PIECE)):
                    self.heard = True
                    reader.feed(data)
            if not reader.done:
                reader.end()
        except NotHTTP:
            return Said(None, silence=Silence.NOT_HTTP)
        return self.so_far() or Said(None, silence=Silence.CLOSED)

    def so_far(self) -> Said | None:
        """The answer as far as it has come; None: not even the status."""
        return None if self.reader.code is None else Said(self.reader.code, self.reader.text)

    def close(self) -> None:
        """End the connection at once."""
        self._plain.close()


class HealthPort:
    """One address and port that is asked again and again.

    Args:
        address: IP address.
        port: the check port.
        keep: keep the connection between questions, if the other side does.
        seconds: how long an answer may take.
    """

    __slots__ = ("_connection", "_keep", "_seconds", "address", "port")

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
        connection, self._connection = self._connection, None
        try:
            async with asyncio.timeout(self._seconds):
                if connection is not None:
                    if connection.idle:
                        said = await connection.ask(self._request)
                        if connection.heard:
                            return self._done(connection, said)
                    # The other side had given the kept connection up: that says nothing about it.
                    connection.close()
                    connection = None
                connection = await _Connection.open(self.address, self.port)
                return self._done(connection, await connection.ask(self._request))
        except TimeoutError:
            said_so_far = connection.so_far() if connection is not None else None
            return said_so_far or Said(None, silence=Silence.TIMED_OUT)
        except OSError as problem:
            return Said(None, silence=_silence(problem))
        finally:
            if connection is not None and connection is not self._connection:
                connection.close()

    def _done(self, connection: _Connection, said: Said) -> Said:
        if self._keep and connection.reader.reusable and said.code is not None:
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

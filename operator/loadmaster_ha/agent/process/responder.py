"""The health port: HTTP answers from memory, in bounded time, whatever the rest of the node does.

It has no thread, no timer and no state of the pair: `supervisor` owns the loop, tells it where to listen and
gives it the answer of the moment. Standard library only, and little of it: this process has to stay small.

The bounds: a request has `REQUEST_SECONDS` to arrive and `REQUEST_BYTES` to arrive in; others than the
balancer share `MOST_OTHERS` connections, at most `MOST_PER_ADDRESS` each; whoever comes when all are taken
displaces the oldest, so that slow clients cannot keep a probe out. The balancer's probe has places of its
own.
"""

from __future__ import annotations

import errno
import socket
from functools import partial

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final

    from loadmaster_ha.agent.process.loop import Loop

    Address = tuple[str, int]
    Answer = tuple[int, str]

BALANCER: Final = "balancer"
PARTNER: Final = "partner"
OTHER: Final = "other"
SOURCES: Final = (BALANCER, PARTNER, OTHER)
"""Who asks: Azure's probe, the other unit, anybody else."""

REQUEST_SECONDS: Final = 2.0
LINGER_SECONDS: Final = 1.0
REQUEST_BYTES: Final = 4096
MOST_PROBES: Final = 64
MOST_OTHERS: Final = 192
MOST_PER_ADDRESS: Final = 16
_BACKLOG: Final = 128
_ACCEPTED_AT_ONCE: Final = 32
"""Per listener and turn of the loop, so that a flood cannot keep it from the node's messages."""

_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
_TEXTS: Final = {
    400: "This is no HTTP request.",
    404: "Only / is served here.",
    405: "Only GET and HEAD are answered here.",
    431: "The request is too long.",
}
_HTTP: Final = ("HTTP/1.0", "HTTP/1.1")


def render(code: int, text: str, *, head: bool = False) -> bytes:
    """The response in bytes; `head` leaves the body out (RFC 9110, 9.3.2)."""
    body = f"{text}\n".encode("ascii", "replace")
    allow = "Allow: GET, HEAD\r\n" if code == 405 else ""
    header = (
        f"HTTP/1.1 {code} {_PHRASES.get(code, 'Status')}\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"{allow}"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return header.encode("ascii") + (b"" if head else body)


def judge(request: bytes) -> tuple[int, bool]:
    """Read a request's header: 200 (the page is asked for) or an error, and whether it is a HEAD."""
    words = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or words[2] not in _HTTP:
        return 400, False
    method, target, _ = words
    if method not in {"GET", "HEAD"}:
        return 405, False
    return (200 if _is_root(target) else 404), method == "HEAD"


def _is_root(target: str) -> bool:
    if target.lower().startswith("http://"):  # the absolute form, which every server has to accept
        _, slash, path = target[7:].partition("/")
        target = slash + path or "/"
    return target.partition("?")[0] == "/"


class _Connection:
    __slots__ = ("address", "deadline", "lingers", "port", "received", "socket", "source")

    def __init__(
        self, accepted: socket.socket, address: str, port: int, source: str, deadline: float
    ) -> None:
        self.socket = accepted
        self.address = address
        self.port = port
        self.source = source
        self.deadline = deadline
        self.received = b""
        self.lingers = False


class Responder:
    """All listeners and connections of the health port.

    `answer(source)` gives the code and the line of text of the moment. `counts` are answers to well-formed
    requests for the page, by (source, port, code), since the start; `asked` is called after each with the
    source.
    """

    def __init__(self, loop: Loop, answer: Callable[[str], Answer], asked: Callable[[str], None]) -> None:
        self._loop = loop
        self._answer = answer
        self._asked = asked
        self._listeners: dict[Address, socket.socket] = {}
        self._connections: dict[int, _Connection] = {}
        self._sources: Mapping[str, str] = {}
        self.counts: dict[tuple[str, int, int], int] = {}

    @property
    def listening(self) -> tuple[Address, ...]:
        """Where it listens, as asked for (port 0 stays 0)."""
        return tuple(self._listeners)

    def ports(self) -> dict[Address, int]:
        """The real port of every listener."""
        return {address: each.getsockname()[1] for address, each in self._listeners.items()}

    def know(self, sources: Mapping[str, str]) -> None:
        """Tell addresses apart: `balancer` or `partner` by address; all else is `other`."""
        self._sources = sources

    def listen(self, addresses: Iterable[Address]) -> dict[Address, str]:
        """Listen on exactly these; what cannot be bound comes back with the system's reason."""
        wanted = set(addresses)
        for address in set(self._listeners) - wanted:
            listener = self._listeners.pop(address)
            self._loop.unregister(listener.fileno())
            listener.close()
        failed = {}
        for address in sorted(wanted - set(self._listeners)):
            try:
                self._listeners[address] = self._bind(address)
            except OSError as problem:
                failed[address] = problem.strerror or str(problem)
        return failed

    def _bind(self, address: Address) -> socket.socket:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        self._loop.register(listener.fileno(), lambda _events: self._accept(listener))
        return listener

    def close(self) -> None:
        """End everything: the port is closed, connections are dropped."""
        self.listen(())
        for connection in list(self._connections.values()):
            self._drop(connection)

    def expire(self, now: float) -> None:
        """Drop what has outlived its time."""
        for connection in [each for each in self._connections.values() if each.deadline <= now]:
            self._drop(connection)

    # One connection: accepted, read to the end of its header, answered, and let go when the client has
    # closed.

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                # The client has gone, or there is no descriptor left: then the oldest makes room.
                if problem.errno in {errno.EMFILE, errno.ENFILE} and self._connections:
                    self._drop(next(iter(self._connections.values())))
                return
            accepted.setblocking(False)
            port = listener.getsockname()[1]
            source = self._sources.get(peer[0], OTHER)
            self._make_room(peer[0], source)
            connection = _Connection(accepted, peer[0], port, source, self._loop.now() + REQUEST_SECONDS)
            self._connections[accepted.fileno()] = connection
            self._loop.register(accepted.fileno(), partial(self._read_event, connection))
            self._read(connection)

    def _make_room(self, address: str, source: str) -> None:
        # Insertion order is age. Linear, but over a few hundred at most.
        if source == BALANCER:
            crowd = [each for each in self._connections.values() if each.source == BALANCER]
            crowded = len(crowd) >= MOST_PROBES
        else:
            others = [each for each in self._connections.values() if each.source != BALANCER]
            crowd = [each for each in others if each.address == address]
            crowded = len(crowd) >= MOST_PER_ADDRESS
            if not crowded:
                crowd, crowded = others, len(others) >= MOST_OTHERS
        if crowded:
            self._drop(crowd[0])

    def _read_event(self, connection: _Connection, _events: int) -> None:
        self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            received = connection.socket.recv(REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        if connection.lingers:
            # What a client still sends is read and forgotten: closing on unread bytes would be a reset, which
            # can take the answer away from it.
            if not received:
                self._drop(connection)
            return
        connection.received += received
        if b"\r\n\r\n" in connection.received:
            self._respond(connection, *judge(connection.received))
        elif not received:
            self._drop(connection)
        elif len(connection.received) >= REQUEST_BYTES:
            self._respond(connection, 431, head=False)

    def _respond(self, connection: _Connection, code: int, head: bool) -> None:  # noqa: FBT001 - of `judge`
        asked = code == 200
        text = _TEXTS.get(code, "")
        if asked:
            code, text = self._answer(connection.source)
        try:
            connection.socket.send(render(code, text, head=head))  # far below any socket's buffer
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)
            return
        connection.lingers = True
        connection.deadline = self._loop.now() + LINGER_SECONDS
        if asked:
            key = (connection.source, connection.port, code)
            self.counts[key] = self.counts.get(key, 0) + 1
            self._asked(connection.source)

    def _drop(self, connection: _Connection) -> None:
        number = connection.socket.fileno()
        if self._connections.pop(number, None) is not None:
            self._loop.unregister(number)
            connection.socket.close()

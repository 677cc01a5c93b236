"""Load for the forwarding benchmark: a tiny server and two clients, each in a process of its own."""

import contextlib
import select
import socket
import time
from collections.abc import Sequence
from itertools import pairwise

REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
FLOOD = b"flood"
_CHUNK = 1 << 20
_IP_BIND_ADDRESS_NO_PORT = 24


def serve(address: str, port: int) -> None:
    """Answer one request per connection and end it; flood who asks for that. Runs until it is terminated."""
    listener = socket.create_server((address, port), backlog=4096)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                _accept(listener, poll, connections)
                continue
            connection = connections.pop(descriptor)
            poll.unregister(descriptor)
            with connection, contextlib.suppress(OSError):
                _answer(connection)


def connections_per_second(target: tuple[str, int], source: str, seconds: float) -> tuple[float, list[float]]:
    """Open connections one after the other, a request on each; return their rate and their times."""
    times = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        with _connected(target, source) as connection:
            connection.sendall(REQUEST)
            received = b""
            while data := connection.recv(65536):
                received += data
        if received != RESPONSE:
            raise RuntimeError(f"{target} answered {received!r}")
        times.append(time.perf_counter() - began)
    return len(times) / seconds, times


def megabits_per_second(target: tuple[str, int], source: str, seconds: float) -> float:
    """Receive as fast as it comes."""
    buffer = bytearray(_CHUNK)
    received = 0
    with _connected(target, source) as connection:
        connection.sendall(FLOOD)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            count = connection.recv_into(buffer)
            if not count:
                raise RuntimeError(f"{target} ended the connection")
            received += count
    return received * 8 / seconds / 1e6


def slowest_probe(log: Sequence[dict[str, float]], interval: float) -> float:
    """Return by how much the worst probe of a log was late, in seconds."""
    return max(later["sent"] - earlier["sent"] - interval for earlier, later in pairwise(log))


def _accept(listener: socket.socket, poll: select.epoll, connections: dict[int, socket.socket]) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            connections[connection.fileno()] = connection
            poll.register(connection.fileno(), select.EPOLLIN)


def _answer(connection: socket.socket) -> None:
    if connection.recv(65536) != FLOOD:
        connection.sendall(RESPONSE)
        return
    data = bytes(_CHUNK)
    while True:
        connection.sendall(data)


def _connected(target: tuple[str, int], source: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    connection.settimeout(30)
    connection.bind((source, 0))
    connection.connect(target)
    return connection

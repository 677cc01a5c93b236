"""The sockets of the data plane and the options that make them behave as a balancer's traffic does.

A connection to a member carries the client's own address: on loopback any address of 127.0.0.0/8 can be
bound, elsewhere it takes a transparent socket (`IP_TRANSPARENT`, ip(7)) and the right to make one.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from typing import Final, TypeAlias

Endpoint: TypeAlias = tuple[str, int]

_IP_FREEBIND: Final = 15
_IP_TRANSPARENT: Final = 19
_IP_BIND_ADDRESS_NO_PORT: Final = 24
_RESET: Final = struct.pack("ii", 1, 0)
BACKLOG: Final = 4096

_IN_USE: Final = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


def number_of(address: str) -> int:
    """Return an IPv4 address as a number."""
    return int.from_bytes(socket.inet_aton(address), "big")


def is_loopback(address: str) -> bool:
    """Say whether an address is in 127.0.0.0/8."""
    return ipaddress.ip_address(address).is_loopback


def listen(kind: int, endpoint: Endpoint, *, transparent: bool) -> socket.socket:
    """Return a listening TCP socket, or a bound UDP socket, that does not block.

    Raises:
        OSError: The address is not this host's, or somebody else's port.
    """
    made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if transparent:
            made.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
        made.bind(endpoint)
        if kind == socket.SOCK_STREAM:
            made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


class Origin:
    """Opens sockets towards members that carry another's address as their own.

    Args:
        transparent: Whether addresses that are not on this host may be used.
    """

    def __init__(self, *, transparent: bool) -> None:
        self._transparent = transparent

    def can_use(self, source: str) -> bool:
        """Say whether sockets can carry an address; else they carry this host's own."""
        with self._socket(socket.SOCK_DGRAM, source) as made:
            try:
                made.bind((source, 0))
            except OSError:
                return False
        return True

    def connect(self, source: Endpoint, target: Endpoint) -> socket.socket:
        """Begin a TCP connection; it is open when the socket can be written to.

        The port is kept as well where that is possible: with a transparent socket, as long as the same
        connection does not exist already. On loopback the client itself has its port.

        Raises:
            OSError: Nothing can be sent there from that address.
        """
        if self._transparent and not is_loopback(source[0]) and source[1]:
            kept = self._attempt(source, target)
            if kept is not None:
                return kept
        made = self._socket(socket.SOCK_STREAM, source[0])
        try:
            # The port is chosen at the connection: only all four together need to be new.
            made.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            self._bind(made, (source[0], 0))
            begin(made, target)
        except OSError:
            made.close()
            raise
        return made

    def datagrams(self, source: Endpoint, target: Endpoint) -> socket.socket:
        """Return a UDP socket from the client's address to a member.

        Raises:
            OSError: Nothing can be sent there from that address.
        """
        made = self._socket(socket.SOCK_DGRAM, source[0])
        try:
            keep_port = self._transparent and not is_loopback(source[0])
            self._bind(made, source if keep_port else (source[0], 0))
            made.connect(target)
        except OSError:
            made.close()
            raise
        return made

    def _attempt(self, source: Endpoint, target: Endpoint) -> socket.socket | None:
        made = self._socket(socket.SOCK_STREAM, source[0])
        try:
            self._bind(made, source)
            begin(made, target)
        except OSError as error:
            made.close()
            if error.errno in _IN_USE:
                return None
            raise
        return made

    def _socket(self, kind: int, source: str) -> socket.socket:
        made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._transparent and not is_loopback(source):
            made.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
        return made

    def _bind(self, made: socket.socket, source: Endpoint) -> None:
        """Bind to the source; without the right to do so, let the kernel choose this host's own address."""
        try:
            made.bind(source)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or self._transparent:
                raise


def begin(made: socket.socket, target: Endpoint) -> None:
    """Begin to connect a socket that does not block.

    Raises:
        OSError: It failed at once.
    """
    code = made.connect_ex(target)
    if code not in (0, errno.EINPROGRESS):
        raise OSError(code, os.strerror(code))


def reset(connection: socket.socket) -> None:
    """Close a TCP connection with a RST instead of a FIN."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()

"""Whose connections a listener does not even answer, told to the kernel.

A TCP listener of the kernel completes handshakes by itself, while Azure's balancer sends the first packet on
to a member, and drops it when there is none that may have it: no member up, a stopped machine, a security
group that denies, a flow that maps back to its sender. So that a client sees the same here (a connection that
is never answered), a packet filter on the listener drops the first packets of such clients (socket(7),
`SO_ATTACH_FILTER`). That takes CAP_NET_ADMIN on today's kernels; without it a listener that nobody may reach
is kept full instead, and the rest is accepted and then left without an answer (`flows.Held`).
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from typing import TYPE_CHECKING, Final

from loadmaster_ha.emulator.dataplane.security_groups import admits, boundaries
from loadmaster_ha.emulator.dataplane.sockets import BACKLOG, number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadmaster_ha.emulator.dataplane.configuration import Interval, Member, Rule
    from loadmaster_ha.emulator.dataplane.sockets import Endpoint

_LAST_ADDRESS: Final = 2**32 - 1
EVERYBODY: Final = ((0, _LAST_ADDRESS),)

_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
_NETWORK_HEADER: Final = 0x100000000 - 0x100000
_SOURCE: Final = _NETWORK_HEADER + 12
_LOAD_WORD, _JUMP_IF_AT_LEAST, _JUMP_IF_ABOVE, _RETURN = 0x20, 0x35, 0x25, 0x06
_PASS, _DROP = 0xFFFFFFFF, 0
_MAXIMUM_INTERVALS: Final = 1000


def unanswered(rule: Rule, members: Sequence[Member], port: int) -> tuple[Interval, ...]:
    """Return the sources whose flows no member that takes new ones could get.

    Args:
        rule: The rule whose listener it is.
        members: Who takes new flows.
        port: The port at the members.
    """
    own = {number_of(member.address) for member in members if member.running}
    starts = sorted({0} | boundaries(members) | own | {address + 1 for address in own})
    found: list[Interval] = []
    for position, start in enumerate(starts):
        if start > _LAST_ADDRESS:
            break
        end = starts[position + 1] - 1 if position + 1 < len(starts) else _LAST_ADDRESS
        if any(_could_reach(rule, member, start, port) for member in members):
            continue
        if found and found[-1][1] == start - 1:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(found)


def _could_reach(rule: Rule, member: Member, source: int, port: int) -> bool:
    if not member.running or number_of(member.address) == source:
        return False
    return any(admits(member, rule, source, client_port, port) for client_port in _CLIENT_PORTS)


_CLIENT_PORTS: Final = (1, 1024, 32768, 49152, 65535)
"""Samples for rules that name source ports. Such rules are rare, and the flow itself is judged exactly."""


class Door:
    """Keeps a listener from answering certain sources."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._closed_to: tuple[Interval, ...] = ()
        self._stuffing: socket.socket | None = None
        self._own: Endpoint | None = None

    def close_to(self, sources: tuple[Interval, ...]) -> None:
        """Drop the first packets of these sources, and of no others."""
        if sources == self._closed_to:
            return
        self._closed_to = sources
        try:
            _filter(self._listener, sources)
        except OSError:
            self._fill(sources == EVERYBODY)

    def let_go(self) -> None:
        """Free what keeps the listener full."""
        if self._stuffing is not None:
            self._stuffing.close()
            self._stuffing = None

    @property
    def is_full(self) -> bool:
        """Whether the listener is kept full: nothing may be accepted from it."""
        return self._stuffing is not None

    def is_own(self, client: Endpoint) -> bool:
        """Say whether a connection that was accepted is the one that kept the listener full."""
        return client == self._own

    def _fill(self, full: bool) -> None:  # noqa: FBT001 - what its name says
        """Make the queue one connection long and put one of our own into it, or undo that."""
        self.let_go()
        self._listener.listen(0 if full else BACKLOG)
        if full:
            self._stuffing = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            with contextlib.suppress(OSError):
                self._stuffing.connect_ex(self._listener.getsockname())
                self._own = self._stuffing.getsockname()


def _filter(listener: socket.socket, sources: Sequence[Interval]) -> None:
    """Attach the filter, or take the one away that is there.

    Raises:
        OSError: Not permitted.
    """
    if not sources:
        with contextlib.suppress(FileNotFoundError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, b"\0\0\0\0")
        return
    program = _program(sources[:_MAXIMUM_INTERVALS])
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    listener.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code))
    )


def _program(sources: Sequence[Interval]) -> list[tuple[int, int, int, int]]:
    """Return the filter's steps (classic BPF: code, jump if true, jump if false, operand)."""
    if tuple(sources) == EVERYBODY:
        return [(_RETURN, 0, 0, _DROP)]
    steps = [(_LOAD_WORD, 0, 0, _SOURCE)]
    for first, last in sources:
        steps += [
            (_JUMP_IF_AT_LEAST, 0, 2, first),
            (_JUMP_IF_ABOVE, 1, 0, last),
            (_RETURN, 0, 0, _DROP),
        ]
    return [*steps, (_RETURN, 0, 0, _PASS)]

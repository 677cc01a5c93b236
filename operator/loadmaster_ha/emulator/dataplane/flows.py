"""TCP flows: bytes, ends and resets passed on between a client's connection and a member's.

Each flow keeps its member until it ends by itself, is idle for too long, or the member's machine stops;
neither the probe nor a change of the rules touches it. A flow that Azure would not deliver is `Held`: the
client gets no answer and no end, as if its packets were dropped.

`listeners` makes flows; `FlowTable` keeps them, ends the idle ones and shows them.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from loadmaster_ha.emulator.dataplane.reactor import ERROR, FAILED, PEER_ENDED, READ, WRITE
from loadmaster_ha.emulator.dataplane.sockets import reset

if TYPE_CHECKING:
    from loadmaster_ha.emulator.dataplane.configuration import Rule
    from loadmaster_ha.emulator.dataplane.reactor import Reactor
    from loadmaster_ha.emulator.dataplane.sockets import Endpoint

_CHUNK: Final = 256 * 1024
_BUFFER: Final = bytearray(_CHUNK)
_VIEW: Final = memoryview(_BUFFER)
_SWEEP_SECONDS: Final = 0.5
_HELD_SECONDS: Final = 300.0
_MAXIMUM_HELD: Final = 4096
_PARKED: Final = -1
SHOWN_FLOWS: Final = 1000
_READ_OR_END: Final = READ | FAILED


class End:
    """One of a flow's two connections."""

    __slots__ = ("connection", "descriptor", "ended", "flow", "passed", "peer", "pending", "watched")

    peer: End

    def __init__(self, flow: Flow, connection: socket.socket) -> None:
        self.flow = flow
        self.connection = connection
        self.descriptor = connection.fileno()
        self.pending: bytearray | None = None
        """What is still to be written here; while there is some, nothing is read at the other end."""
        self.ended = False
        """Whether its side has said that nothing more comes."""
        self.passed = 0
        """Bytes read here."""
        self.watched = 0

    def watch(self) -> None:
        """Tell the reactor what this end waits for."""
        wanted = (0 if self.ended or self.peer.pending else READ) | (WRITE if self.pending else 0)
        if wanted == self.watched:
            return
        reactor = self.flow.table.reactor
        if self.watched == _PARKED:
            reactor.register(self.descriptor, wanted, self.ready)
        else:
            reactor.modify(self.descriptor, wanted)
        self.watched = wanted

    def ready(self, events: int) -> None:
        """Move what can be moved."""
        flow = self.flow
        flow.last = flow.table.reactor.now
        if events & WRITE and self.pending and not self._write_pending():
            return
        if events & _READ_OR_END and not flow.over:
            if self.watched & READ:
                self.read()
            elif events & ERROR:
                flow.abort("reset")
            elif self.watched != _PARKED:
                # Both directions have ended, but what came last cannot be read yet. That is reported over
                # and over, whatever is asked for, so nothing is asked until it can be.
                flow.table.reactor.forget(self.descriptor)
                self.watched = _PARKED

    def read(self) -> None:
        """Read once, and pass it on at once as far as the other end takes it."""
        flow, peer = self.flow, self.peer
        try:
            count = self.connection.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            flow.abort("reset")
            return
        if not count:
            self._end()
            return
        self.passed += count
        try:
            sent = peer.connection.send(_VIEW[:count])
        except BlockingIOError:
            sent = 0
        except OSError:
            flow.abort("reset")
            return
        if sent < count:
            peer.pending = _BUFFER[sent:count]
            self.watch()
            peer.watch()

    def _write_pending(self) -> bool:
        """Write what was left; say whether the flow lives on."""
        pending = self.pending or bytearray()
        try:
            sent = self.connection.send(pending)
        except BlockingIOError:
            return True
        except OSError:
            self.flow.abort("reset")
            return False
        del pending[:sent]
        if not pending:
            self.pending = None
            if self.peer.ended:
                self.flow.pass_end(self)
                return not self.flow.over
            self.peer.watch()
            self.watch()
        return True

    def _end(self) -> None:
        self.ended = True
        if not self.peer.pending:
            self.flow.pass_end(self.peer)
        if not self.flow.over:
            self.watch()


class Flow:
    """A TCP flow between a client and a member."""

    __slots__ = (
        "client",
        "client_end",
        "last",
        "member",
        "member_end",
        "number",
        "opened",
        "over",
        "rule",
        "table",
    )

    def __init__(
        self,
        table: FlowTable,
        rule: Rule,
        client: tuple[Endpoint, socket.socket],
        member: tuple[str, socket.socket],
    ) -> None:
        self.table = table
        self.rule = rule
        self.client, accepted = client
        self.member, connecting = member
        self.number = next(table.numbers)
        self.opened = self.last = table.reactor.now
        self.over = False
        self.client_end = End(self, accepted)
        self.member_end = End(self, connecting)
        self.client_end.peer, self.member_end.peer = self.member_end, self.client_end
        table.reactor.register(self.member_end.descriptor, WRITE, self._connected)
        table.open[self.number] = self

    def pass_end(self, to: End) -> None:
        """Pass the end of one direction on; with both ended the flow is over."""
        if to.ended and not to.peer.pending:
            self.close("closed")
            return
        try:
            to.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort("reset")
            return
        to.watch()

    def abort(self, how: str) -> None:
        """Reset both connections."""
        if not self.over:
            self._leave(how)
            reset(self.client_end.connection)
            reset(self.member_end.connection)

    def close(self, how: str) -> None:
        """Close both connections in order."""
        if not self.over:
            self._leave(how)
            self.client_end.connection.close()
            self.member_end.connection.close()

    def fall_silent(self, how: str) -> None:
        """Forget the flow without telling either side, as Azure does."""
        if not self.over:
            self._leave(how)
            for end in (self.client_end, self.member_end):
                self.table.hold(self.rule, end.connection, how, count=False)

    def machine_stopped(self) -> None:
        """Let the flow's member be gone without a word."""
        if not self.over:
            self._leave("machine stopped")
            reset(self.member_end.connection)
            self.table.hold(self.rule, self.client_end.connection, "machine stopped", count=False)

    def view(self, now: float) -> dict[str, Any]:
        """Return it for `/_emulator/flows`."""
        return {
            "id": self.number,
            "rule": self.rule.id,
            "client": f"{self.client[0]}:{self.client[1]}",
            "frontend": f"{self.rule.address}:{self.rule.port}",
            "member": self.member,
            "source": _name(self.member_end.connection),
            "opened": self.opened,
            "idleSeconds": round(now - self.last, 3),
            "bytesFromClient": self.client_end.passed,
            "bytesFromMember": self.member_end.passed,
        }

    def _connected(self, events: int) -> None:
        del events
        client, member = self.client_end, self.member_end
        code = member.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._refused(code)
            return
        reactor = self.table.reactor
        member.watched = client.watched = READ
        reactor.replace(member.descriptor, member.ready)
        reactor.modify(member.descriptor, READ)
        reactor.register(client.descriptor, READ, client.ready)
        self.last = reactor.now
        client.read()  # a client mostly speaks first, and has by now

    def _refused(self, code: int) -> None:
        """A member that refuses resets the client; one that cannot be reached leaves it waiting."""
        if code in (errno.ECONNREFUSED, errno.ECONNRESET):
            self.abort("refused")
            return
        self._leave("unreachable")
        self.member_end.connection.close()
        self.table.hold(self.rule, self.client_end.connection, "unreachable", count=False)

    def _leave(self, how: str) -> None:
        self.over = True
        reactor = self.table.reactor
        reactor.forget(self.client_end.descriptor)
        reactor.forget(self.member_end.descriptor)
        self.table.left(self, how)


def _name(connection: socket.socket) -> str:
    """What a member sees as the client."""
    address, port = connection.getsockname()
    return f"{address}:{port}"


class Held:
    """A connection that is not answered until its other side goes, or its time is over."""

    __slots__ = ("connection", "descriptor", "table", "until")

    def __init__(self, table: FlowTable, connection: socket.socket, until: float) -> None:
        self.table = table
        self.connection = connection
        self.descriptor = connection.fileno()
        self.until = until
        table.reactor.register(self.descriptor, PEER_ENDED, self._gone)

    def end(self) -> None:
        """Let it go."""
        self.table.reactor.forget(self.descriptor)
        reset(self.connection)

    def _gone(self, events: int) -> None:
        del events
        self.table.held.pop(self.descriptor, None)
        self.end()


class FlowTable:
    """All TCP flows.

    Args:
        reactor: Runs them.
        idle_timeout: Seconds instead of the rules' own idle timeouts; `None`: the rules' own.
    """

    def __init__(self, reactor: Reactor, idle_timeout: float | None = None) -> None:
        self.reactor = reactor
        self.numbers = itertools.count(1)
        self.open: dict[int, Flow] = {}
        self.held: dict[int, Held] = {}
        self.opened: Counter[tuple[str, str]] = Counter()
        """Flows so far by rule and member."""
        self.ended: Counter[tuple[str, str]] = Counter()
        """Flows that ended by rule and how."""
        self.dropped: Counter[tuple[str, str]] = Counter()
        """Connections that were not delivered, by rule and why."""
        self._idle_timeout = idle_timeout
        reactor.call_later(_SWEEP_SECONDS, self._sweep)

    def start(
        self,
        rule: Rule,
        client: tuple[Endpoint, socket.socket],
        member: tuple[str, socket.socket],
    ) -> None:
        """Begin a flow between an accepted connection and one that is being opened to a member."""
        for connection in (client[1], member[1]):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Flow(self, rule, client, member)
        self.opened[rule.id, member[0]] += 1

    def hold(self, rule: Rule, connection: socket.socket, why: str, *, count: bool = True) -> None:
        """Keep a connection without ever answering it."""
        if count:
            self.dropped[rule.id, why] += 1
        if len(self.held) >= _MAXIMUM_HELD:
            self.held.pop(next(iter(self.held))).end()
        self.held[connection.fileno()] = Held(self, connection, self.reactor.now + _HELD_SECONDS)

    def idle_of(self, rule: Rule) -> float:
        """Return the idle timeout in force for a rule, in seconds."""
        return rule.idle_seconds if self._idle_timeout is None else self._idle_timeout

    def left(self, flow: Flow, how: str) -> None:
        """Take notice of a flow's end."""
        self.open.pop(flow.number, None)
        self.ended[flow.rule.id, how] += 1

    def machines_stopped(self, members: set[str]) -> None:
        """End the flows of members whose machines have stopped."""
        for flow in list(self.open.values()):
            if flow.member in members:
                flow.machine_stopped()

    def view(self) -> list[dict[str, Any]]:
        """Return the newest open flows, at most `SHOWN_FLOWS`."""
        now = time.monotonic()
        newest = itertools.islice(reversed(self.open.values()), SHOWN_FLOWS)
        return [flow.view(now) for flow in newest]

    def close(self) -> None:
        """End everything."""
        for flow in list(self.open.values()):
            with contextlib.suppress(OSError):
                flow.abort("emulator ended")
        for held in self.held.values():
            held.end()
        self.held.clear()

    def _sweep(self) -> None:
        self.reactor.call_later(_SWEEP_SECONDS, self._sweep)
        now = self.reactor.now
        for flow in list(self.open.values()):
            if now - flow.last > self.idle_of(flow.rule):
                if flow.rule.reset_when_idle:
                    flow.abort("idle, reset")
                else:
                    flow.fall_silent("idle")
        for descriptor, held in list(self.held.items()):
            if now > held.until:
                del self.held[descriptor]
                held.end()

"""UDP flows: a table of clients, each with a socket of its own towards its member.

Unlike TCP, a UDP flow does not stay with a member that is probed down: it moves to one that is up with its
next datagram, and with all down it ends. A flow that Azure would not deliver is simply not delivered.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any, Final

from loadmaster_ha.emulator.dataplane.listeners import obstacle
from loadmaster_ha.emulator.dataplane.reactor import READ
from loadmaster_ha.emulator.dataplane.selection import choose
from loadmaster_ha.emulator.dataplane.sockets import listen

if TYPE_CHECKING:
    from loadmaster_ha.emulator.dataplane.configuration import Member, Rule
    from loadmaster_ha.emulator.dataplane.flows import FlowTable
    from loadmaster_ha.emulator.dataplane.reactor import Reactor
    from loadmaster_ha.emulator.dataplane.sockets import Endpoint, Origin

_LARGEST: Final = 65536
_AT_ONCE: Final = 32
_SWEEP_SECONDS: Final = 0.5
_MAXIMUM_FLOWS: Final = 16384
_LOG = logging.getLogger(__name__)


class UdpFlow:
    """What one client sends to one frontend, and what comes back."""

    __slots__ = ("client", "last", "listener", "member", "opened", "passed", "returned", "socket")

    def __init__(
        self, listener: UdpListener, client: Endpoint, member: Member, connected: socket.socket
    ) -> None:
        self.listener = listener
        self.client = client
        self.member = member.id
        self.socket = connected
        self.opened = self.last = listener.reactor.now
        self.passed = self.returned = 0
        listener.reactor.register(connected.fileno(), READ, self._back)

    def forward(self, datagram: bytes) -> None:
        """Send a client's datagram to the member."""
        self.last = self.listener.reactor.now
        self.passed += len(datagram)
        try:
            self.socket.send(datagram)
        except OSError as error:
            # Refused earlier ones are reported here; a full buffer drops, as a network does.
            _LOG.debug("datagram to %s: %s", self.member, error)

    def close(self) -> None:
        """End the flow."""
        self.listener.reactor.forget(self.socket.fileno())
        self.socket.close()

    def _back(self, events: int) -> None:
        del events
        for _ in range(_AT_ONCE):
            try:
                datagram = self.socket.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError:  # the member has no such port; Azure passes no such notice on
                return
            self.last = self.listener.reactor.now
            self.returned += len(datagram)
            self.listener.answer(datagram, self.client)


class UdpListener:
    """Receives for one rule. Used like `listeners.TcpListener`."""

    def __init__(
        self, reactor: Reactor, flows: FlowTable, origin: Origin, rule: Rule, *, transparent: bool
    ) -> None:
        self.rule = rule
        self.members: tuple[Member, ...] = ()
        self.reactor = reactor
        self._table = flows
        self._origin = origin
        self._flows: dict[Endpoint, UdpFlow] = {}
        self._socket = listen(socket.SOCK_DGRAM, (rule.address, rule.port), transparent=transparent)
        reactor.register(self._socket.fileno(), READ, self._incoming)
        self._sweeping = reactor.call_later(_SWEEP_SECONDS, self._sweep)

    @property
    def port(self) -> int:
        """The port that is received on."""
        return self.rule.port

    def deliver_to(self, rule: Rule, members: tuple[Member, ...]) -> None:
        """Take the rule's present form and its members; flows to others end."""
        self.rule, self.members = rule, members
        serving = {member.id for member in members if member.running}
        for flow in [flow for flow in self._flows.values() if flow.member not in serving]:
            self._end(flow, "member down")

    def close(self) -> None:
        """End the listener and its flows."""
        self._sweeping.cancel()
        for flow in list(self._flows.values()):
            flow.close()
        self._flows.clear()
        self.reactor.forget(self._socket.fileno())
        self._socket.close()

    def answer(self, datagram: bytes, client: Endpoint) -> None:
        """Send a member's datagram back to the client, from the frontend."""
        try:
            self._socket.sendto(datagram, client)
        except OSError as error:
            _LOG.debug("datagram to %s: %s", client, error)

    def view(self) -> list[dict[str, Any]]:
        """Return the open flows for `/_emulator/flows`."""
        now = self.reactor.now
        return [
            {
                "rule": self.rule.id,
                "client": f"{flow.client[0]}:{flow.client[1]}",
                "frontend": f"{self.rule.address}:{self.rule.port}",
                "member": flow.member,
                "opened": flow.opened,
                "idleSeconds": round(now - flow.last, 3),
                "bytesFromClient": flow.passed,
                "bytesFromMember": flow.returned,
            }
            for flow in self._flows.values()
        ]

    def _incoming(self, events: int) -> None:
        del events
        for _ in range(_AT_ONCE):
            try:
                datagram, client = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                _LOG.debug("receiving for %s: %s", self.rule.id, error)
                return
            flow = self._flows.get(client) or self._begin(client)
            if flow is not None:
                flow.forward(datagram)

    def _begin(self, client: Endpoint) -> UdpFlow | None:
        rule = self.rule
        if not self.members:
            self._table.dropped[rule.id, "no member takes new flows"] += 1
            return None
        member = choose(self.members, rule.distribution, rule.protocol, client, (rule.address, rule.port))
        why = obstacle(rule, member, client, rule.backend_port)
        if not why and len(self._flows) >= _MAXIMUM_FLOWS:
            why = "too many flows"
        if why:
            self._table.dropped[rule.id, why] += 1
            return None
        try:
            connected = self._origin.datagrams(client, (member.address, rule.backend_port))
        except OSError as error:
            _LOG.warning("cannot reach %s from %s: %s", member.address, client[0], error)
            self._table.dropped[rule.id, "unreachable"] += 1
            return None
        self._table.opened[rule.id, member.id] += 1
        flow = self._flows[client] = UdpFlow(self, client, member, connected)
        return flow

    def _end(self, flow: UdpFlow, how: str) -> None:
        del self._flows[flow.client]
        self._table.ended[self.rule.id, how] += 1
        flow.close()

    def _sweep(self) -> None:
        self._sweeping = self.reactor.call_later(_SWEEP_SECONDS, self._sweep)
        limit = self.reactor.now - self._table.idle_of(self.rule)
        for flow in [flow for flow in self._flows.values() if flow.last < limit]:
            self._end(flow, "idle")

"""What is listened on for each TCP rule, and what becomes of a connection that comes in.

A frontend's address and port are listened on as long as a rule names them. What the rule delivers to may
change at any time: the next connection goes by the new state, the others stay.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Final

from loadmaster_ha.emulator.dataplane.admission import EVERYBODY, Door, unanswered
from loadmaster_ha.emulator.dataplane.reactor import READ
from loadmaster_ha.emulator.dataplane.security_groups import admits
from loadmaster_ha.emulator.dataplane.selection import choose
from loadmaster_ha.emulator.dataplane.sockets import listen, number_of

if TYPE_CHECKING:
    from loadmaster_ha.emulator.dataplane.configuration import Member, Rule
    from loadmaster_ha.emulator.dataplane.flows import FlowTable
    from loadmaster_ha.emulator.dataplane.reactor import Reactor
    from loadmaster_ha.emulator.dataplane.sockets import Endpoint, Origin

_ACCEPTED_AT_ONCE: Final = 16
_PAUSE_SECONDS: Final = 0.1
_LOG = logging.getLogger(__name__)


def obstacle(rule: Rule, member: Member, client: Endpoint, port: int) -> str:
    """Say why Azure would not deliver a flow to the member that it is mapped to; empty when it would."""
    if not member.running:
        return "machine stopped"
    if member.address == client[0]:
        return "maps back to its sender"
    if not admits(member, rule, number_of(client[0]), client[1], port):
        return "security group"
    return ""


class TcpListener:
    """Listens for one rule."""

    def __init__(
        self, reactor: Reactor, flows: FlowTable, origin: Origin, rule: Rule, *, transparent: bool
    ) -> None:
        self.rule = rule
        self.members: tuple[Member, ...] = ()
        self._reactor = reactor
        self._flows = flows
        self._origin = origin
        self._socket = listen(socket.SOCK_STREAM, (rule.address, rule.port), transparent=transparent)
        self._door = Door(self._socket)
        self._door.close_to(EVERYBODY)
        reactor.register(self._socket.fileno(), 0 if self._door.is_full else READ, self._incoming)

    @property
    def port(self) -> int:
        """The port that is listened on: of an HA-ports rule one that the kernel chose."""
        return int(self._socket.getsockname()[1])

    def deliver_to(self, rule: Rule, members: tuple[Member, ...]) -> None:
        """Take the rule's present form and its members that take new flows."""
        if (rule, members) == (self.rule, self.members):
            return
        self.rule, self.members = rule, members
        self._door.close_to(
            () if rule.every_port and members else unanswered(rule, members, rule.backend_port)
        )
        self._watch()

    def close(self) -> None:
        """Stop listening; flows go on."""
        self._reactor.forget(self._socket.fileno())
        self._door.let_go()
        self._socket.close()

    def _incoming(self, events: int) -> None:
        del events
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, client = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:  # the client has gone already
                continue
            except OSError as error:  # out of descriptors or of memory: those who wait go on waiting
                _LOG.warning("cannot accept connections for %s: %s", self.rule.id, error)
                self._pause()
                return
            if self._door.is_own(client):
                accepted.close()
                continue
            accepted.setblocking(False)
            self._begin(accepted, client)

    def _pause(self) -> None:
        self._reactor.modify(self._socket.fileno(), 0)
        self._reactor.call_later(_PAUSE_SECONDS, self._watch)

    def _watch(self) -> None:
        """Take connections, unless the one in a full queue is our own and must stay there."""
        if self._socket.fileno() >= 0:
            self._reactor.modify(self._socket.fileno(), 0 if self._door.is_full else READ)

    def _begin(self, accepted: socket.socket, client: Endpoint) -> None:
        rule = self.rule
        if not self.members:
            self._flows.hold(rule, accepted, "no member takes new flows")
            return
        frontend, port = (rule.address, rule.port), rule.backend_port
        if rule.every_port:
            frontend = accepted.getsockname()
            port = frontend[1]
        member = choose(self.members, rule.distribution, rule.protocol, client, frontend)
        why = obstacle(rule, member, client, port)
        if why:
            self._flows.hold(rule, accepted, why)
            return
        try:
            connecting = self._origin.connect(client, (member.address, port))
        except OSError as error:
            _LOG.warning("cannot reach %s from %s: %s", member.address, client[0], error)
            self._flows.hold(rule, accepted, "unreachable")
            return
        self._flows.start(rule, (client, accepted), (member.id, connecting))

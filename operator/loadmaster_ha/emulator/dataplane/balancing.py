"""Everything that is served, kept in step with the configuration and with the probes.

The heart of the child process: `worker` feeds configurations in and asks for views; a member that goes up or
down changes who takes new flows, and nothing else.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from loadmaster_ha.emulator.dataplane.configuration import Configuration, Options
from loadmaster_ha.emulator.dataplane.datagrams import UdpListener
from loadmaster_ha.emulator.dataplane.diversion import Diversion
from loadmaster_ha.emulator.dataplane.flows import SHOWN_FLOWS, FlowTable
from loadmaster_ha.emulator.dataplane.listeners import TcpListener
from loadmaster_ha.emulator.dataplane.prober import Prober
from loadmaster_ha.emulator.dataplane.selection import candidates
from loadmaster_ha.emulator.dataplane.sockets import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadmaster_ha.emulator.dataplane.configuration import Rule
    from loadmaster_ha.emulator.dataplane.prober import Probing
    from loadmaster_ha.emulator.dataplane.reactor import Reactor

_RETRY_SECONDS: Final = 1.0
_NO_EVERY_PORT: Final = "HA ports need --transparent"
_LOG = logging.getLogger(__name__)


class Balancing:
    """All balancers' rules, served.

    Args:
        reactor: Runs everything.
        options: Fixed choices.
        answered: Called after each probe.
    """

    def __init__(self, reactor: Reactor, options: Options, answered: Callable[[Probing], None]) -> None:
        self._reactor = reactor
        self._options = options
        self._configuration = Configuration()
        self._origin = Origin(transparent=options.transparent)
        self._prober = Prober(reactor, self._origin, options, self._refresh, answered)
        self._flows = FlowTable(reactor, options.idle_timeout)
        self._listeners: dict[tuple[str, str, int], TcpListener | UdpListener] = {}
        self._served: dict[tuple[str, str, int], Rule] = {}
        """The rules that can be served, by what is listened on for them."""
        self._problems: dict[str, str] = {}
        self._diversion = Diversion() if options.transparent else None
        reactor.call_later(_RETRY_SECONDS, self._retry)

    def start(self) -> None:
        """Set up what transparent sockets need.

        Raises:
            DiversionError: It cannot be.
        """
        if self._diversion is not None:
            self._diversion.install()

    def apply(self, configuration: Configuration) -> None:
        """Serve what this configuration says from now on."""
        before, self._configuration = self._configuration, configuration
        self._prober.apply(configuration)
        stopped = {
            member.id
            for member in before.members.values()
            if member.running and not getattr(configuration.members.get(member.id), "running", True)
        }
        self._flows.machines_stopped(stopped)
        self._listen()
        self._refresh()

    def problems(self) -> dict[str, str]:
        """Return the rules that cannot be served, and why."""
        return dict(self._problems)

    def view_probes(self, since: float) -> dict[str, Any]:
        """Return what the prober knows, with the log from `since` (`time.monotonic`) on."""
        source = self._options.probe_source
        return {
            "source": source,
            "sourceUsed": self._origin.can_use(source),
            "members": self._prober.view(since),
        }

    def view_flows(self) -> dict[str, Any]:
        """Return what each rule serves, what it has done, and the newest open flows."""
        rules = [self._view_rule(rule) for rule in self._configuration.rules.values()]
        datagrams = [
            flow for item in self._listeners.values() if isinstance(item, UdpListener) for flow in item.view()
        ]
        return {
            "rules": rules,
            "open": len(self._flows.open) + len(datagrams),
            "flows": self._flows.view() + datagrams[:SHOWN_FLOWS],
        }

    def close(self) -> None:
        """End everything."""
        self._prober.close()
        for listener in self._listeners.values():
            listener.close()
        self._flows.close()
        if self._diversion is not None:
            self._diversion.remove()

    def _view_rule(self, rule: Rule) -> dict[str, Any]:
        served = self._served.get(_place(rule)) is rule
        listener = self._listeners.get(_place(rule)) if served else None
        flows = self._flows
        return {
            "rule": rule.id,
            "protocol": rule.protocol,
            "frontend": f"{rule.address}:{rule.port}",
            "problem": self._problems.get(rule.id, ""),
            "takesNewFlows": [member.id for member in listener.members] if listener else [],
            "opened": {member: count for (found, member), count in flows.opened.items() if found == rule.id},
            "ended": {how: count for (found, how), count in flows.ended.items() if found == rule.id},
            "dropped": {why: count for (found, why), count in flows.dropped.items() if found == rule.id},
        }

    def _listen(self) -> None:
        """Open and close listeners so that there is one for each rule that can be served."""
        before, self._problems = self._problems, {}
        self._served = {}
        for rule in self._configuration.rules.values():
            why = self._obstacle(rule)
            if why:
                self._problems[rule.id] = why
            else:
                self._served[_place(rule)] = rule
        for place in [place for place in self._listeners if place not in self._served]:
            self._listeners.pop(place).close()
        for place, rule in self._served.items():
            if place not in self._listeners:
                self._open(rule)
        self._divert()
        for rule_id, problem in self._problems.items():
            if before.get(rule_id) != problem:
                _LOG.warning("%s is not served: %s", rule_id, problem)

    def _obstacle(self, rule: Rule) -> str:
        """Say why a rule cannot be served; empty when it can."""
        if rule.unserved:
            return rule.unserved
        if rule.every_port and not self._options.transparent:
            return _NO_EVERY_PORT
        rival = self._served.get(_place(rule))
        return f"{rival.id} has the same address and port" if rival else ""

    def _open(self, rule: Rule) -> None:
        kind = UdpListener if rule.protocol == "udp" else TcpListener
        try:
            self._listeners[_place(rule)] = kind(
                self._reactor, self._flows, self._origin, rule, transparent=self._options.transparent
            )
        except OSError as error:
            self._problems[rule.id] = f"cannot listen on {rule.address}:{rule.port}: {error.strerror}"

    def _divert(self) -> None:
        """Have all ports of HA-ports rules come in at their listeners."""
        if self._diversion is None:
            return
        every_port = [(place, rule) for place, rule in self._served.items() if rule.every_port]
        self._diversion.every_port(
            {
                rule.address: self._listeners[place].port
                for place, rule in every_port
                if place in self._listeners
            }
        )

    def _retry(self) -> None:
        self._reactor.call_later(_RETRY_SECONDS, self._retry)
        if self._problems:
            self._listen()
            self._refresh()

    def _refresh(self) -> None:
        """Work out anew who takes new flows."""
        configuration = self._configuration
        for place, rule in self._served.items():
            listener = self._listeners.get(place)
            if listener is not None:
                listener.deliver_to(rule, candidates(rule, configuration, self._prober.is_up))


def _place(rule: Rule) -> tuple[str, str, int]:
    return rule.protocol, rule.address, rule.port

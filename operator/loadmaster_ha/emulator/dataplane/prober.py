"""Probes members as Azure does and keeps what they answered: who is up, since when, and a log of instants.

Each member of each probe that a rule uses has a rhythm of its own: a random phase, one connection per probe,
the next probe an interval after the last one began, or at once when that went unanswered. A probe comes from
the probes' source address and has to pass the member's security groups.

Times in the log are `time.monotonic` (one clock for all processes of a host) and the time of day, so that a
benchmark can tell when at the earliest the balancer allowed a change.
"""

from __future__ import annotations

import random
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from loadmaster_ha.emulator.dataplane.probe_connection import ProbeConnection
from loadmaster_ha.emulator.dataplane.probe_state import Answer, ProbeState, Reading, after, wait_for
from loadmaster_ha.emulator.dataplane.security_groups import admits_probe

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from loadmaster_ha.emulator.dataplane.configuration import Configuration, Member, Options, Probe
    from loadmaster_ha.emulator.dataplane.reactor import Reactor, Timer
    from loadmaster_ha.emulator.dataplane.sockets import Origin

LOG_LENGTH: Final = 2000
"""Entries of the log that are kept per member and probe: about three hours of Azure's interval."""
LATE_INTERVALS: Final = 3
"""Intervals after which a security rule acts on the probes when it acts late. Azure documents no number."""


class Entry(NamedTuple):
    """One probe in the log. Times are seconds: `wall` since the epoch, the others of `time.monotonic`."""

    sent: float
    monotonic: float
    """When it was decided."""
    wall: float
    answer: str
    up: bool
    changed: bool


class Probing:
    """One member asked by one probe, over and over."""

    def __init__(self, prober: Prober, probe: Probe, member: Member) -> None:
        self._prober = prober
        self.probe = probe
        self.member = member
        self.state = ProbeState()
        self.since = (time.monotonic(), time.time())
        self.log: deque[Entry] = deque(maxlen=LOG_LENGTH)
        self.sent = 0
        self._connection: ProbeConnection | None = None
        self._blocked_since: float | None = None
        first = time.monotonic() + random.random() * self.interval  # noqa: S311 - a phase, not a secret
        self._timer: Timer = prober.reactor.call_at(first, self._send)

    @property
    def interval(self) -> float:
        """Seconds between two probes."""
        return self._prober.options.probe_interval or self.probe.interval

    @property
    def reason(self) -> str:
        """Azure's reason code."""
        return self.state.tcp_reason if self.probe.protocol == "tcp" else self.state.reason

    def take_over(self, former: Probing) -> None:
        """Go on from what was known before the probe changed: Azure documents no fresh start."""
        self.state, self.since, self.log, self.sent = former.state, former.since, former.log, former.sent

    def stop(self) -> None:
        """End the rhythm and a probe that is under way."""
        self._timer.cancel()
        if self._connection is not None:
            self._connection.abandon()

    def _send(self) -> None:
        began = time.monotonic()
        deadline = began + wait_for(self.interval)
        self.sent += 1
        self._timer = self._prober.reactor.call_at(deadline, lambda: self._unanswered(began))
        if self._blocked(began):
            return
        self._connection = ProbeConnection(
            self._prober.reactor,
            self.probe,
            self.member.address,
            self._prober.connector(self.member.address, self.probe.port),
            lambda answer, detail: self._answered(began, answer, detail),
        )

    def _blocked(self, now: float) -> bool:
        if admits_probe(self.member, self.probe.port):
            self._blocked_since = None
            return False
        if self._blocked_since is None:
            self._blocked_since = now
        late = LATE_INTERVALS * self.interval if self._prober.options.probe_rules_act_late else 0.0
        return now - self._blocked_since >= late

    def _answered(self, began: float, answer: Answer, detail: str) -> None:
        self._connection = None
        self._timer.cancel()
        self._timer = self._prober.reactor.call_at(began + self.interval, self._send)
        self._note(began, answer, detail)

    def _unanswered(self, began: float) -> None:
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None
        # The next one goes out at once, not an interval later.
        self._timer = self._prober.reactor.call_later(0, self._send)
        self._note(began, Answer.SILENCE, "no answer")

    def _note(self, began: float, answer: Answer, detail: str) -> None:
        before = self.state
        now, wall = time.monotonic(), time.time()
        threshold, interval = self.probe.threshold, self.interval
        reading = self._prober.reading
        self.state = after(before, answer, now, threshold=threshold, interval=interval, reading=reading)
        changed = self.state.up != before.up
        if changed:
            self.since = (now, wall)
        self.log.append(Entry(began, now, wall, detail, self.state.up, changed))
        self._prober.noted(self, changed=changed)


class Prober:
    """All probing.

    Args:
        reactor: Runs it.
        origin: Opens connections from the probes' source.
        options: Source, interval and readings.
        changed: Called when a member went up or down.
        answered: Called when a member begins to be probed and after each probe, for what is shown outside.
    """

    def __init__(
        self,
        reactor: Reactor,
        origin: Origin,
        options: Options,
        changed: Callable[[], None],
        answered: Callable[[Probing], None],
    ) -> None:
        self.reactor = reactor
        self._origin = origin
        self.options = options
        self.reading = Reading(
            reset_is_answer=options.reset_is_answer,
            one_answer_suffices=options.one_answer_suffices,
            fluctuating_members_wait=options.fluctuating_members_wait,
        )
        self._changed = changed
        self._answered = answered
        self._all: dict[tuple[str, str], Probing] = {}

    def apply(self, configuration: Configuration) -> None:
        """Probe what the configuration asks for; what is probed already goes on in its rhythm."""
        wanted = set(_wanted(configuration))
        for key in [key for key in self._all if key not in wanted]:
            self._all.pop(key).stop()
        for probe_id, member_id in wanted:
            probe, member = configuration.probes[probe_id], configuration.members[member_id]
            existing = self._all.get((probe_id, member_id))
            if existing is not None and (existing.probe, existing.member.address) == (probe, member.address):
                existing.member = member
                continue
            begun = self._all[probe_id, member_id] = Probing(self, probe, member)
            if existing is not None:
                existing.stop()
                begun.take_over(existing)
            self._answered(begun)

    def is_up(self, probe_id: str, member_id: str) -> bool:
        """Say whether the probe holds a member up; one that is not probed is down."""
        found = self._all.get((probe_id, member_id))
        return found is not None and found.state.up

    def connector(self, address: str, port: int) -> Callable[[], socket.socket]:
        """Return what opens a connection from the probes' source."""
        source = (self.options.probe_source, 0)
        return lambda: self._origin.connect(source, (address, port))

    def noted(self, probing: Probing, *, changed: bool) -> None:
        """Take notice of an answer."""
        if changed:
            self._changed()
        self._answered(probing)

    def view(self, since: float) -> list[dict[str, Any]]:
        """Return what is known of each member, with the log from `since` on, for `/_emulator/probes`."""
        return [
            {
                "probe": probing.probe.id,
                "member": probing.member.id,
                "address": probing.member.address,
                "port": probing.probe.port,
                "interval": probing.interval,
                "azureInterval": probing.probe.interval,
                "threshold": probing.probe.threshold,
                "up": probing.state.up,
                "since": {"monotonic": probing.since[0], "wall": probing.since[1]},
                "reason": probing.reason,
                "sent": probing.sent,
                "log": [entry._asdict() for entry in probing.log if entry.monotonic >= since],
            }
            for probing in self._all.values()
        ]

    def close(self) -> None:
        """End all probing."""
        for probing in self._all.values():
            probing.stop()
        self._all.clear()


def _wanted(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Which member has to be asked by which probe: those of rules, as long as their machines run."""
    for rule in configuration.rules.values():
        for target in rule.targets:
            if rule.probe in configuration.probes and configuration.members[target.member].running:
                yield rule.probe, target.member

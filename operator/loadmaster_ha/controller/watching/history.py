"""Who was active before, who is now, and what made the difference: a pure state machine for one pair.

Fed by `pair_watch` with every view and its diagnosis. A fail-over is a change from one unit being the only
active one to the other; both, none and unknown in between belong to it, and an outage after which the same
unit serves again is none. Each is told once when it is seen, and once more when its length is known: new
connections reach the new unit only with the balancer's next probe, so the frontend tells that later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Final

from loadmaster_ha.controller.watching.model import Failover, StoredWatch
from loadmaster_ha.domain.ha import PreferredHost, Role
from loadmaster_ha.domain.units import Active, Trigger, UnitKind
from loadmaster_ha.planning.diagnosis.model import HealthAnswer, PairView, Silence
from loadmaster_ha.planning.diagnosis.states import named_by_frontend

MEASURE_SECONDS: Final = 60.0
"""So long the frontend is waited for, to tell how long a fail-over took; then what the units said counts."""

FORGET_SECONDS: Final = 600.0
"""What a unit was seen to do longer ago than this does not explain a change of now."""

WORD_SECONDS: Final = 30.0
"""So long a process that has just come waits for an agent's reason, before it tells of a change by itself."""

_SOLE: Final = {Active.MASTER: Role.MASTER, Active.SLAVE: Role.SLAVE}

_BY_AGENT: Final = {
    "HandoverTaken": Trigger.PLANNED,
    "PartnerUnable": Trigger.PROCESS_DIED,
    "PartnerDown": Trigger.PROCESS_DIED,
    "PartnerSilent": Trigger.SILENT,
    "PartnerCutOff": Trigger.SILENT,
}
"""What an agent gives as its reason for being active (docs/agent.md has the rules by these names)."""


def sole(active: Active) -> Role | None:
    """The one unit that is active; None: both, none, or nobody knows."""
    return _SOLE.get(active)


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be told of a fail-over."""

    failover: Failover
    measured: bool
    """Its length is final (or will never be known): said exactly once for each fail-over."""
    first: bool
    """It is told for the first time: said exactly once for each fail-over."""


@dataclass(slots=True)
class _Lapse:
    """The first thing that was wrong with a unit since it was good last."""

    answer: HealthAnswer
    at: float


@dataclass(slots=True)
class _Frontend:
    """Good answers of the frontend: when it named each unit last, and when it went on after a pause."""

    last_good: float | None = None
    last_good_of: dict[Role, float] = field(default_factory=dict)
    good_since: float | None = None
    """Since when it has been good without a pause."""
    paused_at: float | None = None
    """Its last good answer before the last pause."""


@dataclass(slots=True)
class _Open:
    """A fail-over that was told and whose length the frontend still has to tell."""

    failover: Failover
    began: float
    """Last good answer of the old unit, as the frontend saw it; monotonic."""
    deadline: float


class History:
    """See the module.

    Args:
        stored: what an earlier process knew; counted by that one.
    """

    def __init__(self, stored: StoredWatch | None = None) -> None:
        stored = stored or StoredWatch()
        self.settled: Role | None = sole(stored.active) or stored.last_failover_to
        """The unit that was last known to be the only active one."""
        self.last: Failover | None = None
        """The last fail-over that this process has seen."""
        self._stored = stored
        self._at_start = True
        """Nobody has been seen as the only active one by this process."""
        self._awaits_since: float | None = None
        self._lapses: dict[Role, _Lapse] = {}
        self._last_good: dict[Role, float] = {}
        self._frontend = _Frontend()
        self._open: _Open | None = None

    def see(
        self, view: PairView, active: Active, *, wall: float, switching_to: Role | None = None
    ) -> tuple[Report, ...]:
        """Take in one view and who is active according to it.

        Args:
            view: everything known now; its clock is monotonic.
            active: the diagnosis' word.
            wall: Unix seconds now.
            switching_to: a planned switch-over to this unit is under way or was a moment ago.

        Returns:
            What is to be told, in order; mostly nothing.
        """
        self._remember(view)
        reports = self._measure(view.now)
        role = sole(active)
        if role is None or self._awaits_word(view, role):
            return reports
        at_start, self._at_start = self._at_start, False
        if at_start and self.settled is None:
            self.settled = self._was_taken_from(view, role)
        if role is self.settled:
            if view.frontend is not None and view.frontend.good:
                self._frontend.paused_at = None  # that pause was no fail-over's
            return reports
        origin, self.settled = self.settled, role
        if origin is None:
            return reports
        if self._open is not None:  # the next one overtakes it: what the units said has to do
            reports = (*reports, self._close())
        return (*reports, self._begin(view, origin, role, wall=wall, to=switching_to, at_start=at_start))

    def _awaits_word(self, view: PairView, role: Role) -> bool:
        """Whether the first thing that this process sees is a change whose reason an agent will tell soon."""
        if not self._at_start or role is self.settled or view.units[role].agent is not None:
            return False
        if self._stored.kinds.get(role) is not UnitKind.AGENT:
            return False
        if self._awaits_since is None:
            self._awaits_since = view.now
        return view.now - self._awaits_since < WORD_SECONDS

    def _was_taken_from(self, view: PairView, role: Role) -> Role | None:
        """From whom the unit took over, when the last process died in the middle of that."""
        agent, between = view.units[role].agent, self._stored.active in {Active.BOTH, Active.NONE}
        return role.partner if between and agent is not None and agent.reason in _BY_AGENT else None

    def _remember(self, view: PairView) -> None:
        for role, unit in view.units.items():
            answer = unit.health
            if answer is None:
                continue
            if answer.good:
                self._lapses.pop(role, None)
                self._last_good[role] = answer.at
            elif role not in self._lapses:
                self._lapses[role] = _Lapse(answer, answer.since)
        self._remember_frontend(view.frontend)

    def _remember_frontend(self, answer: HealthAnswer | None) -> None:
        seen = self._frontend
        if answer is None:
            return
        if not answer.good:
            if seen.good_since is not None:
                seen.paused_at, seen.good_since = seen.last_good, None
            return
        if seen.good_since is None or (seen.last_good is not None and answer.since > seen.last_good):
            seen.good_since = answer.since
        seen.last_good = answer.at
        for role in Role:
            if named_by_frontend(answer) is role:
                seen.last_good_of[role] = answer.at

    def _begin(
        self, view: PairView, origin: Role, target: Role, *, wall: float, to: Role | None, at_start: bool
    ) -> Report:
        lapse = self._lapses.get(origin)
        if lapse is not None and view.now - lapse.at > FORGET_SECONDS:
            lapse = None
        trigger = _trigger(view, origin, target, lapse.answer if lapse else None, to)
        at, seconds = wall, self._by_units(view, origin, target)
        if at_start:
            at, seconds = _since(view, target, wall), None
        failover = Failover(
            at, origin, target, trigger, _words(view, origin, target, lapse, at_start), seconds
        )
        self.last = failover
        began = self._frontend_lost(view, origin, target)
        if at_start or began is None:
            return Report(failover, measured=True, first=True)
        self._open = _Open(failover, began, view.now + MEASURE_SECONDS)
        if self._measured_by(target, began) is not None:
            measured = self._measure(view.now)[0]
            return replace(measured, first=True)
        return Report(failover, measured=False, first=True)

    def _by_units(self, view: PairView, origin: Role, target: Role) -> float | None:
        """From the last good answer of the old unit to the first of the new one, both seen at the units."""
        last, answer = self._last_good.get(origin), view.units[target].health
        if last is None or answer is None or not answer.good:
            return None
        return max(0.0, answer.since - last)

    def _frontend_lost(self, view: PairView, origin: Role, target: Role) -> float | None:
        """The frontend's last good answer of the old unit; None: the frontend cannot tell the length."""
        seen = self._frontend
        marks = [seen.last_good_of.get(origin), seen.paused_at, seen.last_good]
        if seen.last_good_of.get(target) == seen.last_good:
            marks.pop()  # the last one was the new unit's already
        last = next((mark for mark in marks if mark is not None), None)
        return None if last is None or view.now - last > FORGET_SECONDS else last

    def _measured_by(self, target: Role, began: float) -> float | None:
        """When the frontend answered for the new unit for the first time after `began`; None: not yet."""
        seen = self._frontend
        if seen.good_since is None or seen.last_good is None or seen.last_good <= began:
            return None
        if seen.good_since > began:
            return seen.good_since
        # There was no pause. Where the page names the unit, its first answer counts.
        named_at = seen.last_good_of.get(target)
        return named_at if named_at is not None and named_at > began else None

    def _measure(self, now: float) -> tuple[Report, ...]:
        if self._open is None:
            return ()
        end = self._measured_by(self._open.failover.target, self._open.began)
        if end is not None:
            self.last = replace(self._open.failover, seconds=max(0.0, end - self._open.began))
            self._open = None
            return (Report(self.last, measured=True, first=False),)
        return (self._close(),) if now >= self._open.deadline else ()

    def _close(self) -> Report:
        assert self._open is not None  # noqa: S101 - of the callers
        failover, self._open = self._open.failover, None
        return Report(failover, measured=True, first=False)


def _trigger(
    view: PairView, origin: Role, target: Role, lapse: HealthAnswer | None, switching_to: Role | None
) -> Trigger:
    """What made the change: what was asked for, else the new unit's reason, else what the old one did."""
    if switching_to is target:
        return Trigger.PLANNED
    back = target is Role.MASTER and view.preferred_host is PreferredHost.MASTER
    told = _told(view, origin, target, back=back)
    return _seen(lapse, back=back) if told is None else told


def _told(view: PairView, origin: Role, target: Role, *, back: bool) -> Trigger | None:
    old, new = view.units[origin].agent, view.units[target].agent
    if new is None or (told := _BY_AGENT.get(new.reason)) is None:
        return None
    if old is not None and old.draining:
        return Trigger.PLANNED
    return Trigger.FAILBACK if told is Trigger.PLANNED and back and not new.held else told


def _seen(lapse: HealthAnswer | None, *, back: bool) -> Trigger:
    if lapse is None:
        return Trigger.UNKNOWN
    if lapse.silence in (Silence.TIMED_OUT, Silence.UNREACHABLE):
        return Trigger.SILENT
    # It gave way politely and the preferred one serves: nothing has died.
    return Trigger.FAILBACK if lapse.code is not None and back else Trigger.PROCESS_DIED


def _since(view: PairView, target: Role, wall: float) -> float:
    """Since when the unit is active, by its own word: an agent says how long, an appliance the date."""
    unit = view.units[target]
    if unit.agent is not None and unit.agent.active_seconds is not None:
        return wall - unit.agent.active_seconds
    try:
        # `Fri, 08 Aug 25 10:07:09 UTC`; no word and a clock that is ahead say nothing.
        told = parsedate_to_datetime(unit.active_since).timestamp()
    except ValueError:
        return wall
    return min(told, wall)


def _words(view: PairView, origin: Role, target: Role, lapse: _Lapse | None, at_start: bool) -> str:  # noqa: FBT001 - the only caller
    """The reason for people."""
    parts = []
    if at_start:
        parts.append(
            f"The {origin.lower()} was active when the operator looked last; it did not run meanwhile, so "
            "there may have been more changes in between."
        )
    elif lapse is not None:
        parts.append(f"The {origin.lower()} {_said(lapse.answer)}.")
    agent = view.units[target].agent
    if agent is not None and (agent.detail or agent.reason):
        parts.append(f"The {target.lower()} says: {agent.detail or agent.reason}.")
    return " ".join(parts) or f"The {target.lower()} is active; nothing else was seen."


_SILENCES: Final[Mapping[Silence, str]] = {
    Silence.REFUSED: "refused connections to its check port",
    Silence.CLOSED: "closed connections to its check port without an answer",
    Silence.TIMED_OUT: "did not answer on its check port",
    Silence.UNREACHABLE: "could not be reached over the network",
    Silence.NOT_HTTP: "answered something else than HTTP on its check port",
}


def _said(answer: HealthAnswer) -> str:
    if answer.silence is not None:
        return _SILENCES[answer.silence]
    return f"answered {answer.code}" + (f" ({answer.text})" if answer.text else "")

"""One step's working copy of the state: the modules of the engine read and change it, `engine.py` freezes it.

It also answers the questions that several of them ask: is the partner's report current, is the unit able, who
of the two is preferred. Facts only; decisions are in `decision.py`.
"""

from operator import attrgetter
from typing import Final

from loadmaster_ha.agent.ha import timing
from loadmaster_ha.agent.ha.model import (
    Answer,
    Configuration,
    Effect,
    Notice,
    Outcome,
    Report,
    Transition,
)
from loadmaster_ha.agent.ha.partner import PartnerIs, judge
from loadmaster_ha.agent.ha.state import (
    Conflict,
    Drain,
    EngineState,
    Evidence,
    Handover,
    Hold,
    Probes,
    Request,
    Stopping,
    Taking,
    Witness,
)
from loadmaster_ha.domain.ha import Mode, PreferredHost, Role, UnitState

_read: Final = attrgetter(*EngineState._fields)


class Work:
    """The state while a step changes it, and the effects so far."""

    __slots__ = (*EngineState._fields, "_partner_is", "_report", "effects", "now", "paused", "role")

    boot_id: str
    started: float
    stepped: float
    configuration: Configuration
    configured: bool
    state: UnitState
    serving: bool
    reason: str
    message: str
    active_since: float | None
    served_until: float
    healthy: bool | None
    health_detail: str
    healthy_since: float
    evidence: Evidence
    witness: Witness
    probes: Probes
    handover: Handover | None
    taking: Taking | None
    request: Request | None
    outcome: Outcome | None
    hold: Hold | None
    undo: str
    conflict: Conflict | None
    idle_since: float | None
    drain: Drain | None
    stop: Stopping | None
    activations: tuple[float, ...]
    failback_not_before: float
    failbacks: int
    answer: Answer | None
    told: tuple[object, ...]
    told_at: float
    notices: tuple[Notice, ...]

    def __init__(self, state: EngineState, now: float) -> None:
        (
            self.boot_id,
            self.started,
            self.stepped,
            self.configuration,
            self.configured,
            self.state,
            self.serving,
            self.reason,
            self.message,
            self.active_since,
            self.served_until,
            self.healthy,
            self.health_detail,
            self.healthy_since,
            self.evidence,
            self.witness,
            self.probes,
            self.handover,
            self.taking,
            self.request,
            self.outcome,
            self.hold,
            self.undo,
            self.conflict,
            self.idle_since,
            self.drain,
            self.stop,
            self.activations,
            self.failback_not_before,
            self.failbacks,
            self.answer,
            self.told,
            self.told_at,
            self.notices,
        ) = state
        self.now: float = now
        self.effects: list[Effect] = []
        self.paused: bool = False
        self.role: Role | None = self.configuration.mode.role
        self._partner_is: PartnerIs | None = None
        self._report: Report | None = None

    def frozen(self) -> EngineState:
        """The state after the step."""
        self.stepped = self.now
        return EngineState._make(_read(self))

    def emit(self, effect: Effect) -> None:
        """Ask for this to be done."""
        self.effects.append(effect)

    # The partner

    @property
    def partner_is(self) -> PartnerIs:
        """What is known of the partner now."""
        if self._partner_is is None:
            self._partner_is = judge(self.evidence, self.configuration, self.now)
            self._report = self.evidence.report if self._partner_is.by_report else None
        return self._partner_is

    def learn(self, evidence: Evidence) -> None:
        """Something was heard of the partner."""
        self.evidence = evidence
        self._partner_is = None

    @property
    def report(self) -> Report | None:
        """The partner's report while it is current."""
        return self._report if self.partner_is.by_report else None

    @property
    def address(self) -> str:
        """The partner's address, for messages."""
        return self.configuration.partner or "(no partner is set)"

    @property
    def same_mode(self) -> bool:
        """Both units were given the same mode (guide, 7)."""
        report = self.report
        return report is not None and report.mode is self.configuration.mode

    @property
    def partner_active(self) -> bool:
        """Whether the partner serves, by its report or by its page."""
        return self.partner_is in (PartnerIs.ACTIVE, PartnerIs.ACTIVE_BY_PAGE)

    @property
    def preferred(self) -> PreferredHost:
        """The preference in force: the master's, if the two were told different ones."""
        report = self.report
        if self.role is Role.SLAVE and report is not None and report.mode is Mode.MASTER:
            return report.preferred_host
        return self.configuration.preferred_host

    # This unit

    @property
    def active(self) -> bool:
        """Whether this unit is active."""
        return self.state is UnitState.ACTIVE

    @property
    def is_master(self) -> bool:
        """Whether this unit is the master."""
        return self.role is Role.MASTER

    @property
    def able(self) -> bool:
        """Whether it could serve: data plane well, not draining, not stopping."""
        return self.healthy is True and self.drain is None and self.stop is None

    @property
    def active_for(self) -> float:
        """How long it has been active."""
        return 0.0 if self.active_since is None else self.now - self.active_since

    @property
    def served_for(self) -> float:
        """How long the balancer has had it as an active unit: active, and probed without a gap since.

        A unit that was cut off believes that it served all the time; the balancer knows better.
        """
        if self.active_since is None or self.probes.since is None or self.unprobed:
            return 0.0
        return self.now - max(self.active_since, self.probes.since)

    @property
    def probe_age(self) -> float | None:
        """How long ago the balancer probed it last."""
        return None if self.probes.last is None else self.now - self.probes.last

    @property
    def probed_lately(self) -> bool:
        """Whether the balancer probes it at the moment."""
        age = self.probe_age
        return age is not None and age <= 1.5 * self.configuration.probe_interval

    @property
    def unprobed(self) -> bool:
        """Whether T probes of the balancer are missing here."""
        age = self.probe_age
        return age is None or age > timing.cut_off_after(self.configuration)

    @property
    def partner_unprobed(self) -> bool:
        """Whether the partner says that T probes of the balancer are missing there."""
        report = self.report
        if report is None:
            return False
        age = report.probe_age
        return age is None or age > timing.cut_off_after(self.configuration)

    @property
    def cut_off(self) -> bool:
        """Whether the balancer misses this unit alone: it has probed the partner T times more."""
        report, lead = self.report, self._lead()
        # A prober that comes back asks one of the two first: that alone says nothing.
        return (
            report is not None
            and report.healthy_for >= lead
            and self.unprobed
            and self._probes_behind() > lead
        )

    @property
    def partner_cut_off(self) -> bool:
        """Whether the balancer misses the partner alone: it has probed this unit T times more."""
        since, lead = self.probes.since, self._lead()
        return (
            since is not None
            and self.now - since >= lead
            and self.partner_unprobed
            and -self._probes_behind() > lead
        )

    def _lead(self) -> float:
        return self.configuration.probe_threshold * self.configuration.probe_interval

    def _probes_behind(self) -> float:
        """By how much this unit's last probe is older than the partner's, when the partner reported.

        When the prober stops altogether, this stays within one interval.
        """
        report = self.report
        if report is None:
            return 0.0
        never = timing.FOREVER
        there = never if report.probe_age is None else report.probe_age
        here = never if self.probe_age is None else self.probe_age - (self.now - self.evidence.report_at)
        return 0.0 if here == there else max(0.0, here) - there

    @property
    def partner_served_for(self) -> float:
        """How long the balancer has had the partner as an active unit, as the partner tells it."""
        report = self.report
        if report is None or report.state is not UnitState.ACTIVE:
            return 0.0
        told = report.active_for if report.served_for is None else report.served_for
        return told + self.now - self.evidence.report_at

    @property
    def confirmed(self) -> bool:
        """Whether the balancer has seen enough answers of 200 since the mark."""
        return self.probes.confirmed >= self.configuration.probe_threshold

    def transit(self, new: UnitState, reason: str, message: str) -> None:
        """Change the state and say why."""
        self.emit(Transition(self.state, new, reason, message))
        self.state, self.reason, self.message = new, reason, message

"""One pair under watch: everything that was heard of it, and what is to be said about it.

Pure but for the clocks that it is handed; `lane` feeds it and carries its verdicts out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from loadmaster_ha.controller.watching.health_port import Said
from loadmaster_ha.controller.watching.history import History, Report
from loadmaster_ha.controller.watching.model import StoredWatch, UnitSight, WatchFacts, WatchSituation
from loadmaster_ha.controller.watching.services import ServicesTrack
from loadmaster_ha.controller.watching.tracking import HealthTrack, UnitTrack
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Absent, Present, Reading
from loadmaster_ha.domain.units import ObservedState, UnitKind
from loadmaster_ha.loadmaster.observer import ServiceState
from loadmaster_ha.planning.diagnosis.diagnose import diagnose
from loadmaster_ha.planning.diagnosis.model import Diagnosis, PairHealth, PairView, RuleHealth, ServiceView
from loadmaster_ha.planning.diagnosis.states import reachable
from loadmaster_ha.telemetry.pairs import PairSight

RESTLESS_SECONDS: Final = 30.0
"""So long after the last news everything is polled at the fast pace."""

SETTLE_SECONDS: Final = 15.0
"""So long at most nothing is said of a pair whose watch has just begun: not everybody has been asked yet."""

AZURE_ASKED_AFTER: Final = 15.0
"""Seconds for which a pair is not Active/Standby before Azure is asked: two probes and a little."""

AZURE_ASKED_EVERY: Final = 60.0
"""Seconds between two questions to Azure about one pair."""

AZURE_STALE: Final = 150.0
"""Seconds after which Azure's answer says nothing about now."""

_AZURE_KNOWS_MORE: Final = frozenset(
    {PairHealth.UNCONNECTED, PairHealth.NONE_ACTIVE, PairHealth.BALANCER_MISCONFIGURED, PairHealth.UNKNOWN}
)
"""Words that Azure's view of the members explains or settles."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look at everything came to."""

    situation: WatchSituation
    sight: PairSight
    reports: tuple[Report, ...]
    """Fail-overs to be told."""
    ask_azure: bool
    """Rule health would help, and may be asked for now."""


@dataclass(slots=True)
class PairWatch:
    """See the module."""

    facts: WatchFacts
    stored: StoredWatch = field(default_factory=StoredWatch)
    begun_at: float = 0.0
    """Monotonic seconds."""
    units: dict[Role, UnitTrack] = field(default_factory=lambda: {role: UnitTrack(role) for role in Role})
    frontend: HealthTrack = field(default_factory=HealthTrack)
    history: History = field(init=False)
    evaluated_at: float = float("-inf")
    """When the last verdict was given."""
    news_at: float = float("-inf")
    """When the observation was made that changed something last."""
    _azure: Reading[RuleHealth] = field(default_factory=Absent)
    _azure_at: float = float("-inf")
    _services: ServicesTrack = field(default_factory=ServicesTrack)
    _health: PairHealth | None = None
    _unwell_since: float | None = None
    _away: dict[Role, float] = field(default_factory=dict)
    """When a unit that does not answer was seen last, Unix seconds."""

    def __post_init__(self) -> None:
        self.history = History(self.stored)
        for role, kind in self.stored.kinds.items():
            if kind is UnitKind.AGENT:  # may be asked at once; an appliance has to tell first
                self.units[role].gate.kind = kind

    def learn(self, facts: WatchFacts) -> bool:
        """Other lanes know something new; whether something else is to be polled now."""
        before, self.facts = self.facts, facts
        if facts.services_written_at not in (None, before.services_written_at):
            self._services.written(facts.services_written_at)
        port_changed = before.check_port != facts.check_port
        moved = [
            role for role in Role if before.addresses.get(role) != facts.addresses.get(role) or port_changed
        ]
        for role in moved:
            self.units[role].health.forget()
        if before.frontend != facts.frontend or port_changed:
            self.frontend.forget()
            return True
        return bool(moved)

    def another_unit(self, role: Role, now: float) -> None:
        """A unit's management is to be found elsewhere: nothing is said before that was asked."""
        self.units[role].forget_management()
        self.begun_at = now

    # What was heard. Each says whether it is news.

    def heard_health(self, role: Role, said: Said, now: float) -> bool:
        """A unit's health port."""
        return self._noted(self.units[role].heard_health(said, now), now)

    def heard_frontend(self, said: Said, now: float) -> bool:
        """The frontend on the check port."""
        return self._noted(self.frontend.heard(said, now), now)

    def heard_services(self, role: Role, states: Mapping[str, ServiceState], now: float) -> bool:
        """What serves, as this unit told."""
        return self._noted(self._services.heard(role, states, now), now)

    def heard_azure(self, health: Reading[RuleHealth], now: float) -> bool:
        """Azure's view of the check port's rule."""
        before, self._azure, self._azure_at = self._azure, health, now
        return self._noted(before != health, now)

    def noted(self, *, news: bool, now: float) -> bool:
        """Something was heard by a unit's own track (`units`)."""
        return self._noted(news, now)

    def _noted(self, news: bool, now: float) -> bool:  # noqa: FBT001 - the only argument that matters
        # What is heard of everybody for the first time is no change: nothing is hastened by a start.
        if news and self.evaluated_at != float("-inf"):
            self.news_at = now
        return news

    def restless(self, now: float) -> bool:
        """Whether something changes: polls go at the fast pace."""
        return self.facts.changing or self.facts.switching_to is not None or now < self.restless_until

    def told_by_partner(self, role: Role, now: float) -> bool:
        """Whether the other unit's long poll tells of every change of this one too: it needs none then.

        Node agents tell each other of a change at once, and a standby that hears its partner answers the
        question that it keeps for the partner's changes as for its own.
        """
        told, teller = self.units[role].agent, self.units[role.partner].agent
        return (
            not self.restless(now)
            and told is not None
            and told.state is ObservedState.ACTIVE
            and teller is not None
            and teller.state is ObservedState.STANDBY
            and teller.partner_connected
            and teller.partner_state == ObservedState.ACTIVE.value
        )

    def may_be_told_by_partner(self, role: Role) -> bool:
        """Whether that cannot be said yet: this unit is active, and of the other one nothing was heard."""
        told = self.units[role].agent
        active = told is not None and told.state is ObservedState.ACTIVE
        return active and isinstance(self.units[role.partner].management, Absent)

    @property
    def restless_until(self) -> float:
        """Until when the last news keeps the pace fast."""
        return self.news_at + RESTLESS_SECONDS

    @property
    def look_at_services(self) -> float | None:
        """When the active unit is to be asked what serves, sooner than at rest; None: there is no need."""
        return self._services.next_look(self._nicknames)

    @property
    def _nicknames(self) -> frozenset[str]:
        return frozenset(each.nickname for each in self.facts.services)

    # What is to be said

    def settled(self, now: float) -> bool:
        """Whether everybody has been asked once, or has had the time to answer.

        What is said before would be half of the truth: an operator that restarts would take back for a moment
        what its predecessor had stored.
        """
        if now - self.begun_at >= SETTLE_SECONDS:
            return True
        if self.facts.frontend and self.frontend.last is None:
            return False
        if self.stored.services_down and self._nicknames and not self._services.is_sure(self._nicknames):
            return False
        return not any(
            isinstance(unit.management, Absent)
            or (unit.gate.open and role in self.facts.addresses and unit.health.last is None)
            for role, unit in self.units.items()
        )

    def view(self, now: float) -> PairView:
        """Everything known now."""
        azure = self._azure if now - self._azure_at <= AZURE_STALE else Absent()
        return PairView(
            units=MappingProxyType({role: unit.view(now) for role, unit in self.units.items()}),
            addresses=self.facts.addresses,
            check_port=self.facts.check_port,
            next_port=self.facts.wanted_port,
            preferred_host=self.facts.preferred_host,
            frontend=self.frontend.now(now),
            frontend_address=self.facts.frontend,
            rule_health=azure,
            rule_health_at=self._azure_at,
            services=self.services(now),
            azure=self.facts.azure,
            services_differ_since=self.facts.services_differ_since,
            probe_seconds=self.facts.probe_seconds,
            changing=self.facts.changing,
            now=now,
        )

    def services(self, now: float) -> tuple[ServiceView, ...]:
        """The published services, with what the unit that told last says of them."""
        known = self._services.states(now)
        views = []
        for service in self.facts.services:
            state = known.get(service.nickname)
            views.append(
                ServiceView(
                    service.name,
                    state.status if state is not None else "",
                    state.real_servers if state is not None else MappingProxyType({}),
                    service.findings,
                )
            )
        return tuple(views)

    def evaluate(self, now: float, wall: float) -> Verdict:
        """What is to be said now.

        Args:
            now: monotonic seconds.
            wall: Unix seconds.
        """
        self.evaluated_at = now
        view = self.view(now)
        diagnosis = diagnose(view)
        reports = self.history.see(view, diagnosis.active, wall=wall, switching_to=self.facts.switching_to)
        sights = {role: self._sight(view, diagnosis, role, wall) for role in Role}
        situation = WatchSituation(diagnosis, MappingProxyType(sights), self.history.last)
        return Verdict(situation, self._figures(view, diagnosis), reports, self._ask_azure(diagnosis, now))

    def _sight(self, view: PairView, diagnosis: Diagnosis, role: Role, wall: float) -> UnitSight:
        unit = view.units[role]
        if unit.last_seen is None or reachable(unit):
            self._away.pop(role, None)
        elif role not in self._away:
            # Found once: as a difference of two clocks it would be another one each time.
            self._away[role] = wall - (view.now - unit.last_seen)
        return UnitSight(role, unit.kind, diagnosis.states[role], unit.firmware, self._away.get(role))

    def _figures(self, view: PairView, diagnosis: Diagnosis) -> PairSight:
        firmware = {
            role: (unit.kind.value, unit.firmware)
            for role, unit in view.units.items()
            if unit.kind is not None and unit.firmware
        }
        up = view.frontend.good if view.frontend is not None else None
        return PairSight(diagnosis.active, diagnosis.states, up, MappingProxyType(firmware))

    def _ask_azure(self, diagnosis: Diagnosis, now: float) -> bool:
        if diagnosis.health is not self._health:
            well_before = self._health in (None, PairHealth.ACTIVE_STANDBY)
            self._health = diagnosis.health
            if diagnosis.health is PairHealth.ACTIVE_STANDBY:
                self._unwell_since = None
            elif well_before:
                self._unwell_since = now
        if self._unwell_since is None or self.facts.health_rule is None or self.facts.changing:
            return False
        if isinstance(self._azure, Present) and diagnosis.health not in _AZURE_KNOWS_MORE:
            return False  # it was asked once about this; what is wrong is not the balancer
        long_enough = now - self._unwell_since >= AZURE_ASKED_AFTER
        return long_enough and now - self._azure_at >= AZURE_ASKED_EVERY

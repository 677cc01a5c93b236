"""What one unit, and the frontend, said last and since when: the memory behind `UnitView` and `HealthAnswer`.

Pure; `pair_watch` keeps one of each. Old words are not passed off as new: what was not heard again in time is
not told any more.
"""

import sys
from dataclasses import dataclass, field, replace
from typing import Final

from loadmaster_ha.controller.watching.gate import Gate
from loadmaster_ha.controller.watching.health_port import Said
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Absent, Present, Reading, Unknown
from loadmaster_ha.domain.units import AgentStatus, HighAvailabilitySettings, ObservedState, UnitKind
from loadmaster_ha.loadmaster.observer import Look
from loadmaster_ha.planning.diagnosis.model import HealthAnswer, UnitView

HEALTH_STALE: Final = 20.0
"""Seconds after which an answer of a health port says nothing about now: three polls were missed."""

MANAGEMENT_STALE: Final = 120.0
"""The same for the management API, which is asked every 30 s."""


@dataclass(slots=True)
class HealthTrack:
    """The answers of one port."""

    last: HealthAnswer | None = None

    def heard(self, said: Said, now: float) -> bool:
        """Take an answer in; whether it is another one than before."""
        before = self.last
        same = before is not None and (before.code, before.text, before.silence) == (
            said.code,
            said.text,
            said.silence,
        )
        since = before.since if same and before is not None else now
        last_good = now if said.code == 200 else before.last_good if before is not None else None
        self.last = HealthAnswer(said.code, sys.intern(said.text), said.silence, now, since, last_good)
        return not same

    def now(self, now: float) -> HealthAnswer | None:
        """The answer as far as it still holds."""
        return self.last if self.last is not None and now - self.last.at <= HEALTH_STALE else None

    def forget(self) -> None:
        """Nothing is known any more: another address, or not to be asked."""
        self.last = None


@dataclass(slots=True)
class UnitTrack:
    """One unit."""

    role: Role
    gate: Gate = field(default_factory=Gate)
    health: HealthTrack = field(default_factory=HealthTrack)
    management: Reading[ObservedState] = field(default_factory=Absent)
    managed_at: float = float("-inf")
    firmware: str = ""
    settings: HighAvailabilitySettings | None = None
    boot: str = ""
    agent: AgentStatus | None = None
    active_since: str = ""
    runs_alone: bool = False
    seen_at: float | None = None
    """When it answered anything last."""

    @property
    def kind(self) -> UnitKind | None:
        """Appliance or agent; None: not known yet."""
        return self.gate.kind

    def heard_health(self, said: Said, now: float) -> bool:
        """Its health port said this; whether that is news."""
        if said.code is None:
            self.gate.unanswered()
        else:
            self.seen_at = now
        return self.health.heard(said, now)

    def heard_look(self, look: Look, now: float) -> bool:
        """Its management API told everything; whether that is news."""
        before = self._words()
        self.gate.told(look.kind, look.mode_in_force, look.state, look.boot)
        if not self.gate.open:
            self.health.forget()
        self._state(look.state, now)
        self.firmware, self.settings, self.boot = look.firmware, look.settings, look.boot
        self.active_since, self.agent = look.active_since, look.agent
        self.runs_alone = look.mode_in_force is Mode.SINGLE
        return self._words() != before

    def heard_state(self, state: ObservedState, now: float) -> bool:
        """Its management API told the state alone; whether that is news."""
        before = self._words()
        self.gate.state_told(state)
        self._state(state, now)
        return self._words() != before

    def heard_agent(self, status: AgentStatus, now: float) -> bool:
        """The agent's status; whether that is news."""
        before = self._words()
        self.agent, self.boot = status, status.boot_time or self.boot
        self.runs_alone = status.mode is Mode.SINGLE
        self._state(status.state, now)
        return self._words() != before

    def heard_settings(self, settings: HighAvailabilitySettings) -> bool:
        """Its HA settings; whether they are news."""
        before, self.settings = self.settings, settings
        return before != settings

    def unmanageable(self, fault: Unknown, now: float) -> bool:
        """Its management API could not be asked; whether that is news.

        What it said of itself before is not told any more: settings, agent's status. What kind of unit it is
        does not change by that.
        """
        before = self._words()
        self.management, self.managed_at = fault, now
        self.agent, self.settings, self.runs_alone = None, None, False
        if self.kind is UnitKind.APPLIANCE and self.health.now(now) is None:
            self.gate.unanswered()
        return self._words() != before

    def forget_management(self) -> None:
        """What its management API told was perhaps told by another unit."""
        kind = self.kind
        self.gate = Gate(kind) if kind is UnitKind.AGENT else Gate()
        self.management, self.managed_at = Absent(), float("-inf")
        self.firmware = self.boot = self.active_since = ""
        self.settings, self.agent, self.runs_alone = None, None, False

    def view(self, now: float) -> UnitView:
        """What is known now."""
        management = self.management
        agent = self.agent
        if now - self.managed_at > MANAGEMENT_STALE and not isinstance(management, Absent):
            management = Unknown("NotAsked", "The management API has not been asked for two minutes.")
            agent = None
        return UnitView(
            role=self.role,
            kind=self.kind,
            firmware=self.firmware,
            health=self.health.now(now),
            management=management,
            settings=self.settings,
            boot=self.boot,
            agent=agent,
            active_since=self.active_since,
            runs_alone=self.runs_alone,
            last_seen=self.seen_at,
        )

    def _state(self, state: ObservedState, now: float) -> None:
        self.management, self.managed_at, self.seen_at = Present(state), now, now

    def _words(self) -> tuple[object, ...]:
        """What makes a difference; figures that grow by themselves do not."""
        agent = self.agent
        if agent is not None:
            agent = replace(
                agent,
                revision=0,
                settings_revision=None,
                active_seconds=None,
                link_bytes_in=0,
                link_bytes_out=0,
                sync_lag=None,
            )
        management = self.management
        told = management.value if isinstance(management, Present) else getattr(management, "reason", "")
        return told, self.firmware, self.settings, self.boot, agent, self.kind, self.runs_alone

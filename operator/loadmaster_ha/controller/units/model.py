"""What a visit to the units carries along, what is remembered between visits, and who the lane relies on."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from loadmaster_ha.controller.conditions import ConditionStatus, ConditionType, find
from loadmaster_ha.controller.kubernetes import JSON
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.repetition import Repetition
from loadmaster_ha.controller.status import Obstacle
from loadmaster_ha.controller.status_units import UnitRow, UnitsSituation
from loadmaster_ha.controller.unit_inputs import Gathered
from loadmaster_ha.controller.unit_words import what_for
from loadmaster_ha.controller.work import SWITCHOVER_TO, PairAsRead, suspended_by
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Reading
from loadmaster_ha.domain.unit_changes import Reboot, UnitChange, UnitSection, section_of
from loadmaster_ha.domain.units import UnitFacts
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.planning.units.observation import (
    RebootUnderWay,
    UnitRecord,
    UnitsObservation,
    UnitsTarget,
)
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.resources.loadmasterpair import Mode, Unit
from loadmaster_ha.resources.status import SwitchoverStatus


class Inputs(Protocol):
    """What a manifest only refers to; `controller.unit_inputs`."""

    async def gather(self, target: PairTarget, *, fresh: bool = False) -> Gathered:
        """Secrets, certificates and endpoints, as they are now."""


class Sessions(Protocol):
    """How units are called; `controller.unit_sessions`."""

    async def get(
        self,
        pair: PairKey,
        role: Role,
        unit: Unit,
        address: str,
        *,
        fresh: bool = False,
        deleting: bool = False,
    ) -> Caller:
        """The client of one unit.

        Raises:
            SecretProblem: there can be none.
            KubernetesError: the API server does not tell now.
        """

    def refusal(self, pair: PairKey, role: Role) -> str:
        """What to remember of credentials that the unit has refused; empty when it has not."""

    async def forget(self, pair: PairKey) -> None:
        """The pair is gone."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A planned switch-over that was begun, and what came of it once that is known."""

    requested: str
    to: Role
    began: float
    """Unix seconds."""
    outcome: SwitchoverStatus | None = None
    joined: bool = False
    """It was under way when this process came; nobody here waits for the agent's answer."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What was wanted when all was as wanted, and of which units (their identity and firmware)."""

    wanted: UnitsTarget
    units: Mapping[Role, tuple[str, str]]


@dataclass
class UnitsMemory:
    """What is kept of a pair between visits. Losing it costs patience, never correctness."""

    uid: str = ""
    reboots: dict[Role, RebootUnderWay] = field(default_factory=dict)
    draining: dict[str, float] = field(default_factory=dict)
    repetition: Repetition[UnitChange] = field(default_factory=lambda: Repetition(what_for))
    generation: int = 0
    """The manifest that `repetition` is about."""
    settled: Settled | None = None
    """How all was as wanted last; None: not known."""
    overtaken: bool = False
    """Something else has been wanted since, if only for a while, or of other units."""
    looked: object = None
    """Version and annotations of the manifest at the last look."""
    looked_at: float = float("-inf")
    """When both units were looked at last, on the monotonic clock."""
    known: dict[Role, tuple[Caller, UnitFacts]] = field(default_factory=dict)
    """What each client told last: what only another start of the unit can change need not be asked again."""
    still: Mapping[Role, UnitFacts] = field(default_factory=dict)
    """What the last visit, which did no more than tell the other unit to reboot, has read of a unit."""
    waiting: UnitsSituation | None = None
    """What was told at the last look, as long as only the end of a reboot is waited for."""
    outdated: int = 0
    differ_since: float | None = None
    handover: Handover | None = None
    drifting: bool = False
    """Changes since all was as wanted last repair what somebody changed on a unit."""


@dataclass
class UnitsWork(PairAsRead):
    """One visit."""

    key: PairKey
    body: JSON
    target: PairTarget
    memory: UnitsMemory
    woken: bool = False
    """Something has happened; else it is only time to look again."""
    touched: bool = False
    """Somebody has changed the manifest or its annotations since the last visit."""
    rows: dict[Role, UnitRow] = field(default_factory=dict)
    clients: dict[Role, Reading[Caller]] = field(default_factory=dict)
    still: Mapping[Role, UnitFacts] = field(default_factory=dict)
    """Units that need not be read, since the last visit has just done so."""
    facts: dict[Role, Reading[UnitFacts]] = field(default_factory=dict)
    gathered: Gathered | None = None
    wanted: UnitsTarget | None = None
    observation: UnitsObservation | None = None
    plan: UnitPlan | None = None
    made: Sequence[UnitChange] = ()
    """The beginning of the plan: what was carried out, and read back where that can be."""
    switchover: SwitchoverStatus | None = None

    @property
    def switchover_to(self) -> str | None:
        """The switch-over that is asked for."""
        found = self.annotations.get(SWITCHOVER_TO)
        return None if found is None else str(found)

    @property
    def held(self) -> bool:
        """Whether nothing may be written on purpose."""
        observing = self.target.spec.policy.mode is Mode.OBSERVE
        return observing or bool(suspended_by(self.target, self.annotations))

    @property
    def was_synced(self) -> bool:
        """Whether all was as the present manifest wants it, by what is stored."""
        stored = find(self.status.get("conditions") or (), ConditionType.HA_SYNCED)
        return (stored.get("status"), stored.get("observedGeneration")) == (
            ConditionStatus.TRUE.value,
            self.generation,
        )

    def record(self, role: Role) -> UnitRecord:
        """What is remembered of a unit."""
        row = self.rows.get(role)
        return UnitRecord() if row is None else row.record

    def situation(self, *, obstacle: Obstacle | None = None, cleaned: bool = False) -> UnitsSituation:
        """What is known so far, with what came of the visit."""
        handover = self.memory.handover
        doing = ""
        if handover is not None and handover.outcome is None:
            doing = f"A planned switch-over to the {handover.to.lower()} is under way."
        complete = self.observation is not None and len(self.present) == len(Role)
        return UnitsSituation(
            generation=self.generation,
            suspended=suspended_by(self.target, self.annotations),
            observing=self.target.spec.policy.mode is Mode.OBSERVE,
            deleting=self.deleting,
            plan=self.plan,
            unread=not complete and not self.memory.reboots,
            obstacle=obstacle,
            doing=doing,
            cleaned=cleaned,
            rows=dict(self.rows),
            switchover=self.switchover,
        )

    @property
    def ready_services(self) -> frozenset[str]:
        """The services that can answer: by the look, and by what has been written since."""
        if self.plan is None:
            return frozenset()
        wanted = _without_reboots(self.plan.changes)
        all_is_made = bool(wanted) and _without_reboots(self.made) == wanted
        return self.plan.ready_when_made if all_is_made else self.plan.ready_services

    @property
    def wrote_services(self) -> bool:
        """Whether this visit has changed virtual services or real servers."""
        return any(section_of(each) is UnitSection.VIRTUAL_SERVICES for each in self.made)

    @property
    def settings_seen(self) -> dict[Role, int]:
        """Revision of the settings of each node agent that answered and tells one."""
        told = {role: facts.agent.settings_revision for role, facts in self.present.items() if facts.agent}
        return {role: revision for role, revision in told.items() if revision is not None}

    @property
    def present(self) -> dict[Role, UnitFacts]:
        """The units that answered."""
        found: dict[Role, UnitFacts] = {}
        for role, reading in self.facts.items():
            value: Any = getattr(reading, "value", None)
            if isinstance(value, UnitFacts):
                found[role] = value
        return found


def _without_reboots(changes: Sequence[UnitChange]) -> list[UnitChange]:
    return [each for each in changes if not isinstance(each, Reboot)]


Permit = Callable[[], None]
Write = Callable[[Caller, UnitChange, Material], Awaitable[None]]
Observe = Callable[..., Awaitable[UnitFacts]]

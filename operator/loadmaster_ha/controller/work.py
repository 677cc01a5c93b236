"""What one visit carries along: the pair as read, what is remembered of it, what was found so far.

`pair` makes one per visit; `report` and `deletion` are handed it.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from loadmaster_ha.azure.outcomes import Operation
from loadmaster_ha.controller.conditions import ConditionStatus, ConditionType, find
from loadmaster_ha.controller.kubernetes import JSON
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.repetition import Repetition, What, what_for
from loadmaster_ha.controller.status import Situation
from loadmaster_ha.planning.arm import InvalidResourceID, ResourceID
from loadmaster_ha.planning.changes import Change
from loadmaster_ha.planning.observation import Observation
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.resources.loadmasterpair import Mode

FINALIZER: Final = "loadmaster.dev/azure-cleanup"
SUSPEND: Final = "loadmaster.dev/suspend"
FORCE_DELETE: Final = "loadmaster.dev/force-delete"
SWITCHOVER_TO: Final = "loadmaster.dev/switchover-to"


@dataclass
class Memory:
    """What is kept of a pair between visits. Losing it costs a few reads, never correctness."""

    uid: str = ""
    """Whose it is: a pair that was deleted and created anew begins without a memory."""

    episode: float | None = None
    """When the readings were fresh on which a series of changes began; later steps may use what was read
    since."""

    drifting: bool = False
    """The series repairs what somebody changed in Azure, the manifest did not change."""

    trouble: bool = False
    """The last look found something that is not as it should be, or could not be read."""

    outdated: int = 0
    """How often in a row somebody was faster than we."""

    course: "Course | None" = None
    """The plan under way."""

    repetition: Repetition[Change] = field(default_factory=lambda: Repetition(what_for))
    """What was written again and again."""

    tried: What = ()
    """What was last begun. That something else is next is progress, also where an answer was lost."""

    generation: int = 0
    """The manifest that `repetition` is about."""

    wanted: PairTarget | None = None
    """What Azure was to be when all was as wanted last: the manifest, as far as the units can answer."""


@dataclass(frozen=True, slots=True)
class Course:
    """A plan that is being carried out: what of it is done, and what remains, for one manifest."""

    generation: int
    applied: tuple[Change, ...]
    rest: tuple[Change, ...]


class PairAsRead:
    """What every lane asks of a pair's object; base of what its visits carry along."""

    body: JSON

    @property
    def annotations(self) -> JSON:
        """The pair's annotations."""
        return self.body["metadata"].get("annotations") or {}

    @property
    def status(self) -> JSON:
        """The stored status."""
        return self.body.get("status") or {}

    @property
    def generation(self) -> int:
        """The version of the manifest."""
        return int(self.body["metadata"]["generation"])

    @property
    def deleting(self) -> bool:
        """Whether the deletion was asked for."""
        return bool(self.body["metadata"].get("deletionTimestamp"))

    @property
    def forced(self) -> bool:
        """Whether the pair is to be let go whatever is left in Azure or on the units."""
        return bool(self.annotations.get(FORCE_DELETE) == "true")


@dataclass
class Work(PairAsRead):
    """One visit."""

    key: PairKey
    body: JSON
    target: PairTarget
    memory: Memory
    woken: bool
    known: bool
    woken_for: float = 0.0
    """Seconds since it was woken last."""
    status_fields: dict[str, Any] = field(default_factory=dict)
    observation: Observation | None = None
    publish: PairTarget | None = None
    """The manifest as far as the units can answer."""
    unpublished: tuple[str, ...] = ()
    """Services of the manifest that are not in `publish` for that reason."""
    put_off: tuple[str, ...] = ()
    """What `publish` has otherwise than the manifest, in words."""
    progress: bool = False
    """Something that was begun has come to a good end."""

    @property
    def finalizers(self) -> list[str]:
        """All finalizers, ours and others'."""
        return list(self.body["metadata"].get("finalizers") or ())

    @property
    def seen(self) -> bool:
        """Whether what is stored about Azure is about the present manifest."""
        synced = find(self.status.get("conditions") or (), ConditionType.AZURE_SYNCED)
        return bool(synced.get("observedGeneration") == self.generation)

    def stored(self, kind: ConditionType) -> ConditionStatus | None:
        """The stored status of a condition."""
        found = find(self.status.get("conditions") or (), kind).get("status")
        return ConditionStatus(found) if found else None

    def situation(self, **more: Any) -> Situation:
        """What is known so far, with what came of the visit."""
        fields = dict(self.status_fields)
        if self.observation is None and "frontend" in self.status:
            fields["frontend"] = self.status["frontend"]  # nothing newer is known; AzureSynced says so
        return Situation(
            generation=self.generation,
            suspended=suspended_by(self.target, self.annotations),
            observing=self.target.spec.policy.mode is Mode.OBSERVE,
            deleting=self.deleting,
            status_fields=fields,
            unpublished=self.unpublished,
            put_off=self.put_off,
            **more,
        )

    @property
    def operation(self) -> Operation | None:
        """The long-running operation that the stored status tells of."""
        found = ((self.status.get("azure") or {}).get("operations") or [None])[0]
        if found is None:
            return None
        try:
            resource = ResourceID.parse(found["resource"])
        except InvalidResourceID:  # somebody else wrote into our status; Azure is observed instead
            return None
        return Operation(resource, found["verb"], found["url"], found["style"], found["started"])


def suspended_by(target: PairTarget, annotations: JSON) -> str:
    """What suspends a pair, in words; empty when nothing does."""
    if target.spec.suspend:
        return "spec.suspend"
    return f"the annotation {SUSPEND}" if annotations.get(SUSPEND) == "true" else ""

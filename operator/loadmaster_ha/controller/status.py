"""What a visit to Azure found, put into the words of `status`.

Pure: a `Situation` goes in, conditions and fields come out. `pair` makes the one, `board` stores the other
together with what the other lanes found (`status_units`, `status_watch`; `status_pair` sums up). The meaning
of each condition and reason is told to users in docs/troubleshooting.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from loadmaster_ha.azure.outcomes import Operation
from loadmaster_ha.controller import finding_words
from loadmaster_ha.controller.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    shortened,
)
from loadmaster_ha.domain.findings import Finding, WithFindings
from loadmaster_ha.planning.changes import Change, Plan, Put

PENDING_LIMIT: Final = 20
PENDING_LENGTH: Final = 256
DIFFERENCES_LIMIT: Final = 50
DIFFERENCES_SHOWN: Final = 10
DIFFERENCE_LENGTH: Final = 200

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why nothing could be read or written. `blocking`: only a person can change it (`Stalled`)."""

    reason: str
    message: str
    blocking: bool = False


class Outlook:
    """What a lane's situation means for the work: held back on purpose, needs a person, may pass."""

    __slots__ = ()

    suspended: str
    observing: bool
    plan: WithFindings | None
    obstacle: Obstacle | None

    @property
    def held(self) -> Reason | None:
        """The reason why nothing is written on purpose, if so."""
        if self.suspended:
            return Reason.SUSPENDED
        return Reason.OBSERVE_MODE if self.observing else None

    @property
    def blocking(self) -> Obstacle | None:
        """The first thing that needs a person, with all others in its message."""
        if self.obstacle is not None and self.obstacle.blocking:
            return self.obstacle
        return joined(self.plan.blocking, blocking=True) if self.plan is not None else None

    @property
    def waiting(self) -> Obstacle | None:
        """The first thing that may pass by itself, with all others in its message."""
        if self.obstacle is not None and not self.obstacle.blocking:
            return self.obstacle
        return joined(self.plan.waiting, blocking=False) if self.plan is not None else None


@dataclass(frozen=True, slots=True)
class Situation(Outlook):
    """What one visit to Azure found.

    `suspended` and `observing` hold all writing back; `suspended` says by what (`spec.suspend` or the
    annotation). `plan` is None while Azure could not be read. `obstacle` is what came of the attempt to
    read or write; `operation` is what Azure still works on. `status_fields` are further parts of status
    (frontend, expectedFailover).
    """

    generation: int
    suspended: str = ""
    observing: bool = False
    deleting: bool = False
    plan: Plan | None = None
    obstacle: Obstacle | None = None
    operation: Operation | None = None
    status_fields: Mapping[str, Any] = field(default_factory=dict)
    unpublished: tuple[str, ...] = ()
    """Services that Azure gets once the units can answer for them."""
    put_off: tuple[str, ...] = ()
    """What stays otherwise than wanted in Azure until the units can follow, in words."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """Everything that is not as wanted, whether it may be done now or not."""
        return (*self.plan.changes, *self.plan.held_back) if self.plan is not None else ()


def fields(situation: Situation) -> dict[str, Any]:
    """The parts of status besides conditions that tell of Azure."""
    found: dict[str, Any] = dict(situation.status_fields)
    azure: dict[str, Any] = {}
    if situation.operation is not None:
        azure["operations"] = [dump_operation(situation.operation)]
    if lines := pending(situation):
        found["pending"] = lines
        azure["differences"] = dump_differences(situation.changes)
    if azure:
        found["azure"] = azure
    return found


def conditions(situation: Situation) -> tuple[Condition, ...]:
    """The conditions of a pair of which nothing but Azure is known, the summary first."""
    synced = _azure_synced(situation)
    return (
        _ready(situation, synced),
        _reconciling(situation),
        _stalled(situation),
        _paused(situation),
        _deleting(situation),
        synced,
    )


def _azure_synced(situation: Situation) -> Condition:
    kind = ConditionType.AZURE_SYNCED
    trouble = situation.blocking or situation.waiting
    if situation.plan is None or situation.plan.waiting:
        reason = trouble or Obstacle(Reason.NOT_OBSERVED, "Azure has not been read yet.")
        return Condition(kind, UNKNOWN, reason.reason, reason.message)
    risks = finding_words.reported(situation.plan.warnings)
    if situation.operation is not None:
        return Condition(kind, FALSE, Reason.OPERATION_RUNNING, _running(situation.operation))
    if trouble is not None:
        # What stands in the way is told by Ready; here, what differs because of it.
        return Condition(kind, FALSE, trouble.reason, differences(situation.changes) or trouble.message)
    if situation.changes:
        # Who looks before they let it write wants to know the risks as well.
        told = sentence(differences(situation.changes), risks)
        return Condition(kind, FALSE, Reason.DRIFT if situation.held else Reason.APPLYING, told)
    if told := _awaited(situation):
        return Condition(kind, FALSE, Reason.APPLYING, sentence(told, risks))
    return Condition(kind, TRUE, Reason.SYNCED, sentence("Azure is as the manifest wants it.", risks))


def _ready(situation: Situation, synced: Condition) -> Condition:
    kind = ConditionType.READY
    if situation.deleting:
        return Condition(kind, FALSE, Reason.CLEANING_UP, "The pair is being deleted.")
    if stalled := situation.blocking:
        return Condition(kind, FALSE, stalled.reason, stalled.message)
    trouble = situation.waiting
    told = trouble.message if trouble is not None and trouble.reason == synced.reason else synced.message
    return Condition(kind, synced.status, synced.reason, told)


def _awaited(situation: Situation) -> str:
    """What Azure gets once the units can follow; empty when there is nothing."""
    told = []
    if situation.unpublished:
        told.append(f"Published once the units answer for it: {', '.join(situation.unpublished)}.")
    if situation.put_off:
        told.append(f"Not changed yet: {'; '.join(situation.put_off)}.")
    return " ".join(told)


def _reconciling(situation: Situation) -> Condition:
    status, reason, message = _progress(situation)
    return Condition(ConditionType.RECONCILING, status, reason, message)


def _progress(situation: Situation) -> tuple[ConditionStatus, str, str]:
    """Whether work goes on. The first row that fits decides."""
    waiting = situation.waiting
    plan_made = situation.plan is not None
    awaited = _awaited(situation)
    rows = (
        (situation.operation, TRUE, Reason.OPERATION_RUNNING, _running(situation.operation)),
        (waiting, TRUE, waiting.reason if waiting else "", waiting.message if waiting else ""),
        (situation.blocking, FALSE, Reason.IDLE, "Nothing is done before Stalled is resolved."),
        (situation.held, FALSE, situation.held or "", _held_in_words(situation)),
        (situation.deleting, TRUE, Reason.CLEANING_UP, differences(situation.changes)),
        (not plan_made, TRUE, Reason.NOT_OBSERVED, "Azure has not been read yet."),
        (situation.changes, TRUE, Reason.APPLYING, differences(situation.changes)),
        (awaited, TRUE, Reason.APPLYING, awaited),
    )
    for applies, status, reason, message in rows:
        if applies:
            return status, reason, message
    return FALSE, Reason.IDLE, ""


def _stalled(situation: Situation) -> Condition:
    if (blocking := situation.blocking) is not None:
        return Condition(ConditionType.STALLED, TRUE, blocking.reason, blocking.message)
    return Condition(ConditionType.STALLED, FALSE, Reason.PROGRESS_POSSIBLE)


def _paused(situation: Situation) -> Condition:
    if situation.suspended:
        return Condition(ConditionType.PAUSED, TRUE, Reason.SUSPENDED, _held_in_words(situation))
    return Condition(ConditionType.PAUSED, FALSE, Reason.NOT_SUSPENDED)


def _deleting(situation: Situation) -> Condition:
    kind = ConditionType.DELETING
    if not situation.deleting:
        return Condition(kind, FALSE, Reason.NOT_DELETING)
    if (trouble := situation.blocking or situation.waiting) is not None:
        remedy = (
            'If this never passes: the annotation loadmaster.dev/force-delete: "true" lets the pair go and '
            "leaves in Azure what could not be removed."
        )
        return Condition(kind, TRUE, trouble.reason, sentence(trouble.message, remedy))
    if situation.held is not None:
        return Condition(kind, TRUE, situation.held, f"The clean-up waits. {_held_in_words(situation)}")
    return Condition(kind, TRUE, Reason.CLEANING_UP, differences(situation.changes))


def _held_in_words(situation: Situation) -> str:
    if situation.suspended:
        return f"Nothing is written to Azure while {situation.suspended} says so."
    tail = " To let go of the pair and leave Azure as it is, set spec.policy.deletion to Orphan."
    return "spec.policy.mode is Observe: nothing is written to Azure." + (tail if situation.deleting else "")


def pending(situation: Situation) -> list[str]:
    """What is not done now though it is wanted, in words, bounded; empty while nothing holds it up."""
    held = situation.held is not None or situation.blocking is not None or situation.waiting is not None
    if not held or not situation.changes:
        return []
    lines = [shortened(in_words(change), PENDING_LENGTH) for change in situation.changes]
    if len(lines) > PENDING_LIMIT:
        more = len(lines) - PENDING_LIMIT + 1
        lines = [*lines[: PENDING_LIMIT - 1], f"and {more} more"]
    return lines


def in_words(change: Change) -> str:
    """One change for people: what is done to which resource, and which fields make it necessary."""
    if not isinstance(change, Put):
        return f"Delete {change.resource}: {change.why}"
    if change.if_match is None:
        return f"Create {change.resource}"
    fields = "; ".join(str(difference) for difference in change.differences)
    return f"Update {change.resource}: {fields}"


def differences(changes: Iterable[Change]) -> str:
    """The differences that changes are made for, field by field, bounded."""
    found = []
    for change in changes:
        where = f"{change.resource.type.rpartition('/')[2]}/{change.resource.name}"
        if not isinstance(change, Put):
            found.append(f"{where}: to be deleted ({change.why})")
        elif change.if_match is None:
            found.append(f"{where}: to be created")
        else:
            found += [f"{where}: {difference}" for difference in change.differences]
    shown = [shortened(text, DIFFERENCE_LENGTH) for text in found[:DIFFERENCES_SHOWN]]
    if len(found) > DIFFERENCES_SHOWN:
        shown.append(f"and {len(found) - DIFFERENCES_SHOWN} more differences")
    return "; ".join(shown)


def dump_operation(operation: Operation) -> dict[str, str]:
    """A running operation as status keeps it."""
    return {
        "resource": str(operation.resource),
        "verb": operation.verb,
        "url": operation.url,
        "style": operation.style,
        "started": operation.started,
    }


def dump_differences(changes: Iterable[Change]) -> list[dict[str, str]]:
    """What differs, field by field, as status keeps it; bounded."""
    rows = []
    for change in changes:
        if not isinstance(change, Put):
            texts = [f"to be deleted: {change.why}"]
        elif change.if_match is None:
            texts = ["to be created"]
        else:
            texts = [str(difference) for difference in change.differences]
        rows += [
            {"resource": str(change.resource), "difference": shortened(text, PENDING_LENGTH)}
            for text in texts
        ]
    return rows[:DIFFERENCES_LIMIT]


def _running(operation: Operation | None) -> str:
    if operation is None:
        return ""
    return f"Azure works on {operation.verb} {operation.resource} since {operation.started}."


def joined(findings: tuple[Finding, ...], *, blocking: bool) -> Obstacle | None:
    """Findings as one obstacle, which has the reason of the first; None without any."""
    return Obstacle(findings[0].reason, finding_words.joined(findings), blocking) if findings else None


def sentence(first: str, second: str) -> str:
    """Two sentences, either of which may be missing."""
    if not (first and second):
        return first or second
    return f"{first}{'' if first.endswith('.') else '.'} {second}"

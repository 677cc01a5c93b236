"""Conditions of a pair: which there are, what each status means, and how a new set replaces the stored one.

Pure. `status`, `status_units` and `status_watch` decide what is true, `status_pair` sums it up; here it
becomes the list in `status.conditions`, after the Kubernetes API conventions and kstatus: all types are
present from the first visit, `lastTransitionTime` moves only with `status`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

MESSAGE_LIMIT: Final = 4096
"""Characters of a message; the API's own limit is 32768, people stop reading long before."""


class ConditionType(StrEnum):
    """The conditions of this version; further ones appear with what they tell about.

    Those after `AzureSynced` are only there for pairs whose units the operator manages (`UNITS_TYPES`).
    """

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PAUSED = "Paused"
    DELETING = "Deleting"
    AZURE_SYNCED = "AzureSynced"
    HA_SYNCED = "HASynced"
    PAIR_HEALTHY = "PairHealthy"
    AVAILABLE = "Available"
    VERSIONS_MATCH = "VersionsMatch"
    REBOOT_REQUIRED = "RebootRequired"


UNITS_TYPES: Final = frozenset(
    {
        ConditionType.HA_SYNCED,
        ConditionType.PAIR_HEALTHY,
        ConditionType.AVAILABLE,
        ConditionType.VERSIONS_MATCH,
        ConditionType.REBOOT_REQUIRED,
    }
)
"""Conditions of pairs whose units have `management.credentialsSecretRef`, both."""


class ConditionStatus(StrEnum):
    """As the Kubernetes API writes them."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


WANTED: Final[Mapping[ConditionType, ConditionStatus]] = {
    ConditionType.READY: ConditionStatus.TRUE,
    ConditionType.RECONCILING: ConditionStatus.FALSE,
    ConditionType.STALLED: ConditionStatus.FALSE,
    ConditionType.PAUSED: ConditionStatus.FALSE,
    ConditionType.DELETING: ConditionStatus.FALSE,
    ConditionType.AZURE_SYNCED: ConditionStatus.TRUE,
    ConditionType.HA_SYNCED: ConditionStatus.TRUE,
    ConditionType.PAIR_HEALTHY: ConditionStatus.TRUE,
    ConditionType.AVAILABLE: ConditionStatus.TRUE,
    ConditionType.VERSIONS_MATCH: ConditionStatus.TRUE,
    ConditionType.REBOOT_REQUIRED: ConditionStatus.FALSE,
}
"""The status each condition has when all is well."""


class Reason(StrEnum):
    """Reasons that the controller itself gives; the others are those of findings and of Azure's refusals."""

    # all is well
    SYNCED = "Synced"
    IDLE = "Idle"
    PROGRESS_POSSIBLE = "ProgressPossible"
    NOT_SUSPENDED = "NotSuspended"
    NOT_DELETING = "NotDeleting"
    FRONTEND_SERVED = "FrontendServed"
    SAME_VERSION = "SameVersion"
    NO_REBOOT_OWED = "NoRebootOwed"
    # work goes on
    APPLYING = "Applying"
    OPERATION_RUNNING = "OperationRunning"
    CHANGED_MEANWHILE = "ChangedMeanwhile"
    NOT_CONVERGING = "NotConverging"
    CLEANING_UP = "CleaningUp"
    SWITCHING_OVER = "SwitchingOver"
    # held back on purpose
    DRIFT = "Drift"
    SUSPENDED = "Suspended"
    OBSERVE_MODE = "ObserveMode"
    REBOOT_OWED = "RebootOwed"
    # trouble
    FRONTEND_NOT_SERVED = "FrontendNotServed"
    DIFFERENT_VERSIONS = "DifferentVersions"
    NOT_OBSERVED = "NotObserved"
    INVALID_SPEC = "InvalidSpec"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    SECRET_INVALID = "SecretInvalid"  # noqa: S105 - a reason, not a secret
    SECRET_UNREADABLE = "SecretUnreadable"  # noqa: S105 - a reason, not a secret
    SIGN_IN_REFUSED = "SignInRefused"
    AZURE_UNREACHABLE = "AzureUnreachable"
    INTERNAL_ERROR = "InternalError"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as it ought to be, before time and generation are known."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str = ""
    generation: int | None = None
    """The version of the manifest that it was found for, where that is another than the summary's."""


def merge(
    stored: Sequence[Mapping[str, Any]], wanted: Sequence[Condition], *, generation: int, now: str
) -> list[dict[str, Any]]:
    """The list to store: `wanted` in its order, with the times of `stored` where the status is the same.

    `now` is RFC 3339. Conditions of other writers are not in the result: server-side apply keeps them by
    their type.
    """
    before = {str(condition.get("type")): condition for condition in stored}
    merged = []
    for condition in wanted:
        old = before.get(condition.type.value, {})
        same = old.get("status") == condition.status.value
        merged.append(
            {
                "type": condition.type.value,
                "status": condition.status.value,
                "reason": condition.reason,
                "message": shortened(condition.message, MESSAGE_LIMIT),
                "observedGeneration": generation if condition.generation is None else condition.generation,
                "lastTransitionTime": str(old.get("lastTransitionTime") or now) if same else now,
            }
        )
    return merged


def find(conditions: Sequence[Mapping[str, Any]], kind: ConditionType) -> Mapping[str, Any]:
    """The stored condition of a type; empty when there is none."""
    return next((condition for condition in conditions if condition.get("type") == kind.value), {})


def parse(condition: Mapping[str, Any]) -> Condition:
    """A stored condition, to be told once more as it is."""
    return Condition(
        ConditionType(condition["type"]),
        ConditionStatus(condition["status"]),
        str(condition["reason"]),
        str(condition.get("message") or ""),
        condition.get("observedGeneration"),
    )


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning and a mark that there was more."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."

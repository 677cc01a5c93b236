"""What the watch lane saw of a pair, put into the words of `status`.

Pure, as `status` is for Azure: `watching` makes a `WatchSituation`, `board` stores what becomes of it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from loadmaster_ha.controller.conditions import Condition, ConditionStatus, ConditionType, Reason
from loadmaster_ha.controller.watching.model import Failover, UnitSight, WatchSituation
from loadmaster_ha.planning.diagnosis.model import Diagnosis

_STATUS = {True: ConditionStatus.TRUE, False: ConditionStatus.FALSE, None: ConditionStatus.UNKNOWN}


def conditions(situation: WatchSituation) -> tuple[Condition, ...]:
    """PairHealthy and Available."""
    diagnosis = situation.diagnosis
    healthy = Condition(
        ConditionType.PAIR_HEALTHY, _STATUS[diagnosis.healthy], diagnosis.health.value, _told(diagnosis)
    )
    return healthy, _available(diagnosis)


def fields(situation: WatchSituation) -> dict[str, Any]:
    """The parts of status besides conditions and rows of units that tell what was seen."""
    found: dict[str, Any] = {"active": situation.diagnosis.active.value}
    if situation.failover is not None:
        found["lastFailover"] = _failover(situation.failover)
    return found


def sight_fields(sight: UnitSight) -> dict[str, Any]:
    """A unit's row as far as it was seen; `lastSeenTime` only while the unit does not answer."""
    found: dict[str, Any] = {"state": sight.state.value}
    if sight.kind is not None:
        found["kind"] = sight.kind.value
    if sight.firmware:
        found["firmware"] = sight.firmware[:64]
    if sight.last_seen is not None:
        found["lastSeenTime"] = rfc3339(sight.last_seen)
    return found


def rfc3339(at: float) -> str:
    """Unix seconds as Kubernetes writes times."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _told(diagnosis: Diagnosis) -> str:
    parts = [diagnosis.cause, *diagnosis.evidence, diagnosis.remedy]
    return " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts if part)


def _available(diagnosis: Diagnosis) -> Condition:
    kind = ConditionType.AVAILABLE
    if diagnosis.serving is None:
        message = "It cannot be told whether the frontend is served; see PairHealthy."
        return Condition(kind, ConditionStatus.UNKNOWN, Reason.NOT_OBSERVED, message)
    if diagnosis.serving:
        return Condition(kind, ConditionStatus.TRUE, Reason.FRONTEND_SERVED)
    message = "Nobody answers behind the frontend; see PairHealthy for the cause."
    return Condition(kind, ConditionStatus.FALSE, Reason.FRONTEND_NOT_SERVED, message)


def _failover(failover: Failover) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "time": rfc3339(failover.at),
        "from": failover.origin.value,
        "to": failover.target.value,
        "trigger": failover.trigger.value,
        "reason": failover.reason[:1024],
    }
    if failover.seconds is not None:
        found["durationSeconds"] = round(failover.seconds, 3)
    return found

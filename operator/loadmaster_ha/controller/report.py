"""What users get to see of a visit: status, Events and figures, written only when something changed.

`pair` calls it; `status` has the words, `events` the transitions, `telemetry` the metrics.
"""

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from loadmaster_ha.azure.outcomes import Operation
from loadmaster_ha.controller import events
from loadmaster_ha.controller.conditions import WANTED, ConditionType, Reason, find
from loadmaster_ha.controller.kubernetes import JSON, Kubernetes, KubernetesError
from loadmaster_ha.controller.registry import PairKey, key_of
from loadmaster_ha.controller.status import Obstacle, Situation, render, same
from loadmaster_ha.controller.work import Work
from loadmaster_ha.planning.changes import Change
from loadmaster_ha.planning.failover import Bounds
from loadmaster_ha.planning.pair import expected_failover
from loadmaster_ha.telemetry.operator import OperatorMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reporter:
    """Tells about pairs."""

    def __init__(self, kubernetes: Kubernetes, recorder: events.Recorder, metrics: OperatorMetrics) -> None:
        self._kubernetes = kubernetes
        self._recorder = recorder
        self._metrics = metrics

    async def situation(self, work: Work, situation: Situation) -> None:
        """Store the status if it differs from the stored one, with an Event for each transition."""
        work.body = await self._store(work.body, situation)

    async def change(self, work: Work, change: Change) -> None:
        """Tell that Azure has accepted a write."""
        drift = work.memory.drifting
        if drift:
            self._metrics.on_drift(*work.key, change.section.value)
        # The etag that was replaced makes a repetition after a crash the same Event. What is created has
        # none; there it is the time since which Azure is not as wanted.
        synced = find(work.status.get("conditions") or (), ConditionType.AZURE_SYNCED)
        occasion = f"{work.generation} {change.if_match} {synced.get('lastTransitionTime')}"
        await self._recorder.record(work.body, events.change_applied(change, drift=drift, occasion=occasion))

    async def failed_operation(self, work: Work, operation: Operation, reason: str, message: str) -> None:
        """Tell that Azure had accepted a write and did not bring it to its end."""
        await self._recorder.record(work.body, events.operation_failed(operation, reason, message))

    async def event(self, body: JSON, event: events.Event) -> None:
        """Tell anything else about a pair."""
        await self._recorder.record(body, event)

    async def invalid(self, body: JSON, invalid: ValidationError) -> None:
        """Tell that the schema let something through that this version does not understand."""
        first = invalid.errors()[0]
        where = ".".join(["spec", *(str(part) for part in first["loc"])])
        remedy = "Correct the manifest, or install the CRD that belongs to this operator."
        obstacle = Obstacle(Reason.INVALID_SPEC, f"{where}: {first['msg']}. {remedy}", blocking=True)
        metadata = body["metadata"]
        deleting = bool(metadata.get("deletionTimestamp"))
        await self._store(body, Situation(int(metadata["generation"]), deleting=deleting, obstacle=obstacle))

    def failover(self, work: Work) -> None:
        """Tell how long a failover takes with the pair's probe."""
        expected = expected_failover(work.target.spec.health_check)
        bounds = {
            ("ProcessDied", "Min"): expected.process_died.min,
            ("ProcessDied", "Max"): expected.process_died.max,
            ("Silent", "Min"): expected.silent.min,
            ("Silent", "Max"): expected.silent.max,
        }
        self._metrics.on_failover_expected(*work.key, bounds)
        work.status_fields["expectedFailover"] = {
            "processDiedSeconds": _whole(expected.process_died),
            "silentSeconds": _whole(expected.silent),
        }

    def gone(self, key: PairKey) -> None:
        """The pair is gone, and its figures with it."""
        self._metrics.on_pair_gone(*key)

    async def _store(self, body: JSON, situation: Situation) -> JSON:
        stored: Mapping[str, Any] = body.get("status") or {}
        status = render(situation, stored, now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        self._measure(key_of(body), status["conditions"])
        if same(stored, status):
            return body
        for event in events.transitions(stored.get("conditions") or (), status["conditions"]):
            await self._recorder.record(body, event)
        try:
            return await self._kubernetes.apply_status(body, status)
        except KubernetesError as problem:
            if problem.status in {404, 409}:  # deleted meanwhile, or another pair of the same name
                return body
            raise

    def _measure(self, key: PairKey, conditions: list[dict[str, Any]]) -> None:
        rows = [
            (
                each["type"],
                each["status"],
                each["reason"],
                each["status"] == WANTED[ConditionType(each["type"])],
            )
            for each in conditions
        ]
        self._metrics.on_pair(*key, rows)


def _whole(bounds: Bounds) -> dict[str, int]:
    return {"min": math.floor(bounds.min), "max": math.ceil(bounds.max)}

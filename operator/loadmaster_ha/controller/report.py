"""What users get to see of a visit to Azure: status, Events and figures.

`pair` calls it; `board` stores the status, `events` has the words of Events, `telemetry` the metrics.
"""

import math

from pydantic import ValidationError

from loadmaster_ha.azure.outcomes import Operation
from loadmaster_ha.controller import events
from loadmaster_ha.controller.board import Board
from loadmaster_ha.controller.conditions import ConditionType, Reason, find
from loadmaster_ha.controller.kubernetes import JSON
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.status import Obstacle, Situation
from loadmaster_ha.controller.work import Work
from loadmaster_ha.planning.changes import Change
from loadmaster_ha.planning.failover import Bounds
from loadmaster_ha.planning.pair import expected_failover
from loadmaster_ha.telemetry.operator import OperatorMetrics


class Reporter:
    """Tells about pairs what concerns Azure."""

    def __init__(self, board: Board, recorder: events.Recorder, metrics: OperatorMetrics) -> None:
        self._board = board
        self._recorder = recorder
        self._metrics = metrics

    async def situation(self, work: Work, situation: Situation) -> None:
        """Store the status if it differs from the stored one, with an Event for each transition."""
        work.body = await self._board.azure(work.body, situation)

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
        situation = Situation(int(metadata["generation"]), deleting=deleting, obstacle=obstacle)
        await self._board.azure(body, situation)

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
        self._board.forget(key)


def _whole(bounds: Bounds) -> dict[str, int]:
    return {"min": math.floor(bounds.min), "max": math.ceil(bounds.max)}

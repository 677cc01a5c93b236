"""Long-running operations: what is under way, when it ends, how it ended, and how a client may ask.

An operation is decided when it starts (how long, with which end) and takes effect at its due time; `settle`
is called before each request is looked at, so no timer is needed and a stopped emulator loses nothing:
operations are stored. `lifecycle` starts them; `frontdoor` serves their URLs.
"""

from __future__ import annotations

import heapq
import itertools
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadmaster_ha.emulator.json_types import JsonObject
    from loadmaster_ha.emulator.store import Store

Kind = Literal["put", "delete", "action", "group", "deployment"]
IN_PROGRESS = "InProgress"
_KEEP_SECONDS = 24 * 3600


@dataclass(slots=True)
class Operation:
    """One long-running operation. Times are seconds since the epoch."""

    id: str
    name: str
    kind: Kind
    resource: str
    namespace: str
    subscription: str
    location: str
    started: float
    due: float
    status: str = IN_PROGRESS
    outcome: str = "Succeeded"
    error: JsonObject | None = None
    result: JsonObject | None = None
    effect: str = ""
    """What an action does at its end, for example `deallocated`."""
    ended: float = 0.0

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status != IN_PROGRESS


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an operation shall end, when a fault asks for another end than success."""

    outcome: Literal["Succeeded", "Failed", "Canceled"] = "Succeeded"
    code: str = "InternalServerError"
    message: str = "An error occurred."
    latency: float | None = None

    def error(self) -> JsonObject | None:
        """Return the error of the operation's status; `None` on success."""
        if self.outcome == "Succeeded":
            return None
        return {"code": self.code, "message": self.message, "details": []}


class Operations:
    """All operations, running and ended.

    Args:
        store: Keeps them over a restart.
        finish: Called when one ends, to let it take effect on its resource.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, store: Store, finish: Callable[[Operation], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._finish = finish
        self._clock = clock
        self._all: dict[str, Operation] = {}
        self._queue: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        for key, body in store.facts("operation").items():
            operation = Operation(**body)
            self._all[key] = operation
            if not operation.done:
                self._push(operation)

    def get(self, operation_id: str) -> Operation | None:
        """Return an operation by its id (any case)."""
        return self._all.get(operation_id.lower())

    def start(
        self,
        name: str,
        kind: Kind,
        resource: str,
        *,
        namespace: str,
        subscription: str,
        location: str,
        latency: float,
        verdict: Verdict | None = None,
        result: JsonObject | None = None,
        effect: str = "",
    ) -> Operation:
        """Start an operation that ends after `latency` seconds with the given verdict (default: success)."""
        verdict = verdict or Verdict()
        now = self._clock()
        wait = latency if verdict.latency is None else verdict.latency
        operation = Operation(
            id=str(uuid.uuid4()),
            name=name,
            kind=kind,
            resource=resource,
            namespace=namespace,
            subscription=subscription,
            location=location,
            started=now,
            due=now + wait,
            outcome=verdict.outcome,
            error=verdict.error(),
            result=result,
            effect=effect,
        )
        self._all[operation.id] = operation
        self._push(operation)
        self.save(operation)
        return operation

    def save(self, operation: Operation) -> None:
        """Store an operation after a change."""
        self._store.put_fact("operation", operation.id, asdict(operation))

    def cancel(self, operation: Operation, error: JsonObject) -> None:
        """End a running operation as cancelled without any effect."""
        operation.status, operation.outcome, operation.error = "Canceled", "Canceled", error
        operation.ended = self._clock()
        self.save(operation)

    def settle(self) -> None:
        """Let every operation whose time has come take effect, in the order of their due times."""
        now = self._clock()
        while self._queue and self._queue[0][0] <= now:
            _, _, key = heapq.heappop(self._queue)
            operation = self._all.get(key)
            if operation is None or operation.done:
                continue
            operation.status, operation.ended = operation.outcome, now
            self._finish(operation)
            self.save(operation)
        self._forget(now)

    def postpone(self, operation: Operation, due: float) -> None:
        """Let an operation that is due go on until `due`: it has more to do (deployments)."""
        operation.status, operation.ended, operation.due = IN_PROGRESS, 0.0, due
        self._push(operation)

    def _push(self, operation: Operation) -> None:
        # What was pushed first comes first at equal times: a deployment after what it has started.
        heapq.heappush(self._queue, (operation.due, next(self._order), operation.id))

    def remaining(self, operation: Operation) -> int:
        """Return the whole seconds until an operation ends, at least one."""
        return max(1, round(operation.due - self._clock()))

    def _forget(self, now: float) -> None:
        """Drop what ended a day ago, oldest first, so that a long run does not grow for ever."""
        while self._all:
            key, oldest = next(iter(self._all.items()))
            if not oldest.done or now - oldest.ended < _KEEP_SECONDS:
                return
            del self._all[key]
            self._store.remove_fact("operation", key)

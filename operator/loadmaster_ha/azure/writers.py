"""One writer per top-level resource in this process, whichever session it writes through.

Azure does not queue writes to a balancer: a second PUT cancels the first one while that is still running. So
a write waits for the one before it, and is put off while an operation that this process started, or looks at,
is running.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from loadmaster_ha.azure.budget import Clock
from loadmaster_ha.azure.outcomes import Operation
from loadmaster_ha.planning.arm import ResourceID

FORGET: Final = 300.0
"""Seconds after which an operation that nobody looks at any more stands in nobody's way."""


@dataclass(slots=True)
class _Writer:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Writers:
    """Who writes to what right now."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._writers: dict[ResourceID, _Writer] = {}
        self._running: dict[ResourceID, tuple[Operation, float]] = {}

    @asynccontextmanager
    async def turn(self, resource: ResourceID) -> AsyncIterator[None]:
        """Be the only writer of the top-level resource that this one is (part of)."""
        top = resource.top
        writer = self._writers.setdefault(top, _Writer())
        writer.users += 1
        try:
            async with writer.lock:
                yield
        finally:
            writer.users -= 1
            if not writer.users:
                self._writers.pop(top, None)

    def running(self, resource: ResourceID) -> Operation | None:
        """The operation that is known to be running on the top-level resource."""
        found = self._running.get(resource.top)
        if found is None:
            return None
        operation, seen = found
        if self._clock() - seen > FORGET:
            del self._running[resource.top]
            return None
        return operation

    def started(self, operation: Operation) -> None:
        """The operation runs (still)."""
        self._running[operation.resource.top] = (operation, self._clock())

    def ended(self, operation: Operation) -> None:
        """The operation does not run any more."""
        found = self._running.get(operation.resource.top)
        if found is not None and found[0] == operation:
            del self._running[operation.resource.top]

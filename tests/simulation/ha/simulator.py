"""Discrete-event simulation: a queue of what happens when. Time is virtual, chance is seeded."""

import heapq
import random
from collections.abc import Callable
from typing import Any


class Simulator:
    """Runs what is due, in order of time; what is due at the same instant, in order of asking."""

    __slots__ = ("_queue", "_sequence", "chance", "now")

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0

    def at(self, time: float, action: Callable[..., None], *arguments: Any) -> None:
        """Do this at that instant, or now if it is past."""
        self._sequence += 1
        heapq.heappush(self._queue, (max(time, self.now), self._sequence, action, arguments))

    def after(self, delay: float, action: Callable[..., None], *arguments: Any) -> None:
        """Do this after so many seconds."""
        self._sequence += 1
        heapq.heappush(self._queue, (self.now + delay, self._sequence, action, arguments))

    def run_until(self, time: float) -> None:
        """Let time pass up to this instant."""
        queue = self._queue
        while queue and queue[0][0] <= time:
            self.now, _, action, arguments = heapq.heappop(queue)
            action(*arguments)
        self.now = max(self.now, time)

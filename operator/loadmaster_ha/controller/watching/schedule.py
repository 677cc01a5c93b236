"""When which poll is due: a timetable without a clock, so that its promises can be tested without waiting.

`lane` asks it what to begin and tells it what has ended. Nothing here knows what a key means.
"""

import heapq
import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

JITTER: Final = 0.1
"""Share of an interval by which a beat comes earlier or later, so that pairs do not beat as one."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds from the beginning of one poll to that of the next: usually, and while something changes."""

    calm: float
    fast: float


@dataclass(slots=True)
class _Entry:
    pace: Pace
    due: float | None
    fast_until: float = float("-inf")
    began: float | None = None
    """When the running poll began; None: none is running."""
    again: bool = False
    """Hurried while it was running."""
    mark: int = 0
    """The number of the valid entry in the heap."""


@dataclass(frozen=True, slots=True)
class Turn(Generic[K]):
    """One poll to be made, and how late it is."""

    key: K
    late: float


@dataclass
class Timetable(Generic[K]):
    """The polls of everything that is watched.

    Promises (held by a property test): a key is never taken while its last turn has not ended; from one
    beginning to the next there are at most `calm` seconds and a tenth (`fast` while hastened), or the length
    of the poll itself if that is more; what is hurried is due at once, or as soon as its poll ends; a poll
    that took long is not made up for by a burst; after `remove` there is no turn any more.
    """

    dice: Callable[[], float] = random.random
    _entries: dict[K, _Entry] = field(default_factory=dict)
    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def add(self, key: K, pace: Pace, now: float) -> None:
        """Watch this from now on; the first beat comes anywhere within the first interval.

        A key that is there gets the new pace.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(pace, None)
            self._arm(key, entry, now + pace.calm * self.dice())
        elif entry.pace != pace:
            entry.pace = pace
            if entry.due is not None:
                self._arm(key, entry, min(entry.due, now + self._interval(entry, now)))

    def remove(self, key: K) -> None:
        """No turn any more; one that is running may end as it likes."""
        self._entries.pop(key, None)

    def hurry(self, key: K, now: float) -> None:
        """Poll at once, or as soon as the running poll has ended."""
        entry = self._entries.get(key)
        if entry is None:
            return
        if entry.began is not None:
            entry.again = True
        elif entry.due is None or entry.due > now:
            self._arm(key, entry, now)

    def hasten(self, key: K, now: float, until: float) -> None:
        """Keep the fast pace until then."""
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.fast_until = max(entry.fast_until, until)
        soon = now + self._interval(entry, now)
        if entry.due is not None and entry.due > soon:
            self._arm(key, entry, soon)

    def take(self, now: float) -> Turn[K] | None:
        """The next poll to begin; the caller owes an `end`. None when none is due."""
        due = self.next_due()
        if due is None or due > now:
            return None
        key = heapq.heappop(self._heap)[2]
        entry = self._entries[key]
        entry.began, entry.due, entry.again = now, None, False
        return Turn(key, now - due)

    def end(self, key: K, now: float) -> None:
        """The poll is over."""
        entry = self._entries.get(key)
        if entry is None or entry.began is None:
            return  # removed, and perhaps added anew, meanwhile
        began, entry.began = entry.began, None
        self._arm(key, entry, now if entry.again else max(now, began + self._interval(entry, now)))

    def next_due(self) -> float | None:
        """When the next poll is due; None: there is none."""
        while self._heap:
            due, number, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry.mark == number and entry.began is None:
                return due
            heapq.heappop(self._heap)  # superseded
        return None

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def _interval(self, entry: _Entry, now: float) -> float:
        seconds = entry.pace.fast if now < entry.fast_until else entry.pace.calm
        return seconds * (1 - JITTER + 2 * JITTER * self.dice())

    def _arm(self, key: K, entry: _Entry, at: float) -> None:
        entry.due, entry.mark = at, next(self._numbers)
        heapq.heappush(self._heap, (at, entry.mark, key))

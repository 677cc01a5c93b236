"""Which pair is visited when: one visit at a time, fair, bounded, with backoff and resync.

`Schedule`, `Backoff` and `Resync` are pure (the clock and the dice are arguments), so that their promises
can be tested without waiting; `WorkQueue` runs visits on the event loop. `pair` tells by a `Next` when to
come back; `watch` wakes keys. Nothing here knows what a key means.
"""

import asyncio
import contextlib
import heapq
import logging
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeVar

from loadmaster_ha.controller.turns import Turns

K = TypeVar("K", bound=Hashable)

log = logging.getLogger(__name__)


class VisitOutcome(StrEnum):
    """What a visit came to; label value of `loadmaster_reconcile_total`."""

    CHANGED = "Changed"
    NO_CHANGE = "NoChange"
    WAITING = "Waiting"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Next:
    """What a visit came to and when the next one is due.

    `after` is in seconds: 0 means at once, but behind all others that are ready. None leaves the choice to
    the queue: the resync interval after a visit without trouble, growing backoff after any other. With
    `grows` it is the least, and backoff makes it longer each time. Backoff begins anew when nothing is left
    to do or with `progress`: something has come to a good end. That a write was merely accepted is none, or
    one that always fails later would be repeated without growing pauses. `gone` ends the visits.
    """

    outcome: VisitOutcome
    after: float | None = None
    gone: bool = False
    grows: bool = False
    progress: bool = False


@dataclass(frozen=True, slots=True)
class Visit(Generic[K]):
    """One visit to be made. `woken` tells that something happened; else it is only time to look again."""

    key: K
    woken: bool
    waited: float
    woken_for: float = 0.0
    """Seconds since it was woken last; who is not woken has 0."""


class Backoff(Generic[K]):
    """Exponential backoff per key: `base`, twice that, ... `cap` seconds, less up to a quarter."""

    def __init__(
        self, *, base: float = 2.0, cap: float = 300.0, dice: Callable[[], float] = random.random
    ) -> None:
        self._base = base
        self._cap = cap
        self._dice = dice
        self._failures: dict[K, int] = {}

    def after_failure(self, key: K, *, least: float | None = None) -> float:
        """Seconds to wait after one more failure in a row; with `least` just so long after the first."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        # The exponent is bounded because floats are: 2**1100 does not exist.
        delay = min(self._cap, self._base * 2.0 ** min(failures - 1, 64)) * (1 - self._dice() / 4)
        if least is None:
            return delay
        return least if failures == 1 else max(least, delay)

    def reset(self, key: K) -> None:
        """Forget the failures: it went well, or the key is gone."""
        self._failures.pop(key, None)

    def __len__(self) -> int:
        return len(self._failures)


class Resync:
    """The interval of looking again without cause, spread by a tenth either way so that pairs drift apart."""

    def __init__(self, interval: float, *, dice: Callable[[], float] = random.random) -> None:
        self._interval = interval
        self._dice = dice

    def next(self) -> float:
        """Seconds until the next look."""
        return self._interval * (0.9 + 0.2 * self._dice())

    def first(self) -> float:
        """Seconds until the first look after a start: anywhere within the interval."""
        return self._interval * self._dice()


@dataclass
class _Entry:
    """What the schedule knows of one key."""

    ready_since: float | None = None
    woken: bool = False
    woken_at: float = 0.0
    running: bool = False
    woken_while_running: bool = False
    due: float | None = None
    forgotten: bool = False


@dataclass
class Schedule(Generic[K]):
    """When which key is visited: a state machine without a clock.

    Promises (held by a property test): a key is never taken twice before it is finished; a key woken while
    it is running is ready again when it finishes; ready keys are taken first come, first served; after
    `forget` nothing is left of a key once its visit has ended.
    """

    _entries: dict[K, _Entry] = field(default_factory=dict)
    _ready: deque[K] = field(default_factory=deque)
    _timers: list[tuple[float, int, K]] = field(default_factory=list)
    _sequence: "count[int]" = field(default_factory=count)

    def wake(self, key: K, now: float) -> None:
        """Something happened: visit the key as soon as its turn comes."""
        entry = self._entries.setdefault(key, _Entry())
        entry.forgotten = False
        entry.woken_at = now
        if entry.running:
            entry.woken_while_running = True
            return
        entry.woken = True
        self._make_ready(key, entry, now)

    def later(self, key: K, at: float) -> None:
        """Visit the key at this time, or when it is woken, whichever is earlier."""
        entry = self._entries.setdefault(key, _Entry())
        entry.forgotten = False
        if not entry.running and entry.ready_since is None:
            self._arm(key, entry, at)

    def take(self, now: float) -> Visit[K] | None:
        """The next key to visit; the caller owes a `finish`. None when nobody is ready."""
        self._expire(now)
        if not self._ready:
            return None
        key = self._ready.popleft()
        entry = self._entries[key]
        waited = now - (now if entry.ready_since is None else entry.ready_since)
        visit = Visit(key, entry.woken, waited, now - entry.woken_at if entry.woken else 0.0)
        entry.ready_since, entry.woken, entry.running = None, False, True
        return visit

    def finish(self, key: K, now: float, again_at: float | None, *, gone: bool = False) -> None:
        """The visit is over; the next is due at `again_at` (None: only when woken).

        `gone`: the visit found nothing there any more. If the key was woken meanwhile, something is there
        again.
        """
        entry = self._entries[key]
        entry.running = False
        if entry.forgotten:
            del self._entries[key]
        elif entry.woken_while_running:
            entry.woken_while_running, entry.woken = False, True
            self._make_ready(key, entry, now)
        elif gone:
            del self._entries[key]
        elif again_at is None:
            entry.due = None
        else:
            self._arm(key, entry, again_at)

    def forget(self, key: K) -> None:
        """The key is gone: no visit any more."""
        entry = self._entries.get(key)
        if entry is None:
            return
        if entry.running:
            entry.forgotten, entry.woken_while_running = True, False
            return
        if entry.ready_since is not None:
            self._ready.remove(key)
        del self._entries[key]

    def next_due(self) -> float | None:
        """The time of the earliest timer; None without timers."""
        while self._timers:
            due, _, key = self._timers[0]
            entry = self._entries.get(key)
            if entry is not None and entry.due == due and not entry.running:
                return due
            heapq.heappop(self._timers)  # superseded
        return None

    @property
    def depth(self) -> int:
        """How many keys are ready and wait for a slot."""
        return len(self._ready)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def _arm(self, key: K, entry: _Entry, at: float) -> None:
        entry.due = at
        heapq.heappush(self._timers, (at, next(self._sequence), key))

    def _make_ready(self, key: K, entry: _Entry, now: float) -> None:
        if entry.ready_since is None:
            entry.ready_since, entry.due = now, None
            self._ready.append(key)

    def _expire(self, now: float) -> None:
        while (due := self.next_due()) is not None and due <= now:
            key = heapq.heappop(self._timers)[2]
            self._make_ready(key, self._entries[key], now)


class QueueObserver(Protocol):
    """Where the figures go; `telemetry.operator` implements it."""

    def on_queue(self, depth: int) -> None:
        """How many keys are ready and wait."""

    def on_visit_started(self, waited: float) -> None:
        """A visit begins after `waited` seconds in the queue."""

    def on_visit_ended(self, outcome: str, seconds: float) -> None:
        """A visit ended."""


DEFAULT_CONCURRENCY: Final = 8


class WorkQueue(Generic[K]):
    """Runs `visit` for keys that are due: at most `concurrency` at once, one at a time per key.

    A visit never waits for Azure longer than one request takes (long-running operations are looked at in
    visits of their own), so slots come free quickly and the order of the schedule is fairness enough.
    Beyond a burst of `concurrency`, at most `per_second` visits begin in one second: when a process has just
    started, everybody is due at once. Queues that share `turns` share the rounds of the event loop.
    """

    def __init__(
        self,
        visit: Callable[[Visit[K]], Coroutine[Any, Any, Next]],
        *,
        observer: QueueObserver,
        resync: Resync,
        backoff: Backoff[K],
        concurrency: int = DEFAULT_CONCURRENCY,
        per_second: float = math.inf,
        turns: Turns | None = None,
    ) -> None:
        self._visit = visit
        self._turns = turns or Turns()
        self._observer = observer
        self._resync = resync
        self._backoff = backoff
        self._concurrency = concurrency
        self._gap = 1 / per_second
        self._next_start = 0.0
        self._schedule: Schedule[K] = Schedule()
        self._changed = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def wake(self, key: K) -> None:
        """Visit this key soon."""
        self._schedule.wake(key, self._now())
        self._nudge()

    def forget(self, key: K) -> None:
        """Visit this key no more."""
        self._schedule.forget(key)
        self._backoff.reset(key)
        self._nudge()

    async def run(self) -> None:
        """Dispatch visits until cancelled; visits under way go on (`drain` waits for them)."""
        while True:
            while self._may_start() and (visit := self._schedule.take(self._now())):
                self._started()
                task = asyncio.create_task(self._make(visit), name=f"visit {visit.key}")
                self._running.add(task)
                task.add_done_callback(self._ended)
            self._observer.on_queue(self._schedule.depth)
            await self._until_something_happens()

    async def drain(self, grace: float) -> bool:
        """Wait for the visits under way, at most `grace` seconds; True when all ended by themselves."""
        if not self._running:
            return True
        _, late = await asyncio.wait(self._running, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not late

    async def _make(self, visit: Visit[K]) -> None:
        started = self._now()
        self._observer.on_visit_started(visit.waited)
        again = Next(VisitOutcome.ERROR)
        try:
            again = await self._turns.run(self._visit(visit))
        except Exception:
            # A visit answers for its errors itself; this keeps one key's bug from ending the work on all
            # others.
            log.exception(
                "A visit failed in a way that nobody expected: this is a bug", extra={"key": str(visit.key)}
            )
        finally:
            ended = self._now()
            self._observer.on_visit_ended(again.outcome.value, ended - started)
            again_at = ended + self._delay(visit.key, again)
            if again.gone:
                self._backoff.reset(visit.key)
            self._schedule.finish(visit.key, ended, again_at, gone=again.gone)

    def _delay(self, key: K, again: Next) -> float:
        if again.progress or again.outcome is VisitOutcome.NO_CHANGE:
            self._backoff.reset(key)
        if again.after is not None and not again.grows:
            return again.after
        if again.outcome in {VisitOutcome.CHANGED, VisitOutcome.NO_CHANGE}:
            return self._resync.next()
        return self._backoff.after_failure(key, least=again.after)

    def _may_start(self) -> bool:
        return len(self._running) < self._concurrency and self._next_start <= self._now()

    def _started(self) -> None:
        """A burst of as many as may run at a time is let pass; beyond it the pace holds."""
        credit = self._gap * self._concurrency
        full_until = max(self._next_start + credit, self._now()) + self._gap
        self._next_start = full_until - credit

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._nudge()

    def _nudge(self) -> None:
        self._changed.set()

    async def _until_something_happens(self) -> None:
        free = len(self._running) < self._concurrency
        due = self._next_start if self._schedule.depth else self._schedule.next_due()
        timeout = max(0.0, due - self._now()) if due is not None and free else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout)
        self._changed.clear()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

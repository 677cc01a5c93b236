"""How many requests may go to Resource Manager: token buckets like Azure's, and the gate a 429 closes.

Azure counts per subscription and principal, for reads, writes and deletes apart (token buckets of 250 + 25/s,
200 + 10/s and 200 + 10/s: "Understand how Azure Resource Manager throttles requests"). The operator takes a
share of it, so that people and other tools keep working. All pairs of one subscription and credential draw
from one `Budget`, first come, first served.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

DEFAULT_SHARE: Final = 0.5


class Kind(StrEnum):
    """What Azure counts apart."""

    READ = "Reads"
    WRITE = "Writes"
    DELETE = "Deletes"


AZURE_LIMITS: Final = {Kind.READ: (250.0, 25.0), Kind.WRITE: (200.0, 10.0), Kind.DELETE: (200.0, 10.0)}
"""Capacity and refill per second of Azure's own buckets."""


class BudgetExhausted(Exception):  # noqa: N818 - a state that passes, not a mistake
    """The request would have to wait longer than it may. `throttled`: because Azure said so."""

    def __init__(self, kind: Kind, after: float, *, throttled: bool) -> None:
        cause = "Azure throttles this subscription" if throttled else "the request budget is used up"
        super().__init__(f"{cause} ({kind.value.lower()}); next try in {after:.0f} s")
        self.kind = kind
        self.after = after
        self.throttled = throttled


@dataclass(slots=True)
class _Bucket:
    capacity: float
    refill: float
    tokens: float
    at: float
    gate: float = field(default=float("-inf"))  # nothing goes out before this instant

    def settle(self, now: float) -> None:
        if now > self.at:
            self.tokens = min(self.capacity, self.tokens + (now - self.at) * self.refill)
            self.at = now

    def delay(self, now: float) -> float:
        """Seconds until one more token is there, were it taken now."""
        self.settle(now)
        waiting_for_refill = max(0.0, (1 - self.tokens) / self.refill)
        return (self.at - now) + waiting_for_refill if self.tokens < 1 or self.at > now else 0.0


class Budget:
    """The buckets and gates of one subscription and credential.

    Args:
        share: the part of Azure's limits that we take, above 0 and at most 1.
        clock: monotonic seconds.
        sleep: waits.
    """

    def __init__(
        self, share: float = DEFAULT_SHARE, *, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(
                f"the share of Azure's request limits must be above 0 and at most 1, not {share}"
            )
        self._clock = clock
        self._sleep = sleep
        now = clock()
        self._buckets = {
            kind: _Bucket(capacity * share, refill * share, capacity * share, now)
            for kind, (capacity, refill) in AZURE_LIMITS.items()
        }

    async def take(self, kind: Kind, *, patience: float) -> None:
        """Take one token, waiting at most `patience` seconds for it.

        Waiters are served in the order they came: each takes its token at once, into debt if need be, and
        sleeps until the debt of all before it and its own is paid.

        Raises:
            BudgetExhausted: the wait would be longer; nothing was taken.
        """
        bucket = self._buckets[kind]
        now = self._clock()
        delay = bucket.delay(now)
        if delay > patience:
            raise BudgetExhausted(kind, delay, throttled=bucket.gate > now)
        bucket.tokens -= 1
        try:
            await self._sit_out(bucket, kind, delay, now + patience)
        except BaseException:
            bucket.tokens += 1
            raise

    async def _sit_out(self, bucket: _Bucket, kind: Kind, delay: float, deadline: float) -> None:
        """Sleep until the token is there; longer when a 429 closes the gate meanwhile."""
        if delay > 0:
            await self._sleep(delay)
        while (wait := bucket.gate - (now := self._clock())) > 0:
            if now + wait > deadline:
                raise BudgetExhausted(kind, wait, throttled=True)
            await self._sleep(wait)

    def close_gate(self, kind: Kind, seconds: float) -> None:
        """Let nothing of this kind out for `seconds`: Azure answered 429. Then begin with an empty bucket."""
        bucket = self._buckets[kind]
        now = self._clock()
        bucket.settle(now)
        bucket.gate = max(bucket.gate, now + seconds)
        bucket.tokens = min(bucket.tokens, 1.0)
        bucket.at = max(bucket.at, bucket.gate)

    def believe(self, kind: Kind, remaining: float) -> None:
        """Azure told how many requests are left to this principal: never assume more."""
        bucket = self._buckets[kind]
        bucket.settle(self._clock())
        bucket.tokens = min(bucket.tokens, max(0.0, remaining))

    def ratio(self, kind: Kind) -> float:
        """What is left of this kind, 0 to 1."""
        bucket = self._buckets[kind]
        now = self._clock()
        bucket.settle(now)
        return 0.0 if bucket.gate > now else min(1.0, max(0.0, bucket.tokens / bucket.capacity))

    def gate(self, kind: Kind) -> float:
        """Seconds until the gate of this kind opens; 0 when it is open."""
        return max(0.0, self._buckets[kind].gate - self._clock())

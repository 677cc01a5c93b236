"""Waiting for units that were told to reboot: each is asked often and briefly, beside the visits.

Who goes down or comes up may take a connection and not answer for seconds. A visit must not wait for that,
since the partner may be active meanwhile and want its services. So a unit that is away is not looked at; a
task asks it which start it is of, and wakes the pair as soon as it is another one. One that is down for a
reason of which this process knows nothing (its predecessor may have rebooted it) is asked less often.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.units.model import UnitsMemory
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.planning.units.observation import RebootUnderWay
from loadmaster_ha.planning.units.situation import GOES_DOWN_SECONDS

ASKED_EVERY: Final = 0.1
"""Seconds at first between two attempts at a unit that does not answer."""

GOING_EVERY: Final = 0.5
"""The same of one that still answers: it has not gone down yet."""

LOOKED_EVERY: Final = 5.0
"""Seconds between whole looks at the pair meanwhile: a person may want something else."""

ANSWERS_WITHIN: Final = 0.05
"""So long a visit waits for what a unit says to the question whether it is back."""

_AWAY: Final = frozenset(
    {
        FaultReason.BOOTING,
        FaultReason.REFUSED,
        FaultReason.UNREACHABLE,
        FaultReason.TIMED_OUT,
        FaultReason.RATE_LIMITED,
        FaultReason.ANSWER_LOST,
        FaultReason.UNAVAILABLE,
        FaultReason.API_DISABLED,
    }
)
"""How a unit that is down or starting answers; with any other fault it is to be looked at."""

_DOWN: Final = frozenset({FaultReason.BOOTING, FaultReason.REFUSED, FaultReason.UNREACHABLE})
"""How nobody answers at all: that it answers again is worth a look."""

Boot = Callable[[Caller], Awaitable[str]]
"""Which start of the unit this is; raises UnitFault."""


def waits_only(memory: UnitsMemory, now: float) -> bool:
    """Whether nothing but the end of a reboot is waited for, and both were looked at a moment ago."""
    waits = bool(memory.reboots) and memory.handover is None and memory.waiting is not None
    return waits and now - memory.looked_at < LOOKED_EVERY


@dataclass
class _Waiting:
    told: RebootUnderWay
    client: Caller
    task: asyncio.Task[None] = field(init=False)
    ask: asyncio.Event = field(default_factory=asyncio.Event)
    visited: bool = False
    """A visit waits for the answer, and need not be woken."""


class Returns:
    """The units of all pairs that are waited for.

    Args:
        boot: asks a unit which start of it this is.
        wake: makes the lane visit a pair.
        clock: monotonic seconds.
    """

    def __init__(
        self, *, boot: Boot, wake: Callable[[PairKey], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._boot, self._wake, self._clock = boot, wake, clock
        self._waiting: dict[tuple[PairKey, Role], _Waiting] = {}

    async def is_back(self, key: PairKey, role: Role, told: RebootUnderWay, client: Caller) -> bool:
        """Whether the unit may be looked at again; if not, the pair is woken when it may."""
        waiting = self._waiting.get((key, role))
        if waiting is None or waiting.client is not client or waiting.told != told:
            waiting = self._wait_for(key, role, told, client)
        waiting.ask.set()
        waiting.visited = True
        await asyncio.wait({waiting.task}, timeout=ANSWERS_WITHIN)
        waiting.visited = False
        return waiting.task.done()

    def expect(self, key: PairKey, role: Role, client: Caller, fault: UnitFault) -> None:
        """A unit is down, and not by our word: by that of an earlier process, it may be, or of a person.

        Its pair is woken when it answers again; looks at it come with growing pauses until then.
        """
        waiting = self._waiting.get((key, role))
        waits = waiting is not None and waiting.client is client and not waiting.task.done()
        if fault.reason in _DOWN and not waits:
            self._wait_for(key, role, RebootUnderWay("", self._clock()), client)

    def forget(self, key: PairKey, *roles: Role) -> None:
        """These units are back, or not waited for any more; without roles: both."""
        for role in roles or Role:
            self._cancel(key, role)

    def close(self) -> None:
        """Wait for nobody any more."""
        for key, role in list(self._waiting):
            self._cancel(key, role)

    def _wait_for(self, key: PairKey, role: Role, told: RebootUnderWay, client: Caller) -> _Waiting:
        self._cancel(key, role)
        waiting = self._waiting[key, role] = _Waiting(told, client)
        waiting.task = asyncio.create_task(self._until_back(key, waiting), name=f"return of {key} {role}")
        return waiting

    def _cancel(self, key: PairKey, role: Role) -> None:
        waiting = self._waiting.pop((key, role), None)
        if waiting is not None:
            waiting.task.cancel()

    async def _until_back(self, key: PairKey, waiting: _Waiting) -> None:
        while (pause := await self._ask(waiting)) is not None:
            try:
                async with asyncio.timeout(pause):
                    await waiting.ask.wait()
            except TimeoutError:
                pass
        if not waiting.visited:
            self._wake(key)

    async def _ask(self, waiting: _Waiting) -> float | None:
        """Ask once; seconds until the next time, None: it is back, or away for another reason."""
        waiting.ask.clear()
        least = ASKED_EVERY
        try:
            if await self._boot(waiting.client) != waiting.told.boot:
                return None
            least = GOING_EVERY
        except UnitFault as fault:
            if fault.reason not in _AWAY:
                return None
        if not waiting.told.boot:
            return LOOKED_EVERY
        since = self._clock() - waiting.told.since
        if least == GOING_EVERY and since >= GOES_DOWN_SECONDS:
            return None  # it has not heard it
        # An appliance takes minutes, and a lost one is away for ever.
        return min(LOOKED_EVERY, max(least, since / 60))

"""A few milliseconds for visits in each round of the event loop, which leave room for what is urgent.

Visits compute: an answer is parsed, a plan is made, a status rendered, some ten milliseconds each. When all
pairs are looked at again, every round of the loop would go on with as many visits as may run at a time, and
who has to be told of a fail-over needs some ten rounds. `workqueue` runs visits by it, and what a visit does
side by side takes turns too (`in_turns`); what others wait for takes none (`at_once`), nor does what the
watch lane does.
"""

import asyncio
import contextvars
import types
from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any, Final, TypeVar

T = TypeVar("T")

BUDGET_SECONDS: Final = 0.004
"""Of one round of the event loop, for the steps of all visits together."""

MOST_STEPS: Final = 64
"""In one round, however short steps have been of late."""

_WEIGHT: Final = 0.1
"""Of the last step in the length that is expected of the next one."""


class Turns:
    """Gives turns in the order in which they are asked for: in each round as many as are likely to fit in."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._giving = False
        self._expected = BUDGET_SECONDS

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the current task, each step of it in a turn of its own."""
        token = _current.set(self)
        try:
            return await self._stepwise(work)
        finally:
            _current.reset(token)
            work.close()  # has no effect on one that has ended

    def _turn(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        if not self._giving:
            self._giving = True
            loop.call_soon(self._give)
        return turn

    def _give(self) -> None:
        left = max(1, int(BUDGET_SECONDS / max(self._expected, BUDGET_SECONDS / MOST_STEPS)))
        while self._waiting and left:
            turn = self._waiting.popleft()
            if not turn.done():  # who was cancelled does not use up a turn
                turn.set_result(None)
                left -= 1
        self._giving = bool(self._waiting)
        if self._giving:
            asyncio.get_running_loop().call_soon(self._give)

    def _took(self, seconds: float) -> None:
        self._expected += _WEIGHT * (seconds - self._expected)

    @types.coroutine
    def _stepwise(self, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Hand on what the work waits for, and what is thrown into it (a cancellation)."""
        clock = asyncio.get_running_loop().time
        thrown: BaseException | None = None
        while True:
            if thrown is None:
                try:
                    yield from self._turn()
                except BaseException as problem:  # noqa: BLE001 - it is the work's
                    thrown = problem
            began = clock()
            try:
                awaited = work.send(None) if thrown is None else work.throw(thrown)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                self._took(clock() - began)
            thrown = None
            try:
                yield awaited
            except BaseException as problem:  # noqa: BLE001 - it is the work's
                thrown = problem


_current: contextvars.ContextVar[Turns | None] = contextvars.ContextVar("turns", default=None)


def in_turns(work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """For what a visit does beside other parts of it, in a task of its own: it takes turns as they do."""
    turns = _current.get()
    return work if turns is None else turns.run(work)


async def at_once(work: Coroutine[Any, Any, T]) -> T:
    """For what a visit does while others wait for it, with a lock in its hands: it takes no turns."""
    return await asyncio.create_task(work)

"""One step of a visit in each round of the event loop, so that many visits leave room for what is urgent.

Visits compute: an answer is parsed, a plan is made, a status rendered, some ten milliseconds each. When all
pairs are looked at again, every round of the loop would go on with as many visits as may run at a time, and
who has to be told of a fail-over needs some ten rounds. `workqueue` runs visits by it; what the watch lane
does takes no turns.
"""

import asyncio
import types
from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Turns:
    """Gives turns in the order in which they are asked for, one in each round of the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._giving = False

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the current task, each step of it in a turn of its own."""
        try:
            return await self._stepwise(work)
        finally:
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
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # who was cancelled does not use up a round
                turn.set_result(None)
                break
        self._giving = bool(self._waiting)
        if self._giving:
            asyncio.get_running_loop().call_soon(self._give)

    @types.coroutine
    def _stepwise(self, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Hand on what the work waits for, and what is thrown into it (a cancellation)."""
        thrown: BaseException | None = None
        while True:
            if thrown is None:
                try:
                    yield from self._turn()
                except BaseException as problem:  # noqa: BLE001 - it is the work's
                    thrown = problem
            try:
                awaited = work.send(None) if thrown is None else work.throw(thrown)
            except StopIteration as end:
                result: T = end.value
                return result
            thrown = None
            try:
                yield awaited
            except BaseException as problem:  # noqa: BLE001 - it is the work's
                thrown = problem

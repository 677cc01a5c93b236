"""Whether the main event loop still turns, seen from the loop that never waits.

The health port goes on answering what the engine says while the management half of the node is busy. Should
it ever hang for good, nobody could configure the unit and nothing would be synchronised, so the process is
ended and started anew, as one whose engine hangs is (`node_process.STUCK_SECONDS`).
"""

import asyncio
from collections.abc import Callable
from typing import Final

PERIOD: Final = 1.0
PATIENCE: Final = 60
"""Periods in a row that the other loop may owe its answer. Counted: a machine that slept is not stuck."""


class MainLoopWatch:
    """Asks the other loop to answer, again and again.

    Args:
        post: has a function called on the other loop; must not wait.
        stuck: called when it does not answer; not expected to return.
        period: seconds between two looks.
        patience: so many looks without an answer.
    """

    def __init__(
        self,
        post: Callable[[Callable[[], None]], None],
        stuck: Callable[[], None],
        *,
        period: float = PERIOD,
        patience: int = PATIENCE,
    ) -> None:
        self._post = post
        self._stuck = stuck
        self._period = period
        self._patience = patience
        # Each is written by one thread alone: the answer may come while the question is still being put.
        self._asked = 0
        self._answered = 0

    async def run(self) -> None:
        """Go on until cancelled."""
        owed = 0
        while True:
            if self._answered == self._asked:
                owed = 0
                self._asked += 1
                self._post(self._answer)
            owed += 1
            await asyncio.sleep(self._period)
            if owed > self._patience and self._answered != self._asked:
                self._stuck()
                owed = 0

    def _answer(self) -> None:
        self._answered = self._asked

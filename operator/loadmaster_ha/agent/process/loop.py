"""A poll loop of a screen: descriptors with what to call, and a clock. The supervisor's; not asyncio.

asyncio would double the memory of a process that has to be small, and hide in callbacks the one promise that
matters here: every turn is short, and the answer of the health port never waits for anything but the turn
before.
"""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """Calls what is registered for a descriptor when it can be read or written, or has ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        """Monotonic seconds."""
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}

    def register(self, number: int, handler: Callable[[int], None]) -> None:
        """Call `handler(events)` when descriptor `number` is readable or has ended."""
        self._handlers[number] = handler
        self._poll.register(number, select.EPOLLIN)

    def watch_writing(self, number: int, *, wanted: bool) -> None:
        """Call the handler also when the descriptor can be written (or no longer)."""
        self._poll.modify(number, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def unregister(self, number: int) -> None:
        """Forget the descriptor; before it is closed."""
        if self._handlers.pop(number, None) is not None:
            self._poll.unregister(number)

    def turn(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for something, and do all that there is."""
        for number, events in self._poll.poll(max(0.0, timeout)):
            handler = self._handlers.get(number)
            if handler is not None:  # an earlier handler of this turn may have ended it
                handler(events)

    def close(self) -> None:
        """Give the descriptor back."""
        self._poll.close()

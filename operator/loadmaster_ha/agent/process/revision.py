"""A number that grows with every change of what people and programs watch; `agentwatch` waits for it."""

import asyncio
from collections.abc import Hashable


class Revision:
    """Grows when what is shown to `note` differs from the last time; never 0."""

    def __init__(self) -> None:
        self.number = 1
        self.settings = 1
        """Grows with every change of settings; the number grows with it."""
        self._seen: Hashable = None
        self._ended = False
        self._grown = asyncio.Event()

    def note(self, seen: Hashable) -> bool:
        """Whether this is another sight than the last one; then the number has grown."""
        if seen == self._seen:
            return False
        self._seen = seen
        self._grow()
        return True

    def note_settings(self) -> None:
        """Settings have changed."""
        self.settings += 1
        self._grow()

    def end(self) -> None:
        """The process ends: nobody is kept waiting, now or later."""
        self._ended = True
        self._grow()

    async def beyond(self, since: int) -> int:
        """Wait until the number differs from `since`, or nothing will change any more; the new one."""
        while self.number == since and not self._ended:
            await self._grown.wait()
        return self.number

    def _grow(self) -> None:
        self.number += 1
        self._grown.set()
        self._grown = asyncio.Event()

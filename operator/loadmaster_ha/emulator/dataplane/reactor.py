"""The data plane's event loop: epoll, timers, one thread.

Why not asyncio: a forwarder has two sockets per flow and nothing to await; callbacks on file descriptors
carry several times as many connections per second. Descriptors can be registered as *urgent*: they, and the
timers, are served between any two small batches of the others, so that probes keep their rhythm under load.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import select
import time
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler: TypeAlias = Callable[[int], None]

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
ERROR: Final = select.EPOLLERR
FAILED: Final = ERROR | select.EPOLLHUP
PEER_ENDED: Final = select.EPOLLRDHUP

_BATCH: Final = 32
_LOG = logging.getLogger(__name__)


class Timer:
    """A call that is due at `when` (`time.monotonic`), until it is cancelled."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None] | None) -> None:
        self.when = when
        self.call = call

    def cancel(self) -> None:
        """Forget the call; harmless when it has happened."""
        self.call = None


class Reactor:
    """Calls handlers when their descriptors are ready, and timers when they are due, until `stop`."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        """When the batch at hand began; good enough for idle times."""
        self._ordinary = select.epoll()
        self._urgent = select.epoll()
        self._ordinary.register(self._urgent.fileno(), READ)
        self._handlers: dict[int, Handler] = {}
        self._urgent_ones: set[int] = set()
        self._fresh: set[int] = set()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._running = True

    def register(self, descriptor: int, events: int, handler: Handler, *, urgent: bool = False) -> None:
        """Call `handler(events)` whenever the descriptor is ready for one of `events`, or failed."""
        self._handlers[descriptor] = handler
        self._fresh.add(descriptor)
        if urgent:
            self._urgent_ones.add(descriptor)
            self._urgent.register(descriptor, events)
        else:
            self._ordinary.register(descriptor, events)

    def modify(self, descriptor: int, events: int) -> None:
        """Change what a registered descriptor is watched for."""
        (self._urgent if descriptor in self._urgent_ones else self._ordinary).modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Stop watching a descriptor; to be called before it is closed."""
        if self._handlers.pop(descriptor, None) is None:
            return
        if descriptor in self._urgent_ones:
            self._urgent_ones.discard(descriptor)
            self._urgent.unregister(descriptor)
        else:
            self._ordinary.unregister(descriptor)

    def replace(self, descriptor: int, handler: Handler) -> None:
        """Give a registered descriptor another handler."""
        self._handlers[descriptor] = handler

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        """Call back at `when` (`time.monotonic`)."""
        timer = Timer(when, call)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call back after `seconds`."""
        return self.call_at(time.monotonic() + seconds, call)

    def stop(self) -> None:
        """Let `run` return after the handler at hand."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        while self._running:
            self._serve(self._ordinary, self._patience())
            self._serve(self._urgent, 0)
            self._due()

    def close(self) -> None:
        """Let the kernel's objects go."""
        self._ordinary.close()
        self._urgent.close()

    def _patience(self) -> float:
        """Return the seconds until the next timer; -1 when there is none."""
        if not self._timers:
            return -1
        return max(0.0, self._timers[0][0] - time.monotonic())

    def _serve(self, poll: select.epoll, patience: float) -> None:
        ready = poll.poll(patience, _BATCH)
        self.now = time.monotonic()
        self._fresh.clear()
        for descriptor, events in ready:
            # The number of a descriptor that was closed in this batch may have been given out again: what was
            # reported for the old one is not for the new one, which will be reported by itself.
            handler = self._handlers.get(descriptor)
            if handler is None or descriptor in self._fresh:
                continue
            _guarded(handler, events)

    def _due(self) -> None:
        now = self.now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            call, timer.call = timer.call, None
            if call is not None:
                _guarded(call)


def _guarded(call: Callable[..., None], *arguments: int) -> None:
    """Call a handler; one that fails must not end the traffic of all others."""
    try:
        call(*arguments)
    except Exception:  # noqa: BLE001 - logged with its trace; the loop goes on
        _LOG.exception("a handler of the data plane failed")

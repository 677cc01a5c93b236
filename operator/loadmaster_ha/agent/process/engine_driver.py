"""Drives the HA engine: events in, effects out, a tick when the engine wants one.

The engine is pure (`agent.ha.engine`); this gives it the clock, and nothing here decides anything. One event
at a time: what an effect's handler feeds back waits until the step is over. A failure in it is not survived:
the process ends, the supervisor answers 503, and starts another one.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from loadmaster_ha.agent.ha import engine
from loadmaster_ha.agent.ha.model import Answer, Effect, Event, Tick, View


class EngineDriver:
    """The engine, alive.

    Args:
        boot_id: new with every start of the process.
        perform: does an effect; must not block.
        stepped: called after every event that was taken in, with its effects done.
        failed: called when a step, or an effect, raised.
        clock: monotonic seconds, the event loop's own.
    """

    def __init__(
        self,
        boot_id: str,
        perform: Callable[[Effect], None],
        stepped: Callable[[], None],
        failed: Callable[[BaseException], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._state = engine.start(clock(), boot_id)
        self._perform = perform
        self._stepped = stepped
        self._failed = failed
        self._waiting: deque[Event] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self.answer: Answer | None = None
        """What the health port is to say; None before the first step."""

    @property
    def last_step(self) -> float:
        """When, monotonic seconds."""
        return self._state.stepped

    def view(self) -> View:
        """The engine's state now."""
        return engine.view(self._state, self.clock())

    def feed(self, event: Event) -> None:
        """Have the engine take an event in, and do what it wants done."""
        self._waiting.append(event)
        if self._busy or self._ended:
            return
        self._busy = True
        try:
            while self._waiting:
                self._step(self._waiting.popleft())
            self._stepped()
            self._wind()
        except Exception as problem:  # noqa: BLE001 - whatever it is, the process cannot go on
            self.end()
            self._failed(problem)
        finally:
            self._busy = False

    def end(self) -> None:
        """No more ticks."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()

    def _step(self, event: Event) -> None:
        self._state, effects = engine.step(self._state, event, self.clock())
        for effect in effects:
            if isinstance(effect, Answer):
                self.answer = effect
            self._perform(effect)

    def _wind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now = self.clock()
        due = engine.next_deadline(self._state, now)
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self.feed, Tick())

"""The thread of what must never wait: an event loop that the work of a thousand services does not run on.

The node process has two event loops. This one carries the HA engine, the partner link, the word to the
supervisor and the watch over HAProxy (`high_availability`): short turns, always. Everything that grows with
the settings (the management API, the store, synchronisation, rendering) runs on the main one and may keep it
for a second. The interpreter lets one thread run at a time and takes turns between them (`SWITCH_SECONDS`).
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

SWITCH_SECONDS: Final = 0.001
"""How long another thread may keep the interpreter when this one wants it (Python's default is 5 ms)."""

_NICE: Final = -4
"""This thread's, where it is allowed (CAP_SYS_NICE): after the health responder, before all else here."""

_PATIENCE: Final = 2.0
"""Seconds; for a loop that has stopped."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class HaThread:
    """The loop and its thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="high-availability", daemon=True)

    def start(self) -> None:
        """Begin."""
        sys.setswitchinterval(SWITCH_SECONDS)
        self._thread.start()

    def stop(self) -> None:
        """End; what is still on the loop is not waited for. Of any other thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(
        self,
        function: Callable[_Arguments, object],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> None:
        """Have this called on the loop: at once when that is where we are, else soon, in the order of calls.

        After `stop` nothing happens.
        """
        if threading.current_thread() is self._thread:
            function(*arguments, **named)
        else:
            with contextlib.suppress(RuntimeError):  # closed
                self._loop.call_soon_threadsafe(lambda: function(*arguments, **named))

    def do(
        self, function: Callable[_Arguments, object], *arguments: _Arguments.args, **named: _Arguments.kwargs
    ) -> None:
        """As `call`, and wait until it has been called: a matter of milliseconds, as this loop is."""
        done = threading.Event()

        def perform() -> None:
            try:
                function(*arguments, **named)
            finally:
                done.set()

        self.call(perform)
        done.wait(_PATIENCE)

    async def run(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine on the loop and wait for its result on this one's."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        self._loop.run_forever()

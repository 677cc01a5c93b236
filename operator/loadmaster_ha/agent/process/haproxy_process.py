"""HAProxy as its supervisor sees it: a master process that outlives the node process, with its workers.

Its command line comes from the node, which has rendered and checked the configuration before. A change of the
configuration is a reload over the master socket and none of this module's business. The signals are those of
HAProxy's management guide, 4 and 5: SIGUSR1 ends after the last connection, SIGTERM ends now.
"""

from __future__ import annotations

import signal

from loadmaster_ha.agent.process import children
from loadmaster_ha.agent.process.haproxy_leftover import Leftover
from loadmaster_ha.agent.process.haproxy_log import HAProxyLog

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    from loadmaster_ha.agent.process.console import Console
    from loadmaster_ha.agent.process.loop import Loop

_PAUSES: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
_CALM: Final = 30.0
_REPEAT: Final = 0.5
"""Seconds after which a signal to stop is sent again: a master that executes itself anew (as it does at its
start and at each reload) loses those that come meanwhile, HAProxy 2.6 at least."""
_OCCUPIED: Final = 1.0
"""Seconds until it is tried again to start it where that of another supervisor runs."""


class HAProxyProcess:
    """Starts HAProxy, keeps it running, tells `changed` of every start and end."""

    def __init__(
        self,
        loop: Loop,
        console: Console,
        environment: Mapping[str, str],
        changed: Callable[[], None],
        finish_seconds: float,
    ) -> None:
        self._loop = loop
        self._console = console
        self._log = HAProxyLog(loop, console)
        self._leftover = Leftover(loop, console, finish_seconds)
        self._environment = environment
        self._changed = changed
        self._child: children.Child | None = None
        self._command: tuple[str, ...] = ()
        self._pause = 0
        self._due: float | None = None
        self._stopping: int | None = None
        self.starts = 0

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._child is not None and self._child.running

    def describe(self) -> dict[str, object]:
        """For the node: whether it runs, its process id, how the last one ended, how often it was started."""
        child = self._child
        return {
            "running": self.running,
            "pid": child.pid if child is not None and child.running else None,
            "outcome": child.outcome if child is not None else "",
            "starts": self.starts,
        }

    def want(self, command: Sequence[str]) -> None:
        """Have it run with this command line; one that runs with another one goes on until its end."""
        self._command = tuple(command)
        self._stopping = None
        if not self.running and self._due is None:
            self._due = self._loop.now()

    def tick(self, now: float) -> None:
        """Start it when it is due; tell it, or one of a former life, again to stop."""
        self._leftover.tick(now)
        if self._stopping is not None and self._due is not None and now >= self._due:
            self._send(self._stopping, now)
        if not self._command or self.running or self._due is None or now < self._due:
            return
        if not self._leftover.clear(self._command, now):
            self._due = now + _OCCUPIED
            return
        self._due = None
        self._child = children.start(
            self._command,
            environment=self._environment,
            now=now,
            on_parents_death=signal.SIGUSR1,
            output=self._log.output,
        )
        self.starts += 1
        self._console.info("HAProxy is started", pid=self._child.pid)
        self._changed()

    @property
    def next_deadline(self) -> float:
        """When `tick` has something to do, monotonic seconds."""
        return min(self._leftover.next_deadline, self._due if self._due is not None else float("inf"))

    def reaped(self, pid: int, status: int) -> bool:
        """Take note of the end of a process, if it was this one."""
        child = self._child
        if child is None or child.pid != pid or not child.running:
            return False
        child.ended(status)
        # A master that is killed leaves its workers behind. They would share the ports with the next one's
        # and serve what was set long ago: they may finish what they have.
        child.send_group(signal.SIGUSR1)
        if self._command:
            now = self._loop.now()
            if now - child.started >= _CALM:
                self._pause = 0
            pause = _PAUSES[min(self._pause, len(_PAUSES) - 1)]
            self._pause += 1
            self._due = now + pause
            self._console.error(f"HAProxy has {child.outcome}; it is started again in {pause:g} s", pid=pid)
        else:
            child.outcome = ""  # it was told to end: no failure that the node of the next boot should hear of
        self._changed()
        return True

    def stop(self, number: int) -> None:
        """End it with this signal, and start none again until `want` is called."""
        self._command = ()
        self._pause = 0
        self._stopping = number
        self._due = None
        now = self._loop.now()
        self._leftover.stop(number, now)
        if self.running:
            self._send(number, now)

    def _send(self, number: int, now: float) -> None:
        if self._child is None or not self._child.running:
            self._due = None
            return
        if number == signal.SIGKILL:
            self._child.send_group(number)
        self._child.send(number)
        self._due = now + _REPEAT

    def close(self) -> None:
        """Read no more of what it says."""
        self._leftover.close()
        self._log.close()

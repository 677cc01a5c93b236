"""The node process as its supervisor sees it: a child, a socket to it, and a lease that it has to renew.

While the lease holds, the health port says what the node said last; when it is over, or the socket has ended,
there is no such word (`answers` is None), and the supervisor says 503. Silence becomes a 503.
"""

from __future__ import annotations

import os
import signal
import socket

from loadmaster_ha.agent.process import children, messages

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Final

    from loadmaster_ha.agent.process.console import Console
    from loadmaster_ha.agent.process.loop import Loop

DESCRIPTOR: Final = "LOADMASTER_AGENT_SUPERVISOR"
"""Environment variable with the number of the node's end of the socket pair."""

STUCK_SECONDS: Final = 30.0
"""A node that has been silent for so long is killed and started again."""

PARTING_SECONDS: Final = 2.0
"""A node that has let go of its supervisor is about to end; after this it is made to."""

DEAF_SECONDS: Final = 5.0
"""A node that has been silent for so long is not waited for when all is to stop."""

START_SECONDS: Final = 60.0
"""A node that has not said anything for so long after its start."""

LONGEST_LEASE: Final = 2.0
_PAUSES: Final = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
_CALM: Final = 60.0
"""Having run for so long, it is started again without the pause that earlier deaths have earned."""

_NICE: Final = 1
"""The responder comes first when the processor is short."""


class NodeProcess:
    """Starts the node, keeps it running, and takes its messages."""

    def __init__(
        self,
        loop: Loop,
        console: Console,
        command: Sequence[str],
        environment: Mapping[str, str],
        received: Callable[[messages.Message], None],
    ) -> None:
        self._loop = loop
        self._console = console
        self._command = command
        self._environment = environment
        self._received = received
        self._child: children.Child | None = None
        self._socket: socket.socket | None = None
        self._lines = messages.Lines()
        self._outgoing = b""
        self._pause = 0
        self._due: float | None = None
        self._alive_until = 0.0
        self._silent_since = 0.0
        self._heard = False
        self._kill_due = float("inf")
        self.answers: dict[str, tuple[int, str]] | None = None
        """What to answer, by source of the request; None once the lease is over."""
        self.restarts = 0
        self.wanted = True
        """Whether it is started again when it ends."""

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._child.pid if self._child is not None and self._child.running else None

    @property
    def status(self) -> int | None:
        """Exit status of the last one; None while it runs and when a signal ended it."""
        return self._child.status if self._child is not None else None

    def start(self, hello: Mapping[str, Any]) -> None:
        """Start it; `hello` is the first message to it."""
        ours, its = socket.socketpair()
        now = self._loop.now()
        try:
            self._child = children.start(
                self._command,
                environment={**self._environment, DESCRIPTOR: str(its.fileno())},
                now=now,
                on_parents_death=signal.SIGKILL,
                keep=(its.fileno(),),
                nice=_NICE,
            )
        finally:
            its.close()
        ours.setblocking(False)
        self._socket = ours
        self._lines = messages.Lines()
        self._outgoing = b""
        self._due = None
        self._heard = False
        self._kill_due = float("inf")
        self._silent_since = now + START_SECONDS - STUCK_SECONDS
        self._loop.register(ours.fileno(), lambda _events: self._readable())
        self.send(messages.HELLO, **hello)

    def send(self, kind: str, **fields: Any) -> None:
        """Tell the node something; never waits."""
        if self._socket is not None:
            self._outgoing += messages.encode(kind, **fields)
            self._flush()

    @property
    def attentive(self) -> bool:
        """Whether it takes what it is sent; else what can be summed up should be."""
        return self._socket is not None and not self._outgoing

    def say(self, message: messages.Message) -> bool:
        """Take note of what the node wants answered; True when it is this process' first word."""
        lease = min(float(message["lease"]), LONGEST_LEASE)
        self._alive_until = float(message["at"]) + lease
        self._silent_since = self._loop.now()
        self.answers = {source: (int(code), str(text)) for source, (code, text) in message["answers"].items()}
        first, self._heard = not self._heard, True
        return first

    def check_lease(self, now: float) -> None:
        """Forget what it said when that holds no longer."""
        if self.answers is not None and now >= self._alive_until:
            self.answers = None
            self._console.warning("The node process is silent: the health port answers 503", pid=self.pid)

    def tick(self, now: float) -> bool:
        """Check lease and child; True when it is time to start it (again)."""
        self.check_lease(now)
        if now >= self._kill_due:
            self._kill_due = float("inf")
            self.signal(signal.SIGKILL)
        if self.running and now - self._silent_since > STUCK_SECONDS:
            self._console.error("The node process is stuck and is killed", pid=self.pid)
            self._silent_since = now
            self.signal(signal.SIGKILL)
        return self.wanted and self._due is not None and now >= self._due

    def silent(self, now: float) -> bool:
        """Whether it has said nothing for longer than any process that lives."""
        return now - self._silent_since > DEAF_SECONDS

    @property
    def next_deadline(self) -> float:
        """When `tick` has something to do at the latest, monotonic seconds."""
        return min(self._alive_until if self.answers is not None else float("inf"), self._due or float("inf"))

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        if self._child is not None:
            self._child.send(number)

    def reaped(self, pid: int, status: int) -> bool:
        """Take note of the end of a process, if it was this one."""
        child = self._child
        if child is None or child.pid != pid or not child.running:
            return False
        # What it said last may still be in the socket (`stopped`, and then it exits).
        self._readable()
        child.ended(status)
        self._hang_up()
        now = self._loop.now()
        if now - child.started >= _CALM:
            self._pause = 0
        pause = _PAUSES[min(self._pause, len(_PAUSES) - 1)]
        self._pause += 1
        self._due = now + pause
        return True

    def count_restart(self) -> None:
        """Say that it is started again, if it is."""
        if self.wanted and self._child is not None and self._due is not None:
            self.restarts += 1
            pause = max(0.0, self._due - self._loop.now())
            self._console.error(
                f"The node process has {self._child.outcome}; it is started again in {pause:.1f} s",
                pid=self._child.pid,
            )

    def fresh(self) -> None:
        """Forget earlier deaths: a new boot."""
        self._pause = 0
        self._due = None

    def _readable(self) -> None:
        while self._socket is not None:
            try:
                received = self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                received = b""
            if not received:
                self._hang_up()
                self._kill_due = self._loop.now() + PARTING_SECONDS  # it is no use any more
                return
            try:
                for message in self._lines.feed(received):
                    self._received(message)
            except (messages.Malformed, KeyError, TypeError, ValueError) as problem:
                self._console.error(f"The node process sent nonsense and is killed: {problem}", pid=self.pid)
                self._hang_up()
                self.signal(signal.SIGKILL)
                return
        if self._outgoing:
            self._flush()

    def _flush(self) -> None:
        if self._socket is None:
            return
        try:
            sent = self._socket.send(self._outgoing)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # its end is read in a moment
        self._outgoing = self._outgoing[sent:]
        self._loop.watch_writing(self._socket.fileno(), wanted=bool(self._outgoing))

    def _hang_up(self) -> None:
        self.answers = None
        if self._socket is not None:
            self._loop.unregister(self._socket.fileno())
            self._socket.close()
            self._socket = None


def own_descriptor(environment: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The node's end, in the node process; None when no supervisor started it."""
    number = environment.get(DESCRIPTOR, "")
    return socket.socket(fileno=int(number)) if number.isdigit() else None

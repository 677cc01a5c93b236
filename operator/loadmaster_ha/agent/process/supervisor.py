"""`loadmaster-agent run`, once its configuration is read: the health responder, parent of all else here.

It is the one process that must not fail, so it does little: it answers on the health port (`responder`) what
the node process (`node_process`) last told it to, starts that and HAProxy (`haproxy_process`) again when they
end, and takes everything down in order. It decides nothing about the pair. Standard library only; `cli.agent`
replaces itself by it (execve), so that no memory of reading YAML stays behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time

from loadmaster_ha.agent.process import children, messages, responder
from loadmaster_ha.agent.process.console import Console
from loadmaster_ha.agent.process.haproxy_process import HAProxyProcess
from loadmaster_ha.agent.process.loop import Loop
from loadmaster_ha.agent.process.node_process import NodeProcess
from loadmaster_ha.agent.process.responder import Responder
from loadmaster_ha.agent.process.systemd import Notifier

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

OK, FAILED, MISUSED = 0, 1, 2

_TURN: Final = 0.25
"""Seconds between two looks at everything, when nothing happens before."""

_BIND_RETRY: Final = 1.0
_BOOT_PAUSE: Final = 1.0
"""How long 8444 stays closed at least during a reboot."""

_QUICK: Final = 3.0
"""How long a child may take to end when it is told to end now."""

_NICE: Final = -5
"""The responder's, where it is allowed (CAP_SYS_NICE)."""

SILENT: Final = (503, "Unit is unavailable")
"""While the node process starts, is silent, or has ended."""

# What the supervisor is about. Each phase ends when what it waits for has happened, or at its deadline.
RUNNING: Final = "running"
HANDING_OVER: Final = (
    "handing over"  # the node was told to stop, and answers 503 until the balancer has seen it
)
DRAINING: Final = "draining"  # the node is gone; 503 is answered for the rest of the drain time
FINISHING: Final = "finishing"  # HAProxy accepts no more and finishes its connections
ENDING: Final = "ending"  # everything is told to end now
OVER: Final = "over"


class Supervisor:
    """One run of it.

    The plan is what `cli.agent` has made of the configuration, see `plan_of` there:

    `node` (command line), `configuration` (for the node, not looked at here), `drain_seconds`,
    `hand_over_seconds` (limit for the node's clean stop), `finish_seconds` (limit for HAProxy's connections),
    `log_format`, `log_level`.
    """

    def __init__(self, plan: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._plan = plan
        self._console = Console(style=plan["log_format"], level=plan["log_level"])
        self._loop = Loop()
        self._notifier = Notifier(environment)
        environment = Notifier.without(environment)
        # aiohttp reads all the system's certificate authorities at its import (2 MB), and the node has no use
        # for them.
        for_node = {**environment, "SSL_CERT_FILE": os.devnull}
        self._responder = Responder(self._loop, self._answer, self._asked)
        self._node = NodeProcess(self._loop, self._console, plan["node"], for_node, self._received)
        self._haproxy = HAProxyProcess(
            self._loop, self._console, environment, self._tell_haproxy, plan["finish_seconds"]
        )
        self._phase = RUNNING
        self._entered = 0.0
        self._deadline = float("inf")
        self._reboot = False
        self._exit = OK
        self._boot_time = time.time()
        self._kept: dict[str, Any] = {}
        self._wanted: tuple[tuple[str, int], ...] = ()
        self._bind_due = float("inf")
        self._unbound: dict[tuple[str, int], str] = {}
        self._unheard = False
        self._last_probe: float | None = None
        self._last_ok = float("-inf")
        self._terminations = 0
        self._said = False

    def run(self) -> int:
        """Run until told to stop; the exit status."""
        wakeup = self._take_signals()
        _take_precedence()
        self._boot()
        try:
            while self._phase != OVER:
                now = self._loop.now()
                due = min(
                    self._node.next_deadline, self._haproxy.next_deadline, self._deadline, self._bind_due
                )
                self._loop.turn(min(_TURN, due - now))
                self._tick(self._loop.now())
        finally:
            self._responder.close()
            self._node.signal(signal.SIGKILL)
            self._haproxy.stop(signal.SIGTERM)
            self._haproxy.close()
            signal.set_wakeup_fd(-1)
            for end in wakeup:
                end.close()
            self._loop.close()
        self._console.info("Stopped")
        return self._exit

    # What happens

    def _take_signals(self) -> tuple[socket.socket, socket.socket]:
        ours, its = socket.socketpair()
        for end in (ours, its):
            end.setblocking(False)
        signal.set_wakeup_fd(its.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._loop.register(ours.fileno(), lambda _events: self._signalled(ours.recv(512)))
        return ours, its

    def _signalled(self, numbers: bytes) -> None:
        if signal.SIGCHLD in numbers:
            self._reap()
        for number in numbers:
            if number in {signal.SIGTERM, signal.SIGINT}:
                self._terminate(signal.Signals(number).name)

    def _reap(self) -> None:
        for pid, status in children.reap():
            if self._node.reaped(pid, status):
                self._node_ended()
            self._haproxy.reaped(pid, status)

    def _node_ended(self) -> None:
        if self._phase == RUNNING and not self._said and self._node.status == MISUSED:
            self._console.error("The node process cannot run with this configuration, as it said above")
            self._exit = MISUSED
            self._node.wanted = False
            self._end_now()
        else:
            self._node.count_restart()

    def _received(self, message: messages.Message) -> None:
        kind = message["kind"]
        if kind == messages.SAY:
            self._say(message)
        elif kind == messages.HAPROXY:
            if self._phase in {RUNNING, HANDING_OVER}:
                self._haproxy.want(message["command"])
            self._tell_haproxy()
        elif kind == messages.KEEP:
            self._kept = dict(message["values"])
        elif kind in {messages.STOPPED, messages.REBOOT}:
            self._node_stopped(reboot=kind == messages.REBOOT)
        else:
            raise messages.Malformed(f"unknown kind {kind!r}")

    def _say(self, message: messages.Message) -> None:
        first = self._node.say(message)
        now = self._loop.now()
        self._note_ok(now)
        self._responder.know(message["sources"])
        wanted = tuple((str(host), int(port)) for host, port in message["listen"])
        if (first or wanted != self._wanted) and self._phase != ENDING:
            self._wanted = wanted
            self._bind(now)
        if not self._said:
            self._said = True
            self._notifier.tell("READY=1")
        self._notifier.tell(f"STATUS={message['status']}")

    def _note_ok(self, now: float) -> None:
        answers = self._node.answers
        if answers is not None and answers[responder.BALANCER][0] == 200:
            self._last_ok = now

    def _bind(self, now: float) -> None:
        failed = self._responder.listen(self._wanted)
        self._bind_due = now + _BIND_RETRY if failed else float("inf")
        for (host, port), reason in failed.items():
            if self._unbound.get((host, port)) != reason:
                self._console.error(
                    f"The health port cannot listen on {host}:{port}: {reason}; tried again every second"
                )
        for host, port in self._unbound.keys() - failed.keys() & set(self._wanted):
            self._console.info(f"The health port listens on {host}:{port} now")
        self._unbound = failed
        self._node.send(
            messages.LISTENING,
            bound=sorted([host, real] for (host, _), real in self._responder.ports().items()),
            failed=sorted([host, port, reason] for (host, port), reason in failed.items()),
        )

    def _answer(self, source: str) -> tuple[int, str]:
        self._node.check_lease(self._loop.now())  # it may have ended since the last tick
        answers = self._node.answers
        if answers is None or self._phase not in {RUNNING, HANDING_OVER}:
            return SILENT
        return answers.get(source, answers[responder.OTHER])

    def _asked(self, source: str) -> None:
        self._unheard = True
        if source == responder.BALANCER:
            self._last_probe = time.time()
            self._tell_probes()

    def _tell_probes(self) -> None:
        if self._unheard and self._node.attentive:
            self._unheard = False
            counts = sorted([*key, count] for key, count in self._responder.counts.items())
            self._node.send(messages.PROBES, counts=counts, last=self._last_probe)

    def _tell_haproxy(self) -> None:
        self._node.send(messages.HAPROXY, **self._haproxy.describe())

    # What is due

    def _tick(self, now: float) -> None:
        self._note_ok(now)
        self._responder.expire(now)
        if self._node.tick(now) and self._phase == RUNNING:
            self._start_node()
        self._haproxy.tick(now)
        self._tell_probes()
        if now >= self._bind_due:
            self._bind(now)
        self._notifier.beat(now)
        self._proceed(now)

    def _boot(self) -> None:
        self._boot_time = time.time()
        self._kept = {}
        self._node.wanted = True
        self._node.fresh()
        self._start_node()

    def _start_node(self) -> None:
        self._node.start(
            {
                "boot_time": self._boot_time,
                "configuration": self._plan["configuration"],
                "kept": self._kept,
                "restarts": self._node.restarts,
                "haproxy": self._haproxy.describe(),
                "counts": sorted([*key, count] for key, count in self._responder.counts.items()),
                "last_probe": self._last_probe,
            }
        )

    # The end

    def _terminate(self, name: str) -> None:
        self._terminations += 1
        if self._terminations > 1:
            self._console.warning(f"{name} again: ending now")
            self._end_now()
        elif self._phase == RUNNING:
            self._console.info(f"{name}: stopping cleanly; once more ends at once")
            self._notifier.tell("STOPPING=1")
            self._reboot = False
            self._node.wanted = False
            self._enter(HANDING_OVER, self._plan["hand_over_seconds"])
            self._node.send(messages.TERMINATE)
        else:
            self._reboot = False  # a stop during a reboot is a stop

    def _node_stopped(self, *, reboot: bool) -> None:
        self._node.wanted = False
        if reboot and self._terminations == 0:
            self._console.info("Rebooting: the health port is closed, all processes end")
            self._reboot = True
            self._end_now()
        elif self._phase in {RUNNING, HANDING_OVER}:
            self._drain()

    def _drain(self) -> None:
        left = self._last_ok + self._plan["drain_seconds"] - self._loop.now()
        self._enter(DRAINING, max(0.0, left))

    def _end_now(self) -> None:
        self._wanted = ()
        self._bind_due = float("inf")
        self._responder.close()
        self._node.wanted = False
        self._node.signal(signal.SIGTERM)
        self._haproxy.stop(signal.SIGTERM)
        self._enter(ENDING, _QUICK)

    def _enter(self, phase: str, seconds: float) -> None:
        self._phase = phase
        self._entered = self._loop.now()
        self._deadline = self._entered + seconds

    def _proceed(self, now: float) -> None:
        """Go on to the next phase when this one is over."""
        late = now >= self._deadline
        if self._phase == HANDING_OVER and (late or not self._node.running or self._node.silent(now)):
            self._drain()
        elif self._phase == DRAINING and late:
            self._node.signal(signal.SIGTERM)
            self._haproxy.stop(signal.SIGUSR1)
            self._enter(FINISHING, self._plan["finish_seconds"])
        elif self._phase == FINISHING and (late or not self._haproxy.running):
            self._end_now()
        elif self._phase == ENDING:
            if late:
                self._node.signal(signal.SIGKILL)
                self._haproxy.stop(signal.SIGKILL)
                self._deadline = now + _QUICK
            if not self._node.running and not self._haproxy.running:
                self._ended(now)

    def _ended(self, now: float) -> None:
        if not self._reboot:
            self._phase = OVER
        elif now - self._entered >= _BOOT_PAUSE:
            self._reboot = False
            self._phase = RUNNING
            self._deadline = float("inf")
            self._boot()


def _take_precedence() -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)


def main() -> int:
    """Read the plan from the descriptor that the first argument names, and run."""
    with os.fdopen(int(sys.argv[1]), encoding="utf-8") as plan:
        supervisor = Supervisor(json.load(plan), os.environ)
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())

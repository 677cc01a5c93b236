"""Child processes of the supervisor: started so that none outlives it, reaped so that none stays a zombie.

`subprocess` would do the half of it in thrice the memory: no signal on the parent's death, and no orphans,
which a process with the id 1 of a container inherits and has to reap.
"""

from __future__ import annotations

import contextlib
import os
import signal

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

_PR_SET_PDEATHSIG: Final = 1
CANNOT_START: Final = 127
"""Exit status of a child whose program could not be executed, as a shell has it."""


class Child:
    """One process, from its start to its end."""

    def __init__(self, pid: int, command: Sequence[str], started: float) -> None:
        self.pid = pid
        self.command = tuple(command)
        self.started = started
        """Monotonic seconds."""
        self.running = True
        self.outcome = ""
        """How it ended, in words."""
        self.status: int | None = None
        """Its exit status; None while it runs and when a signal ended it."""

    def send(self, number: int) -> None:
        """Send a signal, if it still runs (its id is not used again before it is reaped)."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def send_group(self, number: int) -> None:
        """Send a signal to it and all its descendants that are left, also after its end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)  # it leads a session (`_become`), so that its id is theirs as well

    def ended(self, status: int) -> None:
        """Take note of the end; `status` is that of wait(2)."""
        self.running = False
        if os.WIFSIGNALED(status):
            self.outcome = f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
        else:
            self.status = os.WEXITSTATUS(status)
            self.outcome = f"exited with status {self.status}"


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    now: float,
    on_parents_death: int,
    keep: Sequence[int] = (),
    nice: int = 0,
    output: int | None = None,
) -> Child:
    """Start a program, found by PATH.

    Args:
        command: program and arguments.
        environment: of the program, whole.
        now: monotonic seconds.
        on_parents_death: the signal that the kernel sends it when this process dies.
        keep: descriptors that it inherits beside the three standard ones.
        nice: its niceness, 0 to 19.
        output: a descriptor that is its standard output and error; None: it has this process' own.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return Child(pid, command, now)
    try:  # from here on it is the child: nothing may return
        if output is not None:
            os.dup2(output, 1)
            os.dup2(output, 2)
        _become(parent, on_parents_death, keep, nice)
        os.execvpe(command[0], list(command), dict(environment))  # noqa: S606 - a command of our own making
    except BaseException as problem:  # noqa: BLE001 - whatever it was, two supervisors must not run
        os.write(2, f"{command[0]} cannot be started: {problem}\n".encode())
    finally:
        os._exit(CANNOT_START)


def _become(parent: int, on_parents_death: int, keep: Sequence[int], nice: int) -> None:
    import ctypes  # noqa: PLC0415 - in the child only: the supervisor has no need of it

    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, on_parents_death)
    if os.getppid() != parent:  # it died before prctl took effect
        os._exit(CANNOT_START)
    os.setsid()  # ^C at a terminal is for the supervisor alone, which passes it on in order
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    for descriptor in keep:
        os.set_inheritable(descriptor, True)


def reap() -> list[tuple[int, int]]:
    """Process id and wait(2) status of every child that has ended, orphans among them."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, status))

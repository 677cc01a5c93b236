"""HAProxy's master of a former life, which must not go on beside the one that is started now.

HAProxy ends with its supervisor: the kernel sends it SIGUSR1 (`children`). But a master that executes itself
anew at that moment, as it does at its start and at each reload, loses the signal (2.6 at least). What is left
shares the ports with the next one (SO_REUSEPORT), and serves what was set long ago. So whoever listens on the
master's socket before HAProxy is started is told to finish its connections, again and again until it has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from loadmaster_ha.agent.process.console import Console
    from loadmaster_ha.agent.process.loop import Loop

_REPEAT: Final = 0.5
_CREDENTIALS: Final = struct.Struct("3i")  # unix(7), SO_PEERCRED: process, user, group
_SUPERVISOR: Final = b"loadmaster_ha.agent.process.supervisor"


class Leftover:
    """At most one, from when it is found until it has ended."""

    def __init__(self, loop: Loop, console: Console, finish_seconds: float) -> None:
        self._loop = loop
        self._console = console
        self._finish_seconds = finish_seconds
        self._pid = 0
        self._handle: int | None = None
        self._signal: int = signal.SIGUSR1
        self._due = float("inf")
        self._kill_due = float("inf")
        self._refused = 0

    def clear(self, command: Sequence[str], now: float) -> bool:
        """Find it and begin to end it; False: it is no leftover, as another supervisor is alive above it.

        Args:
            command: what HAProxy is going to be started with.
            now: monotonic seconds.
        """
        socket_option = _argument_of_master_socket(command)
        pid = _listener(socket_option.partition(b",")[0]) if socket_option else 0
        if not pid or pid == self._pid or socket_option not in _command_line(pid):
            return True
        parent = _parent(pid)
        if parent != os.getpid() and _SUPERVISOR in _command_line(parent):
            if self._refused != pid:
                self._refused = pid
                self._console.error(
                    f"HAProxy is not started: that of another agent (process {parent}) runs on "
                    f"{os.fsdecode(socket_option.partition(b',')[0])}. Stop one of the two, or give it a "
                    "stateDirectory and haproxy.directory of its own",
                    pid=pid,
                )
            return False
        self._take(pid, now)
        return True

    def _take(self, pid: int, now: float) -> None:
        self.close()
        try:
            self._handle = os.pidfd_open(pid)
        except OSError:  # it has just ended
            return
        self._pid = pid
        self._loop.register(self._handle, lambda _events: self._ended())
        self._console.warning(
            "HAProxy of a former run of the agent is still there: it is told to finish its connections",
            pid=pid,
        )
        self._kill_due = now + self._finish_seconds
        self._send(now)

    def tick(self, now: float) -> None:
        """Tell it again, when it is due."""
        if now >= self._kill_due:
            self._kill_due = float("inf")
            self._signal = signal.SIGKILL
            self._send(now)
        elif now >= self._due:
            self._send(now)

    @property
    def next_deadline(self) -> float:
        """When `tick` has something to do, monotonic seconds."""
        return min(self._due, self._kill_due)

    def stop(self, number: int, now: float) -> None:
        """End it with this signal from now on: the supervisor is about to end itself."""
        if self._handle is not None:
            self._signal = number
            self._send(now)

    def _send(self, now: float) -> None:
        if self._handle is None:
            return
        self._due = now + _REPEAT
        try:
            if self._signal == signal.SIGKILL:  # its workers have its session
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._pid, self._signal)
            signal.pidfd_send_signal(self._handle, self._signal)
        except ProcessLookupError:
            self._ended()
        except PermissionError:
            self._console.error(
                "HAProxy of a former run of the agent belongs to another account and cannot be ended: it "
                "shares the ports of services until somebody ends it",
                pid=self._pid,
            )
            self.close()

    def _ended(self) -> None:
        self._console.info("HAProxy of a former run of the agent has ended", pid=self._pid)
        self.close()

    def close(self) -> None:
        """Look after it no longer."""
        if self._handle is not None:
            self._loop.unregister(self._handle)
            os.close(self._handle)
        self._handle, self._pid, self._signal = None, 0, signal.SIGUSR1
        self._due = self._kill_due = float("inf")


def _argument_of_master_socket(command: Sequence[str]) -> bytes:
    """`PATH,mode,600` of `-S PATH,mode,600`; nothing: it has none."""
    return os.fsencode(command[command.index("-S") + 1]) if "-S" in command[:-1] else b""


def _listener(path: bytes) -> int:
    """The process that listens on a Unix socket; 0: nobody does, or it is not to be seen from here."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)  # one whose queue is full is not waited for
        client.connect(path)
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return int(_CREDENTIALS.unpack(credentials)[0])
    return 0


def _command_line(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - no pathlib here
        return file.read().split(b"\0")
    return []


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - no pathlib here
        return int(file.read().rpartition(b")")[2].split()[1])
    return 0

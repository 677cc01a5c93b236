"""What HAProxy prints, as log lines of the unit.

HAProxy writes in a form of its own to its standard output and error, and at each reload a line or two for
every service that goes on in the next worker. With a thousand services what matters drowns in them, and
systemd begins to drop lines, the agent's among them. So they pass through here: levelled, dated and in the
form of all others, and what only repeats what the agent says anyway at debug level.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from loadmaster_ha.agent.process.console import Console
    from loadmaster_ha.agent.process.loop import Loop

_READ: Final = 64 * 1024
_LONGEST: Final = 4096
"""Bytes of a line; the rest of it is left out."""
_CAPACITY: Final = 1024 * 1024
"""Bytes that may wait to be read; what is more HAProxy drops: it must never wait for its log."""
_FORM: Final = re.compile(r"\[(NOTICE|WARNING|ALERT|DIAG)\] *\((\d+)\) : ?(.*)")
_EXPECTED: Final = re.compile(
    r"Proxy \S+ stopped \("
    r"|Exiting Master process"
    r"|All workers exited"
    r"|(?:Current|Former) worker .*exited with code (?:0|143)\b"  # 143: by the SIGTERM that it was sent
    r"|CLI : "  # the agent's own commands, and what comes of them:
    r"|Server \S+ is (?:UP/READY \(leaving forced maintenance\)|going DOWN for maintenance)"
)


class HAProxyLog:
    """A pipe for the output of every HAProxy that is started."""

    def __init__(self, loop: Loop, console: Console) -> None:
        self._loop = loop
        self._console = console
        self._rest = b""
        self._end, self.output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        with contextlib.suppress(OSError):  # as much as the system allows
            fcntl.fcntl(self.output, fcntl.F_SETPIPE_SZ, _CAPACITY)
        loop.register(self._end, lambda _events: self._read())

    def close(self) -> None:
        """Tell what is left and give the descriptors back."""
        self._read()
        self._loop.unregister(self._end)
        os.close(self._end)
        os.close(self.output)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            lines = (self._rest + os.read(self._end, _READ)).split(b"\n")
            self._rest = lines.pop()[:_LONGEST]
            for line in lines:
                self._tell(line[:_LONGEST].decode("utf-8", "backslashreplace").rstrip())

    def _tell(self, line: str) -> None:
        if not line:
            return
        form = _FORM.match(line)
        level, pid, message = form.groups() if form else ("WARNING", "", line)
        fields = {"pid": int(pid)} if pid else {}
        self._level(level, message)(f"HAProxy: {message}", **fields)

    def _level(self, level: str, message: str) -> Callable[..., None]:
        if level in {"NOTICE", "DIAG"} or _EXPECTED.match(message):
            return self._console.debug
        return self._console.error if level == "ALERT" else self._console.warning

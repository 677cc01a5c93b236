"""The processes of one unit, found by a mark in their environment, to be killed, frozen and measured.

Children inherit the mark, also those that are nobody's children any more. Works without root for processes of
one's own.
"""

import contextlib
import os
import signal
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

MARK = "LOADMASTER_LAB_UNIT"


class UnitProcesses:
    """All processes that were started with `environment`."""

    def __init__(self) -> None:
        self._mark = f"{MARK}={uuid.uuid4().hex}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to be started with to be found."""
        name, _, value = self._mark.partition("=")
        return {name: value}

    def pids(self, program: str | None = None) -> list[int]:
        """The processes, in the order of their ids; those of one program, if it is given.

        `program` is a file's name (`haproxy`) or a whole word of the command line (a Python module).
        """
        return sorted(pid for pid in self._marked() if program is None or _runs(pid, program))

    def send(self, number: signal.Signals, *, program: str | None = None) -> list[int]:
        """Send all of them a signal, parents first; their ids.

        Repeats until no new one is found: one that was just being forked is not missed.
        """
        reached: list[int] = []
        while fresh := [pid for pid in self.pids(program) if pid not in reached]:
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            reached += fresh
        return reached

    def cpu_seconds(self, pids: Iterable[int] | None = None) -> float:
        """Processor time that those alive, or these, have used so far."""
        return sum(_cpu(pid) for pid in (self.pids() if pids is None else pids))

    def _marked(self) -> Iterator[int]:
        wanted = self._mark.encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        yield int(entry.name)


def memory_of(pid: int) -> tuple[int, int]:
    """Bytes of a process: resident (RSS), and with what it shares divided among the sharers (PSS)."""
    return _status_bytes(pid, "VmRSS"), _proportional(pid)


def command_line(pid: int) -> list[str]:
    """The words of a process's command line; none when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return []
    return text.rstrip("\0").split("\0") if text else []


def _runs(pid: int, program: str) -> bool:
    words = command_line(pid)
    return bool(words) and (Path(words[0]).name == program or program in words)


def _status_bytes(pid: int, key: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return 0


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _cpu(pid: int) -> float:
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

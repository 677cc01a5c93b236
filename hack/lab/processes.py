"""Child processes that never outlive their parent, and say what they said when they fail."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

PR_SET_PDEATHSIG = 1
READY_SECONDS = 60.0
STOP_SECONDS = 25.0
LAST_LINES = 15


class ProcessFailed(Exception):  # noqa: N818 - reads as what happened
    """A program ended, or did not get ready; the message holds the last lines of its log."""


class Process:
    """One program of ours. `async with Process(...)` ends it, by SIGTERM and then by SIGKILL.

    `enter` is called in the child before the program starts (`lab.places.Place.enter_for_good`).
    """

    def __init__(
        self,
        name: str,
        *arguments: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        enter: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._enter = enter
        self._arguments = arguments
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._process: asyncio.subprocess.Process
        self._began = 0

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def __aenter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._began = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                start_new_session=True,  # Ctrl-C in the terminal is ours to act on, in the right order
                preexec_fn=self._prepare,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; its exit status, negative for a signal."""
        return await self._process.wait()

    def _prepare(self) -> None:
        _die_with_parent()
        if self._enter is not None:
            self._enter()

    async def until(self, ready: Callable[[str], bool]) -> str:
        """Wait until what this run has logged satisfies `ready`; that.

        Raises:
            ProcessFailed: the program ended first, or it took longer than a minute.
        """
        for _ in range(int(READY_SECONDS / 0.05)):
            text = self.log.read_bytes()[self._began :].decode("utf-8", "replace")
            if ready(text):
                return text
            if self._process.returncode is not None:
                raise ProcessFailed(f"{self.name} ended with {self._process.returncode}:\n{self.tail()}")
            await asyncio.sleep(0.05)
        raise ProcessFailed(f"{self.name} is not ready after {READY_SECONDS:.0f} s:\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])


def command(name: str) -> str:
    """The path of one of our console scripts in this environment."""
    return str(Path(sys.executable).with_name(name))


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

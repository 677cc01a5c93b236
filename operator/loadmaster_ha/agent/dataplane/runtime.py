"""Speaking with a running HAProxy over its master's socket (management guide, 9.3 and 9.4).

One connection carries one batch of commands and is closed by HAProxy after the last answer. Commands for the
worker go to the current one (`@1`); workers that a reload replaced are never spoken to.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TIME_LIMIT: Final = 5.0
_RELOAD_LIMIT: Final = 30.0
_LOOK_AGAIN: Final = 0.02
_BATCH: Final = 100
"""Commands on one connection."""

_PROCESS: Final = re.compile(
    r"^(?P<pid>\d+)\s+(?P<type>\w+)\s+(?P<reloads>\d+)(?:\s+\[failed: (?P<failed>\d+)\])?"
    r"\s+\S+\s+(?P<version>\S+)",
)


class NotRunning(Exception):  # noqa: N818 - reads as what is the case
    """Nothing listens on the master's socket: HAProxy does not run, or is about to."""


class Silent(Exception):  # noqa: N818 - reads as what is the case
    """HAProxy did not answer in time, or broke off."""


class ReloadFailed(Exception):  # noqa: N818 - reads as what is the case
    """The master could not take the new configuration into use. `serving` tells whether a worker goes on."""

    def __init__(self, text: str, *, serving: bool) -> None:
        super().__init__(text)
        self.serving = serving


@dataclass(frozen=True, slots=True)
class Processes:
    """What `show proc` tells."""

    master: int
    """Process id."""
    reloads: int
    failed: int
    """Reloads that failed since the last one that did not."""
    version: str
    workers: tuple[int, ...] = ()
    """Process ids of those that take new connections: one, or none in trouble."""
    old_workers: tuple[int, ...] = ()
    """Those that finish the connections they have."""

    @classmethod
    def parse(cls, text: str) -> "Processes":
        """Read the answer.

        Raises:
            Silent: it is none.
        """
        found: dict[str, list[re.Match[str]]] = {}
        heading = ""
        for line in text.splitlines():
            if line.startswith("#"):
                heading = line.strip("# ")
            elif match := _PROCESS.match(line):
                found.setdefault("master" if match["type"] == "master" else heading, []).append(match)
        if "master" not in found:
            raise Silent(f"HAProxy's master answers show proc with {text[:80]!r}")
        master = found["master"][0]
        return cls(
            master=int(master["pid"]),
            reloads=int(master["reloads"]),
            failed=int(master["failed"] or 0),
            version=master["version"],
            workers=tuple(int(match["pid"]) for match in found.get("workers", ())),
            old_workers=tuple(int(match["pid"]) for match in found.get("old workers", ())),
        )


@dataclass(frozen=True, slots=True)
class MasterSocket:
    """The master's socket."""

    path: Path

    async def ask(self, text: str, limit: float = _TIME_LIMIT) -> str:
        """Send commands and read until HAProxy closes the connection.

        Raises:
            NotRunning: nothing listens.
            Silent: no answer within the limit, in seconds.
        """
        try:
            async with asyncio.timeout(limit):
                return await self._exchange(text)
        except TimeoutError:
            raise Silent(f"HAProxy's master does not answer within {limit:g} s on {self.path}") from None

    async def processes(self, limit: float = _TIME_LIMIT) -> Processes:
        """Who runs.

        Raises:
            NotRunning, Silent: as `ask`.
        """
        text = await self.ask("show proc\n", limit)
        if not text:
            raise NotRunning("HAProxy ended, or began anew, before it answered")
        return Processes.parse(text)

    async def worker(self, commands: Sequence[str]) -> str:
        """Have the current worker execute commands, in their order; what it says to all of them.

        Raises:
            NotRunning, Silent: as `ask`.
        """
        answers = [
            await self.ask("".join(f"@1 {command}\n" for command in commands[start : start + _BATCH]))
            for start in range(0, len(commands), _BATCH)
        ]
        return "".join(answers)

    async def reload(self) -> Processes:
        """Have the master read the configuration anew, and wait until a new worker serves.

        HAProxy 2.6 tells no result; the counts of reloads and of failed ones, before and after, do.

        Raises:
            NotRunning, Silent: as `ask`.
            ReloadFailed: the master refused the configuration, or could not listen.
        """
        before = await self.processes()
        await self.ask("reload\n")
        try:
            async with asyncio.timeout(_RELOAD_LIMIT):
                after = await self._reloaded(before)
        except TimeoutError:
            raise ReloadFailed(
                f"HAProxy's master has not finished a reload within {_RELOAD_LIMIT:g} s", serving=True
            ) from None
        if after.failed or not set(after.workers) - set(before.workers):
            raise ReloadFailed(
                "HAProxy could not take the configuration into use; its log says why",
                serving=bool(after.workers),
            )
        return after

    async def _reloaded(self, before: Processes) -> Processes:
        # While the master re-executes itself, connections to it are refused or reset.
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            try:
                after = await self.processes(limit=1.0)
            except (NotRunning, Silent):
                continue
            if after.reloads > before.reloads or after.master != before.master:
                return after

    async def _exchange(self, text: str) -> str:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.path))
        except (ConnectionRefusedError, FileNotFoundError):
            raise NotRunning(f"HAProxy does not run: nothing listens on {self.path}") from None
        except OSError as error:
            raise Silent(f"HAProxy's master socket {self.path} cannot be used: {error.strerror}") from error
        try:
            writer.write(text.encode())
            writer.write_eof()
            return (await reader.read()).decode(errors="replace")
        except ConnectionError as error:
            raise NotRunning(
                f"HAProxy ended, or began anew, while it was asked ({error.strerror})"
            ) from error
        finally:
            writer.close()

"""Bringing HAProxy from the configuration that it runs to another one, with the least that does it.

The files come first, so that an HAProxy that starts at any moment finds a good configuration and the current
one; then the worker is told (`difference`), or a reload is. What came of it is looked at afterwards: a worker
that is not as it should be after commands gets a reload, and after a reload that failed the former files are
back.
"""

import asyncio
import logging
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from loadmaster_ha.agent.dataplane import server_state
from loadmaster_ha.agent.dataplane.checker import files_of
from loadmaster_ha.agent.dataplane.difference import Commands, Difference, Reload, Same, difference
from loadmaster_ha.agent.dataplane.files import Folder
from loadmaster_ha.agent.dataplane.model import Configuration, Server, fingerprint_in
from loadmaster_ha.agent.dataplane.runtime import MasterSocket, NotRunning, Processes, ReloadFailed, Silent
from loadmaster_ha.agent.dataplane.watch import request

log = logging.getLogger(__name__)

RELOAD_PAUSE: Final = 1.0
"""Seconds from one reload to the next at least: each leaves a worker that finishes its connections."""
_FREE_OLD_WORKERS: Final = 8
_LONGEST_RELOAD_PAUSE: Final = 30.0

_STATES: Final = "servers.state"

_LOOK_AGAIN: Final = 0.05
_PATIENCE: Final = 60
"""Looks for a master beside a worker that serves: while HAProxy starts or reloads, one is there first."""

_DESCRIPTION: Final = re.compile(r"^description: (\w+)$", re.MULTILINE)
_COMPLAINT: Final = re.compile(
    r"no such|unknown|can't|cannot|invalid|malformed|require|unable|error|fail", re.IGNORECASE
)
_PEM: Final = re.compile(r"-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL)


class Done(StrEnum):
    """What was needed."""

    NOTHING = "Nothing"
    COMMANDS = "Commands"
    """The running worker was told."""
    RELOAD = "Reload"
    FILES = "Files"
    """HAProxy does not run; it will find the configuration when it starts."""


def reload_pause(old_workers: int) -> float:
    """Seconds from one reload to the next, when so many workers still finish their connections.

    Each keeps its memory until `hard-stop-after`: so a unit whose clients stay long and whose settings change
    often reloads less often.
    """
    return min(_LONGEST_RELOAD_PAUSE, RELOAD_PAUSE * max(1, old_workers - _FREE_OLD_WORKERS + 1))


@dataclass(slots=True)
class Applier:
    """Knows what HAProxy runs."""

    master: MasterSocket
    folder: Folder
    health: Path
    """Where a worker takes health requests."""
    running: Configuration | None = None
    """What the current worker runs; None: not known, or there is none."""
    reloaded_at: float = float("-inf")
    """The event loop's time of the last reload."""
    lingering: dict[str, Server] = field(default_factory=dict)
    """By `backend/server`, those that were taken away and still have connections."""
    written: Configuration | None = None
    """What was last written for an HAProxy that starts."""
    _absent_since: float | None = None
    _identity: tuple[int, ...] = ()

    async def look(self, wanted: Configuration) -> Processes | None:
        """See who runs, and what; None: nobody.

        Raises:
            Silent: HAProxy does not answer.
        """
        try:
            processes = await self._processes()
            if processes.workers and self._identity == (processes.master, *processes.workers):
                self._absent_since = None
                return processes
            description = _DESCRIPTION.search(await self.master.worker(["show info"]))
        except NotRunning:
            self.running, self._identity = None, ()
            self._absent_since = self._absent_since or asyncio.get_running_loop().time()
            return None
        self._absent_since = None
        self._identity = (processes.master, *processes.workers)
        self.lingering.clear()
        self.running = self._recognised(description[1] if description else "", wanted)
        return processes

    def absent_for(self) -> float:
        """For how many seconds `look` has found nobody."""
        return 0.0 if self._absent_since is None else asyncio.get_running_loop().time() - self._absent_since

    def needs_reload(self, wanted: Configuration) -> bool:
        """Whether `apply` would reload (after `look`)."""
        return isinstance(self._step_to(wanted), Reload)

    async def apply(self, wanted: Configuration, processes: Processes | None) -> Done:
        """Have HAProxy run this configuration, which was checked; `processes` is from `look`, just before.

        Raises:
            ReloadFailed: the former one is in use again, or still.
            NotRunning, Silent: HAProxy went away meanwhile; the files are written.
            OSError: the files could not be written.
        """
        if processes is None:
            self.folder.put({_STATES: server_state.EMPTY})  # read at the start
            self._write(wanted)
            self._tidy(wanted)
            return Done.FILES
        step = self._step_to(wanted)
        if isinstance(step, Same):
            return Done.NOTHING
        self._write(wanted)
        if isinstance(step, Commands):
            problem = await self._tell(step, wanted)
            if not problem:
                self.running = wanted
                return Done.COMMANDS
            step = Reload(problem)
        log.info("HAProxy is reloaded: %s", step.reason)
        await self._reload(wanted)
        return Done.RELOAD

    async def delete_lingering(self) -> None:
        """Delete servers that were taken away, as far as their connections are over."""
        for where in sorted(self.lingering):
            answer = await self.master.worker([f"del server {where}"])
            if "deleted" in answer.lower() or "no such" in answer.lower():
                del self.lingering[where]

    async def _processes(self) -> Processes:
        """As `MasterSocket.processes`; waits for a master that is not there (again) yet while a worker is."""
        for _ in range(_PATIENCE):
            try:
                return await self.master.processes()
            except NotRunning:
                if not (await request(self.health)).healthy:
                    raise
                await asyncio.sleep(_LOOK_AGAIN)
        raise Silent("HAProxy serves, and nothing listens on its master's socket: was it started without?")

    def _step_to(self, wanted: Configuration) -> Difference:
        if self.running is None:
            return Reload("what it runs is not known")
        return difference(self.running, wanted, self.lingering)

    def _recognised(self, fingerprint: str, wanted: Configuration) -> Configuration | None:
        if fingerprint and self.written is not None and fingerprint == self.written.fingerprint:
            return self.written
        # We are new here: HAProxy outlived the process before us. The files tell what was last wanted of it.
        on_disk = fingerprint_in(self.folder.read("haproxy.cfg") or "")
        return wanted if fingerprint and fingerprint == on_disk == wanted.fingerprint else None

    def _write(self, configuration: Configuration) -> None:
        self.folder.put(files_of(configuration))
        self.written = configuration

    def _tidy(self, configuration: Configuration) -> None:
        self.folder.keep_only("certificates", {**configuration.certificates, **configuration.lists})

    async def _tell(self, step: Commands, wanted: Configuration) -> str:
        """Tell the worker; why a reload is needed after all, or nothing."""
        for path, pem in step.certificates.items():
            answer = await self.master.ask(
                f"@1 set ssl cert {path} <<\n{_payload(pem)}\n\n@1 commit ssl cert {path}\n", limit=10.0
            )
            if "Success" not in answer:
                return f"certificate {path} could not be replaced at run time"
        if not step.commands:
            return ""
        answer = await self.master.worker(step.commands)
        if complaint := next((line for line in answer.splitlines() if _COMPLAINT.search(line)), ""):
            return f"HAProxy says to a change at run time: {complaint}"
        again = {
            f"{name}/{server.name}" for name in step.sections for server in wanted.sections[name].servers
        }
        self.lingering = {where: each for where, each in self.lingering.items() if where not in again}
        self.lingering |= step.removed
        await self.delete_lingering()
        rows = server_state.parse(await self.master.worker(["show servers state"]))
        return server_state.deviation(rows, (wanted.sections[name] for name in step.sections))

    async def _reload(self, wanted: Configuration) -> None:
        former = self.running
        rows = await self.master.worker(["show servers state"])
        states = server_state.handed_over(rows, wanted.sections, former.sections if former else None)
        self.folder.put({_STATES: states})
        self.reloaded_at = asyncio.get_running_loop().time()
        try:
            processes = await self.master.reload()
        except ReloadFailed as failure:
            self._identity = ()
            if former is not None:
                self._write(former)
                if not failure.serving:
                    await self.master.reload()
            raise
        finally:
            self.folder.put({_STATES: server_state.EMPTY})
        self.running, self._identity = wanted, (processes.master, *processes.workers)
        self.lingering.clear()
        self._tidy(wanted)


def _payload(pem: str) -> str:
    """The PEM blocks without the empty lines that would end a payload."""
    blocks = "\n".join(_PEM.findall(pem))
    return "\n".join(line for line in blocks.splitlines() if line.strip())

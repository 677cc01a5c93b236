"""The emulator's side of the data plane: starts its process, tells it what to serve, keeps what it reports.

`server` owns one when `--data-plane` is given; `frontdoor` waits for `applied` after a write, so that what a
write changed holds when its answer arrives; rule health reads `reason_of`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import loadmaster_ha
from loadmaster_ha.emulator.dataplane import topology

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.dataplane.configuration import Options

_LOG = logging.getLogger(__name__)
_PATIENCE_SECONDS: Final = 30.0
_SETTLE_SECONDS: Final = 0.1
_RESTART_SECONDS: Final = 0.5
_LONGEST_LINE: Final = 1 << 28


class DataPlaneError(Exception):
    """The data plane's process does not answer."""


class DataPlane:
    """The running data plane of one emulated cloud.

    Args:
        cloud: What is to be served.
        options: Fixed choices of the process.
    """

    def __init__(self, cloud: Cloud, options: Options) -> None:
        self._cloud = cloud
        self._options = options
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._listening: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._sent = ""
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reasons: dict[tuple[str, str], str] = {}

    async def start(self) -> None:
        """Start the process and serve what is stored.

        Raises:
            DataPlaneError: It does not come up.
        """
        await self._spawn()
        self._cloud.store.on_commit = self._changed.set
        self._cloud.probe_reason = self.reason_of
        await self.applied()
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._settle())]

    async def stop(self) -> None:
        """End the process."""
        self._cloud.store.on_commit = None
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._end_process()

    async def applied(self) -> None:
        """Have the data plane serve what is stored now, and wait until it does.

        Raises:
            DataPlaneError: It does not answer.
        """
        configuration = json.dumps(topology.derive(self._cloud).to_json(), separators=(",", ":"))
        if configuration != self._sent:
            await self._request("configure", configuration)
            self._sent = configuration

    async def flows(self) -> Any:
        """Return what each rule serves, and the flows, as the process sees them.

        Raises:
            DataPlaneError: It does not answer.
        """
        return await self._request("ask", '"flows"')

    async def probes(self, since: float) -> Any:
        """Return what the probes found, with the log from `since` (`time.monotonic`) on.

        Raises:
            DataPlaneError: It does not answer.
        """
        return await self._request("ask", f'"probes","since":{since}')

    def reason_of(self, probe: str, member: str) -> str | None:
        """Return Azure's reason code of a member (comparable ids); `None` before its first probe's end."""
        return self._reasons.get((probe, member))

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            environment = {**os.environ, "PYTHONPATH": _search_path()}
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "loadmaster_ha.emulator.dataplane.worker",
                str(theirs.fileno()),
                json.dumps(asdict(self._options)),
                pass_fds=(theirs.fileno(),),
                env=environment,
            )
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
        self._listening = asyncio.create_task(self._listen(reader, self._writer))

    async def _end_process(self) -> None:
        if self._writer is not None:
            self._writer.close()
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            await asyncio.wait_for(process.wait(), _PATIENCE_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _request(self, kind: str, body: str) -> Any:
        if self._writer is None:
            raise DataPlaneError("the data plane's process does not run")
        self._number += 1
        number = self._number
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._writer.write(f'{{"{kind}":{body},"number":{number}}}\n'.encode())
            return await asyncio.wait_for(answer, _PATIENCE_SECONDS)
        except (TimeoutError, OSError) as error:
            raise DataPlaneError("the data plane's process does not answer") from error
        finally:
            self._waiting.pop(number, None)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self._take(json.loads(line))
        if self._writer is writer:
            self._writer = None
        writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the data plane's process has ended"))

    def _take(self, message: dict[str, Any]) -> None:
        if "reason" in message:
            self._reasons[message["probe"], message["member"]] = message["reason"]
            return
        waiting = self._waiting.get(message["number"])
        if waiting is not None and not waiting.done():
            waiting.set_result(message["answer"])

    async def _follow(self) -> None:
        """Pass every change on; start the process again when it has died."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _RESTART_SECONDS)
            try:
                if self._process is not None and self._process.returncode is not None:
                    await self._restart(self._process.returncode)
                    self._changed.set()
                if self._changed.is_set():
                    self._changed.clear()
                    await self.applied()
            except DataPlaneError:
                _LOG.exception("the data plane could not be told of a change; trying again")
                self._changed.set()
                await asyncio.sleep(_RESTART_SECONDS)

    async def _restart(self, code: int) -> None:
        _LOG.error("the data plane's process has ended with %s: all flows are lost; starting it again", code)
        self._sent = ""
        self._reasons.clear()
        await self._spawn()

    async def _settle(self) -> None:
        """Let operations take effect when they are due: without requests nobody else does."""
        while True:
            await asyncio.sleep(_SETTLE_SECONDS)
            try:
                self._cloud.operations.settle()
                self._cloud.store.flush()
            except Exception:  # noqa: BLE001 - logged with its trace; the next ones must still be settled
                _LOG.exception("an operation could not take effect")


def _search_path() -> str:
    """Where the child finds this package, also when it is not installed."""
    source = str(Path(loadmaster_ha.__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))

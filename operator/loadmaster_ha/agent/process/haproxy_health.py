"""Whether the unit could serve, for the engine: HAProxy's own health, and whether there is an HAProxy.

There are two sources: a request through HAProxy (`dataplane.watch`), and the supervisor, who knows at once
when HAProxy has ended. Well is what a request *after* that has shown. All of it runs on the loop of
`ha_thread`, except for `expect` and `cannot_start`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from loadmaster_ha.agent.dataplane import watch
from loadmaster_ha.agent.dataplane.watch import HealthWatch

_LOOK: Final = 0.05


class HAProxyHealth:
    """Watches HAProxy.

    Args:
        path: the socket for health requests (`dataplane.command.Paths.health`).
        told: whether HAProxy serves, and how that was found out; callable from any thread.
    """

    def __init__(self, path: Path, told: Callable[[bool, str], None]) -> None:
        self._path = path
        self._told = told
        self._absent = ""
        self._expected_until = 0.0
        self._checking: asyncio.Task[None] | None = None
        self.starts = 0
        """Of HAProxy, as the supervisor counts them."""
        self.watch = HealthWatch(path, lambda _: self._tell())

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            await self.watch.run()
        finally:
            self._stop_checking()

    def expect(self, seconds: float) -> None:
        """HAProxy was just asked for: for so long its absence is no failure."""
        self._expected_until = time.monotonic() + seconds

    def cannot_start(self, why: str) -> None:
        """It will not be started."""
        self._expected_until = 0.0
        self._told(False, why)

    def haproxy_told(self, told: Mapping[str, Any]) -> None:
        """The supervisor says whether HAProxy runs."""
        self.starts = int(told["starts"])
        self._stop_checking()
        if told["running"]:
            self._checking = asyncio.get_running_loop().create_task(self._until_it_answers())
        elif told["outcome"]:
            self._expected_until = 0.0
            self._absent = f"HAProxy has {told['outcome']}"
            self._tell()

    def _stop_checking(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None

    async def _until_it_answers(self) -> None:
        while not (await watch.request(self._path)).healthy:  # noqa: ASYNC110 - another process' state
            await asyncio.sleep(_LOOK)
        self._absent = ""
        self._expected_until = 0.0
        self._told(True, "HAProxy answers")

    def _tell(self) -> None:
        health = self.watch.health
        if self._absent:
            self._told(False, self._absent)
        elif health.healthy or time.monotonic() >= self._expected_until:
            self._told(health.healthy, health.detail)

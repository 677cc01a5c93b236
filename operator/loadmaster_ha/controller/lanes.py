"""The three lanes of all pairs, made and joined: Azure, units, watch, with board and exchange between them.

`process` tells of pairs and says when to work and when to end; what a lane does is in `pair` (Azure),
`units` and `watching`. Each has a pace of its own, and none waits for another: what one learns wakes who
needs it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from loadmaster_ha.azure.sessions import Sessions
from loadmaster_ha.controller.board import Board
from loadmaster_ha.controller.credentials import PairSessions
from loadmaster_ha.controller.events import Recorder
from loadmaster_ha.controller.exchange import Exchange
from loadmaster_ha.controller.kubernetes import Kubernetes
from loadmaster_ha.controller.pair import CALM_AGE, PairController
from loadmaster_ha.controller.registry import PairKey, Pairs
from loadmaster_ha.controller.report import Reporter
from loadmaster_ha.controller.settings import Settings
from loadmaster_ha.controller.status_units import stored_refusal
from loadmaster_ha.controller.turns import Turns
from loadmaster_ha.controller.unit_sessions import UnitSessions, WatchSessions
from loadmaster_ha.controller.unit_sources import UnitSources
from loadmaster_ha.controller.units.lane import UnitsController
from loadmaster_ha.controller.units.rebooting import Returns
from loadmaster_ha.controller.units.switching import Switching
from loadmaster_ha.controller.units.writing import Writing
from loadmaster_ha.controller.watching.lane import WatchLane
from loadmaster_ha.controller.watching.sources import AzureLanes, Units
from loadmaster_ha.controller.workqueue import Backoff, Resync, WorkQueue
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.loadmaster import writer
from loadmaster_ha.loadmaster.agent_orders import switchover
from loadmaster_ha.loadmaster.connections import Connections
from loadmaster_ha.loadmaster.observer import boot_of, observe
from loadmaster_ha.planning.units.publishing import is_managed
from loadmaster_ha.telemetry.operator import OperatorMetrics

UNITS_RESYNC_SECONDS: Final = 55.0
"""Changes by hand on an appliance are found within a minute: with the spread of a tenth this stays below
61 s. Node agents announce theirs (`units.lane.WATCHED_SECONDS`)."""

UNITS_BACKOFF: Final = (1.0, 30.0)
"""First and longest pause, in seconds, while something stands in the way."""

UNITS_CONCURRENCY: Final = 32
"""Pairs whose units are visited at the same time; a visit mostly waits for the pace of calls to its units."""


UNITS_PER_SECOND: Final = 6.0
"""Visits to units that begin in one second, when many are due: a visit is 6 to 16 calls over TLS, and the
process has other work. A thousand pairs are looked at within three minutes after a start."""


class _UnitsQueueFigures:
    """Figures of the units' queue, under a kind of their own."""

    def __init__(self, metrics: OperatorMetrics) -> None:
        self._metrics = metrics

    def on_queue(self, depth: int) -> None:
        self._metrics.on_units_queue(depth)

    def on_visit_started(self, waited: float) -> None:
        self._metrics.on_units_visit_started(waited)

    def on_visit_ended(self, outcome: str, seconds: float) -> None:
        self._metrics.on_units_visit_ended(outcome, seconds)


class Lanes:
    """All that works on pairs in one process.

    Args:
        settings: of the process.
        kubernetes: the API server.
        sessions: with Azure; whoever made them closes them.
        pairs: those that the API server has told of.
        recorder: where Events go.
        metrics: of the process.
        permit: asked before each write.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        kubernetes: Kubernetes,
        sessions: Sessions,
        pairs: Pairs,
        recorder: Recorder,
        metrics: OperatorMetrics,
        permit: Callable[[], None],
    ) -> None:
        self._pairs = pairs
        self._connections = Connections()
        self._board = Board(kubernetes, recorder, metrics)
        self._sources = UnitSources(kubernetes, wake=self._wake_units)
        self._clients = UnitSessions(
            self._sources.secrets,
            connections=self._connections,
            observer=metrics,
            stored_refusal=lambda key, role: stored_refusal(self._board.stored(key), role),
            replaced=self._client_replaced,
        )
        self._exchange = Exchange(
            wake_azure=self._wake_azure,
            wake_units=self._wake_units,
            refresh_watch=self._refresh_watch,
            stored=self._board.stored,
        )
        self._azure = PairController(
            kubernetes=kubernetes,
            sessions=PairSessions(kubernetes, sessions),
            pairs=pairs,
            reporter=Reporter(self._board, recorder, metrics),
            permit=permit,
            exchange=self._exchange,
            # A look must not find what the one before it had read.
            calm_age=min(CALM_AGE, settings.resync_seconds / 5),
        )
        turns = Turns()
        self._azure_queue: WorkQueue[PairKey] = WorkQueue(
            self._azure.visit,
            observer=metrics,
            resync=Resync(settings.resync_seconds),
            backoff=Backoff(cap=settings.resync_seconds),
            concurrency=settings.concurrency,
            turns=turns,
        )
        self._units = UnitsController(
            kubernetes=kubernetes,
            pairs=pairs,
            board=self._board,
            exchange=self._exchange,
            sessions=self._clients,
            inputs=self._sources.inputs,
            observe=observe,
            returns=Returns(boot=boot_of, wake=self._wake_units),
            writing=Writing(
                kubernetes=kubernetes,
                board=self._board,
                metrics=metrics,
                permit=permit,
                write=writer.write,
                carry_out=writer.carry_out,
                read_back=writer.read_back,
            ),
            switching=Switching(
                kubernetes=kubernetes,
                board=self._board,
                permit=permit,
                order=switchover,
                wake=self._wake_units,
            ),
            probe_source=settings.azure_probe_source,
            longest_reboot=settings.reboot_timeout_seconds,
        )
        first, longest = UNITS_BACKOFF
        self._units_queue: WorkQueue[PairKey] = WorkQueue(
            self._units.visit,
            observer=_UnitsQueueFigures(metrics),
            resync=Resync(UNITS_RESYNC_SECONDS),
            backoff=Backoff(base=first, cap=longest),
            concurrency=UNITS_CONCURRENCY,
            per_second=UNITS_PER_SECOND,
            turns=turns,
        )
        self._watch = WatchLane(
            facts=self._exchange,
            units=Units(WatchSessions(self._clients), pairs.target, self._exchange.watch_facts),
            azure=AzureLanes(sessions),
            board=self._board,
            figures=metrics,
        )
        self._forgetting: set[asyncio.Task[None]] = set()

    # What process and watch tell

    def told(self, body: Mapping[str, Any]) -> None:
        """The API server told of a pair, whatever about it has changed."""
        self._board.learn(body)

    def changed(self, key: PairKey) -> None:
        """A pair is there, or something about it has changed that work may follow from."""
        target = self._pairs.target(key)
        if target is not None:
            self._sources.put(key, target.spec)
        self._exchange.wanted(key, target)
        self._azure_queue.wake(key)
        if self._units.knows(key) or (target is not None and is_managed(target.spec)):
            self._units_queue.wake(key)

    def look_again(self) -> None:
        """All pairs are to be visited as soon as their turn comes, by all that visit."""
        for key in tuple(self._pairs.keys()):
            self.changed(key)

    def forget(self, key: PairKey) -> None:
        """A pair is gone."""
        self._azure_queue.forget(key)
        self._units_queue.forget(key)
        self._watch.forget(key)
        self._exchange.forget(key)
        self._sources.forget(key)
        task = asyncio.create_task(self._forget(key))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)

    # Work

    async def run(self) -> None:
        """Work until cancelled; visits under way go on (`drain` waits for them).

        Raises:
            LeaseLost: this process may not write any more.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._azure_queue.run(), name="queue of Azure")
            tasks.create_task(self._units_queue.run(), name="queue of units")
            tasks.create_task(self._sources.run(), name="sources of units")
            tasks.create_task(self._board.run(), name="board")
            tasks.create_task(self._watch.run(), name="watch lane")
            await asyncio.sleep(0)  # the watch lane runs from here on
            for key in tuple(self._pairs.keys()):
                self._watch.refresh(key)

    async def drain(self, grace: float) -> bool:
        """Wait for visits under way, at most `grace` seconds; True when all ended by themselves."""
        clean = await asyncio.gather(self._azure_queue.drain(grace), self._units_queue.drain(grace))
        await self._units.close()
        await asyncio.gather(*self._forgetting, return_exceptions=True)
        return all(clean)

    async def close(self) -> None:
        """Close all connections to units."""
        await self._clients.close()
        await self._connections.close()

    def _wake_azure(self, key: PairKey) -> None:
        self._azure_queue.wake(key)

    def _wake_units(self, key: PairKey) -> None:
        target = self._pairs.target(key)
        if target is not None and is_managed(target.spec):
            self._units_queue.wake(key)

    def _client_replaced(self, key: PairKey, role: Role, another: bool) -> None:  # noqa: FBT001 - a callback
        self._watch.ask_anew(key, role, another=another)

    def _refresh_watch(self, key: PairKey) -> None:
        self._watch.refresh(key)

    async def _forget(self, key: PairKey) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._units.forget(key)
            await self._azure.forget(key)

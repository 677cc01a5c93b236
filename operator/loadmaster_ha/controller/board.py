"""The board: the lanes tell it what they found, and it alone renders and writes the status of pairs.

One write at a time per pair, only when something differs, with an Event for each transition and the figures
of the conditions. The Azure and the units lane wait until what they tell is stored, since they build on it
(`azure.operations`, the records of `units[]`); what the watch lane tells passes no queue of visits, so a
thousand pairs that are looked at again do not hold it up. Neighbours: `status_pair` makes the status,
`report` has the words around it, `process` feeds it what the API server tells.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Protocol

from loadmaster_ha.controller import events
from loadmaster_ha.controller.conditions import WANTED, ConditionType
from loadmaster_ha.controller.events import Event, Recorder
from loadmaster_ha.controller.kept_pair import KeptPair
from loadmaster_ha.controller.kubernetes import JSON, KubernetesError
from loadmaster_ha.controller.registry import PairKey, is_managed, key_of
from loadmaster_ha.controller.status import Situation
from loadmaster_ha.controller.status_pair import Parts, render, same
from loadmaster_ha.controller.status_units import UnitsSituation
from loadmaster_ha.controller.turns import at_once
from loadmaster_ha.controller.watching.model import WatchSituation
from loadmaster_ha.telemetry.operator import OperatorMetrics

log = logging.getLogger(__name__)

CARRIED_SECONDS: Final = 300.0
"""So long after taking over, what an earlier process stored counts for a lane that has not reported."""

WATCH_WRITES: Final = 32
"""Statuses that are written at the same time for the watch lane; the API server's own limits are above."""


class StatusAPI(Protocol):
    """The call of `kubernetes.Kubernetes` that is needed."""

    async def apply_status(self, pair: JSON, status: JSON) -> JSON:
        """Store the status; the pair as it is then."""


@dataclass
class _Page:
    """What the board has of one pair. `kept` is the newest that is known."""

    kept: KeptPair
    parts: Parts
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Board:
    """Statuses of all pairs.

    Args:
        api: where they are stored.
        recorder: where Events go.
        metrics: where the figures of conditions go.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        api: StatusAPI,
        recorder: Recorder,
        metrics: OperatorMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        self._began = clock()
        self._pages: dict[PairKey, _Page] = {}
        self._watch_slots = asyncio.Semaphore(WATCH_WRITES)

    def learn(self, body: Mapping[str, Any]) -> None:
        """The API server told of a pair: remember what it has stored, where that is news."""
        key = key_of(body)
        page = self._pages.get(key)
        if page is not None and page.kept.is_newer_than(body):
            return
        if page is None or page.kept.uid != body["metadata"]["uid"]:
            self._pages[key] = _Page(KeptPair(body), Parts(is_managed(body)))
        else:
            page.kept = KeptPair(body)
            self._manage(page, managed=is_managed(body))

    def stored(self, key: PairKey) -> Mapping[str, Any]:
        """The status as it is known to be stored; empty when none is."""
        page = self._pages.get(key)
        return {} if page is None else page.kept.body()["status"]

    def forget(self, key: PairKey) -> None:
        """The pair is gone, and its figures with it."""
        self._pages.pop(key, None)
        self._metrics.on_pair_gone(*key)

    async def azure(self, body: JSON, situation: Situation) -> JSON:
        """Store what a visit to Azure found; the pair as it is then.

        Raises:
            KubernetesError: it could not be stored.
            LeaseLost: this process may not write any more.
        """
        page = self._page(body)
        if page.kept.uid != body["metadata"]["uid"]:
            return body  # another pair has its name by now
        return await at_once(self._put(page, body, azure=situation)) or body

    async def units(self, body: JSON, situation: UnitsSituation) -> bool:
        """Store what a visit to the units found. False: the pair is gone, so nothing could be stored.

        Raises:
            KubernetesError: it could not be stored.
            LeaseLost: this process may not write any more.
        """
        if key_of(body) not in self._pages:
            return False
        page = self._page(body)
        if page.kept.uid != body["metadata"]["uid"]:
            return False
        return await at_once(self._put(page, None, units=situation)) is not None

    async def watched(self, key: PairKey, situation: WatchSituation) -> None:
        """Store what was seen of a pair; of several that come while one is being written, the last.

        Raises:
            KubernetesError: it could not be stored.
            LeaseLost: this process may not write any more.
        """
        page = self._pages.get(key)
        if page is None:
            return
        page.parts = replace(page.parts, watch=situation)
        async with page.lock, self._watch_slots:
            if self._pages.get(key) is page and page.parts.watch is situation:
                await self._store(page.kept.body(), page)

    async def event(self, key: PairKey, event: Event) -> None:
        """Report one Event about a pair.

        Raises:
            LeaseLost: this process may not write any more.
        """
        page = self._pages.get(key)
        if page is not None:
            await self._recorder.record(page.kept.body(), event)

    async def run(self) -> None:
        """End the credit of what earlier processes stored, for lanes that have not looked by then."""
        await asyncio.sleep(max(0.0, self._began + CARRIED_SECONDS - self._clock()))
        for key, page in list(self._pages.items()):
            complete = page.parts.azure and (
                not page.parts.managed or (page.parts.units and page.parts.watch)
            )
            if complete:
                continue
            async with self._held(key, page) as current:
                if current:
                    with contextlib.suppress(KubernetesError):  # the lane's own report comes later
                        await self._store(page.kept.body(), page)

    @contextlib.asynccontextmanager
    async def _held(self, key: PairKey, page: _Page) -> AsyncIterator[bool]:
        async with page.lock:
            yield self._pages.get(key) is page

    def _page(self, body: JSON) -> _Page:
        self.learn(body)
        return self._pages[key_of(body)]

    def _manage(self, page: _Page, *, managed: bool) -> None:
        if managed is not page.parts.managed:
            page.parts = Parts(managed, azure=page.parts.azure)

    async def _put(self, page: _Page, body: JSON | None, **part: Any) -> JSON | None:
        """Store one lane's part. It takes no turns, since the watch lane may wait for the page."""
        async with page.lock:
            page.parts = replace(page.parts, **part)
            return await self._store(body or page.kept.body(), page)

    async def _store(self, body: JSON, page: _Page) -> JSON | None:
        """Write the status if it differs. None: the pair is gone, or another has its name."""
        stored: Mapping[str, Any] = page.kept.body()["status"]
        parts = replace(page.parts, carried=self._clock() - self._began < CARRIED_SECONDS)
        status = render(parts, stored, now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        self._measure(key_of(body), page, status["conditions"])
        if same(stored, status):
            return body
        for event in events.transitions(stored.get("conditions") or (), status["conditions"]):
            await self._recorder.record(body, event)
        try:
            after = await self._api.apply_status(body, status)
        except KubernetesError as problem:
            if problem.status in {404, 409}:  # deleted meanwhile, or another pair of the same name
                return None
            raise
        if not page.kept.is_newer_than(after):
            page.kept = KeptPair(after)
        return after

    def _measure(self, key: PairKey, page: _Page, conditions: list[dict[str, Any]]) -> None:
        rows = [_row(each["type"], each["status"], each["reason"]) for each in conditions]
        if self._pages.get(key) is page:
            self._metrics.on_pair(*key, rows)


@lru_cache(maxsize=1024)
def _row(kind: str, status: str, reason: str) -> tuple[str, str, str, bool]:
    """A condition for the metrics: one object for all pairs that have it."""
    return kind, status, reason, status == WANTED[ConditionType(kind)]

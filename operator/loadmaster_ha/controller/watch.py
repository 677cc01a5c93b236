"""The watch on pairs: the only module that knows kopf.

kopf lists, watches and reconnects; its handler tells the registry and wakes the queue, and nothing else: no
state of kopf's, no finalizers, timers or daemons, no reaction to diffs. Each visit reads everything again.
Replacing kopf means replacing this file.
"""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any, Final

import aiohttp
import kopf
from aiohttp.client import ClientResponse
from kubernetes.aio.client import Configuration

from loadmaster_ha.controller.kubernetes import GROUP, PAGE, PLURAL, VERSION, open_session
from loadmaster_ha.controller.registry import PairKey, Pairs, key_of

log = logging.getLogger(__name__)

INACTIVITY_SECONDS: Final = 70.0
"""Without an event or bookmark for so long the watch is opened anew (servers send a bookmark each minute)."""

DEAF_SECONDS: Final = 3 * INACTIVITY_SECONDS
"""Without a sign of life for so long the process is unhealthy."""


class WatchHealth:
    """When the API server last told us anything over the watch: events, bookmarks, and answers to lists."""

    def __init__(self, on_sign: Callable[[float], None]) -> None:
        self._on_sign = on_sign
        self._last: float | None = None
        self.listed = False

    def sign_of_life(self) -> None:
        """Something arrived."""
        self._last = time.monotonic()
        self._on_sign(time.time())

    @property
    def silent_for(self) -> float | None:
        """Seconds since the last sign of life; None when there was none yet."""
        return None if self._last is None else time.monotonic() - self._last


class Watch:
    """The watch as a task: `run` until cancelled, only while this process leads."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        namespaces: Collection[str],
        pairs: Pairs,
        wake: Callable[[PairKey], None],
        told: Callable[[Mapping[str, Any]], None] = lambda _: None,
        forget: Callable[[PairKey], None],
        health: WatchHealth,
    ) -> None:
        self._configuration = configuration
        self._namespaces = namespaces
        self._pairs = pairs
        self._wake = wake
        self._told = told
        self._forget = forget
        self._health = health

    async def run(self) -> None:
        """Watch until cancelled; returns only when kopf itself gives up, which is an error."""
        started = asyncio.Event()
        restore = asyncio.create_task(self._keep_signals(started))
        try:
            await kopf.operator(
                registry=self._registry(),
                settings=_settings(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=list(self._namespaces),
                ready_flag=started,
            )
        finally:
            restore.cancel()

    async def _keep_signals(self, started: asyncio.Event) -> None:
        """Take SIGINT and SIGTERM back from kopf, which installs handlers of its own when it starts."""
        loop = asyncio.get_running_loop()
        ours = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        await started.wait()
        self._health.listed = True
        for number, handler in ours.items():
            if callable(handler):
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def sign_in(**_: Any) -> kopf.AiohttpSession:
            return kopf.AiohttpSession(
                server=str(self._configuration.host).rstrip("/"),
                aiohttp_session=open_session(self._configuration, response_class=_observed(self._health)),
            )

        @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
        async def on_event(event: kopf.RawEvent, **_: Any) -> None:
            self._handle(event.get("type"), event["object"])

        return registry

    def _handle(self, kind: str | None, body: Any) -> None:
        key = key_of(body)
        if kind == "DELETED":
            held_up = self._pairs.remove(body)
            if held_up is None:
                return
            self._forget(key)
            for other in held_up:
                self._wake(other)
            return
        self._told(body)
        if self._pairs.update(body):
            self._wake(key)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # needs no right to list namespaces and CRDs
    settings.posting.enabled = False  # our Events are our own
    settings.peering.standalone = True  # the Lease decides
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.watching.reconnect_backoff = 1
    settings.watching.inactivity_timeout = INACTIVITY_SECONDS
    settings.watching.chunk_size = PAGE
    # A worker holds the pair it was last told of until it ends; with seconds for that, the first list would
    # stand in memory as a whole.
    settings.queueing.idle_timeout = 0.1
    settings.networking.request_timeout = 30
    settings.networking.enforce_retry_after = True
    # Never used, since no handler persists anything; named ours in case one ever does.
    settings.persistence.finalizer = "loadmaster.dev/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="loadmaster.dev", v1=False)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="loadmaster.dev", v1=False)
    settings.process.ultimate_exiting_timeout = 20
    return settings


class _Content:
    """The body of a response with each piece reported: bookmarks never reach kopf's handlers."""

    def __init__(self, content: aiohttp.StreamReader, health: WatchHealth) -> None:
        self._content = content
        self._health = health

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """As `StreamReader.iter_chunked`."""
        async for chunk in self._content.iter_chunked(size):
            self._health.sign_of_life()
            yield chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)


def _observed(health: WatchHealth) -> type[ClientResponse]:
    class ObservedResponse(ClientResponse):
        """A response that reports signs of life."""

        async def start(self, connection: Any) -> ClientResponse:
            """Read the head; from here on pieces of the body are reported."""
            started = await super().start(connection)
            health.sign_of_life()
            self.content: Any = _Content(self.content, health)
            return started

    return ObservedResponse

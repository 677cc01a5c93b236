"""The operator process: everything wired up, started and stopped in order.

Standby replicas sign in to Kubernetes, serve their probes and wait for the Lease; the leader lists all
pairs, watches them and works. A lost Lease ends the process, so that no thread of work outlives the right
to write.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import uuid
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from aiohttp import web
from kubernetes.aio.client import Configuration

from loadmaster_ha.azure import cloud as clouds
from loadmaster_ha.azure.cloud import Cloud, CloudInvalid
from loadmaster_ha.azure.sessions import Sessions
from loadmaster_ha.controller.allocator import give_back_from_time_to_time
from loadmaster_ha.controller.events import Recorder
from loadmaster_ha.controller.kubernetes import Kubernetes, KubernetesError, NoCluster, load_configuration
from loadmaster_ha.controller.lanes import Lanes
from loadmaster_ha.controller.lease import Lease, LeaseLost, Timing
from loadmaster_ha.controller.registry import Pairs, key_of
from loadmaster_ha.controller.settings import InvalidSettings, Settings
from loadmaster_ha.controller.watch import DEAF_SECONDS, Watch, WatchHealth
from loadmaster_ha.controller.web import (
    InvalidAddress,
    LoopLag,
    health_application,
    metrics_application,
    serving,
)
from loadmaster_ha.telemetry.operator import OperatorMetrics

log = logging.getLogger(__name__)

OK, FAILED, MISUSED = 0, 1, 2

CONTACT_SECONDS: Final = 30.0
"""Without an answer of the API server for so long the process is not ready."""

LIST_RETRY_SECONDS: Final = 5.0

GARBAGE: Final = 4_000
"""Objects that are made, and not gone, between two runs of the garbage collector; Python's own is 700."""

SWITCH_SECONDS: Final = 0.0005
"""So long a thread keeps the interpreter while the event loop waits for it; Python's own is 0.005."""

_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


async def run(settings: Settings) -> int:
    """Run until told to stop; the exit status."""
    try:
        configuration = await load_configuration(settings.kubeconfig, settings.context)
        cloud = cloud_of(settings)
        _spare_the_collector()
        sys.setswitchinterval(SWITCH_SECONDS)  # the loop asks after each system call: 10 in a round
        async with contextlib.AsyncExitStack() as stack:
            return await Operator(settings, configuration, cloud).run(stack)
    except (NoCluster, CloudInvalid, InvalidSettings, InvalidAddress) as problem:
        log.error("%s", problem)  # noqa: TRY400 - the message says all
        return MISUSED
    except OSError as problem:
        log.error("Cannot serve: %s", problem)  # noqa: TRY400 - the message says all
        return MISUSED


def _spare_the_collector() -> None:
    """Let the cyclic garbage collector pass over what stays until the end anyway: modules, classes, schemas.

    Full collections stop everything, some 0.1 s for these objects alone; and fewer of the small ones keep
    what a call holds for a moment from being promoted.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)


def cloud_of(settings: Settings) -> Cloud:
    """The Azure that the settings mean.

    Raises:
        CloudInvalid: an endpoint or the CA file cannot be used.
    """
    if settings.azure_cloud != "Custom" or settings.azure_resource_manager_url is None:
        known = {"Public": clouds.PUBLIC, "China": clouds.CHINA, "USGovernment": clouds.US_GOVERNMENT}
        return known[settings.azure_cloud]
    custom = Cloud.custom(
        settings.azure_resource_manager_url,
        authority_url=settings.azure_authority_url,
        audience=settings.azure_audience,
        ca_file=settings.azure_ca_file,
    )
    custom.ssl_context()
    return custom


class Operator:
    """One run of the process."""

    def __init__(self, settings: Settings, configuration: Configuration, cloud: Cloud) -> None:
        self._settings = settings
        self._configuration = configuration
        self._identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:12]}"
        self.metrics = OperatorMetrics(
            version=version("loadmaster-ha-operator"), kopf_version=version("kopf")
        )
        self._kubernetes = Kubernetes(configuration, permit=self._permit)
        self._lease = Lease(
            self._kubernetes,
            namespace=settings.lease_namespace or _own_namespace(),
            name=settings.lease_name,
            identity=self._identity,
            timing=Timing(
                settings.lease_duration_seconds,
                settings.lease_renew_deadline_seconds,
                settings.lease_retry_seconds,
            ),
        )
        self._health = WatchHealth(self.metrics.on_watch)
        self._lag = LoopLag()
        self._sessions = Sessions(cloud, observer=self.metrics)
        self._pairs = Pairs()
        self._lanes = Lanes(
            settings=settings,
            kubernetes=self._kubernetes,
            sessions=self._sessions,
            pairs=self._pairs,
            recorder=Recorder(self._kubernetes, instance=self._identity),
            metrics=self.metrics,
            permit=self._permit,
        )
        self._watch = Watch(
            configuration,
            namespaces=settings.namespace,
            pairs=self._pairs,
            told=self._lanes.told,
            wake=self._lanes.changed,
            forget=self._lanes.forget,
            health=self._health,
        )

    async def run(self, stack: contextlib.AsyncExitStack) -> int:
        """Serve, wait for the Lease, work; the exit status."""
        stopped = _stop_signal()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._look_again)
        await stack.enter_async_context(self._kubernetes)
        stack.push_async_callback(self._sessions.close)
        stack.push_async_callback(self._lanes.close)
        metrics, probes = metrics_application(self.metrics.registry), self._probes()
        await stack.enter_async_context(serving(metrics, self._settings.metrics_listen, "metrics"))
        await stack.enter_async_context(serving(probes, self._settings.health_listen, "health"))
        lag = asyncio.create_task(self._lag.run(), name="loop lag")
        trim = asyncio.create_task(give_back_from_time_to_time(), name="memory")
        work = asyncio.create_task(self._lead(), name="lead")
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done() and not work.done():
                log.info("Stopping: the write under way is finished first")
            return await self._stop(work)
        finally:
            lag.cancel()
            trim.cancel()

    async def _lead(self) -> None:
        """Wait for the Lease and work until it is lost or the watch ends."""
        await self._lease.acquire()
        self.metrics.on_leader(leads=True)
        async with asyncio.TaskGroup() as tasks:
            # The renewal comes first: listing may have to wait for an API server in trouble.
            tasks.create_task(self._lease.keep(), name="lease")
            tasks.create_task(self._work(), name="work")

    async def _work(self) -> None:
        await self._list_pairs()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lanes.run(), name="lanes")
            tasks.create_task(_until_it_ends(self._watch.run), name="watch")

    async def _list_pairs(self) -> None:
        """Learn of all pairs before any is worked on: an older one wins, so it has to be known."""
        while True:
            try:
                for namespace in self._settings.namespace or (None,):
                    for body in await self._kubernetes.list_pairs(namespace):
                        self._lanes.told(body)
                        self._pairs.update(body)
                        self._lanes.changed(key_of(body))
            except KubernetesError as problem:
                hint = " Is the CRD installed? (loadmaster-operator crds)" if problem.status == 404 else ""
                log.error("LoadMasterPairs cannot be listed: %s.%s", problem, hint)  # noqa: TRY400 - it says all
                await asyncio.sleep(LIST_RETRY_SECONDS)
            else:
                return

    def _look_again(self) -> None:
        """SIGHUP: somebody has mended what many pairs need, and does not want to wait for the next look."""
        if self._lease.held:
            log.info("Looking at all %d pairs again, as SIGHUP asks for", len(self._pairs.keys()))
            self._lanes.look_again()
        else:
            log.info("SIGHUP is for the replica that leads; this one does not")

    async def _stop(self, work: "asyncio.Task[None]") -> int:
        """End the work in order: no new visits, finish those under way, give the Lease back."""
        reason = _why(work)
        lost = isinstance(reason, LeaseLost)
        if reason is not None:
            log.error("Ending: %s", reason, exc_info=None if lost else reason)
        keeping = None
        if not work.done():
            # Visits under way may write for a while yet, so the Lease is renewed meanwhile.
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            keeping = (
                asyncio.create_task(self._lease.keep(), name="lease until the end")
                if self._lease.held
                else None
            )
        clean = await self._lanes.drain(0 if lost else self._settings.grace_seconds)
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        self.metrics.on_leader(leads=False)
        await self._lease.release()
        if not clean:
            log.warning(
                "A visit did not end in time and was cut off; its writes are found again at the next start"
            )
        return OK if reason is None else FAILED

    def _permit(self) -> None:
        self._lease.permit()

    def _probes(self) -> web.Application:
        return health_application(
            alive=[self._lag.check, self._check_watch], ready=[self._check_contact, self._check_listed]
        )

    def _check_watch(self) -> str | None:
        silent = self._health.silent_for
        if self._lease.held and silent is not None and silent > DEAF_SECONDS:
            return (
                f"the watch on LoadMasterPairs has been silent for {silent:.0f} s (limit {DEAF_SECONDS:.0f})"
            )
        return None

    def _check_contact(self) -> str | None:
        silent = self._lease.silent_for
        if silent is None or silent > CONTACT_SECONDS:
            return "the Kubernetes API does not answer about the Lease"
        return None

    def _check_listed(self) -> str | None:
        if self._lease.held and not self._health.listed:
            return "the LoadMasterPairs are not listed yet"
        return None


async def _until_it_ends(watch: Callable[[], Awaitable[None]]) -> None:
    await watch()
    raise RuntimeError("the watch on LoadMasterPairs ended")


def _why(work: "asyncio.Task[None]") -> BaseException | None:
    """Why the work ended by itself; None when it has not."""
    if not work.done() or work.cancelled():
        return None
    problem = work.exception()
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def _stop_signal() -> "asyncio.Future[None]":
    """Done when SIGTERM or SIGINT arrives."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop(*_: object) -> None:
        if not stopped.done():
            loop.call_soon_threadsafe(stopped.set_result, None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopped


def _own_namespace() -> str:
    return _POD_NAMESPACE.read_text(encoding="utf-8").strip() if _POD_NAMESPACE.exists() else "default"

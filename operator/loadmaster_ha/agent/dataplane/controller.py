"""The data plane of a unit: keeps HAProxy running what the settings say, and watches that it serves.

`DataPlane` is told what is wanted as often as the settings change (`submit`, `apply`); one task brings it
about, always the newest, with at most one reload a second. Another one asks through HAProxy whether it serves
(`watch`). HAProxy's process is the supervisor's business (`agent.process`): when it has been started again,
this notices and looks at what it runs.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from loadmaster_ha.agent.api.unit import ServiceStatistics
from loadmaster_ha.agent.dataplane import listening, statistics
from loadmaster_ha.agent.dataplane.admission import Admission, admit
from loadmaster_ha.agent.dataplane.applier import RELOAD_PAUSE, Applier, Done
from loadmaster_ha.agent.dataplane.checker import Checker, plain_version
from loadmaster_ha.agent.dataplane.configuration import Renderer, render
from loadmaster_ha.agent.dataplane.files import Folder
from loadmaster_ha.agent.dataplane.limits import conflict, refusal
from loadmaster_ha.agent.dataplane.model import Configuration, ConfigurationRefused, Node
from loadmaster_ha.agent.dataplane.runtime import MasterSocket, NotRunning, Processes, ReloadFailed, Silent
from loadmaster_ha.agent.dataplane.watch import Health, HealthWatch
from loadmaster_ha.agent.dataplane.words import Unprintable
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService

log = logging.getLogger(__name__)

_LOOK_INTERVAL: Final = 2.0
"""Seconds between two looks at who runs, when nothing is to be done."""
_RETRY_PAUSES: Final = (2.0, 5.0, 15.0, 60.0)
_BLAME_ROUNDS: Final = 5
"""How often services that HAProxy refuses are left out before it is given up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the newest wish."""

    done: Done | None
    """None: it failed."""
    detail: str = ""
    """Why it failed, in words."""
    rejected: Mapping[ServiceKey, str] = field(default_factory=dict)
    """Services that are not served as they should be, with the reason; the others are."""


@dataclass(frozen=True, slots=True)
class _Wish:
    number: int
    services: tuple[VirtualService, ...]
    certificates: Mapping[str, str] = field(repr=False)


class DataPlane:
    """HAProxy, as the rest of the agent sees it.

    Args:
        node: where it runs; may be replaced with `move`.
        binary: HAProxy's program, for checking.
        external: HAProxy runs beside us (in a container of its own) with rights that we do not have.
        health_changed: called with every change of `health`.
    """

    def __init__(
        self,
        node: Node,
        *,
        binary: str = "haproxy",
        external: bool = False,
        health_changed: Callable[[Health], None] = lambda _: None,
    ) -> None:
        self._node = node
        self._external = external
        directory = node.paths.directory
        self._checker = Checker(binary, Folder(directory / "candidate"))
        self._trial = Checker(binary, Folder(directory / "trial"))
        self._applier = Applier(MasterSocket(node.paths.master), Folder(directory))
        self._renderer = Renderer()
        self._watch = HealthWatch(node.paths.health, health_changed)
        self._wish = _Wish(0, (), {})
        self._answered = 0
        self._served: dict[int, VirtualService] = {}
        self._checked = ""
        self._version = ""
        self._retries = 0
        self._wake = asyncio.Event()
        self._news = asyncio.Condition()
        self._trying = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.outcome = Outcome(None, "nothing was asked for yet")
        self.reloads: Counter[str] = Counter()
        """Reloads by outcome: `ok`, `failed`, and `refused` for those that the check before prevented."""

    @property
    def health(self) -> Health:
        """What the last request through HAProxy showed."""
        return self._watch.health

    @property
    def node(self) -> Node:
        """Where HAProxy runs."""
        return self._node

    def move(self, node: Node) -> None:
        """The unit's addresses or ports have changed; its paths cannot."""
        self._node = replace(node, paths=self._node.paths)
        self._wake.set()

    async def start(self) -> None:
        """Make the folders, look at the binary, and begin to work.

        Raises:
            ConfigurationRefused: the binary is missing, or too old.
            ValueError, OSError: the folders cannot be made.
        """
        self._node.paths.prepare()
        self._version = await self._checker.version()
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._watch.run())]

    async def close(self) -> None:
        """Stop working. HAProxy goes on."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    def submit(self, services: Sequence[VirtualService], certificates: Mapping[str, str]) -> int:
        """Say what is wanted from now on; the number of this wish.

        Args:
            services: every service of the unit.
            certificates: PEM texts (certificate, chain, key) by name; `""` is the unit's own default one.
        """
        self._wish = _Wish(self._wish.number + 1, tuple(services), dict(certificates))
        self._retries = 0
        self._wake.set()
        return self._wish.number

    async def apply(self, services: Sequence[VirtualService], certificates: Mapping[str, str]) -> Outcome:
        """As `submit`, and wait until this wish, or a newer one, has been brought about or has failed."""
        number = self.submit(services, certificates)
        async with self._news:
            await self._news.wait_for(lambda: self._answered >= number)
        return self.outcome

    async def check_change(
        self, services: Sequence[VirtualService], certificates: Mapping[str, str] | None = None
    ) -> None:
        """Try what the services would be after a change; those that are as last wished are not looked at.

        Args:
            services: every service of the unit, as they would be.
            certificates: as they would be; None: as they are.

        Raises:
            ConfigurationRefused: HAProxy or Azure cannot do it; the text is for who asked.
        """
        pems = self._wish.certificates if certificates is None else certificates
        known = set(self._wish.services)
        changed = [service for service in services if service not in known or certificates is not None]
        clashes = conflict(services)
        for service in changed:
            if reason := refusal(service, self._node, pems) or clashes.get(service.key):
                raise ConfigurationRefused(reason, {service.key: reason})
            self._must_be_free(service)
        if changed:
            try:
                candidate = render(changed, self._node, pems)
            except Unprintable as error:
                raise ConfigurationRefused(str(error)) from error
            async with self._trying:
                await self._trial.check(candidate)

    async def statistics(self) -> Mapping[ServiceKey, ServiceStatistics]:
        """What HAProxy counts now, by service; empty while it does not run, or does not answer."""
        running = self._applier.running
        if running is None:
            return {}
        try:
            text = await self._applier.master.worker(["show stat"])
        except (NotRunning, Silent):
            return {}
        return statistics.services(text, running.sections.values())

    def _must_be_free(self, service: VirtualService) -> None:
        running = self._applier.running
        if running is None or not service.enabled:
            return
        ports = {(service.key.address, port) for port in (service.key.port, *service.extra_ports)}
        if reason := listening.obstacle(ports - _listens(running), privileged_elsewhere=self._external):
            raise ConfigurationRefused(reason, {service.key: reason})

    async def _work(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            self._wake.clear()
            if self._wish.number:
                await self._bring_about()

    def _pause(self) -> float:
        if self.outcome.done is None and self._wish.number:
            return _RETRY_PAUSES[min(self._retries, len(_RETRY_PAUSES) - 1)]
        return _LOOK_INTERVAL

    async def _bring_about(self) -> None:
        wish = self._wish
        try:
            outcome = await self._attempt(wish)
        except (ConfigurationRefused, ReloadFailed, NotRunning, Silent, OSError) as error:
            outcome = Outcome(None, str(error))
        if outcome is None:
            return
        self._retries = self._retries + 1 if outcome.done is None else 0
        if outcome.detail != self.outcome.detail and outcome.done is None:
            log.error("HAProxy keeps its former configuration: %s", outcome.detail)
        self._tell_rejections(outcome)
        self.outcome = outcome
        async with self._news:
            self._answered = wish.number
            self._news.notify_all()

    async def _attempt(self, wish: _Wish) -> Outcome | None:
        """Bring a wish about; None: a newer one came, or it has to wait for the pause between reloads."""
        admission, wanted = self._render(wish, {})
        processes = await self._applier.look(wanted)
        if processes is not None:
            self._same_version(processes)
        if self._applier.running is not None and self._applier.running.fingerprint == wanted.fingerprint:
            await self._applier.delete_lingering()
            self._served = {service.index: service for service in admission.services}
            return Outcome(Done.NOTHING, rejected=admission.rejected)
        if processes is not None and self._applier.needs_reload(wanted) and await self._too_soon(wish):
            return None
        admission, wanted = await self._checked_configuration(wish, running=processes is not None)
        try:
            done = await self._applier.apply(wanted, processes)
        except ReloadFailed:
            self.reloads["failed"] += 1
            raise
        if done is Done.RELOAD:
            self.reloads["ok"] += 1
        self._served = {service.index: service for service in admission.services}
        return Outcome(done, rejected=admission.rejected)

    async def _too_soon(self, wish: _Wish) -> bool:
        """Wait for the pause between reloads to be over; whether a newer wish came meanwhile."""
        pause = self._applier.reloaded_at + RELOAD_PAUSE - asyncio.get_running_loop().time()
        if pause <= 0:
            return False
        await asyncio.sleep(pause)
        self._wake.set()
        return wish is not self._wish

    async def _checked_configuration(self, wish: _Wish, *, running: bool) -> tuple[Admission, Configuration]:
        """What HAProxy accepts of a wish, without the services that it refuses.

        Raises:
            ConfigurationRefused: it refuses it, and no service is to blame.
        """
        rejected = self._occupied(wish, running=running)
        for _ in range(_BLAME_ROUNDS):
            admission, wanted = self._render(wish, rejected)
            if wanted.fingerprint == self._checked:
                return admission, wanted
            try:
                await self._checker.check(wanted)
            except ConfigurationRefused as refused:
                self.reloads["refused"] += 1
                if not refused.services:
                    raise
                rejected = {**rejected, **refused.services}
                # A former version of one to blame is to blame too if it was in there already.
                self._served = {
                    index: service
                    for index, service in self._served.items()
                    if not (service.key in refused.services and service in admission.services)
                }
                continue
            self._checked = wanted.fingerprint
            return admission, wanted
        raise ConfigurationRefused(
            "HAProxy refuses one configuration after the other; its words are in the log"
        )

    def _render(self, wish: _Wish, rejected: Mapping[ServiceKey, str]) -> tuple[Admission, Configuration]:
        admission = admit(wish.services, self._served, self._node, wish.certificates, rejected)
        return admission, self._renderer.render(admission.services, self._node, wish.certificates)

    def _occupied(self, wish: _Wish, *, running: bool) -> Mapping[ServiceKey, str]:
        """Services on ports that somebody else has."""
        former = self._applier.running
        if running and former is None:
            return {}  # HAProxy itself has some of them, and we do not know which
        own = _listens(former) if former else set()
        found = {}
        for service in wish.services:
            ports = {(service.key.address, port) for port in (service.key.port, *service.extra_ports)} - own
            if service.enabled and ports and self._node.interface_of(service.key.address):
                reason = listening.obstacle(ports, privileged_elsewhere=self._external)
                if reason:
                    found[service.key] = reason
        return found

    def _same_version(self, processes: Processes) -> None:
        running = plain_version(processes.version)
        if running != self._version:
            raise ConfigurationRefused(
                f"HAProxy {running} runs, but the binary to check configurations with is {self._version}: "
                "nothing is changed until both are the same (restart HAProxy, or change the binary)"
            )

    def _tell_rejections(self, outcome: Outcome) -> None:
        for key, reason in outcome.rejected.items():
            if self.outcome.rejected.get(key) != reason:
                log.error("virtual service %s is not served as it is set: %s", key, reason)


def _listens(configuration: Configuration) -> set[tuple[str, int]]:
    return {each for section in configuration.sections.values() for each in section.listens}

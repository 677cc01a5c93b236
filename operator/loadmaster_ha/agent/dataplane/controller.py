"""The data plane of a unit: keeps HAProxy running what the settings say, and watches that it serves.

`DataPlane` is told what is wanted as often as the settings change (`submit`, `apply`); one task brings it
about, always the newest, with at most one reload a second. Another one asks through HAProxy whether it serves
(`watch`). HAProxy's process is the supervisor's business (`agent.process`): when it has been started again,
this notices and looks at what it runs.
"""

import asyncio
import contextlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from loadmaster_ha.agent.api.unit import ServiceStatistics
from loadmaster_ha.agent.dataplane import statistics
from loadmaster_ha.agent.dataplane.applier import Applier, Done, reload_pause
from loadmaster_ha.agent.dataplane.candidates import Candidates, Wish
from loadmaster_ha.agent.dataplane.checker import Checker, plain_version
from loadmaster_ha.agent.dataplane.files import Folder
from loadmaster_ha.agent.dataplane.limits import conflict, refusal
from loadmaster_ha.agent.dataplane.loops import loops
from loadmaster_ha.agent.dataplane.model import Configuration, ConfigurationRefused, Node
from loadmaster_ha.agent.dataplane.runtime import MasterSocket, NotRunning, Processes, ReloadFailed, Silent
from loadmaster_ha.agent.dataplane.watch import Health, HealthWatch
from loadmaster_ha.agent.dataplane.words import Unprintable
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService

log = logging.getLogger(__name__)

_LOOK_INTERVAL: Final = 2.0
"""Seconds between two looks at who runs, when nothing is to be done."""
_RETRY_PAUSES: Final = (2.0, 5.0, 15.0, 60.0)
_STARTING: Final = 3.0
"""Seconds that an HAProxy that is not there may be about to start: it binds its ports before it answers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the newest wish."""

    done: Done | None
    """None: it failed."""
    detail: str = ""
    """Why it failed, in words."""
    rejected: Mapping[ServiceKey, str] = field(default_factory=dict)
    """Services that are not served as they should be, with the reason; the others are."""


class DataPlane:
    """HAProxy, as the rest of the agent sees it.

    Args:
        node: where it runs; may be replaced with `move`.
        binary: HAProxy's program, for checking.
        external: HAProxy runs beside us (in a container of its own) with rights that we do not have.
        health_changed: called with every change of `health`.
        watch: of `health`, run by somebody else; None: an own one.
    """

    def __init__(
        self,
        node: Node,
        *,
        binary: str = "haproxy",
        external: bool = False,
        health_changed: Callable[[Health], None] = lambda _: None,
        watch: HealthWatch | None = None,
    ) -> None:
        self._node = node
        self._external = external
        directory = node.paths.directory
        self._checker = Checker(binary, Folder(directory / "candidate", lasting=False))
        self._trial = Checker(binary, Folder(directory / "trial", lasting=False))
        self._applier = Applier(MasterSocket(node.paths.master), Folder(directory), node.paths.health)
        self._candidates = Candidates(self._checker, external=external)
        self._watches_itself = watch is None
        self._watch = watch or HealthWatch(node.paths.health, health_changed)
        self._version = ""
        self._wish = Wish(0, (), {})
        self._tried: Wish | None = None
        self._aim: Configuration | None = None
        self._retries = 0
        self._try_again = 0.0
        self._answered = 0
        self._wake = asyncio.Event()
        self._news = asyncio.Condition()
        self._trying = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._reloads: Counter[str] = Counter()
        self.outcome = Outcome(None, "nothing was asked for yet")

    @property
    def reloads(self) -> Mapping[str, int]:
        """Reloads by outcome: `ok`, `failed`, and `refused` for those that the check before prevented."""
        return {
            "ok": self._reloads["ok"],
            "failed": self._reloads["failed"],
            "refused": self._candidates.refusals,
        }

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
        self._tried = None
        self._wake.set()

    async def prepare(self) -> None:
        """Make the folders, and look at the binary.

        Raises:
            ConfigurationRefused: the binary is missing, or too old.
            ValueError, OSError: the folders cannot be made.
        """
        self._node.paths.prepare(self._node.account)
        self._version = await self._checker.version()

    async def start(self) -> None:
        """Begin to work; prepares first where that has not been done.

        Raises:
            ConfigurationRefused, ValueError, OSError: as `prepare` does.
        """
        if not self._version:
            await self.prepare()
        self._tasks = [asyncio.create_task(self._work())]
        if self._watches_itself:
            self._tasks.append(asyncio.create_task(self._watch.run()))

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
        self._wish = Wish(self._wish.number + 1, tuple(services), dict(certificates))
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
        as_before = [service for service in services if service in known and certificates is None]
        clashes = {**loops([*as_before, *changed]), **conflict(services)}
        for service in changed:
            if reason := refusal(service, self._node, pems) or clashes.get(service.key):
                raise ConfigurationRefused(reason, {service.key: reason})
        if changed:
            self._must_be_free(changed)
            try:
                candidate = self._candidates.excerpt(changed, self._node, pems)
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

    def _must_be_free(self, services: Sequence[VirtualService]) -> None:
        running, written = self._applier.running, self._applier.written
        if running is not None:
            # A reload under way listens already on what it is to bring.
            own = _listens(running) | (_listens(written) if written is not None else set())
            for key, reason in self._candidates.occupied(services, self._node, own).items():
                raise ConfigurationRefused(reason, {key: reason})

    async def _work(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_INTERVAL):
                    await self._wake.wait()
            self._wake.clear()
            if self._wish.number:
                await self._bring_about(self._wish)

    async def _bring_about(self, wish: Wish) -> None:
        try:
            outcome = await self._attempt(wish)
        except (ConfigurationRefused, ReloadFailed, NotRunning, Silent, OSError) as error:
            self._aim = None
            outcome = Outcome(None, str(error))
        if outcome is None:
            return
        trouble = outcome.done is None or bool(outcome.rejected)
        self._tried = wish
        self._try_again = self._now() + (
            _RETRY_PAUSES[min(self._retries, len(_RETRY_PAUSES) - 1)] if trouble else math.inf
        )
        self._retries = self._retries + 1 if trouble else 0
        self._tell(outcome)
        self.outcome = outcome
        async with self._news:
            self._answered = wish.number
            self._news.notify_all()

    async def _attempt(self, wish: Wish) -> Outcome | None:
        """Bring a wish about; None: there is no news, or a newer wish came meanwhile."""
        if wish is self._tried and self._now() < self._try_again and await self._still_so():
            return None
        candidate = self._candidates.untried(wish, self._node)
        processes = await self._applier.look(candidate.configuration)
        if processes is not None:
            self._same_version(processes)
        done = Done.NOTHING
        if (
            self._applier.running is None
            or self._applier.running.fingerprint != candidate.configuration.fingerprint
        ):
            if processes is not None and self._applier.needs_reload(candidate.configuration):
                await self._pause(processes)
                if wish is not self._wish:
                    self._wake.set()
                    return None
            candidate = await self._candidates.tried(
                wish, self._node, self._occupied(wish, processes), self._applier.running
            )
            done = await self._apply(candidate.configuration, processes)
        self._candidates.serve(candidate)
        self._aim = candidate.configuration
        return Outcome(done, rejected=candidate.rejected)

    async def _still_so(self) -> bool:
        """Whether HAProxy still runs what it was brought to; deletes what can be deleted by now."""
        if self._aim is None:
            return True  # it was not; the pause before the next attempt is not over
        processes = await self._applier.look(self._aim)
        if processes is None:
            # If it does not come, a port that somebody else has may be what keeps it from starting.
            return self.outcome.done is Done.FILES and self._applier.absent_for() < _STARTING
        await self._applier.delete_lingering()
        return (
            self._applier.running is not None and self._applier.running.fingerprint == self._aim.fingerprint
        )

    async def _apply(self, configuration: Configuration, processes: Processes | None) -> Done:
        try:
            done = await self._applier.apply(configuration, processes)
        except ReloadFailed:
            self._reloads["failed"] += 1
            raise
        if done is Done.RELOAD:
            self._reloads["ok"] += 1
        return done

    async def _pause(self, processes: Processes) -> None:
        """Wait until the next reload may be."""
        pause = reload_pause(len(processes.old_workers))
        await asyncio.sleep(max(0.0, self._applier.reloaded_at + pause - self._now()))

    def _occupied(self, wish: Wish, processes: Processes | None) -> Mapping[ServiceKey, str]:
        """Services on ports that another program has.

        Those that HAProxy has, or is about to have because it is just starting, look the same from outside.
        """
        own = self._applier.running
        if processes is None and self._applier.absent_for() < _STARTING:
            own = self._applier.written
            if own is None and self._node.paths.configuration.exists():
                return {}
        elif processes is not None and own is None:
            return {}
        return self._candidates.occupied(wish.services, self._node, _listens(own) if own else set())

    def _same_version(self, processes: Processes) -> None:
        running = plain_version(processes.version)
        if running != self._version:
            raise ConfigurationRefused(
                f"HAProxy {running} runs, but the binary to check configurations with is {self._version}: "
                "nothing is changed until both are the same (restart HAProxy, or change the binary)"
            )

    def _tell(self, outcome: Outcome) -> None:
        if outcome.done is None and outcome.detail != self.outcome.detail:
            log.error("HAProxy keeps its former configuration: %s", outcome.detail)
        for key, reason in outcome.rejected.items():
            if self.outcome.rejected.get(key) != reason:
                log.error("virtual service %s is not served as it is set: %s", key, reason)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _listens(configuration: Configuration) -> set[tuple[str, int]]:
    return {each for section in configuration.sections.values() for each in section.listens}

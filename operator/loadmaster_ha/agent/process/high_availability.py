"""The half of the node that must never wait: engine, partner link, supervisor, HAProxy's health.

All of it lives on the loop of `ha_thread`, away from whatever the settings make the other half do (`node`).
Nobody here waits for the other half, nor does it for this one (but for milliseconds in `request`): each has
functions called on the other's loop. Settings are read from the store's snapshots, which never change.
"""

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any, Final, ParamSpec, Protocol

from loadmaster_ha.agent.configuration import Configuration
from loadmaster_ha.agent.ha import model as ha
from loadmaster_ha.agent.ha import wire
from loadmaster_ha.agent.link.connection import Peer
from loadmaster_ha.agent.link.partner import LinkSettings, PartnerLink
from loadmaster_ha.agent.process import supervision
from loadmaster_ha.agent.process.check_ports import CheckPorts
from loadmaster_ha.agent.process.effects import REPORT, Effects, Outlets
from loadmaster_ha.agent.process.engine_driver import EngineDriver
from loadmaster_ha.agent.process.engine_settings import engine_configuration, link_settings
from loadmaster_ha.agent.process.ha_thread import HaThread
from loadmaster_ha.agent.process.haproxy_health import HAProxyHealth
from loadmaster_ha.agent.process.main_loop_watch import MainLoopWatch
from loadmaster_ha.agent.process.opening import Opened
from loadmaster_ha.agent.process.serving import paths_of
from loadmaster_ha.agent.process.supervision import Callbacks, Saying, Supervision
from loadmaster_ha.agent.process.unit import AGENT_VERSION
from loadmaster_ha.agent.settings.snapshot import Snapshot
from loadmaster_ha.agent.unit_settings import AgentSettings, HaSettings

log = logging.getLogger(__name__)

_EVERYWHERE: Final = "0.0.0.0"
_Arguments = ParamSpec("_Arguments")


class Owner(Protocol):
    """The other half. All of this is called on its own loop."""

    def shown(self, sight: Hashable) -> None:
        """What people and programs watch has changed to this."""

    def switched_over(self, ended: ha.SwitchoverEnded) -> None:
        """A switch-over has ended."""

    def linked(self) -> None:
        """The partner link is there."""

    def unlinked(self) -> None:
        """It is gone, or could not be made."""

    def synchronise(self, message: Mapping[str, Any]) -> None:
        """The partner said this about settings."""

    def stopped(self) -> None:
        """The clean stop is over."""

    def failed(self, problem: BaseException) -> None:
        """Something failed that the process cannot go on without."""

    def lost(self, why: str) -> None:
        """There is no supervisor to live for."""


class HighAvailability:
    """The parts, wired up.

    Args:
        thread: where they live.
        talk: to the supervisor, who has said hello already.
        configuration: of the agent.
        opened: what was found on the disk.
        owner: the other half; its loop is the one that runs now.
    """

    def __init__(
        self,
        thread: HaThread,
        talk: Supervision,
        configuration: Configuration,
        opened: Opened,
        owner: Owner,
    ) -> None:
        self._thread, self._talk, self._owner = thread, talk, owner
        self._home = asyncio.get_running_loop()
        self._configuration, self._opened = configuration, opened
        self._ports = CheckPorts(HaSettings.of(self._snapshot).port)
        self._reboot = False
        self._shown: Hashable = None
        self._tasks: list[asyncio.Task[None]] = []
        self.engine = EngineDriver(uuid.uuid4().hex, self._perform, self._stepped, self._failed)
        self.link = PartnerLink(
            opened.link, self._link_settings, self, agent_version=AGENT_VERSION, clock=self.engine.clock
        )
        self.haproxy = HAProxyHealth(
            paths_of(configuration).health,
            lambda healthy, detail: self.feed(ha.DataPlane(healthy, detail)),
        )
        self._effects = Effects(
            self.link,
            opened.main_address,
            Outlets(
                say=talk.say,
                feed=self.feed,
                ended=lambda ended: self._tell(owner.switched_over, ended),
                stop=lambda: self._tell(owner.stopped),
                partner=lambda: HaSettings.of(self._snapshot).partner,
                frontend=self._frontend,
            ),
        )
        self.tally = self._effects.tally

    # For the other half, from its thread

    def begin(self) -> None:
        """Start everything."""
        self._thread.call(self._begin)

    async def end(self) -> None:
        """Stop everything; the partner is told that this unit stops."""
        await self._thread.run(self._end())

    def feed(self, event: ha.Event) -> None:
        """Have the engine take this in, soon; from any thread."""
        self._thread.call(self.engine.feed, event)

    def request(self, event: ha.Event) -> None:
        """As `feed`; returns when the engine has taken it in, and `engine.view` shows what it made of it."""
        self._thread.do(self.engine.feed, event)

    def request_reboot(self) -> None:
        """Stop cleanly, and have the supervisor boot again."""
        log.info("Rebooting, as asked for over the management API")
        self._thread.call(self._stop, reboot=True)

    def reconfigure(self) -> None:
        """Settings that this half goes by have changed."""
        self._thread.call(self._reconfigure)

    def send(self, kind: str, body: Mapping[str, Any]) -> None:
        """Send the partner a message. The body must not change any more."""
        self._thread.call(self.link.send, kind, body)

    def run_haproxy(self, command: Sequence[str]) -> None:
        """HAProxy is to run with this command line."""
        self._thread.call(self._talk.run_haproxy, command)

    async def tell_stopped(self) -> None:
        """Tell the supervisor that the clean stop is over."""
        await self._thread.run(self._talk.stopped(reboot=self._reboot))

    @property
    def check_ports(self) -> tuple[int, ...]:
        """Which ports the health responder listens on."""
        return self._ports.ports

    # Beginning and end

    def _begin(self) -> None:
        self._talk.keep({"mode": self._opened.mode.value})
        self._reconfigure()
        callbacks = Callbacks(self._probed, self.haproxy.haproxy_told, self._terminate, self._lost)
        self._spawn(self._talk.run(self._saying, callbacks))
        self._spawn(self.link.run())
        self._spawn(self.haproxy.run())
        self._spawn(MainLoopWatch(self._tell, self._main_loop_stuck).run())

    async def _end(self) -> None:
        self.engine.end()
        self._effects.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (problem := task.exception()) is not None:
            self._failed(problem)

    def _tell(
        self, function: Callable[_Arguments, object], *arguments: _Arguments.args, **_: _Arguments.kwargs
    ) -> None:
        """Have this called on the other half's loop."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._home.call_soon_threadsafe(function, *arguments)

    def _failed(self, problem: BaseException) -> None:
        self._tell(self._owner.failed, problem)

    def _lost(self, why: str) -> None:
        self._tell(self._owner.lost, why)

    def _main_loop_stuck(self) -> None:
        log.critical("The management half of the node process hangs: the process ends, and is started anew")
        os._exit(1)  # nothing that could be done in order would get done

    # The engine's side

    def _perform(self, effect: ha.Effect) -> None:
        self._effects.perform(effect)

    def _stepped(self) -> None:
        view = self.engine.view()
        partner = view.partner
        shown = (
            (view.mode, view.state, view.reason, view.message, view.switchover, view.held, view.draining),
            None if partner is None else (partner.mode, partner.state, partner.detail),
            view.notices,
            self.link.status().connected,
        )
        if shown != self._shown:
            self._shown = shown
            self._tell(self._owner.shown, shown)

    # The link's side (`link.partner.Handlers`)

    def up(self, _: Peer) -> None:
        """The link is there."""
        self._effects.tell()
        self._tell(self._owner.linked)
        self._stepped()

    def down(self, end: ha.LinkEnd) -> None:
        """The link ended, or could not be made."""
        self._tell(self._owner.unlinked)
        self.feed(ha.LinkLost(end))

    def message(self, kind: str, body: dict[str, Any]) -> None:
        """A heartbeat, or settings."""
        if kind != REPORT:
            self._tell(self._owner.synchronise, body)
            return
        try:
            report = wire.decode(body)
        except wire.MalformedReport as problem:
            log.warning("A heartbeat of the partner cannot be understood: %s", problem)
            return
        self.feed(ha.PartnerReported(report))

    # The supervisor's side

    def _saying(self) -> Saying | None:
        if self.engine.answer is None:
            return None
        snapshot, view = self._snapshot, self.engine.view()
        settings = HaSettings.of(snapshot)
        own = self._opened.own_addresses
        hosts = [self._opened.main_address]
        if settings.all_interfaces:
            hosts = list(own.values()) if self._configuration.interfaces else [_EVERYWHERE]
        return Saying(
            self.engine.answer,
            self.engine.last_step,
            [(host, port) for port in self._ports.ports for host in hosts],
            supervision.sources(AgentSettings.of(snapshot).probe_source, settings.partner),
            f"{view.mode.value}, {view.state.value}: {view.message}",
        )

    def _probed(self, port: int, code: int, count: int) -> None:
        if self._ports.probed(port, count, AgentSettings.of(self._snapshot).probe_threshold):
            log.info("The balancer probes the new health check port: the former one is closed")
            self._talk.say()
        self.feed(ha.Probed(code, count))

    def _terminate(self) -> None:
        log.info("Stopping: handing over if possible, then 503 until the balancer has seen it")
        self._stop(reboot=False)

    def _stop(self, *, reboot: bool) -> None:
        self._reboot = reboot
        self.feed(ha.StopRequested())

    # Settings

    @property
    def _snapshot(self) -> Snapshot:
        return self._opened.store.snapshot

    def _reconfigure(self) -> None:
        snapshot = self._snapshot
        self._ports.use(HaSettings.of(snapshot).port)
        self.link.refresh()
        self.feed(ha.Configured(engine_configuration(self._configuration, snapshot, self._opened.mode)))
        self._talk.say()

    def _link_settings(self) -> LinkSettings:
        opened = self._opened
        return link_settings(self._configuration, self._snapshot, opened.mode, opened.main_address)

    def _frontend(self) -> tuple[str | None, int]:
        snapshot = self._snapshot
        return AgentSettings.of(snapshot).frontend, HaSettings.of(snapshot).port

"""The node process: every part made, wired up, started and stopped in order. The supervisor starts it.

What happens is fed to the HA engine from here, its effects are `effects`; each part is a module of its own.
The process ends with 2 when it cannot run as configured, with 1 when something failed that should not have,
and with 0 after a clean stop.
"""

import asyncio
import contextlib
import logging
import sys
import uuid
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

from loadmaster_ha.agent.api.server import ManagementServer
from loadmaster_ha.agent.certificates import CertificateUnusable, Identity
from loadmaster_ha.agent.configuration import Configuration, InvalidConfiguration
from loadmaster_ha.agent.dataplane.model import ConfigurationRefused
from loadmaster_ha.agent.ha import model as ha
from loadmaster_ha.agent.ha import wire
from loadmaster_ha.agent.link.connection import Peer
from loadmaster_ha.agent.link.partner import LinkSettings, PartnerLink
from loadmaster_ha.agent.local_control import Control
from loadmaster_ha.agent.process import metrics_page, supervision
from loadmaster_ha.agent.process.administration import Administration
from loadmaster_ha.agent.process.check_ports import CheckPorts
from loadmaster_ha.agent.process.effects import REPORT, Effects, Outlets
from loadmaster_ha.agent.process.engine_driver import EngineDriver
from loadmaster_ha.agent.process.engine_settings import engine_configuration, link_settings
from loadmaster_ha.agent.process.metrics_reading import reading
from loadmaster_ha.agent.process.node_process import own_descriptor
from loadmaster_ha.agent.process.opening import Opened, open_node
from loadmaster_ha.agent.process.revision import Revision
from loadmaster_ha.agent.process.serving import Serving
from loadmaster_ha.agent.process.supervision import Callbacks, Hello, Saying, Supervision
from loadmaster_ha.agent.process.synchronisation import Synchronisation
from loadmaster_ha.agent.process.unit import AGENT_VERSION, NodeUnit, Parts, store_certificate
from loadmaster_ha.agent.settings.errors import StoreError
from loadmaster_ha.agent.settings.model import Kind
from loadmaster_ha.agent.unit_settings import AgentSettings, HaSettings
from loadmaster_ha.telemetry import logs
from loadmaster_ha.telemetry.agent import AgentMetrics, Reading

log = logging.getLogger(__name__)

OK, FAILED, MISUSED = 0, 1, 2

_HA_KINDS: Final = frozenset({Kind.HA, Kind.AGENT, Kind.SECRET})
_EVERYWHERE: Final = "0.0.0.0"


class Node:
    """One life of the process.

    Args:
        talk: to the supervisor.
        hello: the supervisor's first words.
        configuration: of the agent.
        opened: what was found on the disk.
    """

    def __init__(self, talk: Supervision, hello: Hello, configuration: Configuration, opened: Opened) -> None:
        self._talk, self._hello, self._configuration, self._opened = talk, hello, configuration, opened
        self._done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reboot = False
        self._haproxy_starts = int(hello.haproxy["starts"])
        self._management = opened.management
        store = self._store = opened.store
        self._ports = CheckPorts(HaSettings.of(store.snapshot).port)
        self._engine = EngineDriver(uuid.uuid4().hex, self._perform, self._stepped, self._failed)
        self._link = PartnerLink(
            opened.link, self._link_settings, self, agent_version=AGENT_VERSION, clock=self._engine.clock
        )
        self._sync = Synchronisation(store, self._link.send, self._engine.clock)
        self._serving = Serving(
            configuration,
            own_addresses=opened.own_addresses,
            reserved=frozenset(
                {configuration.management_port, configuration.partner_port, configuration.metrics_port}
                | set(self._ports.ports)
            ),
            store=store,
            own_certificate=lambda: self._management.path.read_text(encoding="ascii"),
            health=lambda healthy, detail: self._engine.feed(ha.DataPlane(healthy, detail)),
        )
        self._parts = Parts(store, self._engine, self._link, self._sync, self._serving, Revision())
        self._unit = NodeUnit(
            self._parts,
            own_addresses=opened.own_addresses,
            management_port=configuration.management_port,
            booted=hello.boot_time,
            reboot=self._begin_reboot,
            certificate=self._show_certificate,
        )
        self._effects = Effects(
            self._link,
            opened.main_address,
            Outlets(
                say=talk.say,
                feed=self._engine.feed,
                ended=self._unit.ended,
                stop=lambda: self._end(OK),
                partner=lambda: HaSettings.of(store.snapshot).partner,
                frontend=self._frontend,
            ),
        )
        self._server = ManagementServer(self._unit, opened.management)
        self._administration = Administration(
            self._unit, lambda: (self._management, opened.link), self._more_status
        )

    async def run(self) -> int:
        """Live; the exit status."""
        given, main = self._configuration, self._opened.main_address
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._store.close)
            stack.push_async_callback(self._serving.close)
            await self._server.start(given.management_address or main, given.management_port)
            stack.push_async_callback(self._server.stop, 2.0)
            metrics = AgentMetrics(self._reading)
            await stack.enter_async_context(
                metrics_page.serving(metrics.registry, given.metrics_address or main, given.metrics_port)
            )
            control = Control(given.control_socket, self._administration.handlers())
            await control.start()
            stack.push_async_callback(control.stop)
            stack.push_async_callback(self._end_tasks)
            self._talk.keep({"mode": self._opened.mode.value})
            self._reconfigure()
            self._store.subscribe(self._committed)
            callbacks = Callbacks(self._probed, self._haproxy_told, self._terminate, self._lost)
            self._spawn(self._talk.run(self._saying, callbacks))
            self._spawn(self._link.run())
            self._spawn(self._sync.run())
            self._spawn(self._serving.start(self._hello.haproxy, self._talk.run_haproxy))
            status = await self._done
            self._engine.end()
        if status == OK:
            await self._talk.stopped(reboot=self._reboot)
        return status

    # The engine's side

    def _perform(self, effect: ha.Effect) -> None:
        self._effects.perform(effect)

    def _stepped(self) -> None:
        view = self._engine.view()
        partner = view.partner
        shown = (
            (view.mode, view.state, view.reason, view.message, view.switchover, view.held, view.draining),
            None if partner is None else (partner.mode, partner.state, partner.detail),
            view.notices,
            self._link.status().connected,
        )
        self._parts.revision.note(shown)

    def _failed(self, problem: BaseException) -> None:
        log.error("The node process cannot go on: %s", problem, exc_info=problem)
        self._end(FAILED)

    def _end(self, status: int) -> None:
        if not self._done.done():
            self._done.set_result(status)

    # The link's side (`link.partner.Handlers`)

    def up(self, _: Peer) -> None:
        """The link is there."""
        self._effects.tell()
        self._sync.connected()
        self._stepped()

    def down(self, end: ha.LinkEnd) -> None:
        """The link ended, or could not be made."""
        self._sync.disconnected()
        self._engine.feed(ha.LinkLost(end))

    def message(self, kind: str, body: dict[str, Any]) -> None:
        """A heartbeat, or settings."""
        if kind != REPORT:
            self._sync.received(body)
            return
        try:
            report = wire.decode(body)
        except wire.MalformedReport as problem:
            log.warning("A heartbeat of the partner cannot be understood: %s", problem)
            return
        self._engine.feed(ha.PartnerReported(report))

    # The supervisor's side

    def _saying(self) -> Saying | None:
        if self._engine.answer is None:
            return None
        snapshot, view = self._store.snapshot, self._engine.view()
        settings = HaSettings.of(snapshot)
        own = self._opened.own_addresses
        hosts = [self._opened.main_address]
        if settings.all_interfaces:
            hosts = list(own.values()) if self._configuration.interfaces else [_EVERYWHERE]
        return Saying(
            self._engine.answer,
            self._engine.last_step,
            [(host, port) for port in self._ports.ports for host in hosts],
            supervision.sources(AgentSettings.of(snapshot).probe_source, settings.partner),
            f"{view.mode.value}, {view.state.value}: {view.message}",
        )

    def _probed(self, port: int, code: int, count: int) -> None:
        if self._ports.probed(port, count, AgentSettings.of(self._store.snapshot).probe_threshold):
            log.info("The balancer probes the new health check port: the former one is closed")
            self._talk.say()
        self._engine.feed(ha.Probed(code, count))

    def _haproxy_told(self, told: Mapping[str, Any]) -> None:
        self._haproxy_starts = int(told["starts"])
        self._serving.haproxy_told(told)

    def _terminate(self) -> None:
        log.info("Stopping: handing over if possible, then 503 until the balancer has seen it")
        self._reboot = False
        self._engine.feed(ha.StopRequested())

    def _lost(self, why: str) -> None:
        log.error("Ending: %s", why)
        self._end(FAILED)

    # Settings

    def _committed(self, kinds: frozenset[Kind]) -> None:
        if kinds & _HA_KINDS:
            self._reconfigure()

    def _reconfigure(self) -> None:
        snapshot = self._store.snapshot
        self._ports.use(HaSettings.of(snapshot).port)
        self._link.refresh()
        self._engine.feed(
            ha.Configured(engine_configuration(self._configuration, snapshot, self._opened.mode))
        )
        self._talk.say()

    def _link_settings(self) -> LinkSettings:
        opened = self._opened
        return link_settings(self._configuration, opened.store.snapshot, opened.mode, opened.main_address)

    def _frontend(self) -> tuple[str | None, int]:
        snapshot = self._store.snapshot
        return AgentSettings.of(snapshot).frontend, HaSettings.of(snapshot).port

    # What people ask for

    def _begin_reboot(self) -> None:
        log.info("Rebooting, as asked for over the management API")
        self._reboot = True
        self._engine.feed(ha.StopRequested())

    def _show_certificate(self, pem: bytes) -> Identity:
        self._management = store_certificate(Path(self._configuration.state_directory), pem)
        self._server.use_certificate(self._management)
        return self._management

    def _more_status(self) -> Mapping[str, Any]:
        health, outcome = self._serving.plane.health, self._serving.plane.outcome
        rejected = {str(key): reason for key, reason in outcome.rejected.items()}
        listeners = {f"{host}:{port}": why for (host, port), why in self._talk.failed_listeners.items()}
        return {
            "haproxy": {
                "condition": health.condition.value,
                "detail": health.detail,
                "problem": None if outcome.done is not None else outcome.detail,
                "rejected": rejected,
            },
            "configuredMode": HaSettings.of(self._store.snapshot).mode.value,
            "checkPorts": list(self._ports.ports),
            "notListening": listeners,
        }

    def _reading(self) -> Reading:
        return reading(
            self._parts,
            tally=self._effects.tally,
            counts=self._talk.counts,
            starts=self._haproxy_starts,
            restarts=self._hello.restarts,
            management=self._management,
        )

    # Tasks

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (problem := task.exception()) is None:
            return
        if isinstance(problem, ConfigurationRefused | ValueError | OSError):
            log.error("%s", problem)
            self._end(MISUSED)
        else:
            self._failed(problem)

    async def _end_tasks(self) -> None:
        self._effects.end()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run(talk: Supervision) -> int:
    """Be the node behind this supervisor; the exit status."""
    hello = await talk.begin()
    configuration = Configuration.from_json(hello.configuration)
    logs.configure(style=configuration.log_format, level=configuration.log_level)
    try:
        return await Node(talk, hello, configuration, open_node(configuration, hello.kept)).run()
    except (InvalidConfiguration, StoreError, CertificateUnusable) as problem:
        log.error("%s", problem)  # noqa: TRY400 - the message says all
    except OSError as problem:
        log.error("Cannot serve: %s", problem)  # noqa: TRY400 - as above
    return MISUSED


def main() -> int:
    """Run the node process; the exit status."""
    end = own_descriptor()
    if end is None:
        print("This is started by `loadmaster-agent run`, not by hand.", file=sys.stderr)  # noqa: T201 - no log yet
        return MISUSED
    return asyncio.run(run(Supervision(end)))


if __name__ == "__main__":
    sys.exit(main())

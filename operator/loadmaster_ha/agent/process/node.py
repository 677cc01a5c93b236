"""The node process: every part made, wired up, started and stopped in order. The supervisor starts it.

There are two halves, each with a thread and an event loop of its own: what must never wait is
`high_availability`; what is wired up here grows with the settings, and may.
The process ends with 2 when it cannot run as configured, with 1 when something failed that should not have,
and with 0 after a clean stop.
"""

import asyncio
import contextlib
import errno
import logging
import os
import sys
from collections.abc import Coroutine, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from loadmaster_ha.agent.api.server import ManagementServer
from loadmaster_ha.agent.certificate_work.messages import CertificateUnusable, WorkFailed
from loadmaster_ha.agent.certificates import Identity
from loadmaster_ha.agent.configuration import Configuration, InvalidConfiguration
from loadmaster_ha.agent.dataplane.model import ConfigurationRefused
from loadmaster_ha.agent.ha.model import SwitchoverEnded
from loadmaster_ha.agent.local_control import Control
from loadmaster_ha.agent.process import metrics_page
from loadmaster_ha.agent.process.administration import Administration
from loadmaster_ha.agent.process.ha_thread import HaThread
from loadmaster_ha.agent.process.high_availability import HighAvailability
from loadmaster_ha.agent.process.metrics_reading import reading
from loadmaster_ha.agent.process.node_process import own_descriptor
from loadmaster_ha.agent.process.opening import Opened, open_node
from loadmaster_ha.agent.process.revision import Revision
from loadmaster_ha.agent.process.serving import Serving
from loadmaster_ha.agent.process.supervision import Hello, Supervision
from loadmaster_ha.agent.process.synchronisation import Synchronisation
from loadmaster_ha.agent.process.unit import NodeUnit, Parts, store_certificate
from loadmaster_ha.agent.settings.errors import StoreError
from loadmaster_ha.agent.settings.model import Kind
from loadmaster_ha.agent.unit_settings import HaSettings
from loadmaster_ha.telemetry import logs
from loadmaster_ha.telemetry.agent import AgentMetrics, Reading

log = logging.getLogger(__name__)

OK, FAILED, MISUSED = 0, 1, 2

_HA_KINDS: Final = frozenset({Kind.HA, Kind.AGENT, Kind.SECRET})
_EVERYWHERE: Final = "0.0.0.0"
_SERIAL_DIGITS: Final = 16


class Node:
    """One life of the process.

    Args:
        thread: of the half that must never wait.
        talk: to the supervisor.
        hello: the supervisor's first words.
        configuration: of the agent.
        opened: what was found on the disk.
    """

    def __init__(
        self, thread: HaThread, talk: Supervision, hello: Hello, configuration: Configuration, opened: Opened
    ) -> None:
        self._talk, self._hello, self._configuration, self._opened = talk, hello, configuration, opened
        self._done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._management = opened.management
        store = self._store = opened.store
        availability = self._availability = HighAvailability(thread, talk, configuration, opened, self)
        self._sync = Synchronisation(store, availability.send, availability.engine.clock)
        self._serving = Serving(
            configuration,
            own_addresses=opened.own_addresses,
            reserved=frozenset(
                {configuration.management_port, configuration.partner_port, configuration.metrics_port}
                | set(availability.check_ports)
            ),
            store=store,
            own_certificate=lambda: self._management.path.read_text(encoding="ascii"),
            health=availability.haproxy,
        )
        self._parts = Parts(
            store,
            availability.engine,
            availability.request,
            availability.link,
            self._sync,
            self._serving,
            Revision(),
            opened.link.fingerprint.hex()[:_SERIAL_DIGITS],
        )
        self._unit = NodeUnit(
            self._parts,
            own_addresses=opened.own_addresses,
            management_port=configuration.management_port,
            booted=hello.boot_time,
            reboot=availability.request_reboot,
            certificate=self._show_certificate,
        )
        self._server = ManagementServer(self._unit, opened.management)
        self._administration = Administration(
            self._unit, lambda: (self._management, opened.link), self._more_status
        )

    async def run(self) -> int:
        """Live; the exit status.

        Raises:
            InvalidConfiguration: a setting does not fit this machine; nothing was answered to anybody yet.
        """
        given, main = self._configuration, self._opened.main_address
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._store.close)
            stack.push_async_callback(self._serving.close)
            if self._hello.restarts == 0:  # at a boot; one that comes back is missed, and finds out later
                await self._serving.prepare()
            address, port = given.management_address or main, given.management_port
            with _binding("management", address, port):
                await self._server.start(address, port)
            stack.push_async_callback(self._server.stop, 2.0)
            metrics = AgentMetrics(self._reading)
            address, port = given.metrics_address or main, given.metrics_port
            with _binding("metrics", address, port):
                await stack.enter_async_context(metrics_page.serving(metrics.registry, address, port))
            control = Control(given.control_socket, self._administration.handlers())
            with _binding("runDirectory", str(given.control_socket)):
                await control.start()
            stack.push_async_callback(control.stop)
            stack.push_async_callback(self._end_tasks)
            stack.push_async_callback(self._availability.end)
            self._serving.expect(self._hello.haproxy)
            self._availability.begin()
            self._store.subscribe(self._committed)
            self._spawn(self._sync.run())
            self._spawn(self._serving.start(self._hello.haproxy, self._availability.run_haproxy))
            status = await self._done
        if status == OK:
            await self._availability.tell_stopped()
        return status

    # What the other half tells (`high_availability.Owner`)

    def shown(self, sight: Hashable) -> None:
        """What people and programs watch has changed."""
        self._parts.revision.note(sight)

    def switched_over(self, ended: SwitchoverEnded) -> None:
        """A switch-over has ended."""
        self._unit.ended(ended)

    def linked(self) -> None:
        """The partner link is there."""
        self._sync.connected()

    def unlinked(self) -> None:
        """It is gone, or could not be made."""
        self._sync.disconnected()

    def synchronise(self, message: Mapping[str, Any]) -> None:
        """The partner said this about settings."""
        self._sync.received(message)

    def stopped(self) -> None:
        """The clean stop is over."""
        self._end(OK)

    def failed(self, problem: BaseException) -> None:
        """Something failed that the process cannot go on without."""
        log.error("The node process cannot go on: %s", problem, exc_info=problem)
        self._end(FAILED)

    def lost(self, why: str) -> None:
        """There is no supervisor to live for."""
        log.error("Ending: %s", why)
        self._end(FAILED)

    def _end(self, status: int) -> None:
        self._parts.revision.end()
        if not self._done.done():
            self._done.set_result(status)

    # Settings

    def _committed(self, kinds: frozenset[Kind]) -> None:
        self._parts.revision.note_settings()
        if kinds & _HA_KINDS:
            self._availability.reconfigure()

    # What people ask for

    async def _show_certificate(self, pem: bytes) -> Identity:
        self._management = await store_certificate(Path(self._configuration.state_directory), pem)
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
            "checkPorts": list(self._availability.check_ports),
            "notListening": listeners,
        }

    def _reading(self) -> Reading:
        return reading(
            self._parts,
            tally=self._availability.tally,
            counts=self._talk.counts,
            starts=self._availability.haproxy.starts,
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
            self.failed(problem)

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _binding(setting: str, *place: str | int) -> Iterator[None]:
    """Around what listens: a refusal names the setting.

    Raises:
        InvalidConfiguration: the system refuses.
    """
    try:
        yield
    except OSError as problem:
        where = ":".join(map(str, place))
        hint = {
            errno.EADDRINUSE: "another program listens there",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }.get(problem.errno or 0, os.strerror(problem.errno) if problem.errno else str(problem))
        raise InvalidConfiguration(f"{setting}: cannot listen on {where}: {hint}") from problem


async def run(talk: Supervision) -> int:
    """Be the node behind this supervisor; the exit status."""
    thread = HaThread()
    thread.start()
    try:
        return await _run(thread, talk)
    finally:
        thread.stop()


async def _run(thread: HaThread, talk: Supervision) -> int:
    hello = await thread.run(talk.begin())
    configuration = Configuration.from_json(hello.configuration)
    logs.configure(style=configuration.log_format, level=configuration.log_level)
    try:
        opened = open_node(configuration, hello.kept)
        return await Node(thread, talk, hello, configuration, opened).run()
    except (InvalidConfiguration, StoreError, CertificateUnusable) as problem:
        log.error("%s", problem)  # noqa: TRY400 - the message says all
    except OSError as problem:
        log.error("Cannot serve: %s", problem)  # noqa: TRY400 - as above
    except WorkFailed as problem:
        log.error("Cannot read the unit's certificates: %s", problem)  # noqa: TRY400 - as above
        return FAILED  # the configuration is not to blame: it is tried again
    return MISUSED


def main() -> int:
    """Run the node process; the exit status."""
    os.environ.pop("SSL_CERT_FILE", None)  # the supervisor's, for the imports; not for children
    end = own_descriptor()
    if end is None:
        print("This is started by `loadmaster-agent run`, not by hand.", file=sys.stderr)  # noqa: T201 - no log yet
        return MISUSED
    return asyncio.run(run(Supervision(end)))


if __name__ == "__main__":
    sys.exit(main())

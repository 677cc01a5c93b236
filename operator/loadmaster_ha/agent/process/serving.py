"""The data plane as the node process has it: fed with the settings' services, brought up at the start.

Whether HAProxy serves is watched elsewhere (`haproxy_health`).
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from loadmaster_ha.agent.api.dispatch import Refused
from loadmaster_ha.agent.api.unit import ServiceStatistics
from loadmaster_ha.agent.certificate_work.messages import WorkFailed
from loadmaster_ha.agent.configuration import Configuration, InvalidConfiguration
from loadmaster_ha.agent.dataplane.command import Paths, command_line, program
from loadmaster_ha.agent.dataplane.controller import DataPlane
from loadmaster_ha.agent.dataplane.model import ConfigurationRefused, Node
from loadmaster_ha.agent.process.haproxy_health import HAProxyHealth
from loadmaster_ha.agent.service_certificates import Chains
from loadmaster_ha.agent.services import virtual_services
from loadmaster_ha.agent.settings.model import Kind
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService

log = logging.getLogger(__name__)

_OWN_CERTIFICATE: Final = ""
"""The name under which the data plane looks for what a service without a certificate of its own shows."""

_SERVED_KINDS: Final = frozenset(
    {Kind.VIRTUAL_SERVICE, Kind.REAL_SERVER, Kind.CERTIFICATE, Kind.INTERMEDIATE}
)
_START_SECONDS: Final = 10.0
"""For so long an HAProxy that was just asked for may not be there without that being a failure."""

_GATHER_SECONDS: Final = 0.03
_GATHER_LIMIT: Final = 1.0
"""Commits that follow each other so quickly are served together: what the partner changed at once comes in
portions, and a reload for the first of them would keep the others waiting for the next one."""

_STALE_SECONDS: Final = 2.0
_CHAINS_RETRY_SECONDS: Final = 30


def paths_of(configuration: Configuration) -> Paths:
    """Where HAProxy's files are."""
    return Paths(
        directory=Path(configuration.haproxy_directory or f"{configuration.state_directory}/haproxy"),
        sockets=Path(configuration.haproxy_sockets or f"{configuration.run_directory}/haproxy"),
        master_socket=Path(configuration.haproxy_master_socket)
        if configuration.haproxy_master_socket
        else None,
    )


class Serving:
    """HAProxy and the services.

    Args:
        configuration: of the agent.
        own_addresses: interface name -> this unit's address.
        reserved: ports that the agent itself listens on.
        store: the settings.
        own_certificate: the management API's certificate and key, in PEM.
        health: of HAProxy; its owner runs it.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        own_addresses: Mapping[str, str],
        reserved: frozenset[int],
        store: Store,
        own_certificate: Callable[[], str],
        health: HAProxyHealth,
    ) -> None:
        self._managed = configuration.haproxy_mode == "Managed"
        self._binary = program(configuration.haproxy_binary)
        self._own_addresses = own_addresses
        self._store = store
        self._own_certificate = own_certificate
        self._health = health
        self._paths = paths_of(configuration)
        self._chains = Chains()
        self._submission: asyncio.TimerHandle | None = None
        self._submitting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed_since = 0.0
        self.plane = DataPlane(
            Node(
                paths=self._paths,
                interfaces=own_addresses,
                reserved_ports=reserved,
                hard_stop_after=configuration.haproxy_hard_stop_after,
                threads=configuration.haproxy_threads,
                account=configuration.haproxy_user,
            ),
            binary=self._binary,
            external=not self._managed,
            watch=health.watch,
        )

    async def prepare(self) -> None:
        """See, before anything is promised to anybody, whether HAProxy can be run here.

        Raises:
            InvalidConfiguration: its binary, account or folders are not as the configuration says.
        """
        try:
            await self.plane.prepare()
        except ConfigurationRefused as problem:
            raise InvalidConfiguration(f"haproxy.binary: {problem}") from problem
        except (ValueError, OSError) as problem:
            raise InvalidConfiguration(f"haproxy: {problem}") from problem

    def expect(self, haproxy: Mapping[str, Any]) -> None:
        """Before HAProxy is watched: one that `start` is about to bring up may be absent for a while."""
        if self._managed and not haproxy["running"]:
            self._health.expect(_START_SECONDS)

    async def start(self, haproxy: Mapping[str, Any], run_haproxy: Callable[[Sequence[str]], None]) -> None:
        """Bring HAProxy up with the services that there are.

        Raises:
            ConfigurationRefused: the binary is missing, or too old.
            ValueError, OSError: HAProxy's folders cannot be made.
        """
        if self._managed and not haproxy["running"]:
            await end_stale(self._paths.master)
        await self.plane.start()
        self._store.subscribe(self._committed)
        async with self._submitting:
            wanted = await self._wanted()
        outcome = await self.plane.apply(*wanted)
        if outcome.done is None:
            log.error("HAProxy cannot be configured: %s", outcome.detail)
        if not self._managed:
            return
        if self._paths.configuration.exists():
            run_haproxy(command_line(self._paths, binary=self._binary))
        else:
            self._health.cannot_start(f"HAProxy cannot be started: {outcome.detail}")

    async def close(self) -> None:
        """Stop working. HAProxy goes on."""
        if self._submission is not None:
            self._submission.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.plane.close()

    # For the management API (`api.unit.Balancing`)

    async def check_change(self, services: Sequence[VirtualService]) -> None:
        """Try what the services would be after a change.

        Raises:
            Refused: HAProxy or Azure cannot do that, or there is no room to try it.
        """
        if self._submission is not None or self._submitting.locked():
            # The data plane tries it with what it knows: the certificate that came a moment ago, for example.
            await self._submit()
        try:
            await self.plane.check_change(services)
        except ConfigurationRefused as refused:
            raise Refused(422, refused.text) from None
        except OSError as error:
            raise Refused(
                503, f"The change cannot be tried, nothing was changed: {error.strerror or error}"
            ) from error

    async def statistics(self) -> Mapping[ServiceKey, ServiceStatistics]:
        """What HAProxy counts now."""
        return await self.plane.statistics()

    def resubmit(self) -> None:
        """The own certificate is another one."""
        self._begin_submitting()

    def _committed(self, kinds: frozenset[Kind]) -> None:
        if not kinds & _SERVED_KINDS:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._submission is None:
            self._changed_since = now
        else:
            self._submission.cancel()
        due = min(now + _GATHER_SECONDS, self._changed_since + _GATHER_LIMIT)
        self._submission = loop.call_at(due, self._begin_submitting)

    def _begin_submitting(self) -> None:
        task = asyncio.get_running_loop().create_task(self._submit())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _submit(self) -> None:
        if self._submission is not None:
            self._submission.cancel()
            self._submission = None
        async with self._submitting:  # what is set later is submitted later
            self.plane.submit(*await self._wanted())

    async def _wanted(self) -> tuple[tuple[VirtualService, ...], dict[str, str]]:
        snapshot = self._store.snapshot
        try:
            certificates = await self._chains.completed(snapshot)
        except WorkFailed as problem:
            log.error(  # noqa: TRY400 - the message says all
                "The chains of certificates are served as they are: %s; tried again in %d s",
                problem,
                _CHAINS_RETRY_SECONDS,
            )
            certificates = self._chains.so_far(snapshot)
            asyncio.get_running_loop().call_later(_CHAINS_RETRY_SECONDS, self._begin_submitting)
        return (
            virtual_services(snapshot, self._own_addresses),
            {_OWN_CERTIFICATE: self._own_certificate(), **certificates},
        )


async def end_stale(master: Path) -> None:
    """End an HAProxy that a supervisor which was killed has left behind: its ports are wanted.

    The kernel has told it to finish (`children`), but while its master starts HAProxy 2.6 loses signals. Two
    of them would share the ports, and the old one would serve what was set long ago.
    """
    end = asyncio.get_running_loop().time() + _STALE_SECONDS
    while (pid := _owner(master)) is not None:
        late = asyncio.get_running_loop().time() >= end
        log.warning("An HAProxy of an earlier run is still there: it is told to end", extra={"pid": pid})
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if late else signal.SIGUSR1)
        await asyncio.sleep(0.3)


def _owner(path: Path) -> int | None:
    """The process that listens on a socket (unix(7), SO_PEERCRED); None when nobody does."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(0.5)
        try:
            asking.connect(str(path))
        except OSError:
            return None
        credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", credentials)[0]
        return pid

"""What the handlers of the management API may use of the node that they run on.

`agent.process.node` implements `Unit`; tests of handlers make one of a real store and whatever else they
need.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from loadmaster_ha.agent.ha.model import SwitchoverEnded, View
from loadmaster_ha.agent.settings.model import Change, Fields, Kind
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService


class Snapshot(Protocol):
    """All settings at one instant; never changes."""

    def entities(self, kind: Kind) -> Mapping[str, Fields]:
        """The entities of a kind by their keys."""
        ...

    def get(self, kind: Kind, key: str) -> Fields | None:
        """The fields of one entity; None when there is none."""
        ...


class Settings(Protocol):
    """The settings of the unit: `agent.settings.store.Store`."""

    @property
    def snapshot(self) -> Snapshot:
        """As they are now."""
        ...

    def commit(self, changes: Sequence[Change], *, seed: bool = False) -> None:
        """Make all of the changes or none; durable on return.

        With `seed` they are defaults: they add what is not there, and a person's setting on either unit wins.

        Raises:
            agent.settings.errors.StoreError: it cannot be written; nothing was changed.
            agent.settings.errors.SettingRefused: it cannot be stored; nothing was changed.
        """
        ...


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """One real server as HAProxy counts it. Bytes and connections are since HAProxy's start."""

    address: str
    port: int
    up: bool
    current_connections: int = 0
    total_connections: int = 0
    connections_per_second: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    detail: str = ""
    """What the last health check said."""


@dataclass(frozen=True, slots=True)
class ServiceStatistics:
    """One virtual service as HAProxy counts it."""

    key: ServiceKey
    up: bool
    """At least one real server (or the sorry server) can take a connection."""
    current_connections: int = 0
    total_connections: int = 0
    connections_per_second: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    servers: tuple[ServerStatistics, ...] = ()


class Balancing(Protocol):
    """The data plane: `agent.dataplane.controller.DataPlane`."""

    async def check_change(self, services: Sequence[VirtualService]) -> None:
        """Try what the services would be after a change, before it is committed.

        Raises:
            agent.api.dispatch.Refused: HAProxy or Azure cannot do that (422 and the reason in words).
        """
        ...

    async def statistics(self) -> Mapping[ServiceKey, ServiceStatistics]:
        """What HAProxy counts now; services that it does not serve (yet) are missing."""
        ...


@dataclass(frozen=True, slots=True)
class PartnerLinkStatus:
    """How the partner link stands, for `agentstatus`; counters run from the start of the process."""

    connected: bool = False
    peer: str | None = None
    """The partner's address, as configured."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Connections turned away or failed, by reason: `Unauthorised`, `Refused`, `Timeout` ..."""
    bytes_in: int = 0
    bytes_out: int = 0
    last_error: str = ""
    lag: int = 0
    """Settings that the partner has not acknowledged."""
    lag_seconds: float = 0.0
    """How long the oldest of them has been waiting for it."""
    last_success: datetime | None = None
    """When both were last known to hold the same settings."""


class Unit(Protocol):
    """The node, as far as the management API is concerned."""

    @property
    def settings(self) -> Settings:
        """All that can be set."""
        ...

    @property
    def balancing(self) -> Balancing:
        """The data plane."""
        ...

    @property
    def own_addresses(self) -> Mapping[str, str]:
        """Interface name -> this unit's primary address on it, the first one being the main interface."""
        ...

    @property
    def management_port(self) -> int:
        """Where this API listens."""
        ...

    @property
    def version(self) -> str:
        """As `get?param=version` says it: at least four dotted numbers."""
        ...

    @property
    def serial_number(self) -> str:
        """What tells this unit from a fresh one at the same address."""
        ...

    @property
    def boot_time(self) -> datetime:
        """When the unit last booted (for an agent: when its processes started), UTC."""
        ...

    @property
    def monotonic(self) -> float:
        """The clock that the engine's times are of, seconds."""
        ...

    def view(self) -> View:
        """The HA engine's state now."""
        ...

    def link_status(self) -> PartnerLinkStatus:
        """The partner link's state now."""
        ...

    @property
    def revision(self) -> int:
        """Grows with every change of settings, `view` and `link_status().connected`; never 0."""
        ...

    @property
    def settings_revision(self) -> int:
        """Grows with every change of settings, made here or by the partner, since the process started."""
        ...

    async def changed(self, since: int) -> int:
        """Wait until `revision` differs from `since`; the new one. The caller limits the time."""
        ...

    async def switchover(self, to: Role, hold: float | None) -> SwitchoverEnded:
        """Make the unit of this role active, make before break; returns how it ended."""
        ...

    def undo_hold(self) -> None:
        """End the hold of an earlier switch-over."""
        ...

    def drain(self, duration: float | None) -> None:
        """Hand over if possible and take no new connections for some seconds (None: until `undrain`)."""
        ...

    def undrain(self) -> None:
        """End the drain."""
        ...

    def request_reboot(self) -> None:
        """Restart the agent's processes and HAProxy shortly after this returned and was replied."""
        ...

    async def replace_management_certificate(self, pem: bytes) -> None:
        """Serve the API with this certificate and key from the next connection on, and keep them.

        Raises:
            agent.certificate_work.messages.CertificateUnusable: it is no certificate with its key; says why.
        """
        ...


async def bounded(waiting: Awaitable[int], seconds: float, otherwise: int) -> int:
    """The result of waiting, or `otherwise` when it takes longer than that."""
    try:
        async with asyncio.timeout(seconds):
            return await waiting
    except TimeoutError:
        return otherwise

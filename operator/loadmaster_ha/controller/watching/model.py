"""What the watch lane is told of a pair, what it tells, and what it needs of its neighbours.

`WatchFacts` come from the other lanes (the exchange), `WatchSituation` goes to the board, which alone writes
status. The protocols are the seams: `process` hands in what implements them.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from loadmaster_ha.azure.session import AzureSession
from loadmaster_ha.controller.events import Event
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import PreferredHost, Role
from loadmaster_ha.domain.reading import Reading
from loadmaster_ha.domain.units import Active, ObservedState, Trigger, UnitKind
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.diagnosis.model import Diagnosis


@dataclass(frozen=True, slots=True)
class WatchedService:
    """A published service: its virtual service, and what is known to be in its way."""

    name: str
    nickname: str
    """The virtual service's name on the units."""
    findings: tuple[Finding, ...] = ()
    """What stands between the units and the real servers (security rules by name)."""


@dataclass(frozen=True, slots=True)
class WatchFacts:
    """What is to be watched of a pair, and what the other lanes know of it."""

    addresses: Mapping[Role, str]
    """The units' own addresses; one that is not known yet is missing."""
    check_port: int
    """That is asked: the manifest's, or the old one as long as the units cannot follow to a new one."""
    preferred_host: PreferredHost
    frontend: str = ""
    """The balancer's address; empty: not known yet."""
    azure: tuple[Finding, ...] = ()
    """What the Azure side has against the pair."""
    health_rule: ResourceID | None = None
    """The balancing rule of the check port, for Azure's rule health; None: not there yet."""
    services: tuple[WatchedService, ...] = ()
    probe_seconds: float = 10.0
    """How long the balancer may take to notice: interval times threshold of the probe."""
    services_differ_since: float | None = None
    """Appliances: since when (monotonic) the address-normalised services of the units differ."""
    services_written_at: float | None = None
    """When (monotonic) virtual services or real servers were written last; None: not by this process."""
    changing: bool = False
    """The operator itself reboots or reconfigures a unit just now."""
    wanted_port: int | None = None
    """The check port of the manifest; None: the one that is asked."""
    switching_to: Role | None = None
    """A planned switch-over to this unit is under way or was a moment ago."""


@dataclass(frozen=True, slots=True)
class StoredWatch:
    """What status remembers of an earlier process: the beginning of the history."""

    active: Active = Active.UNKNOWN
    kinds: Mapping[Role, UnitKind] = field(default_factory=lambda: MappingProxyType({}))
    last_failover_to: Role | None = None
    """Who took over at the last fail-over, in case that `active` is no one unit."""
    last_failover_at: float | None = None
    """When, in Unix seconds."""
    services_down: bool = False
    """The pair was told to have a service that is down."""


@dataclass(frozen=True, slots=True)
class Failover:
    """One change of who is active; becomes `status.lastFailover`, an Event and a count."""

    at: float
    """When it was seen, Unix seconds."""
    origin: Role
    target: Role
    trigger: Trigger
    reason: str
    """What was seen, one or two sentences."""
    seconds: float | None = None
    """From the last good answer of the old one to the first of the new one; None: not both were seen."""


@dataclass(frozen=True, slots=True)
class UnitSight:
    """One unit for `status.units[]`."""

    role: Role
    kind: UnitKind | None
    state: ObservedState
    firmware: str = ""
    last_seen: float | None = None
    """Unix seconds; only while the unit does not answer."""


@dataclass(frozen=True, slots=True)
class WatchSituation:
    """What the watch lane says of a pair: PairHealthy, Available, `active`, `units`, `lastFailover`."""

    diagnosis: Diagnosis
    units: Mapping[Role, UnitSight]
    failover: Failover | None = None
    """The last one that this process has seen; None: what is stored stays."""


class FactsSource(Protocol):
    """Where the lane reads what the other lanes know; the controller's exchange."""

    def watch_facts(self, key: PairKey) -> WatchFacts | None:
        """The latest facts; None: the pair is not managed (any more) or not known well enough."""

    def stored_watch(self, key: PairKey) -> StoredWatch:
        """What status said when this process took the pair over."""

    def watched(self, key: PairKey, situation: WatchSituation) -> None:
        """What the watch lane says now, for the other lanes."""

    def settings_told(self, key: PairKey, role: Role, revision: int | None) -> None:
        """Which revision of its settings a node agent has; None: it does not tell (any more)."""


class Board(Protocol):
    """Who writes status; may be slow: the lane never waits for it before it goes on watching."""

    def watched(self, key: PairKey, situation: WatchSituation) -> Awaitable[None]:
        """Take note of what was seen; done when status is stored (or need not be)."""

    def event(self, key: PairKey, event: Event) -> Awaitable[None]:
        """Report one Event about the pair."""


class UnitsSource(Protocol):
    """How a unit is called; asked before each round, so that new credentials are taken up."""

    async def caller(self, key: PairKey, role: Role) -> Reading[Caller]:
        """The unit's client; `Unknown` with the reason where there can be none (a Secret is missing)."""


class AzureSource(Protocol):
    """How Azure is asked on behalf of a pair."""

    def azure_session(self, key: PairKey) -> AzureSession | None:
        """The session that the Azure lane used last for this pair; None: there is none yet."""

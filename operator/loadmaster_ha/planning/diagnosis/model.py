"""The words of the diagnosis: what was seen of a pair, and what is said of it.

`controller.watching` fills a `PairView` from the health ports, the management APIs, the frontend and Azure;
`diagnose` makes a `Diagnosis` of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import PreferredHost, Role
from loadmaster_ha.domain.reading import Absent, Present, Reading
from loadmaster_ha.domain.units import Active, AgentStatus, HighAvailabilitySettings, ObservedState, UnitKind


class PairHealth(StrEnum):
    """The one word about a pair: reason of the condition `PairHealthy`. After the guide's section 10."""

    ACTIVE_STANDBY = "ActiveStandby"
    BOTH_ACTIVE = "BothActive"
    NONE_ACTIVE = "NoneActive"
    UNCONNECTED = "Unconnected"
    NOT_CONFIGURED = "NotConfigured"
    PARTNER_UNREACHABLE = "PartnerUnreachable"
    MODE_CONFLICT = "ModeConflict"
    PORT_MISMATCH = "PortMismatch"
    PARTNER_MISMATCH = "PartnerMismatch"
    VERSION_SKEW = "VersionSkew"
    SECRET_MISMATCH = "SecretMismatch"  # noqa: S105 - a word
    SYNC_STALE = "SyncStale"
    BALANCER_MISCONFIGURED = "BalancerMisconfigured"
    SERVICE_UNREACHABLE = "ServiceUnreachable"
    LICENSING_FAILED = "LicensingFailed"
    MIXED_UNITS = "MixedUnits"
    BOOTING = "Booting"
    UNLICENSED = "Unlicensed"
    UNKNOWN = "Unknown"


class Silence(StrEnum):
    """Why there is no answer."""

    REFUSED = "Refused"
    """The host is there and nothing listens: the process is certainly down."""
    CLOSED = "Closed"
    """The connection was accepted and closed or reset without an answer."""
    TIMED_OUT = "TimedOut"
    UNREACHABLE = "Unreachable"
    """The network says that there is no way there."""
    NOT_HTTP = "NotHTTP"


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """What a health port (or the frontend's) said last. Times are of one monotonic clock, in seconds."""

    code: int | None
    """HTTP status; None: no answer, and `silence` says why."""
    text: str = ""
    """First line of the body, bounded (`Master is active`)."""
    silence: Silence | None = None
    at: float = 0.0
    since: float = 0.0
    """Since when it has been saying the same."""
    last_good: float | None = None
    """When it said 200 last."""

    @property
    def good(self) -> bool:
        """Whether it says 200."""
        return self.code == 200


@dataclass(frozen=True, slots=True)
class UnitView:
    """What is known of one unit now."""

    role: Role
    kind: UnitKind | None = None
    firmware: str = ""
    health: HealthAnswer | None = None
    """None: not asked, on purpose (an appliance that the balancer has not polled yet) or not yet."""
    management: Reading[ObservedState] = field(default_factory=Absent)
    """The state that the management API tells; `Unknown` with the client's reason (Booting, Unlicensed,
    Unauthorized, CertificateNotTrusted, TimedOut, ...) when it cannot be asked; `Absent`: not asked yet."""
    settings: HighAvailabilitySettings | None = None
    boot: str = ""
    agent: AgentStatus | None = None
    active_since: str = ""
    runs_alone: bool = False
    """It runs in single mode, whatever is set: its word "active" is not about the pair."""
    last_seen: float | None = None
    """When it answered anything last, on the monotonic clock."""


@dataclass(frozen=True, slots=True)
class RuleHealth:
    """Azure's own view of one rule (azure-network.md 2.8): per backend address, state and reason code."""

    up: frozenset[str]
    down: Mapping[str, str]
    """Address -> reason code (`Down_Probe_HttpStatusCodeError`, `Down_AdminStateDown`, ...)."""


DOWN: Final = frozenset({"Down", "Sick"})
"""A unit's words for a virtual service that nobody is served by."""


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A published service: whether its virtual service and real servers answer, from the active unit."""

    name: str
    status: str = ""
    """The unit's word: Up, Down, Disabled, ...; empty: not known."""
    real_servers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`ADDRESS:PORT` -> the unit's word."""
    findings: tuple[Finding, ...] = ()
    """What stands between the unit and the real servers (security rules by name)."""


@dataclass(frozen=True, slots=True)
class PairView:
    """Everything known of a pair now."""

    units: Mapping[Role, UnitView]
    addresses: Mapping[Role, str]
    check_port: int
    """That the balancer probes."""
    preferred_host: PreferredHost
    frontend: HealthAnswer | None = None
    frontend_address: str = ""
    rule_health: Reading[RuleHealth] = field(default_factory=Absent)
    rule_health_at: float | None = None
    """When Azure was asked; None: just now."""
    services: tuple[ServiceView, ...] = ()
    azure: tuple[Finding, ...] = ()
    """What the Azure side has against it (`ProbeBlocked`, `SynchronisationBlocked`, ...)."""
    services_differ_since: float | None = None
    """Appliances: since when the address-normalised services of the two differ; None: they do not, or it is
    not known."""
    probe_seconds: float = 15.0
    """How long the balancer may take to notice a change: interval times threshold and one more."""
    next_port: int | None = None
    """The check port that the manifest wants, if the balancer's is to be changed to it."""
    changing: bool = False
    """The operator itself reboots or reconfigures a unit just now."""
    now: float = 0.0

    @property
    def rule_health_counts(self) -> bool:
        """Whether Azure's word is about the units as they are now.

        It was asked for after its probes had the time to notice the last change of what the units answer.
        """
        if not isinstance(self.rule_health, Present):
            return False
        changes = [unit.health.since for unit in self.units.values() if unit.health is not None]
        asked = self.now if self.rule_health_at is None else self.rule_health_at
        return not changes or asked - max(changes) > self.probe_seconds


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is said of a pair."""

    health: PairHealth
    active: Active
    states: Mapping[Role, ObservedState]
    healthy: bool | None
    """Status of `PairHealthy`; None: cannot be told."""
    cause: str
    """One sentence."""
    evidence: tuple[str, ...] = ()
    """What was seen, one sentence each."""
    remedy: str = ""
    """What a person should do; empty: nothing."""
    serving: bool | None = None
    """Status of `Available`: the frontend is served now; None: cannot be told."""

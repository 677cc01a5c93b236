"""One LoadMaster as it was observed: an appliance of Kemp's or a node agent, seen through its management API.

Plain values. `loadmaster.observer` fills them, `planning.units` and `planning.diagnosis` read them. What
could not be read is `Unknown`, never an old value and never absence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from loadmaster_ha.domain.ha import Mode, PreferredHost, Role
from loadmaster_ha.domain.reading import Absent, Reading
from loadmaster_ha.domain.virtual_services import VirtualService


class UnitKind(StrEnum):
    """What a unit is. A pair of two kinds is refused (`MixedUnits`)."""

    APPLIANCE = "Appliance"
    AGENT = "Agent"


class ObservedState(StrEnum):
    """What a unit does, as seen from outside."""

    ACTIVE = "Active"
    STANDBY = "Standby"
    UNCONNECTED = "Unconnected"
    """The balancer has not probed it since it started (guide, 10.2)."""
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class Active(StrEnum):
    """Who of a pair is active; `status.active`."""

    MASTER = "Master"
    SLAVE = "Slave"
    BOTH = "Both"
    NONE = "None"
    UNKNOWN = "Unknown"


class Trigger(StrEnum):
    """What made the active unit another one."""

    PLANNED = "Planned"
    PROCESS_DIED = "ProcessDied"
    """The old one was reachable and said no, refused connections, or its process ended."""
    SILENT = "Silent"
    """The old one did not answer at all."""
    FAILBACK = "Failback"
    """Prefer Master: the master took over again."""
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class HighAvailabilitySettings:
    """The HA settings of a unit as they read back (guide, 7), which may be in force only after a reboot."""

    mode: Mode = Mode.SINGLE
    preferred_host: PreferredHost | None = None
    """None: not told (a single unit does not say)."""
    partner: str | None = None
    port: int | None = None
    all_interfaces: bool | None = None
    """None: cannot be told; the words of an appliance that has it on are not documented."""


@dataclass(frozen=True, slots=True)
class AgentInputs:
    """What a node agent has to know of the balancer (`agentgetparams`)."""

    frontend: str | None = None
    probe_source: str | None = None
    probe_interval: int | None = None
    """Seconds."""
    probe_threshold: int | None = None


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What a node agent says of itself (`agentstatus`, `agentwatch`)."""

    revision: int
    mode: Mode
    """In force."""
    state: ObservedState
    settings_revision: int | None = None
    """Grows with every change of its settings, whoever made it, while it runs; None: it does not tell."""
    reason: str = ""
    detail: str = ""
    active_seconds: int | None = None
    draining: bool = False
    held: bool = False
    """A planned switch-over holds against Prefer Master."""
    switchover: str = ""
    partner_connected: bool = False
    partner: str | None = None
    partner_mode: str = ""
    partner_state: str = ""
    partner_detail: str = ""
    link_refusals: tuple[str, ...] = ()
    link_error: str = ""
    link_bytes_in: int = 0
    link_bytes_out: int = 0
    sync_lag: int | None = None
    """Seconds since which this unit has something that the partner has not acknowledged."""
    sync_last_success: str = ""
    boot_time: str = ""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate in the unit's store."""

    name: str
    fingerprint: str | None
    """SHA-256 of the certificate, lower-case hex; None where the unit does not let it be read."""


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """Everything that one look at a unit brought."""

    role: Role
    """Which unit of the manifest it is; what it is configured to be is in `settings`."""
    kind: UnitKind
    firmware: str
    """As `version` says, e.g. `7.2.54.12.22642.RELEASE`."""
    identity: str
    """What tells this unit from a fresh one at the same address: its serial number, else the fingerprint of
    its management certificate."""
    boot: str
    """`boottime` in the unit's own words: the same until it reboots."""
    commands: frozenset[str]
    """What `listapi` names, in lower case."""
    settings: HighAvailabilitySettings
    mode_in_force: Mode | None
    """What it runs as since its last boot; None: cannot be told."""
    state: ObservedState
    active_since: str = ""
    """`activetime` in the unit's own words; empty when it is not active."""
    services: Reading[tuple[VirtualService, ...]] = field(default_factory=Absent)
    """`Absent`: not asked for."""
    certificates: Reading[tuple[Certificate, ...]] = field(default_factory=Absent)
    """`Absent`: not asked for."""
    agent: AgentStatus | None = None
    inputs: AgentInputs | None = None
    service_status: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`Status` (Up, Down, Disabled, ...) of each virtual service, by nickname."""

    @property
    def has_shared_secret(self) -> bool:
        """Whether its firmware knows the Partner Shared Secret."""
        return "setlmcommsecret" in self.commands

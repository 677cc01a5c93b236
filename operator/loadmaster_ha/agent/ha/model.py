"""The words of the HA engine: its configuration, what happens to it (events), what it wants done (effects).

All times are seconds of the caller's monotonic clock, and durations are seconds; wall clocks do not occur:
those of the two nodes may differ by hours. The engine is `engine.py`; the process that feeds it is
`agent.process`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from loadmaster_ha.domain.ha import HEALTH_CHECK_PORT, Mode, PreferredHost, UnitState


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a unit is told about itself, its partner and the balancer."""

    mode: Mode = Mode.SINGLE
    preferred_host: PreferredHost = PreferredHost.MASTER
    partner: str | None = None
    """The partner's address; None: not set."""
    check_port: int = HEALTH_CHECK_PORT
    probe_interval: float = 5.0
    probe_threshold: int = 2
    """Probes answered with 200 that the taking-over unit must have counted before the other one yields."""
    partner_timeout: float = 3.0
    """Silence of the partner, on link and health page both, after which it counts as silent."""
    heartbeat_interval: float = 0.5
    witness: bool = True
    """Whether the balancer's frontend is known and can be asked."""
    witness_timeout: float = 1.0
    failback_delay: float = 10.0
    """How long the master has to be well before it takes over again under Prefer Master."""
    damping_limit: float = 300.0
    """The fail-back delay doubles with every change of state in the last ten minutes, up to this."""
    drain_time: float = 15.0
    """How long a stopping unit goes on answering 503 so that the balancer sees it."""
    lease: float = 1.5
    """How long the health responder repeats the last answer without hearing from the node process; a step
    that comes later than that has been answered 503 meanwhile, and the partner may be serving."""


class HandoverKind(StrEnum):
    """Why one unit hands over to the other while both are well."""

    PLANNED = "Planned"
    """A person or the operator asked for it; only this kind holds off Prefer Master afterwards."""
    FAILBACK = "Failback"
    """Prefer Master: the master is well again."""
    DRAIN = "Drain"
    STOP = "Stop"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the last switch-over that a unit had to carry out, for the partner that asked for it."""

    id: str
    done: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one unit tells the other in every heartbeat, and at once after every change."""

    boot_id: str
    """New with every start of the node process."""
    mode: Mode
    state: UnitState
    preferred_host: PreferredHost
    check_port: int
    healthy: bool
    """Could serve: data plane well, not draining, not stopping."""
    active_for: float
    """How long it has been active, in seconds; 0 when it is not."""
    healthy_for: float
    """How long it could have served and has been probed without a gap, in seconds."""
    handover: str = ""
    """Id of the planned switch-over under way, told by the unit that is to yield."""
    handover_ready: str = ""
    """Id of the switch-over for which the taking-over unit has counted enough probes."""
    detail: str = ""
    """Why it is in this state, in words."""
    handover_kind: HandoverKind = HandoverKind.PLANNED
    handover_hold: float | None = None
    """How long the one that takes over is to hold off Prefer Master; None: until undone."""
    handover_for: str = ""
    """Boot id of the partner that the switch-over is meant for; after a restart it does not take it."""
    probe_age: float | None = None
    """Seconds since the balancer's last probe; None: never probed since the start."""
    confirmed: bool = False
    """While both are active: it has counted enough probes since, so that the other one may yield."""
    insists: bool = False
    """While both are active: the slave, who judges, says that it stays and the master yields."""
    held: str = ""
    """Id of the switch-over that holds off Prefer Master at this unit."""
    undo: str = ""
    """Id of the hold at the partner that a person has undone at this unit."""
    wants: str = ""
    """Id of a switch-over to this unit that a person asked for here."""
    wants_hold: float | None = None
    outcome: Outcome | None = None
    served_for: float | None = None
    """How long it has been active *and* probed without a gap, in seconds; None: it does not say."""


class LinkEnd(StrEnum):
    """Why the partner link is not there."""

    CLOSED = "Closed"
    """The partner's kernel ended the connection: its process is gone."""
    REFUSED = "Refused"
    """Nothing listens there."""
    TIMEOUT = "Timeout"
    UNAUTHORISED = "Unauthorised"
    """The shared secrets differ."""
    INCOMPATIBLE = "Incompatible"
    """No version of the protocol in common."""


class Page(StrEnum):
    """What came of asking a health port (the partner's, or the frontend's)."""

    OK = "Ok"
    """200."""
    UNAVAILABLE = "Unavailable"
    """503, or any other answer."""
    REFUSED = "Refused"
    """The host is there and nothing listens."""
    SILENT = "Silent"
    """No answer in time."""


# Events


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Configured:
    """The configuration is new or has changed."""

    configuration: Configuration


@dataclass(frozen=True, slots=True)
class PartnerReported:
    """A heartbeat arrived on the authenticated link."""

    report: Report


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The link ended, or could not be made."""

    end: LinkEnd


@dataclass(frozen=True, slots=True)
class PartnerPage:
    """The partner's health port was asked. `says` is the text of the answer, also of a 503."""

    page: Page
    says: str = ""
    asked: float | None = None
    """That of the question; an answer to another one than that under way is not heard. None: to that one."""


@dataclass(frozen=True, slots=True)
class WitnessAnswered:
    """The frontend's health port was asked. `says` is the text of the answer; who a 200 names is alive."""

    page: Page
    says: str = ""
    asked: float | None = None
    """As of `PartnerPage`."""


@dataclass(frozen=True, slots=True)
class Probed:
    """The balancer probed this unit `count` times since last told, and got this status each time."""

    code: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class DataPlane:
    """HAProxy serves, or does not; `detail` says in words how it was found out."""

    healthy: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SwitchoverRequested:
    """A person or the operator wants the other unit active (or this one, when it stands by).

    `to` is the role that is to be active; `hold` how long Prefer Master is held off (None: until undone).
    """

    id: str
    to: Mode
    hold: float | None = None


@dataclass(frozen=True, slots=True)
class SwitchoverUndone:
    """The hold of an earlier switch-over ends now."""


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """Hand over if possible and take no new connections for `duration` seconds (None: until undrained)."""

    duration: float | None


@dataclass(frozen=True, slots=True)
class DrainEnded:
    """A person ends the drain."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The node is to stop cleanly: hand over if possible, answer 503 for the drain time, then `Stop`."""


Event: TypeAlias = (
    Tick
    | Configured
    | PartnerReported
    | LinkLost
    | PartnerPage
    | WitnessAnswered
    | Probed
    | DataPlane
    | SwitchoverRequested
    | SwitchoverUndone
    | DrainRequested
    | DrainEnded
    | StopRequested
)


# Effects


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """What the health port says: status and one line of text, nothing but role and state."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """From now on answer so: to the balancer's probe, and to anybody else (they differ while Unconnected)."""

    to_balancer: HealthAnswer
    to_others: HealthAnswer


@dataclass(frozen=True, slots=True)
class Tell:
    """Send this to the partner now."""

    report: Report


@dataclass(frozen=True, slots=True)
class AskPartnerPage:
    """Ask the partner's health port; answer with `PartnerPage` within `timeout` seconds.

    One question at a time. `port` is the port that the partner says it uses, else the unit's own.
    """

    timeout: float
    port: int = HEALTH_CHECK_PORT
    asked: float | None = None
    """When the question was put, to be given back with the answer."""


@dataclass(frozen=True, slots=True)
class AskWitness:
    """Ask the frontend on the check port; answer with `WitnessAnswered` within `timeout` seconds."""

    timeout: float
    asked: float | None = None
    """As of `AskPartnerPage`."""


@dataclass(frozen=True, slots=True)
class Transition:
    """The state changed. `reason` is CamelCase for metrics and scripts, `message` is for people."""

    old: UnitState
    new: UnitState
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know, told once when it begins (`ended` false) and once when it is over."""

    reason: str
    message: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class SwitchoverEnded:
    """What came of a planned switch-over (also of a fail-back): `done` or not, and why."""

    id: str
    done: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The clean stop is over: end the process."""


Effect: TypeAlias = Answer | Tell | AskPartnerPage | AskWitness | Transition | Notice | SwitchoverEnded | Stop


@dataclass(frozen=True, slots=True)
class View:
    """What the rest of the agent (API, metrics, `status`) may know of the engine's state."""

    mode: Mode
    state: UnitState
    reason: str
    message: str
    active_since: float | None
    """Monotonic seconds."""
    partner: Report | None
    """The partner's last report while it is current."""
    partner_heard: float | None
    switchover: str = ""
    """Id of the one under way."""
    hold_until: float | None = None
    held: bool = False
    draining: bool = False
    drain_until: float | None = None
    stopping: bool = False
    eligible: bool = False
    """Whether the next probe of the balancer gets a 200."""
    partner_is: str = ""
    """What is known of the partner, in one CamelCase word (`PartnerIs`)."""
    probed: float | None = None
    """When the balancer probed last (monotonic seconds)."""
    notices: tuple[Notice, ...] = field(default_factory=tuple)
    """Those that have begun and not ended: same mode, check port differs, only the link is cut ..."""

"""What the engine remembers between two steps. Immutable: a step makes a new one out of the old (`work.py`).

Each part belongs to the module of its subject: `partner.py` reads `Evidence`, `switchover.py` the parts of a
switch-over, `witness.py` `Witness`, `damping.py` the activations.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from loadmaster_ha.agent.ha.model import (
    Answer,
    Configuration,
    HandoverKind,
    LinkEnd,
    Notice,
    Outcome,
    Page,
    Report,
)
from loadmaster_ha.domain.ha import Role, UnitState

NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What has been heard of the partner, and when. A question's answer is as old as the question."""

    heard: float
    """The last sign of life; at first, and after a pause of this process, the instant of that."""
    report: Report | None = None
    report_at: float = NEVER
    linked: bool = False
    """The link is up: ended by `LinkLost`, begun by the next report."""
    link_end: LinkEnd | None = None
    page: Page | None = None
    says: str = ""
    page_asked: float = NEVER
    """When the question was put to which `page` is the answer."""
    asking_since: float | None = None
    """When the question was put that has no answer yet."""
    deaf_until: float = NEVER
    """Reports are not believed before this: after a pause they come out of buffers."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What the balancer's frontend said."""

    page: Page | None = None
    says: str = ""
    asked: float = NEVER
    """When the question was put that this is the answer to."""
    asking_since: float | None = None
    alive_since: float | None = None
    """When an answer named the partner first: one that does not has to be repeated before it counts."""
    absences: int = 0
    """Answers in a row that did not name the partner."""


@dataclass(frozen=True, slots=True)
class Probes:
    """What the balancer asked this unit."""

    first: float | None = None
    last: float | None = None
    since: float | None = None
    """Beginning of the current run without a gap."""
    refused: float = NEVER
    """The last one that was answered with 503."""
    confirmed: int = 0
    """Answered with 200 since the mark: the taking over, or the beginning of both being active."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A switch-over that this unit, the active one, carries out: it yields at the end."""

    id: str
    kind: HandoverKind
    since: float
    deadline: float
    hold: float | None = None
    partner_boot: str = ""
    """Boot id of the partner that is to take over."""


@dataclass(frozen=True, slots=True)
class Taking:
    """A switch-over in which this unit takes over: both are active until enough probes are counted."""

    id: str
    since: float


@dataclass(frozen=True, slots=True)
class Request:
    """A switch-over to this unit that was asked for here and that the active partner has to carry out."""

    id: str
    hold: float | None
    until: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Prefer Master is held off; `until` None: until undone."""

    id: str
    until: float | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Both units are active outside a switch-over. The slave judges who stays, once."""

    since: float
    stays: Role | None = None


@dataclass(frozen=True, slots=True)
class Drain:
    """No new connections; `until` None: until a person ends it."""

    until: float | None


@dataclass(frozen=True, slots=True)
class Stopping:
    """A clean stop: `quiet_since` is when the unit began to answer 503."""

    was_active: bool
    quiet_since: float | None = None
    done: bool = False


class EngineState(NamedTuple):
    """All of it. Made by `engine.start`, and then by `engine.step` alone. A tuple, for its speed."""

    boot_id: str
    started: float
    stepped: float
    """When the last step was."""
    configuration: Configuration
    configured: bool
    state: UnitState
    serving: bool
    """Its duty: active, or, as long as the balancer has not probed it, ready to be."""
    reason: str
    message: str
    active_since: float | None
    served_until: float
    """When it was active last."""
    healthy: bool | None
    """Of the data plane; None: not known yet."""
    health_detail: str
    healthy_since: float
    evidence: Evidence
    witness: Witness
    probes: Probes
    handover: Handover | None
    taking: Taking | None
    request: Request | None
    outcome: Outcome | None
    hold: Hold | None
    undo: str
    conflict: Conflict | None
    idle_since: float | None
    """Since when nobody is active although both could be."""
    drain: Drain | None
    stop: Stopping | None
    activations: tuple[float, ...]
    failback_not_before: float
    failbacks: int
    """Number of fail-backs begun, for their ids."""
    answer: Answer | None
    told: tuple[object, ...]
    """What the last heartbeat said that is news when it changes."""
    told_at: float
    notices: tuple[Notice, ...]

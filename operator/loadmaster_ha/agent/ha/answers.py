"""What the health port answers, to whom, and why: one table, also for the documentation.

The balancer is who asks from its probe's address (168.63.129.16); everybody else is a person, the operator,
the partner, or a client that comes through the frontend. The text says nothing but role and state (guide,
10.1).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from loadmaster_ha.agent.ha.model import Answer, HealthAnswer
from loadmaster_ha.domain.ha import Role, UnitState


class Situation(StrEnum):
    """What the answer depends on: the state, and whether an unprobed unit is the one that is to serve."""

    ACTIVE = "Active"
    STANDBY = "Standby"
    WITHDRAWN = "Withdrawn"
    """Standby because it is being drained or stopped."""
    FAILED = "Failed"
    ELIGIBLE = "UnconnectedEligible"
    WAITING = "UnconnectedWaiting"
    SINGLE = "Single"
    SPEECHLESS = "Speechless"
    """The engine is dead, stuck or just starting: said by the health responder on its own."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table; `{role}` stands for Master or Slave."""

    to_balancer: int
    to_others: int
    text: str
    why: str


TABLE: Final = {
    Situation.ACTIVE: Row(
        200, 200, "{role} is active",
        "It serves. The partner, the operator and, through the frontend, the witness see the same.",
    ),
    Situation.STANDBY: Row(
        503, 503, "{role} is standby",
        "The partner serves, or is to.",
    ),
    Situation.WITHDRAWN: Row(
        503, 503, "{role} is withdrawn",
        "Drained or stopping: the partner may take over at once, also when the link is down.",
    ),
    Situation.FAILED: Row(
        503, 503, "{role} is failed",
        "It cannot serve. An answer takes it out with the next probe; silence would take the threshold.",
    ),
    Situation.ELIGIBLE: Row(
        200, 503, "{role} is unconnected",
        "The balancer has not probed it yet and it is the one to serve: the first probe finds 200 and makes "
        "it active. Anybody else's question does not, and is not told so: it serves nobody yet.",
    ),
    Situation.WAITING: Row(
        503, 503, "{role} is unconnected",
        "The balancer has not probed it yet and the partner is the one to serve, or may be.",
    ),
    Situation.SINGLE: Row(
        503, 503, "HA is not configured",
        "A unit without a mode is in no pair (guide, 7).",
    ),
    Situation.SPEECHLESS: Row(
        503, 503, "Unit is unavailable",
        "Silence becomes a 503: the partner may take over at once, the next probe takes the unit out.",
    ),
}  # fmt: skip
"""For HEAD and GET alike, on every path; `to_others` never turns to 200 before the balancer has seen one."""

UNAVAILABLE: Final = HealthAnswer(503, TABLE[Situation.SPEECHLESS].text)
"""What the health responder says when it hears nothing from the engine."""


def situation(state: UnitState, role: Role | None, *, eligible: bool, withdrawn: bool = False) -> Situation:
    """Which row applies."""
    if role is None:
        return Situation.SINGLE
    if state is UnitState.UNCONNECTED:
        return Situation.ELIGIBLE if eligible else Situation.WAITING
    if state is UnitState.STANDBY and withdrawn:
        return Situation.WITHDRAWN
    return Situation(state.value)


def answer(state: UnitState, role: Role | None, *, eligible: bool, withdrawn: bool = False) -> Answer:
    """What to say in this state."""
    row = TABLE[situation(state, role, eligible=eligible, withdrawn=withdrawn)]
    text = row.text.format(role=role)
    if row.to_balancer == row.to_others:
        said = HealthAnswer(row.to_others, text)
        return Answer(said, said)
    return Answer(HealthAnswer(row.to_balancer, f"{role} is active"), HealthAnswer(row.to_others, text))


_WORDS: Final = {f"{role} is {state.value.lower()}": (role, state) for role in Role for state in UnitState}


def stated(text: str) -> tuple[Role, UnitState] | None:
    """Role and state that a health page names; None: it names none (an appliance's 503, a proxy's page)."""
    return _WORDS.get(text.strip())

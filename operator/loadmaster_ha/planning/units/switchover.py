"""A planned switch-over (annotation `loadmaster.dev/switchover-to`): whether it may start, and if not, why.

Node agents hand over without a failed request by a command of their own. For appliances no such command is
known.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.unit_changes import UnitSection, section_of
from loadmaster_ha.domain.units import ObservedState
from loadmaster_ha.planning.units.observation import UnitsObservation, UnitsTarget
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.planning.units.reboots import cannot_take_over
from loadmaster_ha.planning.units.situation import Member, Situation

COMMAND: Final = "agentswitchover"
TAKEN: Final = "HandoverTaken"
"""An agent's reason for being active after a switch-over."""


class Verdict(StrEnum):
    """What becomes of the request."""

    START = "Start"
    DONE = "Done"
    """The unit is active already."""
    UNDER_WAY = "UnderWay"
    """The agents are at it already: an earlier process of ours has ordered it, or a person has."""
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the switch-over may start. `reason` is for people, and the whole of it."""

    verdict: Verdict
    reason: str
    ask: Role | None = None
    """The unit that hands over, which is the one to ask; with `START` only."""


def decide(
    target: UnitsTarget, observation: UnitsObservation, to: Role, plan: UnitPlan, *, now: float
) -> Decision:
    """Decide on a request.

    Args:
        target: what the units shall be.
        observation: what is known of them, just now.
        to: the unit that is to be active.
        plan: what is to be done on the units anyway.
        now: seconds of the controller's monotonic clock.
    """
    situation = Situation(target, observation, now)
    refusal = _refusal_of_kind(situation, to)
    if refusal:
        return Decision(Verdict.REFUSED, refusal)
    taking, giving = situation.members.get(to), situation.members.get(to.partner)
    if taking is not None and taking.is_active and (giving is None or not giving.is_active):
        return Decision(Verdict.DONE, f"the {to.lower()} is active already{_as_planned(taking)}")
    if _hands_over(giving):
        return Decision(Verdict.UNDER_WAY, f"the {to.lower()} is taking over")
    refusal = _refusal(situation, taking, giving, to) or _under_way(situation, plan)
    if refusal:
        return Decision(Verdict.REFUSED, refusal)
    return Decision(Verdict.START, f"the {to.lower()} takes over as planned", to.partner)


def _as_planned(taking: Member) -> str:
    agent = taking.facts.agent
    return f" ({agent.detail})" if agent is not None and agent.reason == TAKEN and agent.detail else ""


def _hands_over(giving: Member | None) -> bool:
    """Whether the unit is handing over: meanwhile both are active, until the balancer has seen the other."""
    agent = giving.facts.agent if giving is not None and giving.is_active else None
    return agent is not None and bool(agent.switchover)


def _refusal_of_kind(situation: Situation, to: Role) -> str:
    for member in situation.members.values():
        if not member.is_agent:
            return (
                "no such command is known for a Kemp appliance. What a person can do: reboot the active "
                f"unit; the {to.lower()} takes over while it is away (under Prefer Master the master takes "
                "over again when it is back)"
            )
        if COMMAND not in member.facts.commands:
            agent = f"the {member.role.lower()}'s agent ({member.facts.firmware})"
            return f"{agent} does not know {COMMAND}; update it"
    return ""


def _refusal(situation: Situation, taking: Member | None, giving: Member | None, to: Role) -> str:
    if taking is None:
        return f"the {to.lower()} does not answer, so it is not known to be able to take over"
    if giving is None:
        return f"the {to.partner.lower()} does not answer, so nobody can ask it to hand over"
    if not giving.is_active:
        return f"the {to.partner.lower()} is {giving.facts.state}: there is nobody to take over from"
    if taking.facts.state is not ObservedState.STANDBY:
        return f"the {to.lower()} is {taking.facts.state}, not Standby"
    return cannot_take_over(situation, taking, giving)


def _under_way(situation: Situation, plan: UnitPlan) -> str:
    if situation.rebooting or plan.reboots_owed:
        unit = next(iter((*situation.rebooting, *plan.reboots_owed)))
        return f"a reboot of the {unit.lower()} is under way or owed; ask again when it is over"
    changing = [change for change in plan.changes if section_of(change) is UnitSection.HIGH_AVAILABILITY]
    if changing:
        changed = changing[0].role.lower()
        return f"the HA settings of the {changed} are being changed; ask again when that is over"
    return ""

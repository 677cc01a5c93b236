"""The planner's entry points for the units: HA settings and virtual services of one pair, in one plan.

Pure: values in, values out. The controller applies the first change, observes, and plans again, so every
write may be the last one before a crash. Order: HA settings, virtual services on who is active, then at most
one reboot.
"""

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.planning.units.high_availability import plan_high_availability
from loadmaster_ha.planning.units.observation import UnitsObservation, UnitsTarget
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.planning.units.situation import Situation


def plan(target: UnitsTarget, observation: UnitsObservation, *, now: float) -> UnitPlan:
    """All remaining changes that can be foreseen, in order, and what stands against them.

    Args:
        target: what the units shall be.
        observation: what is known of them.
        now: seconds of the controller's monotonic clock.

    Raises:
        InvariantViolated: a change would break what must hold after every single one: a bug of the planner's.
    """
    return plan_high_availability(target, observation, now=now)


def active_unit(target: UnitsTarget, observation: UnitsObservation, *, now: float) -> Role | None:
    """The one unit that is active, to which virtual services are written; None: none, both, or not known."""
    situation = Situation(target, observation, now)
    active = [role for role, member in situation.members.items() if member.is_active]
    return active[0] if len(active) == 1 else None

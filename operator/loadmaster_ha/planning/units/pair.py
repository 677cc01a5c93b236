"""The planner's entry points for the units: HA settings and virtual services of one pair, in one plan.

Pure: values in, values out. The controller applies the first change, observes, and plans again, so every
write may be the last one before a crash. Order: HA settings, virtual services on who is active, then at most
one reboot; after a `Reboot` nothing is written to either unit until the plan of a new observation says so.
"""

from dataclasses import replace

from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.unit_changes import Reboot
from loadmaster_ha.planning.units import preconditions
from loadmaster_ha.planning.units.deletion import plan_single_again, unreachable
from loadmaster_ha.planning.units.high_availability import plan_high_availability
from loadmaster_ha.planning.units.observation import UnitsObservation, UnitsTarget
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.planning.units.services import plan_services, plan_services_deletion
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
    availability = plan_high_availability(target, observation, now=now)
    if any(preconditions.about_the_pair(Situation(target, observation, now))):
        return availability
    active = active_unit(target, observation, now=now)
    services = plan_services(target, _only_who_answers(target, observation, now), active=active, now=now)
    return _joined(availability, services)


def plan_deletion(target: UnitsTarget, observation: UnitsObservation, *, now: float) -> UnitPlan:
    """All remaining changes on the units of a pair that is deleted; converged when that is over.

    What is ours goes first (after Azure's rules), then the units become single. With `policy.deletion:
    Orphan` nothing is done.

    Raises:
        InvariantViolated: a bug of the planner's.
    """
    situation = Situation(target, observation, now)
    active = active_unit(target, observation, now=now)
    seen = _only_who_answers(target, observation, now)
    services = plan_services_deletion(target, seen, active=active, now=now)
    single = plan_single_again(situation)
    if _unfinished(services):
        # Who does not answer is what holds up the rest, too.
        findings = (*unreachable(situation), *services.findings)
        return replace(services, findings=findings, held_back=(*services.held_back, *single.changes))
    return replace(single, findings=(*services.findings, *single.findings))


def active_unit(target: UnitsTarget, observation: UnitsObservation, *, now: float) -> Role | None:
    """The one unit that is active, to which virtual services are written; None: none, both, or not known."""
    situation = Situation(target, observation, now)
    active = [role for role, member in situation.members.items() if member.is_active]
    return active[0] if len(active) == 1 else None


def _only_who_answers(target: UnitsTarget, observation: UnitsObservation, now: float) -> UnitsObservation:
    """Without a unit that was told to reboot and still answers: what is written to it now may be lost."""
    situation = Situation(target, observation, now)
    units = {
        role: reading if (silence := situation.silence(role)) is None else silence
        for role, reading in observation.units.items()
    }
    return replace(observation, units=units)


def _joined(availability: UnitPlan, services: UnitPlan) -> UnitPlan:
    settings = tuple(change for change in availability.changes if not isinstance(change, Reboot))
    reboot = tuple(change for change in availability.changes if isinstance(change, Reboot))
    return UnitPlan(
        changes=(*settings, *services.changes, *reboot),
        findings=_without_repetition((*availability.findings, *services.findings)),
        held_back=(*availability.held_back, *services.held_back),
        reboots_owed=availability.reboots_owed,
        ready_services=services.ready_services,
        ready_when_made=services.ready_when_made,
        draining=services.draining,
        look_again=min(
            (found for found in (availability.look_again, services.look_again) if found is not None),
            default=None,
        ),
    )


def _without_repetition(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys(findings))


def _unfinished(plan: UnitPlan) -> bool:
    return bool(plan.changes or plan.held_back) or any(
        found.severity is not Severity.WARNING for found in plan.findings
    )

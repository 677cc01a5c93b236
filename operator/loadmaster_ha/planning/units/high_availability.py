"""The HA settings of both units, in the order that keeps the pair safe (guide, section 7).

After Kemp's "RESTful API Interface Description", 3.24.2. Shared secret, modes, parameters (partner, check
port, preference, interfaces), what node agents know of the balancer, then at most one reboot. The plan holds
everything that can be foreseen; the controller applies the first change, observes, and plans again.
Invariants are checked after every planned change.
"""

from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.planning.units import check_port, parameters, preconditions, shared_secret
from loadmaster_ha.planning.units.agent_inputs import plan_agent_inputs
from loadmaster_ha.planning.units.modes import next_mode
from loadmaster_ha.planning.units.observation import UnitsObservation, UnitsTarget
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.planning.units.reboots import plan_reboots
from loadmaster_ha.planning.units.situation import Situation
from loadmaster_ha.planning.units.steps import Steps


def plan_high_availability(target: UnitsTarget, observation: UnitsObservation, *, now: float) -> UnitPlan:
    """What is to be done about the HA settings, in order, and what stands against it.

    Args:
        target: what the units shall be.
        observation: what is known of them.
        now: seconds of the controller's monotonic clock.

    Raises:
        InvariantViolated: a change would break what must hold after every single one: a bug of the planner's.
    """
    situation = Situation(target, observation, now)
    about_units = tuple(preconditions.about_units(situation))
    refused = tuple(preconditions.about_the_pair(situation))
    if _hold(refused):
        return UnitPlan(findings=(*refused, *about_units))
    secret = tuple(shared_secret.findings(situation))
    parts = (*parameters.findings(situation), *check_port.findings(situation))
    missing = (*preconditions.services_unread(situation), *shared_secret.missing(situation))
    findings = (*missing, *secret, *about_units, *parts)
    drafted = _draft(situation)
    if missing:
        return UnitPlan(findings=findings, held_back=drafted.changes, reboots_owed=drafted.reboots_owed)
    return UnitPlan(
        changes=drafted.changes,
        findings=(*findings, *drafted.findings),
        reboots_owed=drafted.reboots_owed,
        look_again=drafted.look_again,
    )


def _draft(situation: Situation) -> UnitPlan:
    steps = Steps(situation)
    steps.add_all(shared_secret.plan_shared_secret(situation))
    while (change := next_mode(steps.situation)) is not None:
        steps.add(change)
    steps.add_all(parameters.plan_parameters(steps.situation))
    steps.add_all(plan_agent_inputs(steps.situation))
    outlook = plan_reboots(steps.situation)
    steps.add(outlook.reboot)
    return UnitPlan(
        changes=tuple(steps.done),
        findings=outlook.findings,
        reboots_owed=dict(outlook.owed),
        look_again=outlook.look_again,
    )


def _hold(findings: tuple[Finding, ...]) -> bool:
    return any(found.severity is not Severity.WARNING for found in findings)

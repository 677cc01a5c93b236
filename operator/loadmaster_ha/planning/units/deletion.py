"""The units of a pair that is deleted: single again, once nothing leads to them any more.

Only with `policy.deletion: Delete`. Order: Azure's rules and our virtual services are gone, modes to single
(who serves last), then reboots as `policy.reboots` says, one at a time. Partner and check port stay as they
are: in single mode they mean nothing. A unit that may still serve by other people's virtual services is not
rebooted; a person is told.
"""

from collections.abc import Iterator

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import Mode
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import Reboot
from loadmaster_ha.planning.units import preconditions, reboots
from loadmaster_ha.planning.units.modes import set_mode
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.planning.units.reasons import Reason, finding
from loadmaster_ha.planning.units.situation import Member, Situation
from loadmaster_ha.planning.units.steps import Steps
from loadmaster_ha.resources.loadmasterpair import Deletion, Reboots


def plan_single_again(situation: Situation) -> UnitPlan:
    """What is to be done about the HA settings of a deleted pair; converged when it is over.

    Raises:
        InvariantViolated: a bug of the planner's.
    """
    if situation.target.pair.spec.policy.deletion is Deletion.ORPHAN:
        return UnitPlan()
    if any(preconditions.about_the_pair(situation)):
        left = finding(Reason.UNITS_LEFT, "spec", "The HA settings of the units are not touched")
        return UnitPlan(findings=(left,))
    published = situation.observation.published
    if not isinstance(published, Present) or published.value:
        what = "Azure still has rules or openings of this pair, or has not been read"
        return UnitPlan(findings=(finding(Reason.STILL_PUBLISHED, "spec.services", what),))
    findings = tuple(unreachable(situation))
    steps = Steps(situation, deleting=True)
    for member in situation.in_order():
        if member.mode is not Mode.SINGLE:
            steps.add(set_mode(member, Mode.SINGLE))
    waiting = reboots.waiting(steps.situation)
    if waiting is not None:
        return UnitPlan(tuple(steps.done), (*findings, *waiting.findings), look_again=waiting.look_again)
    owing = [member for member in steps.situation.in_order() if member.owes_reboot]
    left_alone = tuple(
        _left_to_a_person(steps.situation, member) for member in owing if _stays_up(member, steps)
    )
    free = [member for member in owing if not _stays_up(member, steps)]
    if free and steps.situation.complete:
        steps.add(Reboot(free[0].role, free[0].facts.boot, "single mode takes effect at a reboot"))
    return UnitPlan(tuple(steps.done), (*findings, *left_alone))


def _stays_up(member: Member, steps: Steps) -> bool:
    policy = steps.situation.target.pair.spec.policy.reboots
    if policy is Reboots.MANUAL or reboots.serves_beyond_the_pair(member):
        return True
    return policy is Reboots.WHEN_IDLE and member.is_active


def _left_to_a_person(situation: Situation, member: Member) -> Finding:
    policy = situation.target.pair.spec.policy.reboots
    why = f"policy.reboots is {policy}"
    if reboots.serves_beyond_the_pair(member):
        why = "it may still serve by virtual services that are not this pair's"
    what = f"The {member.role.lower()} is set to single mode and was not rebooted: {why}"
    return finding(Reason.REBOOT_LEFT_TO_PERSON, f"spec.{member.role.lower()}", what)


def unreachable(situation: Situation) -> Iterator[Finding]:
    """Units that do not answer, with what that means for the deletion."""
    for found in preconditions.unreachable(situation):
        advice = (
            "It could not be set to single mode. The deletion waits for it; set policy.deletion to Orphan to "
            "let both units go as they are."
        )
        yield Finding(found.reason, f"{found.message} {advice}", found.severity, found.subject)

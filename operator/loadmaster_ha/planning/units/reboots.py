"""Reboots (guide, 7 step 9): which units owe one, which is next, and what it waits for.

One unit at a time, and who serves only when the other one is known to be able to take over. On a first
set-up, where nobody serves, the second follows as soon as the first answers again. Everything follows from
what is observed and recorded; what the operator remembers of a reboot under way only makes it patient.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.unit_changes import Reboot
from loadmaster_ha.domain.units import ObservedState
from loadmaster_ha.planning.units.reasons import Reason, finding
from loadmaster_ha.planning.units.situation import Member, Situation
from loadmaster_ha.resources.loadmasterpair import Reboots


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be said and done about reboots."""

    reboot: Reboot | None = None
    owed: tuple[tuple[Role, str], ...] = ()
    """Unit, and in words why and what happens next."""
    findings: tuple[Finding, ...] = ()
    look_again: float | None = None


def plan_reboots(situation: Situation) -> Outlook:
    """The next reboot, if one may be done now."""
    patience = waiting(situation)
    if patience is not None:
        return patience
    policy = situation.target.pair.spec.policy.reboots
    owing = [member for member in situation.in_order() if member.owes_reboot]
    chosen: Reboot | None = None
    owed: list[tuple[Role, str]] = []
    found: list[Finding] = []
    for member in owing:
        obstacle = _obstacle(situation, member, policy)
        if obstacle is None and chosen is None and policy is not Reboots.MANUAL:
            chosen = Reboot(member.role, member.facts.boot, _why(member))
            owed.append((member.role, f"{_why(member)}; it is the next one to be rebooted"))
        elif policy is Reboots.MANUAL:
            owed.append((member.role, f"{_why(member)}. {_by_hand(situation, member)}"))
        elif obstacle is None and chosen is not None:
            owed.append((member.role, f"{_why(member)}; it follows when the {chosen.role.lower()} is back"))
        else:
            owed.append((member.role, f"{_why(member)}; {obstacle}"))
            if chosen is None:
                what = f"The {member.role.lower()} has to be rebooted: {_why(member)}; {obstacle}"
                found.append(finding(Reason.REBOOT_WAITS, f"spec.{member.role.lower()}", what))
    return Outlook(chosen, tuple(owed), tuple(found))


def cannot_take_over(situation: Situation, partner: Member, serving: Member) -> str:
    """Why the partner is not known to be able to take over from who serves; empty when it is."""
    return next(_impediments(situation, partner, serving), "")


def serves_beyond_the_pair(member: Member) -> bool:
    """Whether, with nothing published any more, the unit may still serve somebody by services of others."""
    return member.services != frozenset() and (member.is_active or member.runs_alone)


def _impediments(situation: Situation, partner: Member, serving: Member) -> Iterator[str]:
    name = f"the {partner.role.lower()}"
    if partner.facts.state not in (ObservedState.STANDBY, ObservedState.ACTIVE):
        yield f"{name} is {partner.facts.state}, not Standby"
    if partner.runs_alone or (partner.owes_reboot and not partner.is_active):
        yield f"{name} has to be rebooted first"
    if partner.facts.agent is not None and partner.facts.agent.draining:
        yield f"{name} is drained"
    if None not in (partner.version, serving.version) and partner.version != serving.version:
        yield f"{name} runs another version ({partner.facts.firmware})"
    if partner.facts.settings.port != serving.facts.settings.port and not partner.is_active:
        yield f"{name} answers on another check port"
    if situation.presumed_serving(serving) and not (serving.services or set()) <= (partner.services or set()):
        yield f"{name} does not have the virtual services of the {serving.role.lower()}"


def waiting(situation: Situation) -> Outlook | None:
    """What to say while a unit reboots; None when none does."""
    for role, told in situation.rebooting.items():
        longest = situation.target.longest_reboot
        left = told.since + longest - situation.now
        words = f"The {role.lower()} was told to reboot"
        owed = ((role, "it reboots"), *_waiting_for(situation, role))
        subject = f"spec.{role.lower()}"
        if left <= 0:
            what = f"{words} and does not answer after {longest:g} s"
            return Outlook(owed=owed, findings=(finding(Reason.REBOOT_OVERDUE, subject, what),))
        what = f"{words}; waiting at most {longest:g} s until it answers again"
        return Outlook(owed=owed, findings=(finding(Reason.REBOOTING, subject, what),), look_again=left)
    return None


def _waiting_for(situation: Situation, role: Role) -> Iterator[tuple[Role, str]]:
    partner = situation.partner(role)
    if partner is not None and partner.owes_reboot:
        yield partner.role, f"{_why(partner)}; it waits until the {role.lower()} is back"


def _obstacle(situation: Situation, member: Member, policy: Reboots) -> str | None:
    """Why the unit is not rebooted now, and what is waited for; None when it may be."""
    partner = situation.partner(member.role)
    other = f"the {member.role.partner.lower()}"
    if partner is None:
        return f"it waits until {other} answers"
    if not (member.mode_is_wanted or member.mode is Mode.SINGLE):
        return "it waits until its mode can be set"
    if member.mode is not Mode.SINGLE and member.mode in partner.may_run_as:
        return f"it waits until {other} runs in its own mode"
    if situation.may_serve(member):
        return _interruption(situation, member, partner, policy)
    if member.facts.state is ObservedState.STANDBY and not member.runs_alone and not partner.is_active:
        return f"it may have to take over: it waits until {other} is Active"
    return None


def _interruption(situation: Situation, member: Member, partner: Member, policy: Reboots) -> str | None:
    """Why a unit that serves is not rebooted now; None when the partner takes over."""
    if policy is Reboots.WHEN_IDLE:
        return f"it serves, and policy.reboots is WhenIdle. {_how_to_free(member)}"
    cannot = cannot_take_over(situation, partner, member)
    if cannot and situation.presumed_serving(member):
        return f"it has virtual services and is presumed to serve, and {cannot}"
    return f"it serves, and {cannot}; it waits until the other one can take over" if cannot else None


def _why(member: Member) -> str:
    return f"its HA mode {member.mode} takes effect at a reboot"


def _how_to_free(member: Member) -> str:
    if member.is_agent:
        to = member.role.partner.lower()
        return f"Switch over first: annotate the pair with loadmaster.dev/switchover-to={to}"
    return "Reboot it yourself when the other one is on standby: it takes over"


def _by_hand(situation: Situation, member: Member) -> str:
    how = "System Configuration > System Administration > System Reboot"
    if member.is_agent:
        how = "the command reboot of its API"
    partner = situation.partner(member.role)
    if partner is None:
        when = f"when the {member.role.partner.lower()} answers again"
    elif not situation.may_serve(member):
        when = "now"
        if partner.owes_reboot and situation.may_serve(partner):
            when = f"now, before the {partner.role.lower()}"
    elif cannot := cannot_take_over(situation, partner, member):
        when = f"not before the other one can take over ({cannot})"
    else:
        when = "now: the other one takes over"
    return f"policy.reboots is Manual: reboot it ({how}) {when}"

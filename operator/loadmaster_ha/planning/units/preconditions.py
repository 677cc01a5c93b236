"""What has to be true before HA settings are written: small checks, each of which returns findings.

A `BLOCKING` finding of `about_the_pair` stops everything; one about a unit that does not answer holds back
only what needs that unit's state.
"""

from collections.abc import Collection, Iterator

from loadmaster_ha.domain import firmware
from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Absent
from loadmaster_ha.domain.units import UnitFacts
from loadmaster_ha.planning.units import modes
from loadmaster_ha.planning.units.reasons import NEEDS_A_PERSON, Reason, finding
from loadmaster_ha.planning.units.situation import Member, Situation


def about_the_pair(situation: Situation) -> Iterator[Finding]:
    """What stands against making a pair of these two at all."""
    if same := tuple(_same(situation)):
        yield from same
        return
    yield from _mixed(situation)
    yield from _exchanged(situation)
    yield from _serving(situation)


def services_unread(situation: Situation) -> Iterator[Finding]:
    """Units in single mode of which nobody can tell whether they serve."""
    for member in _joining(situation):
        if member.services is None:
            yield _services_unread(member)


def about_units(situation: Situation) -> Iterator[Finding]:
    """Units that do not answer, and their firmware."""
    yield from unreachable(situation)
    yield from _versions(situation)
    for role, member in sorted(situation.members.items()):
        yield from _weaknesses(role, member)


def unreachable(situation: Situation) -> Iterator[Finding]:
    """Units that cannot be asked, with the word of whoever tried."""
    for role in Role:
        silence = situation.silence(role)
        if silence is None or (role in situation.rebooting and silence.reason not in NEEDS_A_PERSON):
            continue
        severity = Severity.BLOCKING if silence.reason in NEEDS_A_PERSON else Severity.WAITING
        message = f"The {role.lower()} could not be asked: {silence.message.rstrip('. ')}."
        if situation.members:
            other = role.partner.lower()
            message += (
                f" Modes, a change of the check port and reboots of the {other} wait for it; the rest of the "
                f"{other}'s settings is kept as wanted."
            )
        yield Finding(silence.reason, message, severity, f"spec.{role.lower()}.management")


def are_one(units: Collection[UnitFacts]) -> bool:
    """Whether one and the same unit has answered as both."""
    return len(units) == len(Role) and len({(each.identity, each.boot) for each in units}) == 1


def _same(situation: Situation) -> Iterator[Finding]:
    """Whoever answers as both would be made master and slave in turns; a copy of a unit starts for itself."""
    facts = [member.facts for member in situation.members.values()]
    if are_one(facts):
        what = f"Both are the unit {facts[0].identity}, running since {facts[0].boot}"
        yield finding(Reason.SAME_UNIT, "spec.slave.management", what)


def _mixed(situation: Situation) -> Iterator[Finding]:
    kinds = {role: member.facts.kind for role, member in situation.members.items()}
    if len(set(kinds.values())) > 1:
        what = f"The master is of kind {kinds[Role.MASTER]}, the slave of kind {kinds[Role.SLAVE]}"
        yield finding(Reason.MIXED_UNITS, "spec.slave", what)


def _exchanged(situation: Situation) -> Iterator[Finding]:
    role = modes.serves_in_the_others_role(situation)
    if role is not None:
        member = situation.members[role]
        what = f"The unit named as {role.lower()} is active and runs as {member.runs_as.lower()}"
        yield finding(Reason.ROLES_EXCHANGED, f"spec.{role.lower()}", what)


def _serving(situation: Situation) -> Iterator[Finding]:
    serving = [member for member in _joining(situation) if situation.presumed_serving(member)]
    if len(serving) > 1:
        counts = " and ".join(_count(member) for member in serving)
        yield finding(Reason.BOTH_SERVING, "spec", f"Both units are in single mode: {counts}")
    elif serving and serving[0].role is Role.SLAVE:
        what = f"The unit named as slave is in single mode: {_count(serving[0])}"
        yield finding(Reason.SERVING_UNIT_NOT_MASTER, "spec.slave", what)


def _joining(situation: Situation) -> list[Member]:
    """Units in single mode that are to be members of a pair."""
    return [
        member
        for member in situation.members.values()
        if member.runs_alone and (member.owes_reboot or not member.mode_is_wanted)
    ]


def _count(member: Member) -> str:
    services = sorted(member.services or ())
    told = ", ".join(f"{protocol}/{port}" for port, protocol in services[:5])
    more = f" and {len(services) - 5} more" if len(services) > 5 else ""
    return f"the {member.role.lower()} has virtual services on {told}{more}"


def _services_unread(member: Member) -> Finding:
    reading = member.facts.services
    why = "they were not asked for" if isinstance(reading, Absent) else getattr(reading, "message", "")
    what = f"The {member.role.lower()} is in single mode, and its virtual services are not known: {why}"
    return finding(Reason.SERVICES_NOT_READ, f"spec.{member.role.lower()}", what.rstrip(". "))


def _versions(situation: Situation) -> Iterator[Finding]:
    versions = {role: member.version for role, member in situation.members.items()}
    if len(versions) == len(Role) and None not in versions.values() and len(set(versions.values())) > 1:
        told = ", ".join(
            f"the {role.lower()} {situation.members[role].facts.firmware}" for role in sorted(versions)
        )
        yield finding(Reason.VERSION_SKEW, "spec", f"The units run different versions: {told}")


def _weaknesses(role: Role, member: Member) -> Iterator[Finding]:
    if member.is_agent or member.version is None:
        return
    for found in firmware.vulnerabilities(member.version):
        what = (
            f"The {role.lower()} runs {firmware.text(member.version)}, which has {found.name}: {found.what} "
            f"({found.source})"
        )
        yield finding(Reason.AFFECTED_FIRMWARE, f"spec.{role.lower()}", what)

"""The Partner Shared Secret: who gets it, when, and what is wrong with it.

Rules: Kemp, "Set the Partner Shared Secret". It cannot be read back, so it is written once per version and
unit identity, as recorded in status.
"""

import re
from collections.abc import Iterator
from typing import Final

from loadmaster_ha.domain import firmware
from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.domain.unit_changes import WriteSharedSecret
from loadmaster_ha.planning.units.reasons import Reason, finding
from loadmaster_ha.planning.units.situation import Member, Situation

SUBJECT: Final = "spec.highAvailability.sharedSecretRef"

_SHORTEST, _LONGEST = 8, 127
_ALLOWED: Final = re.compile(r"""[0-9A-Za-z!"#$%&()*+,\-./:;<=>?\[~\]^_@`{|}\\]*""")


def problem_with(secret: str) -> str | None:
    """What units would refuse about this secret, in words that do not show it; None when it is fine."""
    if not _SHORTEST <= len(secret) <= _LONGEST:
        return f"it has {len(secret)} characters instead of {_SHORTEST} to {_LONGEST}"
    if secret != secret.strip():
        return "it begins or ends with white space (was it made with a line break at its end?)"
    if _ALLOWED.fullmatch(secret) is None:
        return "it has a character that is neither a letter, a digit nor one of the allowed punctuation marks"
    return None


def plan_shared_secret(situation: Situation) -> Iterator[WriteSharedSecret]:
    """The writes that are due. A secret is replaced only while both units can be given the new one."""
    wanted = situation.target.secret_version
    if not isinstance(wanted, Present):
        return
    for member in situation.in_order():
        if not _lacks(member, wanted.value):
            continue
        if not member.record.secret_version or situation.complete:
            yield WriteSharedSecret(member.role, wanted.value)


def missing(situation: Situation) -> Iterator[Finding]:
    """What of the secret is missing, so that nothing can be written before it is there."""
    wanted = situation.target.secret_version
    if isinstance(wanted, Unknown):
        yield _unreadable(wanted)
    elif isinstance(wanted, Absent):
        yield from _required(situation)


def findings(situation: Situation) -> Iterator[Finding]:
    """What becomes of the secret that is given."""
    wanted = situation.target.secret_version
    if isinstance(wanted, Present):
        yield from _given(situation, wanted.value)


def _unreadable(wanted: Unknown) -> Finding:
    told = {
        Reason.SHARED_SECRET_NOT_FOUND.value: Reason.SHARED_SECRET_NOT_FOUND,
        Reason.SHARED_SECRET_INVALID.value: Reason.SHARED_SECRET_INVALID,
    }
    reason = told.get(wanted.reason, Reason.SHARED_SECRET_NOT_READ)
    return finding(reason, SUBJECT, wanted.message.rstrip(". "))


def _required(situation: Situation) -> Iterator[Finding]:
    if any(_is_linked(member) for member in situation.members.values()):
        return
    for role, member in sorted(situation.members.items()):
        if _requires(member):
            what = f"The {role.lower()} ({member.facts.firmware}) needs a Partner Shared Secret"
            yield finding(Reason.SHARED_SECRET_REQUIRED, SUBJECT, what)


def _given(situation: Situation, version: str) -> Iterator[Finding]:
    for role, member in sorted(situation.members.items()):
        if not member.facts.has_shared_secret:
            what = f"The {role.lower()}'s firmware {member.facts.firmware} knows no Partner Shared Secret"
            yield finding(Reason.SHARED_SECRET_NOT_SUPPORTED, SUBJECT, what)
        elif member.record.secret_version and _lacks(member, version):
            yield _rotation(situation, member)


def _rotation(situation: Situation, member: Member) -> Finding:
    role = member.role
    what = f"The {role.lower()} still has the former Partner Shared Secret"
    if situation.complete:
        interrupts = "; the units do not synchronise until both have the new one"
        return finding(Reason.SHARED_SECRET_ROTATION, SUBJECT, f"{what}{interrupts}")
    waits = f"{what}, and gets the new one when the {role.partner.lower()} answers as well"
    return finding(Reason.SHARED_SECRET_WAITS, SUBJECT, waits)


def _lacks(member: Member, version: str) -> bool:
    return member.facts.has_shared_secret and member.record.secret_version != version


def _requires(member: Member) -> bool:
    if member.is_agent:
        return member.facts.has_shared_secret
    return member.version is not None and firmware.needs_shared_secret(member.version)


def _is_linked(member: Member) -> bool:
    """Whether a node agent talks with its partner, and so has a secret of somebody else's."""
    return member.facts.agent is not None and member.facts.agent.partner_connected

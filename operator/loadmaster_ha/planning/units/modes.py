"""HA modes (guide, 7 step 3): which unit gets which mode next, so that never both are master or both slave.

A mode is in force after a reboot at the latest, so what a unit may still be running as counts like what it is
set to. Where neither unit can get its mode directly (the two are exchanged), one goes through single mode.
"""

from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.unit_changes import WriteMode
from loadmaster_ha.planning.units.situation import Member, Situation


def next_mode(situation: Situation) -> WriteMode | None:
    """The next write of a mode; None when both are as wanted, or when a reboot has to come first.

    Nothing while one of the units does not answer: its mode is not known.
    """
    if not situation.complete:
        return None
    differing = [member for member in situation.in_order() if not member.mode_is_wanted]
    for member in differing:
        if member.may_become(member.wanted.mode, situation.members[member.role.partner]):
            return set_mode(member, member.wanted.mode)
    for member in differing:
        if member.mode is not Mode.SINGLE:
            return set_mode(member, Mode.SINGLE)
    return None if differing else _way_out(situation)


def _way_out(situation: Situation) -> WriteMode | None:
    """Both are set as wanted and run in each other's role: neither may be rebooted before the other one."""
    waiting = [
        member
        for member in situation.in_order()
        if member.owes_reboot and member.mode in situation.members[member.role.partner].may_run_as
    ]
    return set_mode(waiting[0], Mode.SINGLE) if len(waiting) == len(Role) else None


def set_mode(member: Member, mode: Mode) -> WriteMode:
    """The write that sets the mode."""
    different = Difference(f"spec.{member.role.lower()}: HA mode", member.mode.value, mode.value)
    return WriteMode(member.role, mode, member.facts.boot, (different,))


def serves_in_the_others_role(situation: Situation) -> Role | None:
    """The unit that is active in the role that the manifest gives to the other one.

    It cannot get its own role without an interruption: it would have to be rebooted while the other one runs
    in neither role. Where both are set alike, it is only the setting that is wrong, and is put right.
    """
    for member in situation.members.values():
        opposite = Mode(member.role.partner.value)
        other = situation.partner(member.role)
        alike = other is not None and other.mode is member.mode and other.runs_as is not Mode.SINGLE
        if member.is_active and member.runs_as is opposite and not alike:
            return member.role
    return None

"""What must hold after every change of a unit's HA settings; a guard against bugs of the planner itself.

After each change: the units are not both set to master, nor both to slave, and cannot come to run so; no unit
is its own partner; a pair's units and the probe do not lose each other's port. A reboot leaves the other unit
up, and is never that of who serves while the other one is not known to be able to take over.
"""

from collections.abc import Iterator

from loadmaster_ha.domain.ha import Mode
from loadmaster_ha.domain.unit_changes import Reboot, UnitChange, WriteMode, WriteParameters
from loadmaster_ha.planning.units import reboots
from loadmaster_ha.planning.units.situation import Situation


class InvariantViolated(Exception):  # noqa: N818 - a state of affairs, as its name says
    """A planned change would break an invariant; nothing of the plan may be applied."""


def verify(before: Situation, change: UnitChange, after: Situation, *, deleting: bool = False) -> None:
    """Check one planned change.

    Raises:
        InvariantViolated: it must not be applied.
    """
    problems: list[str] = []
    if isinstance(change, WriteMode):
        problems += _modes(before, change, after)
    elif isinstance(change, WriteParameters):
        problems += _parameters(before, change)
    elif isinstance(change, Reboot):
        problems += _reboot(before, change, deleting=deleting)
    if problems:
        raise InvariantViolated(f"{type(change).__name__} {change.role}: {'; '.join(problems)}")


def _modes(before: Situation, change: WriteMode, after: Situation) -> Iterator[str]:
    modes = [member.mode for member in after.members.values()]
    if len(modes) > 1 and modes[0] is modes[1] and modes[0] is not Mode.SINGLE:
        yield f"both units would be set to {modes[0]}"
    member, partner = before.members.get(change.role), before.partner(change.role)
    if change.mode is Mode.SINGLE:
        return
    if partner is None or member is None:
        yield "the mode of a unit is not known"
    elif not member.may_become(change.mode, partner):
        yield f"it, or the other unit, may run in a role that does not go with {change.mode}"
    elif change.mode in partner.may_run_as:
        yield f"the other unit may run as {change.mode} too"


def _parameters(before: Situation, change: WriteParameters) -> Iterator[str]:
    if change.partner is not None and change.partner == before.target.addresses.get(change.role):
        yield "the unit would be its own partner"
    if change.port is not None and change.port != before.check_port:
        yield "the check port would not be the wanted one"


def _reboot(before: Situation, change: Reboot, *, deleting: bool) -> Iterator[str]:
    member, partner = before.members.get(change.role), before.partner(change.role)
    if member is None:
        yield "it does not answer"
        return
    if partner is None:
        yield "the other unit does not answer: two would be down"
        return
    if member.mode is not Mode.SINGLE and member.mode in partner.may_run_as:
        yield f"both units might run as {member.mode}"
    if deleting:
        if reboots.serves_beyond_the_pair(member):
            yield "it may still serve by virtual services of others"
    elif before.may_serve(member) and reboots.cannot_take_over(before, partner, member):
        yield "it serves, and the other unit is not known to be able to take over"

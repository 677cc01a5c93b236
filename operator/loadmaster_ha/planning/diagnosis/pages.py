"""What a health page says beside its status: the balancer goes by the number alone, the diagnosis reads on.

A node agent's text is one of a few (docs/failure-modes-units.md has the table). Of an appliance's nothing is
documented but that the standby answers 503 (guide, 10.1 and 10.7). Its port is asked only while HA is known
to be in force there (`controller.watching.gate`), so a bare 503 is a standby's. Anything else says that the
unit is not active, and not what it is instead. Neighbour: `states`.
"""

from typing import Final

from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.units import ObservedState, UnitKind
from loadmaster_ha.planning.diagnosis.model import HealthAnswer, UnitView

NOT_CONFIGURED: Final = "HA is not configured"
"""What a node agent without a mode says."""

_SPEECHLESS: Final = "Unit is unavailable"
"""What is said for a node agent's process that is dead, stuck or just starting."""

_STATES: Final = {
    "standby": ObservedState.STANDBY,
    "withdrawn": ObservedState.STANDBY,
    "failed": ObservedState.FAILED,
    "unconnected": ObservedState.UNCONNECTED,
}
"""By the last word of `Slave is standby`."""

# Newer firmware may say First and Second.
_ROLES: Final = {"Master": Role.MASTER, "First": Role.MASTER, "Slave": Role.SLAVE, "Second": Role.SLAVE}


def inactive(unit: UnitView, answer: HealthAnswer) -> ObservedState:
    """What kind of inactive a unit is that answers, and not 200; `UNKNOWN`: its page does not tell."""
    text = answer.text.rstrip(".")
    if text == _SPEECHLESS:
        return ObservedState.FAILED
    if (state := _STATES.get(text.lower().rpartition(" ")[2])) is not None:
        return state
    bare = unit.kind is UnitKind.APPLIANCE and answer.code == 503
    return ObservedState.STANDBY if bare else ObservedState.UNKNOWN


def named(answer: HealthAnswer | None) -> Role | None:
    """The role that a page names: `Master is active` (guide, 10.1)."""
    if answer is None:
        return None
    return _ROLES.get(answer.text.strip().partition(" ")[0].capitalize())


def says_alone(unit: UnitView) -> bool:
    """Whether the page says that the unit is in no pair, and its management does not say otherwise."""
    if unit.health is None or isinstance(unit.management, Present):
        return False
    return unit.health.code is not None and unit.health.text.rstrip(".") == NOT_CONFIGURED


def mode(unit: UnitView) -> Mode | None:
    """The mode by what the page says, for a unit whose settings are not known; None: it does not tell."""
    role = named(unit.health)
    return None if role is None else Mode(role.value)

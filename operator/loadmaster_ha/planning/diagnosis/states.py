"""From what was seen of one unit to its state, and from two states to who is active.

The health port is what the balancer goes by, so its word decides whether a unit is active; what kind of
inactive it is, the management API knows better, and what the page says (`pages`) counts where that cannot be
asked. Silence is told apart: a refused connection comes from a host
that is there and serves nothing, so the unit is certainly not active; no answer at all says nothing about it.
"""

from dataclasses import dataclass
from typing import Final

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present, Unknown
from loadmaster_ha.domain.units import Active, ObservedState
from loadmaster_ha.planning.diagnosis import pages
from loadmaster_ha.planning.diagnosis.model import HealthAnswer, PairView, Silence, UnitView

_CERTAIN: Final = frozenset({Silence.REFUSED, Silence.CLOSED})


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of one unit; `serving` is whether it answers the probe with 200, None: cannot be told."""

    state: ObservedState
    serving: bool | None

    @property
    def idle(self) -> bool:
        """Whether it is certainly not active."""
        return self.serving is False


def seen(unit: UnitView) -> Seen:
    """The state of one unit."""
    health = unit.health
    told = unit.management.value if isinstance(unit.management, Present) else None
    if unit.runs_alone or pages.says_alone(unit):
        return _alone(health)
    if health is None:
        serving = None if told in (None, ObservedState.UNKNOWN) else told is ObservedState.ACTIVE
        return Seen(told or ObservedState.UNKNOWN, serving)
    if health.good:
        return Seen(ObservedState.ACTIVE, serving=True)
    if health.code is not None:
        known = told not in (None, ObservedState.ACTIVE, ObservedState.UNKNOWN)
        return Seen(told if told and known else pages.inactive(unit, health), serving=False)
    return _silent(told, health)


def _alone(health: HealthAnswer | None) -> Seen:
    """A unit whose HA is not in force calls itself active; only what the balancer would see counts."""
    if health is not None and health.good:
        return Seen(ObservedState.ACTIVE, serving=True)
    answered = health is not None and (health.code is not None or health.silence in _CERTAIN)
    return Seen(ObservedState.UNKNOWN, serving=False if answered else None)


def _silent(told: ObservedState | None, health: HealthAnswer) -> Seen:
    """Its health port does not answer; its management may."""
    certain = health.silence in _CERTAIN
    if told is None or told is ObservedState.UNKNOWN:
        state = ObservedState.FAILED if certain else ObservedState.UNKNOWN
        return Seen(state, serving=False if certain else None)
    if told is ObservedState.ACTIVE:
        # It believes that it serves, and whoever asks its health port gets nothing.
        return Seen(ObservedState.FAILED if certain else told, serving=False if certain else None)
    return Seen(told, serving=False)


def states(view: PairView) -> dict[Role, Seen]:
    """The states of both units."""
    return {role: seen(unit) for role, unit in view.units.items()}


def who_is_active(view: PairView) -> Active:
    """Who is active, as far as it can be told; the frontend's answer names the role, so it counts too."""
    found = states(view)
    serving = [role for role in Role if found[role].serving]
    if len(serving) == len(Role):
        return Active.BOTH
    if serving:
        return Active(serving[0].value)
    if all(found[role].idle for role in Role):
        return Active.NONE
    named = named_by_frontend(view.frontend)
    if named is not None and not found[named].idle:
        return Active(named.value)
    return Active.UNKNOWN


def named_by_frontend(frontend: HealthAnswer | None) -> Role | None:
    """Whom the page behind the balancer names: `Master is active` (guide, 10.1)."""
    if frontend is None or not frontend.good:
        return None
    return pages.named(frontend)


def reachable(unit: UnitView) -> bool:
    """Whether anything of the unit answers."""
    answered = unit.health is not None and (unit.health.code is not None or unit.health.silence in _CERTAIN)
    return answered or isinstance(unit.management, Present)


def asked(unit: UnitView) -> bool:
    """Whether there was time to ask it anything."""
    return unit.health is not None or isinstance(unit.management, Present | Unknown)

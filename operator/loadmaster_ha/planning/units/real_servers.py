"""The real servers of one virtual service: those that come, that stay, and that are drained and go.

Order: what takes connections comes first, what takes them away after it. A real server that is to go gets no
new connections for `drainSeconds` and is removed then. Where all servers are exchanged for new ones, the old
ones serve on until the unit has had the time to check a new one, or nobody would serve in between.

What is going on is read off the unit (a server that is not wanted and disabled is being drained); only since
when is remembered, by the controller (`UnitPlan.draining`). Forgetting that makes a drain longer, never
shorter.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.unit_changes import (
    AddRealServer,
    DeleteRealServer,
    ModifyRealServer,
    UnitChange,
)
from loadmaster_ha.domain.units import UnitKind
from loadmaster_ha.domain.virtual_services import CheckType, HealthCheck, RealServer, VirtualService

LONGEST_FIRST_CHECK: Final = 30.0
"""Seconds that old real servers serve on at most while new ones have not been checked yet."""

Where: TypeAlias = tuple[str, int]
"""Address and port, by which a real server is recognised."""

_FIELDS: Final = ("weight", "limit", "enabled", "draining")


@dataclass(slots=True)
class ServersPlan:
    """What is to be done for the real servers of one service."""

    changes: list[UnitChange] = field(default_factory=list)
    draining: set[str] = field(default_factory=set)
    """See `UnitPlan.draining`."""
    look_again: float | None = None

    def wait(self, seconds: float) -> None:
        """Look again at least then."""
        self.look_again = seconds if self.look_again is None else min(self.look_again, seconds)


@dataclass(frozen=True, slots=True)
class Pace:
    """What decides how long things take."""

    drain_seconds: float
    first_check: float
    """Seconds after which the unit has checked a new real server."""
    since: Mapping[str, float]
    """`UnitsObservation.draining_since`."""
    now: float

    def left(self, name: str, seconds: float) -> float:
        """Seconds until something has been going on for so long."""
        return max(0.0, seconds - (self.now - self.since.get(name, self.now)))


def first_check_of(check: HealthCheck) -> float:
    """Seconds after which a unit has checked a new real server for certain."""
    if check.type is CheckType.NONE:
        return 0.0
    return min(LONGEST_FIRST_CHECK, float((check.interval or 9) + (check.timeout or 4)))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where real servers are planned for."""

    role: Role
    kind: UnitKind
    service: VirtualService
    pace: Pace

    def named(self, where: Where, state: str = "") -> str:
        """What the controller remembers the time of."""
        return f"{self.service.nickname} {where[0]}:{where[1]} {state}".rstrip()


def plan_real_servers(
    role: Role, kind: UnitKind, service: VirtualService, wanted: Sequence[RealServer], pace: Pace
) -> ServersPlan:
    """Bring the real servers of a service to what is wanted.

    Args:
        role: the unit.
        kind: what it is; only node agents tell draining from disabled.
        service: as observed, or as it is about to be added (without real servers then).
        wanted: in the order of the manifest; of two with the same address and port the first counts.
        pace: how long things take.
    """
    place = _Place(role, kind, service, pace)
    goals: dict[Where, RealServer] = {}
    for each in wanted:
        goals.setdefault(_where(each), _on(kind, each))
    have: dict[Where, RealServer] = {}
    leaving: list[RealServer] = []
    for each in service.real_servers:
        if _where(each) in goals and _where(each) not in have:
            have[_where(each)] = each
        else:
            leaving.append(each)
    plan = ServersPlan()
    fresh = _fresh(place, goals, have, plan)
    plan.changes.extend(_coming(place, goals, have))
    established = any(
        each.enabled and goals[where].enabled and where not in fresh for where, each in have.items()
    )
    quieting = list(_quieting(place, goals, have))
    if fresh and not established and (quieting or any(each.enabled for each in leaving)):
        # Nobody would serve until the first new one has been checked: what serves now serves on.
        plan.wait(min(pace.left(place.named(where, "new"), pace.first_check) for where in fresh))
        leaving = [each for each in leaving if not each.enabled]
    else:
        plan.changes.extend(quieting)
    _leave(place, leaving, plan)
    return plan


def _coming(
    place: _Place, goals: Mapping[Where, RealServer], have: Mapping[Where, RealServer]
) -> Iterator[UnitChange]:
    """Additions, then changes of what stays in use."""
    for where, goal in goals.items():
        if where not in have:
            yield AddRealServer(place.role, place.service, goal)
    for where, goal in goals.items():
        if where in have and (goal.enabled or not have[where].enabled):
            yield from _modification(place, have[where], goal)


def _quieting(
    place: _Place, goals: Mapping[Where, RealServer], have: Mapping[Where, RealServer]
) -> Iterator[UnitChange]:
    """Servers that the manifest itself wants drained or disabled."""
    for where, goal in goals.items():
        if where in have and not goal.enabled and have[where].enabled:
            yield from _modification(place, have[where], goal)


def _leave(place: _Place, leaving: Iterable[RealServer], plan: ServersPlan) -> None:
    """Take servers away: first new connections, then, when the drain is over, the server."""
    gone: list[UnitChange] = []
    seconds = place.pace.drain_seconds
    for each in leaving:
        if seconds and each.enabled:
            quiet = replace(each, enabled=False, draining=place.kind is UnitKind.AGENT)
            plan.changes.extend(_modification(place, each, quiet))
            plan.wait(seconds)
            continue
        name = place.named(_where(each))
        if seconds:
            plan.draining.add(name)
        if left := place.pace.left(name, seconds):
            plan.wait(left)
        else:
            gone.append(DeleteRealServer(place.role, place.service, each, "it is no longer wanted"))
    plan.changes.extend(gone)


def _fresh(
    place: _Place, goals: Mapping[Where, RealServer], have: Mapping[Where, RealServer], plan: ServersPlan
) -> set[Where]:
    """Wanted servers that are missing, or that the unit has not had the time to check.

    A server that was missing in one plan and is there in the next has just been added.
    """
    found = set()
    pace = place.pace
    for where, goal in goals.items():
        if not goal.enabled or not pace.first_check:
            continue
        missing, new = place.named(where, "missing"), place.named(where, "new")
        if where not in have:
            plan.draining.add(missing)
            found.add(where)
        elif missing in pace.since or (new in pace.since and pace.left(new, pace.first_check)):
            plan.draining.add(new)
            found.add(where)
    return found


def _modification(place: _Place, have: RealServer, goal: RealServer) -> Iterator[UnitChange]:
    want = replace(have, weight=goal.weight, limit=goal.limit, enabled=goal.enabled, draining=goal.draining)
    path = f"{place.service.nickname}[{have.address}:{have.port}]"
    found = tuple(
        Difference(f"{path}.{name}", getattr(have, name), getattr(want, name))
        for name in _FIELDS
        if getattr(have, name) != getattr(want, name)
    )
    if found:
        yield ModifyRealServer(place.role, place.service, have, want, found)


def _on(kind: UnitKind, server: RealServer) -> RealServer:
    """What is wanted, in the words that this kind of unit has."""
    draining = server.draining and kind is UnitKind.AGENT
    return replace(server, index=0, enabled=server.enabled and not server.draining, draining=draining)


def _where(server: RealServer) -> Where:
    return server.address, server.port

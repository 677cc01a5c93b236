"""Every way that two units and an operator can take, up to a number of disturbances; what must hold on all.

A course is: the operator looks, plans and applies the first change (and may die before it, or after it
without having heard), time passes, people change modes by hand, a unit cannot be reached. Where it leads is
told by `outcome`, without any further disturbance.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import product

from tests.simulation.units.units_model import TARGET, Flavour, SimulatedUnit, World
from tests.support.unit_values import settled

from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.unit_changes import Reboot, UnitChange, WriteMode
from loadmaster_ha.domain.units import ObservedState
from loadmaster_ha.planning.units import pair
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.planning.units.reasons import Reason

LONGEST = 80


class Violation(AssertionError):  # noqa: N818 - what it is
    """Something happened that must not, or what should have happened did not."""


def planned(world: World) -> UnitPlan:
    return pair.plan(TARGET, world.observation(), now=0.0)


def check_write(before: World, change: UnitChange, after: World) -> None:
    """What must hold after every write of the operator's; by the truth, not by what the planner sees."""
    if after.alike and not before.alike:
        raise Violation(f"both set to {after.master.settings.mode} by {change}")
    if after.run_alike and not before.run_alike:
        raise Violation(f"both run as {after.master.in_force} after {change}")
    role = change.role
    if isinstance(change, WriteMode) and before.serves_alone(Role.SLAVE):
        raise Violation(f"a mode is written while the slave serves alone: {change}")
    if isinstance(change, Reboot):
        other = before.unit(role.partner)
        if not other.up or other.going_down:
            raise Violation(f"two units down: {change}")
        if before.serves_alone(role):
            raise Violation(f"who serves alone is interrupted: {change}")
        if other.paired and other.in_force is before.unit(role).settings.mode and not before.unknowable:
            raise Violation(f"both would run as {other.in_force}: {change}")
        gone = before.with_unit(role, up=False)
        if before.is_active(role) and not gone.is_active(role.partner):
            raise Violation(f"nobody takes over: {change}")


def check_boot(before: World, after: World) -> None:
    """Whoever changes a mode by hand while a unit reboots has to answer for it."""
    by_hand = before.master.by_hand or before.slave.by_hand
    if after.run_alike and not before.run_alike and not by_hand:
        raise Violation(f"both run as {after.master.in_force} after a reboot")


def next_worlds(world: World, *, disturbed: int) -> Iterator[tuple[World, int]]:
    """Every world that may come next, and how many disturbances it took.

    A mode of an appliance that is changed by hand counts twice: after two such changes within one boot nobody
    can tell what it is running as, and so nobody can say what must not be done to it.
    """
    by_hand = 2 if world.flavour is Flavour.APPLIANCE else 1
    later = world.later()
    check_boot(world, later)
    yield later, 0
    plan = planned(world)
    if plan.changes:
        change = plan.changes[0]
        after = world.applied(change)
        check_write(world, change, after)
        yield after, 0
        if disturbed:
            # Until another operator looks, a unit that shall reboot has gone down.
            yield world.applied(change, answer_lost=True).later(), 1
    if disturbed:
        yield replace(world, remembers=frozenset()).later(), 1
        for role in Role:
            unit = world.unit(role)
            yield world.with_unit(role, reachable=not unit.reachable), 1
            if not unit.up:
                continue
            for mode in set(Mode) - {unit.settings.mode}:
                in_force = mode if world.flavour is Flavour.INSTANT_APPLIANCE else unit.in_force
                changed = world.with_unit(
                    role, settings=replace(unit.settings, mode=mode), in_force=in_force, by_hand=True
                )
                if disturbed >= by_hand:
                    yield changed, by_hand
            yield world.with_unit(role, settings=replace(unit.settings, partner="10.9.9.9", port=9999)), 1


def explore(starts: Iterable[World], disturbances: int, visit: Callable[[World], None]) -> int:
    """Visit every reachable world once; gives how many there are."""
    left: dict[World, int] = {}
    pending = [(start, disturbances) for start in starts]
    while pending:
        world, budget = pending.pop()
        if left.get(world, -1) >= budget:
            continue
        if world not in left:
            visit(world)
        left[world] = budget
        pending += [
            (found, budget - cost) for found, cost in next_worlds(world, disturbed=budget) if found != world
        ]
    return len(left)


def outcome(world: World) -> tuple[World, UnitPlan]:
    """Where the operator brings this world when nothing disturbs it any more and all can be reached."""
    for role in Role:
        world = world.with_unit(role, reachable=True)
    for _ in range(LONGEST):
        plan = planned(world)
        before = world
        if plan.changes:
            world = world.applied(plan.changes[0])
            check_write(before, plan.changes[0], world)
        later = world.later()
        check_boot(world, later)
        world = later
        if world == before and not plan.changes:
            return world, plan
    raise Violation(f"does not end: {plan.changes}")


def check_outcome(start: World) -> None:
    """It is a pair in the end and nothing is left to do, or it is refused for a good reason."""
    world, plan = outcome(start)
    refusal = next((found.reason for found in plan.findings if found.severity != "Warning"), None)
    if plan.converged:
        _check_pair(world)
    elif refusal == Reason.ROLES_EXCHANGED:
        if not any(
            world.is_active(role) and Mode(role.partner.value) in _modes(world.unit(role)) for role in Role
        ):
            raise Violation(f"refused as exchanged: {world}")
    elif refusal in (Reason.SERVING_UNIT_NOT_MASTER, Reason.BOTH_SERVING):
        if not world.serves_alone(Role.SLAVE):
            raise Violation(f"refused though the slave does not serve alone: {world}")
    elif refusal == Reason.REBOOT_WAITS:
        if not any(world.serves_alone(role) or _cannot_be_spared(world, role) for role in Role):
            raise Violation(f"a reboot waits for ever: {plan.findings} {world}")
    else:
        raise Violation(f"stuck: {plan} {world}")


def _check_pair(world: World) -> None:
    for role in Role:
        unit = world.unit(role)
        runs = unit.in_force is Mode(role.value) or world.unknowable
        if unit.settings != settled(role) or not runs or unit.secret != "v2":
            raise Violation(f"idle, but the {role} is {unit}")
    states = [world.state(role) for role in Role]
    usual = [ObservedState.ACTIVE, ObservedState.STANDBY]
    if not world.unknowable and states != (usual if world.azure_port else [ObservedState.UNCONNECTED] * 2):
        raise Violation(f"idle, but {states}")


def _cannot_be_spared(world: World, role: Role) -> bool:
    """Whether it serves, and nobody would take over; people brought that about."""
    gone = world.with_unit(role, up=False)
    return world.is_active(role) and not gone.is_active(role.partner)


def _modes(unit: SimulatedUnit) -> set[Mode]:
    return {unit.in_force, unit.settings.mode}


def all_starts(flavour: Flavour) -> Iterator[World]:
    """Every combination of set and running modes, before and after the balancer is there; what runs alone
    also with virtual services."""
    modes = product(Mode, Mode, Mode, Mode)
    with_services: tuple[tuple[Role, ...], ...] = ((), (Role.MASTER,), (Role.SLAVE,), tuple(Role))
    for port, (master, master_runs, slave, slave_runs), roles in product((8444, None), modes, with_services):
        if flavour is Flavour.INSTANT_APPLIANCE and (master, slave) != (master_runs, slave_runs):
            continue
        world = World(flavour, azure_port=port)
        for role, is_set, runs in ((Role.MASTER, master, master_runs), (Role.SLAVE, slave, slave_runs)):
            own = frozenset({80 if role is Role.MASTER else 81})
            world = world.with_unit(
                role,
                settings=settled(role, mode=is_set),
                in_force=runs,
                probed=port is not None,
                by_hand=runs is not is_set and runs is not Mode.SINGLE,
                services=own if role in roles else frozenset(),
            )
        yield world

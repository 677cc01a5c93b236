"""Whether what is to be changed on a unit was changed by somebody, or is new work.

It is somebody's doing if all was as wanted before and nothing else has been wanted since, of the same units:
a fresh unit in the place of another one is nobody's hand on it, nor is a new program that says its settings
otherwise. `lane` asks at each plan, also whether the unit was away meanwhile; `writing` tells it.
"""

from collections.abc import Iterable
from typing import Final

from loadmaster_ha.controller.status_units import stored_records
from loadmaster_ha.controller.units.model import Settled, UnitsWork
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.unit_changes import AddRealServer, DeleteRealServer, ModifyRealServer, UnitChange
from loadmaster_ha.planning.units.plan import UnitPlan

_REAL_SERVERS: Final = (AddRealServer, ModifyRealServer, DeleteRealServer)


def remember(work: UnitsWork, found: UnitPlan) -> None:
    """Take a plan in: `work.memory.drifting` is whether its changes repair what somebody did."""
    memory = work.memory
    if found.converged and found.look_again is None and work.wanted is not None:
        # While something is drained the rest of the same change is still to come, and is no drift.
        memory.settled = Settled(work.wanted, {role: _who(work, role) for role in work.present})
        memory.overtaken = False
    if not (found.changes or found.held_back):
        memory.drifting = False
    elif not memory.drifting:
        same = _is_as_settled(work, found)
        memory.drifting = bool(found.changes) and same and not work.deleting
        # Endpoints that go and come back before the units were seen to be as wanted are no drift, either.
        memory.overtaken = memory.overtaken or not same


def _is_as_settled(work: UnitsWork, found: UnitPlan) -> bool:
    settled = work.memory.settled
    if work.memory.overtaken:
        return False
    if settled is None:
        return _is_by_hand_at_start(work, found.changes)
    same_units = all(settled.units.get(role) == _who(work, role) for role in work.present)
    return same_units and settled.wanted == work.wanted


def _is_by_hand_at_start(work: UnitsWork, changes: Iterable[UnitChange]) -> bool:
    """Whether what the first look of a process finds was changed by somebody; by what is stored.

    Of real servers that cannot be told: Kubernetes' endpoints may have changed meanwhile, or a drain was
    under way when the last process ended.
    """
    stored = stored_records(work.body.get("status") or {})
    same_units = all(
        role in stored and stored[role].identity == facts.identity for role, facts in work.present.items()
    )
    return work.was_synced and same_units and not all(isinstance(each, _REAL_SERVERS) for each in changes)


def _who(work: UnitsWork, role: Role) -> tuple[str, str]:
    """Which unit answered, and what runs on it."""
    facts = work.present[role]
    return facts.identity, facts.firmware

"""When a pair that is being deleted is let go, and what is said at that moment.

Pure; `pair` records the Event and removes the finalizer. As long as `farewell` gives None the pair stays and
its clean-up is tried again.
"""

from typing import Final

from loadmaster_ha.controller.events import Event
from loadmaster_ha.controller.status import Situation
from loadmaster_ha.controller.work import Work
from loadmaster_ha.planning.pair import left_behind
from loadmaster_ha.resources.loadmasterpair import Deletion

_OCCASION: Final = "deletion"  # happens once in the life of a uid

INVALID: Final = Event(
    "ForceDeleted",
    "Given up because the manifest cannot be read. What is left in Azure carries this pair's tag or name.",
    _OCCASION,
    warning=True,
    action="Delete",
)
"""For a pair that nobody can make sense of."""


def farewell(work: Work, situation: Situation) -> Event | None:
    """The Event to end with, None while there is something left to do or to try."""
    if work.target.spec.policy.deletion is Deletion.ORPHAN:
        note = f"spec.policy.deletion is Orphan. Left in Azure: {_left(work)}"
        return Event("Orphaned", note, _OCCASION, action="Delete")
    stuck = situation.blocking or situation.waiting
    clean = situation.plan is not None and situation.plan.converged and situation.operation is None
    if clean and stuck is None:
        return Event("CleanedUp", "Nothing of this pair is left in Azure.", _OCCASION, action="Delete")
    if work.forced and stuck is not None:
        note = f"Given up because of {stuck.reason}. May be left in Azure: {_left(work)}"
        return Event("ForceDeleted", note, _OCCASION, warning=True, action="Delete")
    return None


def _left(work: Work) -> str:
    """What was seen of ours, or where to look for it when nothing could be seen."""
    if work.observation is not None:
        left = left_behind(work.target, work.observation)
        return ", ".join(str(resource) for resource in left) or "nothing"
    spec, azure = work.target.spec, work.target.spec.azure
    interfaces = [each.resource for unit in (spec.master, spec.slave) for each in unit.network_interfaces]
    return (
        f"in resource group {azure.resource_group} of subscription {azure.subscription_id} the load balancer "
        f"{spec.load_balancer.name}, memberships of the interfaces {', '.join(interfaces)}, and rules named "
        f"lm_{work.key.name}_* in security groups"
    )

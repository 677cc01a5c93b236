"""When a pair that is being deleted is let go, what is said at that moment, and what helps until then.

Pure; `pair` records the Event and removes the finalizer. As long as `farewell` gives None the pair stays and
its clean-up is tried again.
"""

from typing import Final

from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.credentials import CredentialsProblem
from loadmaster_ha.controller.events import Event
from loadmaster_ha.controller.exchange import UnitsView
from loadmaster_ha.controller.status import Situation
from loadmaster_ha.controller.work import Work
from loadmaster_ha.planning.pair import left_behind
from loadmaster_ha.resources.loadmasterpair import Deletion

_OCCASION: Final = "deletion"  # happens once in the life of a uid

_LEFT_ON_UNITS: Final = (
    "May be left on the units: their HA mode, and virtual services and certificates named lm_{pair}_*."
)

_NO_SECRETS: Final = (
    "If the namespace is being deleted, its Secrets went first and none can be created in it any more: then "
    "{or_else}"
)
_AZURE_WITHOUT: Final = (
    "take spec.azure.credentialsSecretRef out of the manifest if the operator's own identity may write "
    "there, or set spec.policy.deletion to Orphan."
)
_UNITS_WITHOUT: Final = "set spec.policy.deletion to Orphan."
_FORCE_UNITS: Final = (
    'If this never passes: the annotation loadmaster.dev/force-delete: "true" lets the pair go and leaves on '
    "the units what could not be removed."
)

INVALID: Final = Event(
    "ForceDeleted",
    "Given up because the manifest cannot be read. What is left in Azure carries this pair's tag or name.",
    _OCCASION,
    warning=True,
    action="Delete",
)
"""For a pair that nobody can make sense of."""


def is_clean(situation: Situation) -> bool:
    """Whether nothing of the pair is left in Azure."""
    stuck = situation.blocking or situation.waiting
    done = situation.plan is not None and situation.plan.converged and situation.operation is None
    return done and stuck is None


def advice_about_azure(problem: CredentialsProblem) -> str:
    """What a person can do about a deletion for which the credentials of Azure are missing."""
    if problem.reason is not Reason.SECRET_NOT_FOUND:
        return problem.message
    return f"{problem.message} {_NO_SECRETS.format(or_else=_AZURE_WITHOUT)}"


def advice_about_units(reason: str) -> str:
    """What a person can do about a deletion that the units hold up for this reason."""
    if reason != Reason.SECRET_NOT_FOUND:
        return _FORCE_UNITS
    return f"{_NO_SECRETS.format(or_else=_UNITS_WITHOUT)} {_FORCE_UNITS}"


def farewell(work: Work, situation: Situation, units: UnitsView | None) -> Event | None:
    """The Event to end with, None while there is something left to do or to try.

    `units` is None for a pair whose units are not managed; else they are cleaned after Azure.
    """
    if work.target.spec.policy.deletion is Deletion.ORPHAN:
        note = f"spec.policy.deletion is Orphan. Left in Azure: {_left(work)}"
        if units is not None:
            note += " The units stay as they are set."
        return Event("Orphaned", note, _OCCASION, action="Delete")
    stuck = situation.blocking or situation.waiting
    if is_clean(situation):
        return _farewell_of_units(work, units)
    if work.forced and stuck is not None:
        note = f"Given up because of {stuck.reason}. May be left in Azure: {_left(work)}"
        if units is not None and not units.cleaned:
            note += f". {_LEFT_ON_UNITS.format(pair=work.key.name)}"
        return Event("ForceDeleted", note, _OCCASION, warning=True, action="Delete")
    return None


def _farewell_of_units(work: Work, units: UnitsView | None) -> Event | None:
    """The end once Azure is clean: when the units are, too."""
    if units is None or units.cleaned:
        where = "in Azure" if units is None or units.left else "in Azure and on the units"
        note = f"Nothing of this pair is left {where}. {units.left if units is not None else ''}"
        return Event("CleanedUp", note.rstrip(), _OCCASION, action="Delete")
    if work.forced and units.stuck:
        left = _LEFT_ON_UNITS.format(pair=work.key.name)
        note = f"Nothing is left in Azure. {left} The units were given up because of {units.stuck}"
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

"""The typed changes that a plan consists of; nothing but `azure.apply` writes to ARM, one at a time."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.findings import Finding, WithFindings
from loadmaster_ha.planning.arm import ResourceID

__all__ = ["Change", "Delete", "Difference", "Plan", "Put", "Section", "may_follow"]


class Section(StrEnum):
    """The part of the set-up that a change belongs to; label value of `loadmaster_drift_total`."""

    PUBLIC_ADDRESS = "PublicAddress"
    LOAD_BALANCER = "LoadBalancer"
    INTERFACES = "Interfaces"
    SECURITY_GROUPS = "SecurityGroups"


@dataclass(frozen=True, slots=True)
class Put:
    """Write a whole resource, or one separately writable child (a security rule).

    `body` is the complete request body. `if_match` is the etag it was planned on; None means that the
    resource is absent and the write is sent with `If-None-Match: *`, so that somebody else's is never
    overwritten.
    """

    section: Section
    resource: ResourceID
    body: Mapping[str, Any]
    if_match: str | None
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a resource or one separately writable child. `why` is for the log and the Event."""

    section: Section
    resource: ResourceID
    if_match: str | None
    why: str


Change: TypeAlias = Put | Delete


@dataclass(frozen=True, slots=True)
class Plan(WithFindings):
    """What is to be done, in order, and what stands against it.

    With a `BLOCKING` or `WAITING` finding the changes that it holds back are not in `changes`; they are in
    `held_back`, so that status can show what would be done.
    """

    changes: tuple[Change, ...] = ()
    findings: tuple[Finding, ...] = ()
    held_back: tuple[Change, ...] = ()

    @property
    def converged(self) -> bool:
        """Nothing to do and nothing in the way."""
        return not (self.changes or self.held_back or self.blocking or self.waiting)


_INTERFACES = "microsoft.network/networkinterfaces"
_LOAD_BALANCERS = "microsoft.network/loadbalancers"


def may_follow(change: Change, applied: Collection[Change]) -> bool:
    """Whether `change` may go out after the `applied` ones of the same plan without observing in between.

    It may as long as its own guard is worth as much as on the day it was planned: it only creates (Azure
    refuses it where something is), or it carries an etag that none of our writes has touched. Somebody
    else's write in between is what the guard is for. Azure gives a balancer a new etag when an interface
    joins or leaves it, and an interface when its balancer is changed, but for one that has just been created.
    """
    if isinstance(change, Put) and change.if_match is None:
        return True
    written = {done.resource.top for done in applied}
    if change.if_match is None or change.resource.top in written:
        return False
    kind = change.resource.top.type.lower()
    if kind == _LOAD_BALANCERS:
        return all(resource.type.lower() != _INTERFACES for resource in written)
    if kind == _INTERFACES:
        return all(
            isinstance(done, Put) and done.if_match is None
            for done in applied
            if done.resource.top.type.lower() == _LOAD_BALANCERS
        )
    return True

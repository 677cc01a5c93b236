"""Deletion of a pair: what is ours is taken away, in the order in which nothing refers to what is gone.

Interfaces leave first, then the balancer (whole only if we created it and nobody else has an entry in it),
then the security rules, then our own public address. A balancer of another pair is not touched.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.balancer import (
    COLLECTIONS,
    FRONTENDS,
    OUTBOUND_RULES,
    held_by_others,
    merge_collection,
)
from loadmaster_ha.planning.bodies import children, name_of, properties, reference_of
from loadmaster_ha.planning.changes import Change, Delete, Put, Section
from loadmaster_ha.planning.interfaces import our_memberships, plan_leaving, strangers
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.normalise import writable
from loadmaster_ha.planning.observation import Observation, Resource
from loadmaster_ha.planning.ownership import Origin, Owner, may_write, origin_of, owner_of, without_ownership
from loadmaster_ha.planning.security_groups import RULES as SECURITY_RULES
from loadmaster_ha.planning.security_groups import known_groups, our_rules

_EVERYTHING: Final = (*COLLECTIONS, OUTBOUND_RULES, "inboundNatPools")


def plan_interface_removal(layout: Layout, observation: Observation) -> list[Change]:
    """Writes that end every membership of ours."""
    if not removes_entries(layout, observation):
        return []
    interfaces = {*(found.interface for found in layout.attachments), *strangers(layout, observation)}
    held = held_by_others(layout, observation.get(layout.balancer))
    nothing: dict[ResourceID, set[tuple[str, ResourceID]]] = {
        interface: {
            found
            for found in our_memberships(layout, observation.get(interface))
            if (found[1].names[2], found[1].name.lower()) in held
        }
        for interface in sorted(interfaces, key=str)
    }
    leaving = plan_leaving(layout, observation, nothing, balancer_changes=True)
    return [
        change for change in leaving if any(found.path != "provisioningState" for found in change.differences)
    ]


def plan_balancer_removal(layout: Layout, observation: Observation) -> Change | None:
    """The write that takes the balancer away, or our entries and tags out of it; None when that is done."""
    observed = observation.get(layout.balancer)
    if observed is None or not removes_entries(layout, observation):
        return None
    if _is_wholly_ours(layout, observed):
        return Delete(Section.LOAD_BALANCER, observed.id, observed.etag, "the pair is deleted")
    body = writable(observed)
    held = held_by_others(layout, observed) | _kept(layout, observed)
    found = [
        difference
        for collection in COLLECTIONS
        for difference in merge_collection(layout, body, collection, {}, held)
    ]
    tags = without_ownership(observed.tags)
    if not found and tags == dict(observed.tags):
        return None
    body["tags"] = tags
    return Put(Section.LOAD_BALANCER, observed.id, body, observed.etag, tuple(found))


def plan_address_removal(layout: Layout, observation: Observation) -> Change | None:
    """The deletion of a public address that we created, once no frontend uses it."""
    observed = None if layout.public_address is None else observation.get(layout.public_address)
    if observed is None or not _is_created(layout, observed) or _address_is_used(layout, observation):
        return None
    return Delete(Section.PUBLIC_ADDRESS, observed.id, observed.etag, "the pair is deleted")


def removes_entries(layout: Layout, observation: Observation) -> bool:
    """Whether deletion takes our entries out of the balancer: not out of one that we may not write."""
    observed = observation.get(layout.balancer)
    if observed is None:
        return False
    owner = owner_of(observed, layout.identity)
    return owner is not Owner.OTHER and may_write(owner, layout.spec.policy.adoption)


def remaining(layout: Layout, observation: Observation) -> Iterator[ResourceID]:
    """What is, or where it could not be read may be, left of ours."""
    balancer = observation.get(layout.balancer)
    if balancer is None:
        if not observation.is_absent(layout.balancer):
            yield layout.balancer
    elif _is_created(layout, balancer):
        yield balancer.id
    elif owner_of(balancer, layout.identity) is not Owner.OTHER:
        yield from _our_entries(layout, balancer)
    for group in known_groups(observation):
        yield from (group.id.child(SECURITY_RULES, name_of(rule)) for rule in our_rules(layout, group))
    yield from (group for group in layout.security_groups if _is_unread(observation, group))
    yield from _remaining_address(layout, observation)


def _remaining_address(layout: Layout, observation: Observation) -> Iterator[ResourceID]:
    wanted = layout.spec.load_balancer.frontend.public_ip_address
    if layout.public_address is None or wanted is None or not wanted.create:
        return
    observed = observation.get(layout.public_address)
    if _is_unread(observation, layout.public_address) or (
        observed is not None and _is_created(layout, observed)
    ):
        yield layout.public_address


def _is_unread(observation: Observation, resource: ResourceID) -> bool:
    return observation.get(resource) is None and not observation.is_absent(resource)


def _our_entries(layout: Layout, balancer: Resource) -> Iterator[ResourceID]:
    for collection in COLLECTIONS:
        for entry in children(balancer, collection):
            if layout.names.owns(name_of(entry)):
                yield balancer.id.child(collection, name_of(entry))


def _is_created(layout: Layout, resource: Resource) -> bool:
    return owner_of(resource, layout.identity) is Owner.OURS and origin_of(resource) is Origin.CREATED


def _is_wholly_ours(layout: Layout, balancer: Resource) -> bool:
    entries = (entry for collection in _EVERYTHING for entry in children(balancer, collection))
    return _is_created(layout, balancer) and all(layout.names.owns(name_of(entry)) for entry in entries)


def _kept(layout: Layout, balancer: Resource) -> frozenset[tuple[str, str]]:
    """Our frontend where it is the only one left: Azure refuses to remove the last."""
    frontends: list[Mapping[str, Any]] = children(balancer, FRONTENDS)
    if any(not layout.names.owns(name_of(entry)) for entry in frontends):
        return frozenset()
    return frozenset((FRONTENDS, name_of(entry).lower()) for entry in frontends[:1])


def _address_is_used(layout: Layout, observation: Observation) -> bool:
    balancer = observation.get(layout.balancer)
    frontends = children(balancer, FRONTENDS)
    return any(
        reference_of(properties(entry).get("publicIPAddress")) == layout.public_address for entry in frontends
    )

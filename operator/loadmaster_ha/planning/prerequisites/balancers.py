"""The balancer that is there, and others that the units are in: kind, place, and whose it is."""

from collections.abc import Iterable, Iterator
from typing import Final

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.planning.balancer import COLLECTIONS, FRONTENDS, POOLS, held_by_others, wanted_children
from loadmaster_ha.planning.bodies import children, items, name_of, properties
from loadmaster_ha.planning.layout import Layout, interface_memberships
from loadmaster_ha.planning.location import location
from loadmaster_ha.planning.needs import neighbours, other_balancers
from loadmaster_ha.planning.observation import Observation, Resource
from loadmaster_ha.planning.ownership import Owner, manager_of, may_write, owner_of
from loadmaster_ha.planning.prerequisites.context import Context
from loadmaster_ha.planning.public_address import creates_address
from loadmaster_ha.planning.reasons import Reason, finding

_NAME: Final = "spec.loadBalancer.name"


def is_standard(context: Context) -> Iterator[Finding]:
    """An existing balancer is of the Standard kind, and serves one region."""
    if context.balancer is None:
        return
    sku = context.balancer.body.get("sku") or {}
    name, tier = str(sku.get("name", "Basic")), str(sku.get("tier", "Regional"))
    if name.lower() == "basic":
        yield finding(Reason.BASIC_LOAD_BALANCER, _NAME, f"{context.balancer.id} is a Basic load balancer")
    elif (name.lower(), tier.lower()) != ("standard", "regional"):
        what = f"{context.balancer.id} is a {name} load balancer of tier {tier}"
        yield finding(Reason.TYPE_MISMATCH, _NAME, what)


def is_of_type(context: Context) -> Iterator[Finding]:
    """An existing balancer has frontends of the kind wanted."""
    for frontend in children(context.balancer, FRONTENDS):
        public = _is_public(frontend)
        if public is not None and public is not context.layout.is_public:
            kind = "public" if public else "internal"
            what = f"Frontend {name_of(frontend)!r} of {context.layout.balancer} is {kind}"
            yield finding(Reason.TYPE_MISMATCH, "spec.loadBalancer.type", what)


def one_region(context: Context) -> Iterator[Finding]:
    """Balancer, network and public address are in one region."""
    layout, observation = context.layout, context.observation
    region = location(layout, observation) if context.balancer is None else context.balancer.location
    wanted = layout.spec.azure.location
    if context.balancer is not None and wanted is not None and location(layout, observation) != region:
        what = f"{context.balancer.id} is in {region}, the manifest wants {wanted}"
        yield finding(Reason.LOCATION_MISMATCH, "spec.azure.location", what)
    if not region:
        return
    subnet = layout.attachments[0].subnet(observation)
    network = layout.virtual_network or (None if subnet is None else subnet.top)
    for found in (network, layout.public_address):
        known = None if found is None else observation.get(found)
        if known is not None and known.location and known.location != region:
            what = f"{known.id} is in {known.location}, the balancer in {region}"
            yield finding(Reason.LOCATION_MISMATCH, "spec.azure.location", what)


def may_be_written(context: Context) -> Iterator[Finding]:
    """The balancer, and the public address that is to be ours, are not another pair's."""
    layout = context.layout
    if context.balancer is not None:
        yield from _ownership(layout, context.balancer, _NAME)
    if layout.public_address is not None and creates_address(layout):
        address = context.observation.get(layout.public_address)
        if address is not None:
            yield from _ownership(layout, address, "spec.loadBalancer.frontend.publicIPAddress.name")


def no_other_of_this_kind(context: Context) -> Iterator[Finding]:
    """Neither the units' interfaces nor their availability set have another balancer of the same kind."""
    for attachment, interface in context.attachments():
        yield from _others(context, interface, attachment.path)
    if not context.has_joined:
        for neighbour in neighbours(context.layout, context.observation):
            known = context.observation.get(neighbour)
            if known is not None:
                yield from _others(context, known, "spec.master.virtualMachine", of_set=True)


def probe_decides(context: Context) -> Iterator[Finding]:
    """No member of a pool of ours has an admin state that overrides the probe."""
    for pool in children(context.balancer, POOLS):
        if not context.layout.names.owns(name_of(pool)):
            continue
        for member in items(properties(pool), "loadBalancerBackendAddresses"):
            state = str(properties(member).get("adminState") or "None")
            if state.lower() in ("up", "down"):
                where = f"{context.layout.balancer}, pool {name_of(pool)}"
                what = f"Member {member.get('name')!r} of {where}, has admin state {state}"
                yield finding(Reason.ADMIN_STATE_OVERRIDE, _NAME, what)


def nobody_holds_ours(context: Context) -> Iterator[Finding]:
    """No rule of others keeps an entry of ours that is to go."""
    wanted = wanted_children(context.layout)
    for collection, name in sorted(held_by_others(context.layout, context.balancer)):
        entry = next(found for found in COLLECTIONS if found.lower() == collection.lower())
        if name not in {found.lower() for found in wanted[entry]}:
            what = f"{entry}[{name}] of {context.layout.balancer} is used by a rule that is not ours"
            yield finding(Reason.ENTRY_IN_USE_BY_OTHERS, _NAME, what)


def same_kind(layout: Layout, balancer: Resource) -> bool:
    """Whether another balancer is of our balancer's kind, internal or public."""
    return layout.is_public in [_is_public(frontend) for frontend in children(balancer, FRONTENDS)]


def balancers_of(layout: Layout, observation: Observation, interface: Resource) -> Iterable[Resource]:
    """The balancers of our kind that an interface is in, ours among them."""
    tops = dict.fromkeys(reference.top for _, reference in interface_memberships(interface))
    for top in tops:
        known = observation.get(top) if top != layout.balancer else None
        if known is not None and same_kind(layout, known):
            yield known
    ours = observation.get(layout.balancer)
    if ours is not None:
        yield ours


def _is_public(frontend: object) -> bool | None:
    body = properties(frontend) if isinstance(frontend, dict) else {}
    if body.get("publicIPAddress") or body.get("publicIPPrefix"):
        return True
    return False if body.get("subnet") else None


def _ownership(layout: Layout, resource: Resource, subject: str) -> Iterator[Finding]:
    owner = owner_of(resource, layout.identity)
    if may_write(owner, layout.spec.policy.adoption):
        return
    if owner is Owner.OTHER:
        yield finding(
            Reason.OWNED_BY_OTHER, subject, f"{resource.id} belongs to LoadMasterPair {manager_of(resource)}"
        )
    else:
        yield finding(Reason.NOT_OWNED, subject, f"{resource.id} exists and was not created by the operator")


def _others(
    context: Context, interface: Resource, subject: str, *, of_set: bool = False
) -> Iterator[Finding]:
    for other in dict.fromkeys(other_balancers(context.layout, interface)):
        known = context.observation.get(other)
        if known is not None and same_kind(context.layout, known):
            kind = "a public" if context.layout.is_public else "an internal"
            whose = "of the units' availability set " if of_set else ""
            what = f"Interface {interface.id} {whose}is already in {kind} load balancer, {other}"
            yield finding(Reason.ANOTHER_BALANCER, subject, what)

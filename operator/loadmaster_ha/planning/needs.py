"""Which resources have to be known before anything can be planned, given what is known so far.

The observer asks again after each round of reads until nothing is missing. Every read costs budget, so what
serves only a check before the units join the balancer is not asked for any more once they have joined.
"""

from collections.abc import Iterator

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.balancer import POOLS, our_frontend
from loadmaster_ha.planning.bodies import items, parse_id, properties, reference_of
from loadmaster_ha.planning.interfaces import our_memberships, strangers
from loadmaster_ha.planning.layout import LOAD_BALANCERS, Layout, interface_memberships
from loadmaster_ha.planning.observation import AddressQuestion, Need, Observation, Resource
from loadmaster_ha.planning.public_address import creates_address
from loadmaster_ha.planning.real_server_paths import groups_of_real_servers
from loadmaster_ha.planning.security_groups import attached_groups


def all_needs(layout: Layout, observation: Observation) -> frozenset[Need]:
    """Everything that has to be known, as far as it can be told already."""
    return frozenset({*named_resources(layout), *_behind(layout, observation)})


def named_resources(layout: Layout) -> Iterator[ResourceID]:
    """What the manifest itself names."""
    yield layout.balancer
    yield from (attachment.interface for attachment in layout.attachments)
    yield from layout.security_groups
    for found in (layout.virtual_network, layout.public_address, *map(layout.virtual_machine, Role)):
        if found is not None:
            yield found


def has_joined(layout: Layout, observation: Observation) -> bool:
    """Whether both units are in our pool already."""
    pool = layout.balancer.child(POOLS, layout.names.pool(None))
    primaries = (observation.get(layout.primary(role).interface) for role in Role)
    return all(pool in {found for _, found in our_memberships(layout, interface)} for interface in primaries)


def machine_of(interface: Resource | None) -> ResourceID | None:
    """The virtual machine that an interface is attached to."""
    return None if interface is None else reference_of(interface.properties.get("virtualMachine"))


def machines(layout: Layout, observation: Observation) -> dict[Role, ResourceID]:
    """The units' virtual machines: those that the manifest names, else those of their primary interfaces."""
    found = {}
    for role in Role:
        machine = layout.virtual_machine(role) or machine_of(observation.get(layout.primary(role).interface))
        if machine is not None:
            found[role] = machine
    return found


def availability_sets(layout: Layout, observation: Observation) -> tuple[ResourceID, ...]:
    """The availability sets of the units' machines."""
    known = (observation.get(machine) for machine in machines(layout, observation).values())
    sets = (
        reference_of(machine.properties.get("availabilitySet")) for machine in known if machine is not None
    )
    return tuple(dict.fromkeys(found for found in sets if found is not None))


def neighbours(layout: Layout, observation: Observation) -> Iterator[ResourceID]:
    """The interfaces of the other machines in the units' availability sets."""
    for machine in _neighbour_machines(layout, observation):
        known = observation.get(machine)
        profile = {} if known is None else known.properties.get("networkProfile") or {}
        for item in items(profile, "networkInterfaces"):
            interface = reference_of(item)
            if interface is not None:
                yield interface


def other_balancers(layout: Layout, interface: Resource | None) -> Iterator[ResourceID]:
    """The balancers, other than ours, that an interface is a member of."""
    for _, reference in interface_memberships(interface):
        if reference.top != layout.balancer and reference.names[0].lower() == LOAD_BALANCERS.lower():
            yield reference.top


def only_for_real_servers(layout: Layout, observation: Observation) -> frozenset[ResourceID]:
    """Groups that serve only the look at the ways to real servers: nothing depends on them."""
    own = {*layout.security_groups}
    for attachment in layout.attachments:
        own.update(attached_groups(observation, attachment.subnet(observation), attachment.interface))
    return frozenset(groups_of_real_servers(layout, observation)) - own


def _behind(layout: Layout, observation: Observation) -> Iterator[Need]:
    if layout.spec.azure.location is None and _creates(layout, observation):
        yield layout.resource_group
    yield from strangers(layout, observation)
    for attachment in layout.attachments:
        interface = observation.get(attachment.interface)
        subnet = attachment.subnet(observation)
        if subnet is not None:
            yield subnet.top
        yield from attached_groups(observation, subnet, attachment.interface)
        yield from other_balancers(layout, interface)
    yield from groups_of_real_servers(layout, observation)
    yield from machines(layout, observation).values()
    yield from _address_question(layout, observation)
    if not has_joined(layout, observation):
        yield from availability_sets(layout, observation)
        yield from _neighbour_machines(layout, observation)
        for neighbour in neighbours(layout, observation):
            yield neighbour
            yield from other_balancers(layout, observation.get(neighbour))


def _creates(layout: Layout, observation: Observation) -> bool:
    created = [layout.balancer]
    if layout.public_address is not None and creates_address(layout):
        created.append(layout.public_address)
    return any(observation.is_absent(found) for found in created)


def _neighbour_machines(layout: Layout, observation: Observation) -> Iterator[ResourceID]:
    ours = set(machines(layout, observation).values())
    for found in availability_sets(layout, observation):
        known = observation.get(found)
        for item in items({} if known is None else known.properties, "virtualMachines"):
            machine = parse_id(item.get("id"))
            if machine is not None and machine not in ours:
                yield machine


def _address_question(layout: Layout, observation: Observation) -> Iterator[AddressQuestion]:
    address = layout.spec.load_balancer.frontend.private_ip_address
    network = layout.virtual_network
    if address is None or network is None or not isinstance(observation.read(network), Present):
        return
    balancer = observation.get(layout.balancer)
    if balancer is None and not observation.is_absent(layout.balancer):
        return
    held = properties(our_frontend(layout, balancer) or {}).get("privateIPAddress")
    if held != address:
        yield AddressQuestion(network, address)

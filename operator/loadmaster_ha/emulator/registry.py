"""Which resource types exist, and how to find a resource or a child by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadmaster_ha.emulator.armid import ArmId, parse_id
from loadmaster_ha.emulator.compute.availability_sets import AvailabilitySets
from loadmaster_ha.emulator.compute.virtual_machines import VirtualMachines
from loadmaster_ha.emulator.json_types import named, objects
from loadmaster_ha.emulator.network.interfaces import NetworkInterfaces
from loadmaster_ha.emulator.network.load_balancers import LoadBalancers
from loadmaster_ha.emulator.network.nat_gateways import NatGateways
from loadmaster_ha.emulator.network.public_addresses import PublicAddresses
from loadmaster_ha.emulator.network.route_tables import RouteTables
from loadmaster_ha.emulator.network.security_groups import SecurityGroups
from loadmaster_ha.emulator.network.virtual_networks import VirtualNetworks
from loadmaster_ha.emulator.store import Links

if TYPE_CHECKING:
    from loadmaster_ha.emulator.resource_type import ResourceType
    from loadmaster_ha.emulator.store import Resource, Store

TYPES: tuple[ResourceType, ...] = (
    VirtualNetworks(),
    SecurityGroups(),
    PublicAddresses(),
    LoadBalancers(),
    NetworkInterfaces(),
    NatGateways(),
    RouteTables(),
    AvailabilitySets(),
    VirtualMachines(),
)
_BY_NAME = {kind.full_name.lower(): kind for kind in TYPES}
NAMESPACES = {kind.namespace.lower(): kind.namespace for kind in TYPES} | {
    "microsoft.resources": "Microsoft.Resources"
}


def find_type(namespace: str, name: str) -> ResourceType | None:
    """Return the type `namespace/name` (any case)."""
    return _BY_NAME.get(f"{namespace}/{name}".lower())


def type_of(resource: Resource) -> ResourceType:
    """Return the type of a stored resource."""
    return _BY_NAME[resource.id.type.lower()]


def links_of(resource: Resource) -> Links:
    """Return references and claims of a stored resource; none for a type that this release does not know."""
    kind = _BY_NAME.get(resource.id.type.lower())
    return kind.links(resource) if kind else Links()


def exists(store: Store, resource_id: str | ArmId) -> bool:
    """Say whether a resource, or a child of one, is there."""
    parsed = parse_id(resource_id) if isinstance(resource_id, str) else resource_id
    resource = store.get(parsed.root) if parsed else None
    if parsed is None or resource is None:
        return False
    if len(parsed.types) == 1:
        return True
    collections = {key.lower(): key for key in resource.properties}
    collection = collections.get(parsed.types[1].lower())
    if collection is None or len(parsed.types) > 2:
        return False
    return named(objects(resource.properties.get(collection)), parsed.names[1]) is not None

"""Virtual networks and their subnets.

Subnets are children that can be written alone. A network takes one write at a time (409
`AnotherOperationInProgress`).
Neighbours: `addresses` hands out a subnet's addresses; interfaces and frontends show in a subnet's
`ipConfigurations`.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, ClassVar

from loadmaster_ha.emulator.armid import ArmId, key_of
from loadmaster_ha.emulator.errors import bad_request
from loadmaster_ha.emulator.json_types import JsonObject, deep, named, obj, objects, reference_id
from loadmaster_ha.emulator.network.address_availability import check_address
from loadmaster_ha.emulator.network.addresses import Network, prefixes
from loadmaster_ha.emulator.resource_type import (
    Action,
    ChildType,
    Draft,
    ItemShape,
    ResourceType,
    child_view,
    clean_items,
    start_document,
)
from loadmaster_ha.emulator.store import Links, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.store import Resource

_SUBNET = ChildType(
    "subnets", writable=True, label="Subnet", order=("name", "id", "etag", "properties", "type")
)
_PEERING = ChildType("virtualNetworkPeerings")
_SHAPE = ItemShape(
    read_only=(
        "ipConfigurations",
        "ipConfigurationProfiles",
        "privateEndpoints",
        "resourceNavigationLinks",
        "serviceAssociationLinks",
        "purpose",
    ),
    references=("networkSecurityGroup", "natGateway", "routeTable"),
    defaults={
        "delegations": [],
        "privateEndpointNetworkPolicies": "Disabled",
        "privateLinkServiceNetworkPolicies": "Enabled",
    },
)
_SUBNET_REFERENCES = ("networkSecurityGroup", "natGateway", "routeTable")
_PROPERTY_ORDER = ("addressPrefix", "addressPrefixes", *_SUBNET_REFERENCES, "ipConfigurations", "delegations")


_UNUSABLE = {
    "224.0.0.0/4": "multicast",
    "255.255.255.255/32": "broadcast",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "168.63.129.16/32": "Azure's own address",
}
"""Ranges that cannot be in a virtual network (Azure's "Virtual Network FAQ")."""


class VirtualNetworks(ResourceType):
    """Microsoft.Network/virtualNetworks."""

    name = "virtualNetworks"
    label = "VirtualNetwork"
    children: ClassVar[Mapping[str, ChildType]] = {"subnets": _SUBNET, "virtualnetworkpeerings": _PEERING}
    lock = "conflict"
    actions: ClassVar[Mapping[str, Action]] = {"checkipaddressavailability": check_address}

    def normalise(self, draft: Draft) -> JsonObject:
        """Check ranges and return the stored form; used subnets cannot go."""
        document = start_document(draft)
        properties = document["properties"]
        space = [_range(item) for item in obj(properties.get("addressSpace")).get("addressPrefixes") or []]
        _check_usable(space, loopback=draft.cloud.settings.allow_loopback_networks)
        if not space:
            raise bad_request(
                "InvalidRequestFormat", "Cannot parse the request: addressSpace.addressPrefixes is required."
            )
        subnets = clean_items(draft, "subnets", _SHAPE)
        _check_ranges(draft.id, subnets, space)
        _check_removed(draft, subnets)
        return document | {
            "properties": {
                "addressSpace": properties.pop("addressSpace"),
                "privateEndpointVNetPolicies": properties.pop("privateEndpointVNetPolicies", "Disabled"),
                "subnets": subnets,
                "virtualNetworkPeerings": properties.pop("virtualNetworkPeerings", None) or [],
                "enableDdosProtection": properties.pop("enableDdosProtection", False),
                **{key: value for key, value in properties.items() if key != "subnets"},
            }
        }

    def links(self, resource: Resource) -> Links:
        """Subnets refer to their security group, NAT gateway and route table."""
        found = [
            Reference(key, str(resource.id.child("subnets", str(item["name"]))), target)
            for item in objects(resource.properties.get("subnets"))
            for key in _SUBNET_REFERENCES
            if (target := reference_id(obj(item.get("properties")).get(key)))
        ]
        return Links(tuple(found))

    def view_properties(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Show subnets with ids and with the ipConfigurations that live in them."""
        shown = super().view_properties(cloud, resource)
        shown["subnets"] = [
            child_view(resource, self, _SUBNET, item, self._subnet(cloud, resource, item))
            for item in objects(resource.properties.get("subnets"))
        ]
        return shown

    def _subnet(self, cloud: Cloud, resource: Resource, item: JsonObject) -> JsonObject:
        properties = deep(item["properties"])
        users = cloud.store.referrers(resource.id.child("subnets", str(item["name"])), "subnet")
        if users:
            properties["ipConfigurations"] = [{"id": user.source} for user in users]
        front = {key: properties[key] for key in _PROPERTY_ORDER if key in properties}
        return front | properties

    def check_delete(self, cloud: Cloud, resource: Resource) -> None:
        """Refuse while anything lives in one of the subnets."""
        for item in objects(resource.properties.get("subnets")):
            _refuse_used(cloud, resource.id.child("subnets", str(item["name"])))


def _range(text: object) -> Network:
    try:
        return ipaddress.ip_network(str(text))
    except ValueError:
        raise bad_request(
            "InvalidCIDRNotation",
            f"The address prefix {text} is not formatted correctly. It should follow CIDR notation, for "
            "example 10.0.0.0/24.",
        ) from None


def _check_usable(space: list[Network], *, loopback: bool) -> None:
    """Refuse ranges that Azure keeps out of virtual networks; loopback is one of them unless asked for."""
    for network in space:
        for text, what in _UNUSABLE.items():
            if what == "loopback" and loopback:
                continue
            reserved = ipaddress.ip_network(text)
            if isinstance(network, ipaddress.IPv4Network) and network.overlaps(reserved):
                raise bad_request(
                    "AddressPrefixNotAllowed",  # assumed; the ranges are documented
                    f"The address prefix {network} is not allowed in a virtual network: it overlaps with "
                    f"{reserved} ({what}).",
                )


def _check_ranges(network: ArmId, subnets: list[JsonObject], space: list[Network]) -> None:
    earlier: list[tuple[str, Network]] = []
    for item in subnets:
        properties, name = item["properties"], str(item["name"])
        for text in properties.get("addressPrefixes") or [properties.get("addressPrefix")]:
            found = _range(text)
            if not any(_inside(found, outer) for outer in space):
                raise bad_request(
                    "NetcfgInvalidSubnet",
                    f"Subnet '{name}' is not valid because its IP address range is outside the IP address "
                    "range of "
                    f"virtual network '{network.name}'.",
                )
            if any(found.overlaps(other) for _, other in earlier if found.version == other.version):
                raise bad_request(
                    "NetcfgSubnetRangesOverlap",
                    f"Subnet '{name}' is not valid because its IP address range overlaps with that of an "
                    "existing "
                    f"subnet in virtual network '{network.name}'.",
                )
            earlier.append((name, found))


def _inside(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _check_removed(draft: Draft, subnets: list[JsonObject]) -> None:
    """Refuse to drop a subnet in use, or to change its range away from the addresses in use."""
    for item in draft.old_items("subnets"):
        subnet = draft.id.child("subnets", str(item["name"]))
        kept = named(subnets, str(item["name"]))
        if kept is None:
            _refuse_used(draft.cloud, subnet)
        elif prefixes(kept["properties"]) != prefixes(item["properties"]):
            _refuse_moved(draft.cloud, subnet, prefixes(kept["properties"]))


def _refuse_used(cloud: Cloud, subnet: ArmId) -> None:
    users = cloud.store.referrers(subnet, "subnet")
    if users:
        raise bad_request(
            "InUseSubnetCannotBeDeleted",
            f"Subnet {subnet.name} is in use by {users[0].source} and cannot be deleted. In order to delete "
            "the subnet, "
            "delete all the resources within the subnet. See aka.ms/deletesubnet.",
        )


def _refuse_moved(cloud: Cloud, subnet: ArmId, networks: list[Network]) -> None:
    for address, holder in cloud.store.holders(key_of(subnet)).items():
        if not any(ipaddress.ip_address(address) in item for item in networks):
            raise bad_request(
                "InUsePrefixCannotBeDeleted",
                f"IpPrefix of subnet {subnet.name} is in use by {holder} and cannot be changed.",
            )

"""Network interfaces: addresses, membership in pools and NAT rules, security group, machine.

The whole interface is written at a time. Membership is checked with the balancers' rules in `membership`;
every change of it gives the balancers concerned a new etag.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar

from loadmaster_ha.emulator.armid import key_of, parse_id
from loadmaster_ha.emulator.errors import bad_request
from loadmaster_ha.emulator.json_types import JsonObject, deep, named, obj, objects, ordered, reference_id
from loadmaster_ha.emulator.network import membership
from loadmaster_ha.emulator.network.addresses import assign
from loadmaster_ha.emulator.network.public_attachment import check_attachment
from loadmaster_ha.emulator.resource_type import (
    ChildType,
    Draft,
    ItemShape,
    ResourceType,
    child_view,
    clean_items,
    cut_references,
    start_document,
)
from loadmaster_ha.emulator.store import Claim, Links, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.store import Resource

_IP_CONFIGURATION = ChildType("ipConfigurations")
_SHAPE = ItemShape(
    read_only=("privateLinkConnectionProperties",),
    references=("subnet", "publicIPAddress", "gatewayLoadBalancer"),
    reference_lists=(membership.POOLS, membership.NAT_RULES),
)
_ITEM_ORDER = (
    "provisioningState",
    "privateIPAddress",
    "privateIPAllocationMethod",
    "publicIPAddress",
    "subnet",
    "primary",
    "privateIPAddressVersion",
    membership.POOLS,
    membership.NAT_RULES,
)
_READ_ONLY = (
    "virtualMachine",
    "macAddress",
    "primary",
    "hostedWorkloads",
    "tapConfigurations",
    "vnetEncryptionSupported",
    "defaultOutboundConnectivityEnabled",
    "dscpConfiguration",
    "privateEndpoint",
    "privateLinkService",
)
_DEFAULTS = {
    "enableAcceleratedNetworking": False,
    "vnetEncryptionSupported": False,
    "enableIPForwarding": False,
    "disableTcpStateTracking": False,
    "hostedWorkloads": [],
    "tapConfigurations": [],
    "nicType": "Standard",
    "allowPort25Out": True,
    "defaultOutboundConnectivityEnabled": False,
    "auxiliaryMode": "None",
    "auxiliarySku": "None",
}


class NetworkInterfaces(ResourceType):
    """Microsoft.Network/networkInterfaces."""

    name = "networkInterfaces"
    label = "Nic"
    order = ("name", "id", "etag", "tags", "properties", "type", "location", "kind")
    children: ClassVar[Mapping[str, ChildType]] = {"ipconfigurations": _IP_CONFIGURATION}
    answers_succeeded = True
    quiet_when_done = True
    delete_status = 200  # recorded, with the headers of an operation all the same

    def normalise(self, draft: Draft) -> JsonObject:
        """Check addresses, membership and public addresses; give dynamic addresses."""
        document = start_document(draft, drop=_READ_ONLY)
        items = clean_items(draft, "ipConfigurations", _SHAPE)
        if not items:
            raise bad_request(
                "NetworkInterfaceMustHaveIpConfiguration",
                f"Network interface {draft.id} must have at least one IP configuration.",
            )
        self._addresses(draft, items)
        membership.check_interface(draft, items)
        sent = document["properties"]
        cut_references(sent, references=("networkSecurityGroup",))
        dns = obj(sent.pop("dnsSettings", None))
        properties = {
            "ipConfigurations": items,
            "dnsSettings": {
                **{key: value for key, value in dns.items() if key != "appliedDnsServers"},
                "dnsServers": dns.get("dnsServers") or [],
                "appliedDnsServers": dns.get("dnsServers") or [],
                "internalDomainNameSuffix": _suffix(draft, items),
            },
            **_DEFAULTS,
            **{key: value for key, value in sent.items() if key != "ipConfigurations"},
        }
        return document | {"properties": properties, "kind": "Regular"}

    def links(self, resource: Resource) -> Links:
        """Refer to everything the ipConfigurations name, and hold their private addresses."""
        references: list[Reference] = []
        claims: list[Claim] = []
        for item in objects(resource.properties.get("ipConfigurations")):
            holder = str(resource.id.child("ipConfigurations", str(item["name"])))
            properties = obj(item.get("properties"))
            for field, kind in (
                ("subnet", "subnet"),
                ("publicIPAddress", "pip"),
                ("gatewayLoadBalancer", "gateway"),
            ):
                target = reference_id(properties.get(field))
                if target:
                    references.append(Reference(kind, holder, target))
            for field, kind in ((membership.POOLS, "pool"), (membership.NAT_RULES, "nat")):
                found = [reference_id(entry) for entry in objects(properties.get(field))]
                references += [Reference(kind, holder, target) for target in found if target]
            subnet, address = reference_id(properties.get("subnet")), properties.get("privateIPAddress")
            if subnet and isinstance(address, str):
                claims.append(Claim(subnet, address, holder))
        group = reference_id(resource.properties.get("networkSecurityGroup"))
        if group:
            references.append(Reference("nsg", str(resource.id), group))
        return Links(tuple(references), tuple(claims))

    def view_properties(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Show ipConfigurations with ids, and the machine with what comes with it."""
        shown = super().view_properties(cloud, resource)
        shown["ipConfigurations"] = [
            child_view(
                resource, self, _IP_CONFIGURATION, item, ordered(deep(item["properties"]), _ITEM_ORDER)
            )
            for item in objects(resource.properties.get("ipConfigurations"))
        ]
        users = cloud.store.referrers(resource.id, "vm-nic")
        if users:
            shown["virtualMachine"] = {"id": users[0].source}
            shown["primary"] = _is_primary(cloud, users[0].source, resource)
            shown["macAddress"] = _mac(resource)
        return shown

    def check_delete(self, cloud: Cloud, resource: Resource) -> None:
        """Refuse while a machine uses the interface."""
        users = cloud.store.referrers(resource.id, "vm-nic")
        if users:
            raise bad_request(
                "NicInUse",
                f"Network Interface {resource.id} is used by existing resource {users[0].source}. In order "
                "to delete the "
                "network interface, it must be dissociated from the resource. To learn more, see "
                "aka.ms/deletenic.",
            )

    def wrote(self, cloud: Cloud, resource: Resource, before: JsonObject | None) -> None:
        """Balancers whose members changed get a new etag."""
        membership.touch_balancers(cloud, _memberships(before), _memberships(resource.body))

    def removed(self, cloud: Cloud, resource: Resource) -> None:
        """Balancers that lose a member get a new etag."""
        membership.touch_balancers(cloud, _memberships(resource.body), ())

    def _addresses(self, draft: Draft, items: list[JsonObject]) -> None:
        taken: dict[str, str] = {}
        if not any(item["properties"].get("primary") for item in items):
            items[0]["properties"]["primary"] = True
        networks = set()
        for item in items:
            properties = item["properties"]
            own_id = draft.id.child("ipConfigurations", str(item["name"]))
            subnet = reference_id(properties.get("subnet"))
            if subnet is None:
                raise bad_request(
                    "SubnetNotSpecified",  # assumed
                    f"IP configuration {own_id} must refer to a subnet.",
                )
            parsed = parse_id(subnet)
            networks.add(key_of(parsed.root) if parsed else subnet)
            properties.setdefault("primary", False)
            properties.setdefault("privateIPAddressVersion", "IPv4")
            old = named(draft.old_items("ipConfigurations"), str(item["name"]))
            assign(draft.cloud.store, properties, holder=own_id, old=obj(old).get("properties"), taken=taken)
            public = reference_id(properties.get("publicIPAddress"))
            if public:
                check_attachment(draft.cloud, public, str(own_id), None)
        if len(networks) > 1:
            raise bad_request(
                "SubnetsNotInSameVnet",
                f"Subnets of network interface {draft.id} are not in the same virtual network.",
            )


def _memberships(document: JsonObject | None) -> list[str]:
    items = objects(obj(obj(document).get("properties")).get("ipConfigurations"))
    return [target for item in items for target in membership.joined(obj(item.get("properties")))]


def _is_primary(cloud: Cloud, machine_id: str, resource: Resource) -> bool:
    machine = cloud.store.get(machine_id)
    items = objects(obj(machine.properties.get("networkProfile")).get("networkInterfaces")) if machine else []
    if len(items) == 1:
        return True
    return any(
        key_of(reference_id(item) or "") == resource.key
        and obj(item.get("properties")).get("primary") is True
        for item in items
    )


def _mac(resource: Resource) -> str:
    """A stable address in Microsoft's range 00-0D-3A."""
    tail = hashlib.sha256(resource.guid.encode()).hexdigest()[:6].upper()
    return "-".join(("00", "0D", "3A", tail[:2], tail[2:4], tail[4:]))


def _suffix(draft: Draft, items: list[JsonObject]) -> str:
    """The internal DNS suffix, one per virtual network."""
    subnet = parse_id(reference_id(items[0]["properties"].get("subnet")) or "")
    seed = key_of(subnet.root) if subnet else draft.id.subscription
    return f"{hashlib.sha256(seed.encode()).hexdigest()[:26]}.bx.internal.cloudapp.net"

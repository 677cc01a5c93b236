"""Public IP addresses. Basic ones can no longer be created; existing ones are still read and changed.

Addresses come from the ranges kept for documentation and tests, so that none is anybody's.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from loadmaster_ha.emulator.errors import bad_request
from loadmaster_ha.emulator.json_types import JsonObject, obj, ordered
from loadmaster_ha.emulator.resource_type import Draft, ResourceType, start_document

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.store import Resource

_ORDER = (
    "provisioningState",
    "resourceGuid",
    "ipAddress",
    "publicIPAddressVersion",
    "publicIPAllocationMethod",
    "idleTimeoutInMinutes",
    "dnsSettings",
    "ipTags",
    "ipConfiguration",
    "natGateway",
    "ddosSettings",
)
_POOLS = {
    "IPv4": ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24", "198.18.0.0/15"),
    "IPv6": ("2001:db8::/32",),
}
_LOOPBACK_POOLS = ("127.203.0.0/16",)
"""Where networks may be on loopback, public addresses are too: they can be listened on."""


class PublicAddresses(ResourceType):
    """Microsoft.Network/publicIPAddresses."""

    name = "publicIPAddresses"
    label = "PublicIpAddress"
    order = ("name", "id", "etag", "location", "tags", "zones", "properties", "type", "sku")

    def normalise(self, draft: Draft) -> JsonObject:
        """Check SKU, allocation and label, and give an address."""
        document = start_document(draft, drop=("ipConfiguration", "natGateway", "linkedPublicIPAddress"))
        sku = _sku(draft, document)
        sent = document["properties"]
        method = sent.get("publicIPAllocationMethod", "Dynamic")
        if sku["name"] != "Basic" and method != "Static":
            raise bad_request(
                "StandardSkuPublicIPAddressesMustBeStatic",
                f"Standard sku publicIp {draft.id} must have AllocationMethod set to Static.",
            )
        idle = sent.get("idleTimeoutInMinutes", 4)
        if not isinstance(idle, int) or not 4 <= idle <= 30:
            raise bad_request(
                "PublicIPAddressIdleTimeoutIsOutOfRange",
                f"Idle timeout in minutes for public IP address {draft.id} is out of range; it must be from "
                "4 to 30.",
            )
        version = sent.get("publicIPAddressVersion", "IPv4")
        properties = {
            **sent,
            "ipAddress": self._address(draft, str(version)),
            "publicIPAddressVersion": version,
            "publicIPAllocationMethod": method,
            "idleTimeoutInMinutes": idle,
            "ipTags": sent.get("ipTags") or [],
            "ddosSettings": sent.get("ddosSettings") or {"protectionMode": "VirtualNetworkInherited"},
        }
        _label(draft, properties, str(document["location"]))
        return document | {"sku": sku, "properties": properties}

    def view_properties(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Show who uses the address; the address itself appears when the creation is done (recorded)."""
        shown = super().view_properties(cloud, resource)
        if resource.fresh:
            shown.pop("ipAddress", None)
        for field, kind in (("ipConfiguration", "pip"), ("natGateway", "natgateway-pip")):
            users = cloud.store.referrers(resource.id, kind)
            if users:
                shown[field] = {"id": users[0].source}
        return ordered(shown, _ORDER)

    def check_delete(self, cloud: Cloud, resource: Resource) -> None:
        """Refuse while a frontend, an interface or a NAT gateway uses the address."""
        users = cloud.store.referrers(resource.id)
        if users:
            raise bad_request(
                "PublicIPAddressCannotBeDeleted",
                f"Public IP address {resource.id} can not be deleted since it is still allocated to resource "
                f"{users[0].source}. In order to delete the public IP, disassociate/detach the Public IP "
                "address from "
                "the resource.  To learn how to do this, see aka.ms/deletepublicip.",
            )

    def _address(self, draft: Draft, version: str) -> str:
        if draft.existing is not None and "ipAddress" in draft.existing.properties:
            return str(draft.existing.properties["ipAddress"])
        number = int(obj(draft.cloud.store.fact("counter", version)).get("next", 4))
        draft.cloud.store.put_fact("counter", version, {"next": number + 1})
        pools = _POOLS.get(version, _POOLS["IPv4"])
        if version == "IPv4" and draft.cloud.settings.allow_loopback_networks:
            pools = _LOOPBACK_POOLS
        for text in pools:
            pool = ipaddress.ip_network(text)
            if number < pool.num_addresses:
                return str(pool[number])
            number -= pool.num_addresses
        raise bad_request("PublicIPAddressPoolExhausted", "The emulator has no public IP address left.")


def _sku(draft: Draft, document: JsonObject) -> JsonObject:
    sku = obj(document.get("sku"))
    found = {**sku, "name": sku.get("name", "Basic"), "tier": sku.get("tier", "Regional")}
    if draft.existing is None and found["name"] == "Basic":
        raise bad_request(
            "IPv4BasicSkuPublicIpCountLimitReached",
            "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this "
            "region.",
        )
    old = obj(obj(draft.existing.body if draft.existing else None).get("sku")).get("name")
    if old is not None and old != found["name"] and (old, found["name"]) != ("Basic", "Standard"):
        raise bad_request(
            "PublicIPAddressSkuCannotBeChanged",
            f"Sku of public IP address {draft.id} cannot be changed from {old} to {found['name']}.",
        )
    return found


def _label(draft: Draft, properties: JsonObject, location: str) -> None:
    """Fill in the full name of a DNS label; labels are unique per region."""
    label = obj(properties.get("dnsSettings")).get("domainNameLabel")
    if not label:
        return
    full = f"{str(label).lower()}.{location}.cloudapp.azure.com"
    for other in draft.cloud.store.of_type(draft.id.subscription, "Microsoft.Network/publicIPAddresses"):
        taken = obj(other.properties.get("dnsSettings")).get("fqdn")
        if taken == full and other is not draft.existing:
            raise bad_request(
                "DnsRecordInUse", f"DNS record {full} is already used by another public IP.", details=()
            )
    properties["dnsSettings"] = {**obj(properties["dnsSettings"]), "fqdn": full}

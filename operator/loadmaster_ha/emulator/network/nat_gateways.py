"""NAT gateways: explicit outbound for subnets. Subnets refer to them; they refer to public addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadmaster_ha.emulator.errors import bad_request
from loadmaster_ha.emulator.json_types import JsonObject, objects, reference_id
from loadmaster_ha.emulator.resource_type import Draft, ResourceType, cut_references, start_document
from loadmaster_ha.emulator.store import Links, Reference

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.store import Resource


class NatGateways(ResourceType):
    """Microsoft.Network/natGateways."""

    name = "natGateways"
    label = "NatGateway"

    def normalise(self, draft: Draft) -> JsonObject:
        """Fill in the defaults."""
        document = start_document(draft, drop=("subnets",))
        cut_references(document["properties"], reference_lists=("publicIpAddresses", "publicIpPrefixes"))
        document["properties"].setdefault("idleTimeoutInMinutes", 4)
        document.setdefault("sku", {"name": "Standard", "tier": "Regional"})
        return document

    def links(self, resource: Resource) -> Links:
        """Refer to the public addresses."""
        targets = [reference_id(item) for item in objects(resource.properties.get("publicIpAddresses"))]
        return Links(tuple(Reference("natgateway-pip", str(resource.id), item) for item in targets if item))

    def view_properties(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Show the subnets that go out through the gateway."""
        shown = super().view_properties(cloud, resource)
        users = cloud.store.referrers(resource.id, "natGateway")
        if users:
            shown["subnets"] = [{"id": user.source} for user in users]
        return shown

    def check_delete(self, cloud: Cloud, resource: Resource) -> None:
        """Refuse while a subnet uses the gateway."""
        users = cloud.store.referrers(resource.id, "natGateway")
        if users:
            raise bad_request(
                "InUseNatGatewayCannotBeDeleted",
                f"Nat Gateway {resource.id} is in use by subnet {users[0].source} and cannot be deleted.",
            )

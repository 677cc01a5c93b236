"""Route tables, as far as subnets refer to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from loadmaster_ha.emulator.errors import bad_request
from loadmaster_ha.emulator.json_types import JsonObject, deep, objects
from loadmaster_ha.emulator.resource_type import (
    ChildType,
    Draft,
    ItemShape,
    ResourceType,
    child_view,
    clean_items,
    start_document,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.store import Resource

_ROUTE = ChildType("routes", writable=True, label="Route")


class RouteTables(ResourceType):
    """Microsoft.Network/routeTables."""

    name = "routeTables"
    label = "RouteTable"
    children: ClassVar[Mapping[str, ChildType]] = {"routes": _ROUTE}

    def normalise(self, draft: Draft) -> JsonObject:
        """Fill in the defaults."""
        document = start_document(draft, drop=("subnets",))
        document["properties"].setdefault("disableBgpRoutePropagation", False)
        document["properties"]["routes"] = clean_items(draft, "routes", ItemShape())
        return document

    def view_properties(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Show the routes with ids, and the subnets that use the table."""
        shown = super().view_properties(cloud, resource)
        shown["routes"] = [
            child_view(resource, self, _ROUTE, item, deep(item["properties"]))
            for item in objects(resource.properties.get("routes"))
        ]
        users = cloud.store.referrers(resource.id, "routeTable")
        if users:
            shown["subnets"] = [{"id": user.source} for user in users]
        return shown

    def check_delete(self, cloud: Cloud, resource: Resource) -> None:
        """Refuse while a subnet uses the table."""
        users = cloud.store.referrers(resource.id, "routeTable")
        if users:
            raise bad_request(
                "InUseRouteTableCannotBeDeleted",
                f"Route table {resource.id.name} is in use and cannot be deleted: {users[0].source}.",
            )

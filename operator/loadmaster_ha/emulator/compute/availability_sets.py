"""Availability sets: written in one step, without operation, provisioning state or etag.

The counts of fault and update domains are final.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadmaster_ha.emulator.errors import ArmError
from loadmaster_ha.emulator.json_types import JsonObject, deep, obj
from loadmaster_ha.emulator.resource_type import Draft, ResourceType, start_document

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.store import Resource

_LIMITS = {"platformFaultDomainCount": 3, "platformUpdateDomainCount": 20}


class AvailabilitySets(ResourceType):
    """Microsoft.Compute/availabilitySets."""

    namespace = "Microsoft.Compute"
    name = "availabilitySets"
    label = "AvailabilitySet"
    order = ("name", "id", "type", "location", "tags", "properties", "sku")
    synchronous = True

    def normalise(self, draft: Draft) -> JsonObject:
        """Check the domain counts: in range, and never changed."""
        document = start_document(draft, drop=("virtualMachines", "statuses"))
        properties = document["properties"]
        old = draft.existing.properties if draft.existing else {}
        for field, top in _LIMITS.items():
            value = properties.setdefault(field, old.get(field, 1))
            if not isinstance(value, int) or not 1 <= value <= top:
                raise ArmError(
                    400,
                    "InvalidParameter",
                    f"The specified {field} {value} must fall in the range 1 to {top}.",
                )
            if field in old and old[field] != value:
                raise ArmError(
                    409, "PropertyChangeNotAllowed", f"Changing property '{field}' is not allowed."
                )
        return document | {"sku": {"name": obj(document.get("sku")).get("name", "Classic")}}

    def view_properties(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Show the machines in the set."""
        users = cloud.store.referrers(resource.id, "availabilitySet")
        members = {"virtualMachines": [{"id": user.source} for user in users]} if users else {}
        return deep(resource.properties) | members

    def check_delete(self, cloud: Cloud, resource: Resource) -> None:
        """Refuse while machines are in the set."""
        users = cloud.store.referrers(resource.id, "availabilitySet")
        if users:
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"Availability Set '{resource.id.name}' cannot be deleted. Before deleting an Availability "
                "Set please ensure "
                "that it does not contain any VM.",
            )

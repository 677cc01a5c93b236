"""Virtual machines, as far as pairs need them: placement, interfaces, power.

Nothing boots here. What shows is what prerequisites are checked on: availability set or zone (final after
creation), interfaces, diagnostics, and the power state in the instance view. Etags are strong and count up.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

from loadmaster_ha.emulator import answers
from loadmaster_ha.emulator.armid import key_of
from loadmaster_ha.emulator.cloud import Reply
from loadmaster_ha.emulator.errors import ArmError, dangling_reference, locked
from loadmaster_ha.emulator.json_types import JsonObject, deep, obj, objects, reference_id
from loadmaster_ha.emulator.resource_type import Draft, ResourceType, start_document
from loadmaster_ha.emulator.store import Links, Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadmaster_ha.emulator.cloud import Call, Cloud
    from loadmaster_ha.emulator.operations import Operation
    from loadmaster_ha.emulator.store import Resource

_POWER_TEXT = {"running": "VM running", "deallocated": "VM deallocated", "stopped": "VM stopped"}


class VirtualMachines(ResourceType):
    """Microsoft.Compute/virtualMachines."""

    namespace = "Microsoft.Compute"
    name = "virtualMachines"
    label = "VirtualMachine"
    order = ("name", "id", "type", "location", "tags", "zones", "properties", "etag")
    creating_state = "Creating"
    numeric_etag = True

    def normalise(self, draft: Draft) -> JsonObject:
        """Check placement and interfaces."""
        document = start_document(draft, drop=("vmId", "timeCreated", "instanceView"))
        properties = document["properties"]
        profile = obj(properties.get("networkProfile"))
        interfaces = objects(profile.get("networkInterfaces"))
        if not interfaces:
            raise ArmError(
                400,
                "InvalidParameter",
                "Required parameter 'networkProfile.networkInterfaces' is missing (null).",
            )
        for item in interfaces:
            _check_interface(draft, reference_id(item) or "")
        _check_placement(draft, document)
        if isinstance(properties.get("osProfile"), dict):
            properties["osProfile"].pop("adminPassword", None)
        old = draft.existing.properties if draft.existing else {}
        now = dt.datetime.fromtimestamp(draft.cloud.clock(), dt.UTC).isoformat()
        service = {"vmId": old.get("vmId", str(uuid.uuid4())), "timeCreated": old.get("timeCreated", now)}
        return document | {"properties": properties | service}

    def links(self, resource: Resource) -> Links:
        """Refer to the interfaces and the availability set."""
        items = objects(obj(resource.properties.get("networkProfile")).get("networkInterfaces"))
        own = str(resource.id)
        found = [Reference("vm-nic", own, target) for item in items if (target := reference_id(item))]
        availability = reference_id(resource.properties.get("availabilitySet"))
        if availability:
            found.append(Reference("availabilitySet", own, availability))
        return Links(tuple(found))

    def view_properties(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Show what is stored; there is no resourceGuid."""
        del cloud
        return deep(resource.properties) | {"provisioningState": resource.state}

    def acted(self, cloud: Cloud, resource: Resource, operation: Operation) -> None:
        """Let a power action take effect."""
        del cloud
        if operation.outcome == "Succeeded":
            resource.hidden["power"] = operation.effect
        resource.state = "Succeeded"

    def wrote(self, cloud: Cloud, resource: Resource, before: JsonObject | None) -> None:
        """A new machine runs."""
        if before is None:
            resource.hidden.setdefault("power", "running")
            cloud.store.save(resource)


def instance_view(resource: Resource) -> JsonObject:
    """Return the machine's instance view: provisioning and power."""
    power = str(resource.hidden.get("power", "running"))
    shown = _POWER_TEXT.get(power, f"VM {power}")
    state = resource.state.lower()
    return {
        "computerName": obj(resource.properties.get("osProfile")).get("computerName", resource.id.name),
        "statuses": [
            {"code": f"ProvisioningState/{state}", "level": "Info", "displayStatus": f"Provisioning {state}"},
            {"code": f"PowerState/{power}", "level": "Info", "displayStatus": shown},
        ],
    }


def _instance_view(call: Call, resource: Resource) -> Reply:
    del call
    return Reply(200, instance_view(resource))


def _power(name: str, effect: str) -> Callable[[Call, Resource], Reply]:
    def act(call: Call, resource: Resource) -> Reply:
        running = call.cloud.operations.get(resource.running) if resource.running else None
        if running is not None and not running.done:
            raise locked(running.name, running.id, str(resource.id), call.cloud.operations.remaining(running))
        power = resource.hidden.get("power", "running")
        if name in ("restart", "powerOff") and power == "deallocated":
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"Operation '{name}' is not allowed on VM '{resource.id.name}' since the VM is deallocated.",
            )
        operation = call.cloud.operations.start(
            name,
            "action",
            resource.key,
            namespace="Microsoft.Compute",
            subscription=resource.id.subscription,
            location=resource.location,
            latency=call.cloud.settings.latency_of("Microsoft.Compute/virtualMachines"),
            verdict=call.verdict,
            effect=effect,
        )
        resource.state, resource.running, resource.operation = "Updating", operation.id, name
        call.cloud.touch(resource)
        return Reply(202, None, answers.operation_headers(call, operation, location=True))

    return act


VirtualMachines.actions = {
    "start": _power("start", "running"),
    "deallocate": _power("deallocate", "deallocated"),
    "poweroff": _power("powerOff", "stopped"),
    "restart": _power("restart", "running"),
    "instanceview": _instance_view,
}


def _check_interface(draft: Draft, interface: str) -> None:
    if draft.cloud.store.get(interface) is None:
        raise dangling_reference(interface, str(draft.id))
    for user in draft.cloud.store.referrers(interface, "vm-nic"):
        if key_of(user.source) != key_of(draft.id):
            raise ArmError(
                400,
                "NicInUse",
                f"Network Interface {interface} is used by existing resource {user.source}. In order to use "
                "it here, it must "
                "be dissociated from that resource.",
            )


def _check_placement(draft: Draft, document: JsonObject) -> None:
    """Availability set and zone are set when a machine is created, and never again."""
    availability = reference_id(document["properties"].get("availabilitySet"))
    if availability and document.get("zones"):
        raise ArmError(
            400,
            "BadRequest",
            f"Virtual machine {draft.id.name} cannot have both an availability set and zones.",
        )
    if draft.existing is None:
        return
    before = reference_id(draft.existing.properties.get("availabilitySet"))
    if key_of(before or "") != key_of(availability or ""):
        raise ArmError(
            409, "PropertyChangeNotAllowed", "Changing property 'availabilitySet.id' is not allowed."
        )
    if (draft.existing.body.get("zones") or []) != (document.get("zones") or []):
        raise ArmError(409, "PropertyChangeNotAllowed", "Changing property 'zones' is not allowed.")

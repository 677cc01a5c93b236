"""What Azure would look like after a change; the later steps of a plan stand on it.

No model of ARM: nothing is filled in beyond ids, nothing is validated. The controller observes after every
write.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from loadmaster_ha.domain.reading import Absent, Present, Reading
from loadmaster_ha.planning.bodies import name_of, thaw
from loadmaster_ha.planning.changes import Change, Put
from loadmaster_ha.planning.observation import Observation, Resource


def after(observation: Observation, change: Change) -> Observation:
    """The observation as it would be after this change."""
    resource = change.resource
    if len(resource.names) == 4:
        reading = _child(observation, change)
    elif isinstance(change, Put):
        reading = Present(_written(observation.get(resource), change))
    else:
        reading = Absent()
    return Observation(
        MappingProxyType({**observation.resources, resource.top: reading}), observation.addresses
    )


def _written(observed: Resource | None, change: Put) -> Resource:
    body = thaw(change.body)
    body.setdefault("properties", {})["provisioningState"] = "Succeeded"
    if observed is not None:
        _carry_back_references(observed.body, body)
    return Resource(change.resource, body, None if observed is None else observed.etag)


def _carry_back_references(old: Mapping[str, Any], body: dict[str, Any]) -> None:
    """What the service fills and the planner reads: default rules of a group, the machine of an interface."""
    properties = old.get("properties") or {}
    for field in ("defaultSecurityRules", "virtualMachine", "networkInterfaces", "subnets"):
        if field in properties and field not in body["properties"]:
            body["properties"][field] = properties[field]


def _child(observation: Observation, change: Change) -> Reading[Resource]:
    parent = observation.get(change.resource.top)
    if parent is None:
        return observation.read(change.resource.top)
    collection, name = change.resource.names[2], change.resource.name
    entries = list(parent.properties.get(collection) or [])
    place = next(
        (index for index, entry in enumerate(entries) if name_of(entry).lower() == name.lower()), None
    )
    if isinstance(change, Put):
        entry = {"name": name, **thaw(change.body)}
        entries = [*entries, entry] if place is None else [*entries[:place], entry, *entries[place + 1 :]]
    elif place is not None:
        entries = [*entries[:place], *entries[place + 1 :]]
    body = {**parent.body, "properties": {**parent.properties, collection: entries}}
    return Present(Resource(parent.id, body, parent.etag))

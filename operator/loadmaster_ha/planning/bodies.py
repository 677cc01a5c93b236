"""Reading ARM's JSON: children of a resource, references between them, and comparison as ARM compares.

Nothing here knows what is wanted; `normalise` says what may be written back and `diff` what counts as a
difference.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loadmaster_ha.planning.arm import InvalidResourceID, ResourceID
from loadmaster_ha.planning.observation import Resource


def thaw(value: Any) -> Any:
    """A deep copy in plain dicts and lists, to be changed at will."""
    if isinstance(value, Mapping):
        return {str(key): thaw(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [thaw(item) for item in value]
    return value


def properties(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `properties` of a child; empty where there are none."""
    found = entry.get("properties")
    return found if isinstance(found, Mapping) else {}


def items(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of a list property; empty where it is missing or null."""
    found = body.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list | tuple) else []


def children(resource: Resource | None, collection: str) -> list[Mapping[str, Any]]:
    """The entries of one collection of a resource, e.g. `probes`; empty for an absent resource."""
    return [] if resource is None else items(resource.properties, collection)


def name_of(entry: Mapping[str, Any]) -> str:
    """The name of a child; from its id where the body has none."""
    return str(entry.get("name") or str(entry.get("id", "")).rsplit("/", 1)[-1])


def named(entries: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The entry of this name, compared without case."""
    return next((entry for entry in entries if name_of(entry).lower() == name.lower()), None)


def parse_id(text: object) -> ResourceID | None:
    """The id in a body, or None where there is none that can be read (scale sets have deeper ones)."""
    try:
        return ResourceID.parse(str(text))
    except InvalidResourceID:
        return None


def reference_of(value: Any) -> ResourceID | None:
    """What `{"id": ...}` refers to."""
    return parse_id(value["id"]) if isinstance(value, Mapping) and value.get("id") else None


def references(body: Mapping[str, Any], name: str) -> Iterator[ResourceID]:
    """What the objects of a list property refer to, e.g. `loadBalancerBackendAddressPools`."""
    for item in items(body, name):
        found = reference_of(item)
        if found is not None:
            yield found


def singular_or_plural(body: Mapping[str, Any], singular: str, plural: str) -> tuple[str, ...]:
    """The values of a pair such as `sourceAddressPrefix` and `...Prefixes`; Azure fills just one of them."""
    many = body.get(plural)
    if isinstance(many, list | tuple) and many:
        return tuple(str(value) for value in many)
    one = body.get(singular)
    return () if one in (None, "") else (str(one),)

"""What every resource type tells the machinery about itself, and the checks that all types share.

`lifecycle` drives a type through this interface; the types are in `network` and `compute`, and `registry`
lists them.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from loadmaster_ha.emulator.errors import ArmError, bad_request, location_mismatch
from loadmaster_ha.emulator.json_types import JsonObject, deep, named, obj, objects, ordered, reference_id
from loadmaster_ha.emulator.store import Links

if TYPE_CHECKING:
    from loadmaster_ha.emulator.armid import ArmId
    from loadmaster_ha.emulator.cloud import Call, Cloud, Reply
    from loadmaster_ha.emulator.operations import Operation
    from loadmaster_ha.emulator.store import Resource

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?")
_SERVICE_FIELDS = ("id", "name", "type", "etag")
_ITEM_ORDER = ("name", "id", "etag", "type", "properties")

Action: TypeAlias = Callable[["Call", "Resource"], "Reply"]


@dataclass(frozen=True, slots=True)
class ChildType:
    """A collection of children of a resource, kept as a list in its `properties`."""

    name: str
    writable: bool = False
    label: str = ""
    """Names the operation, for example `LoadBalancerBackendAddressPool`."""
    order: tuple[str, ...] = _ITEM_ORDER


@dataclass(slots=True)
class Draft:
    """A write while it is being checked. `body` is the whole resource, also when a child was written."""

    cloud: Cloud
    id: ArmId
    body: JsonObject
    existing: Resource | None
    child: tuple[ChildType, str] | None = None
    """The child that the request writes, when it is not the whole."""

    @property
    def properties(self) -> JsonObject:
        """The properties that were sent."""
        return obj(self.body.get("properties"))

    def old_items(self, collection: str) -> list[JsonObject]:
        """Return the stored children of a collection."""
        return objects(self.existing.properties.get(collection)) if self.existing else []


class ResourceType(ABC):
    """A type of resources.

    Subclasses set the class variables and say how a body becomes a stored document.
    """

    namespace: ClassVar[str] = "Microsoft.Network"
    name: ClassVar[str]
    label: ClassVar[str]
    """Names its operations: `Put{label}Operation`."""
    order: ClassVar[tuple[str, ...]] = (
        "name",
        "id",
        "etag",
        "type",
        "location",
        "tags",
        "zones",
        "properties",
        "sku",
    )
    children: ClassVar[Mapping[str, ChildType]] = {}
    answers_succeeded: ClassVar[bool] = False
    """Whether a PUT without latency answers `Succeeded` at once (recorded for balancers and interfaces)."""
    synchronous: ClassVar[bool] = False
    """Whether there are no operations at all (availability sets)."""
    quiet_when_done: ClassVar[bool] = False
    """Whether a PUT that is done at once carries no operation header (recorded for interfaces)."""
    delete_status: ClassVar[int] = 202
    lock: ClassVar[Literal["supersede", "retryable", "conflict"]] = "retryable"
    """What meets a second write while one is under way."""
    creating_state: ClassVar[str] = "Updating"
    numeric_etag: ClassVar[bool] = False
    actions: ClassVar[Mapping[str, Action]] = {}

    @property
    def full_name(self) -> str:
        """The type as ids and lists have it, for example `Microsoft.Network/loadBalancers`."""
        return f"{self.namespace}/{self.name}"

    @abstractmethod
    def normalise(self, draft: Draft) -> JsonObject:
        """Check a write and return the document to store.

        Raises:
            ArmError: The service's refusal.
        """

    def links(self, resource: Resource) -> Links:
        """Return what the document refers to and which addresses it holds."""
        del resource
        return Links()

    def view(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Return the body of a GET."""
        head = {"name": resource.id.name, "id": str(resource.id), "type": self.full_name}
        if resource.etag:
            head["etag"] = resource.etag
        body = {key: value for key, value in resource.body.items() if key != "properties"}
        body["properties"] = self.view_properties(cloud, resource)
        return ordered(head | body, self.order)

    def view_properties(self, cloud: Cloud, resource: Resource) -> JsonObject:
        """Return the properties of a GET. The default shows what is stored."""
        del cloud
        head = {"provisioningState": resource.state, "resourceGuid": resource.guid}
        return head | deep(resource.properties)

    def check_delete(self, cloud: Cloud, resource: Resource) -> None:  # noqa: B027 - nothing to refuse
        """Refuse to delete what is in use.

        Raises:
            ArmError: The service's refusal.
        """

    def wrote(self, cloud: Cloud, resource: Resource, before: JsonObject | None) -> None:  # noqa: B027 - optional
        """Let a write show in the neighbours. `before` is the document it replaced; `None` on creation."""

    def removed(self, cloud: Cloud, resource: Resource) -> None:  # noqa: B027 - optional
        """Let a deletion show in the neighbours."""

    def acted(self, cloud: Cloud, resource: Resource, operation: Operation) -> None:  # noqa: B027 - optional
        """Let an ended action take effect."""


def child_view(
    resource: Resource, kind: ResourceType, child: ChildType, item: JsonObject, properties: JsonObject
) -> JsonObject:
    """Return a child as it appears in its parent: with id, type and the parent's etag and state."""
    head = {
        "name": item["name"],
        "id": str(resource.id.child(child.name, str(item["name"]))),
        "etag": resource.etag,
        "type": f"{kind.full_name}/{child.name}",
    }
    rest = {key: value for key, value in item.items() if key not in ("name", "properties")}
    state = {"provisioningState": resource.state}
    return ordered(head | rest | {"properties": state | properties}, child.order)


def start_document(draft: Draft, *, drop: tuple[str, ...] = ()) -> JsonObject:
    """Return the sent body without what the service fills in itself.

    Name and location are checked, and that the location stays the same.

    Raises:
        ArmError: `InvalidResourceName`, `LocationRequired` or `InvalidResourceLocation`.
    """
    check_name(draft.id.name)
    location = draft.body.get("location")
    if not isinstance(location, str) or not location:
        raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
    location = canonical_location(location)
    if draft.existing is not None and draft.existing.location != location:
        raise location_mismatch(draft.id.name, draft.id.group, draft.existing.location, location)
    document = {key: value for key, value in draft.body.items() if key not in _SERVICE_FIELDS}
    properties = {
        key: value
        for key, value in draft.properties.items()
        if key not in ("provisioningState", "resourceGuid", *drop)
    }
    return deep(document | {"location": location, "properties": properties})


def canonical_location(location: str) -> str:
    """Return a region's name as ARM writes it: `West Europe` is `westeurope`."""
    return location.replace(" ", "").lower()


def check_name(name: str) -> None:
    """Refuse a name outside the network provider's pattern.

    Raises:
        ArmError: `InvalidResourceName`.
    """
    if not _NAME.fullmatch(name):
        raise bad_request(
            "InvalidResourceName",
            f"Resource name {name} is invalid. The name can be up to 80 characters long. It must begin with "
            "a word "
            "character, and it must end with a word character or with '_'. The name may contain word "
            "characters or "
            "'.', '-', '_'.",
        )


@dataclass(frozen=True, slots=True)
class ItemShape:
    """How a child in a body is cleaned.

    Read-only fields are dropped, references cut to their id, defaults filled in.
    """

    read_only: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    reference_lists: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)


def clean_items(draft: Draft, collection: str, shape: ItemShape) -> list[JsonObject]:
    """Return the children of a body in stored form; names checked for pattern and uniqueness.

    Raises:
        ArmError: `InvalidResourceName`, or `InvalidRequestFormat` for a child that is no object, has no name
            or a name that another one has.
    """
    raw = draft.properties.get(collection)
    if raw is None:
        return []
    if not isinstance(raw, list) or len(objects(raw)) != len(raw):
        raise bad_request(
            "InvalidRequestFormat", f"Cannot parse the request: {collection} must be a list of objects."
        )
    found: list[JsonObject] = []
    for item in objects(raw):
        name = item.get("name")
        if not isinstance(name, str):
            raise bad_request(
                "InvalidRequestFormat", f"Cannot parse the request: an entry of {collection} has no name."
            )
        check_name(name)
        if named(found, name):
            raise bad_request(
                "InvalidRequestFormat",
                "Cannot parse the request.",
                details=[
                    (
                        "DuplicateResourceName",
                        f"Resource {draft.id} has two child resources with the same name ({name}).",
                    )
                ],
            )
        found.append(clean_item(item, shape))
    return found


def clean_item(item: JsonObject, shape: ItemShape) -> JsonObject:
    """Return one child in stored form."""
    properties = {
        key: value
        for key, value in obj(item.get("properties")).items()
        if key != "provisioningState" and key not in shape.read_only and value is not None
    }
    cut_references(properties, shape.references, shape.reference_lists)
    kept = {key: value for key, value in item.items() if key not in ("id", "type", "etag", "properties")}
    return deep(kept | {"properties": dict(shape.defaults) | properties})


def cut_references(
    properties: JsonObject, references: tuple[str, ...] = (), reference_lists: tuple[str, ...] = ()
) -> None:
    """Cut references to `{"id": ...}` in place: clients may send the whole resource."""
    for key in references:
        if key in properties:
            found = reference_id(properties[key])
            if found is None:
                del properties[key]
            else:
                properties[key] = {"id": found}
    for key in reference_lists:
        if key in properties:
            properties[key] = [
                {"id": found} for item in objects(properties[key]) if (found := reference_id(item))
            ]

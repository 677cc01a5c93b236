"""Resource ids of ARM: parsing, comparing (case-insensitive) and writing them.

`routing` uses the same segments for request paths, which may also end in a collection or an action.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ArmId:
    """Id of a resource in a resource group, or of one of its children.

    `types` and `names` run in parallel: `("loadBalancers", "backendAddressPools")`, `("lb", "pool")`.
    """

    subscription: str
    group: str
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]

    def __str__(self) -> str:
        head = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{self.namespace}"
        return head + "".join(f"/{kind}/{name}" for kind, name in zip(self.types, self.names, strict=True))

    @property
    def name(self) -> str:
        """The last name: the resource's own, or the child's."""
        return self.names[-1]

    @property
    def type(self) -> str:
        """The full type, for example `Microsoft.Network/loadBalancers/backendAddressPools`."""
        return "/".join((self.namespace, *self.types))

    @property
    def root(self) -> ArmId:
        """The top-level resource that this id is, or is a child of."""
        return ArmId(self.subscription, self.group, self.namespace, self.types[:1], self.names[:1])

    def child(self, kind: str, name: str) -> ArmId:
        """The id of a child of this resource."""
        return ArmId(self.subscription, self.group, self.namespace, (*self.types, kind), (*self.names, name))


def key_of(resource_id: str | ArmId) -> str:
    """Return the form of an id in which two spellings of one resource are equal."""
    return str(resource_id).rstrip("/").lower()


def parse_id(text: str) -> ArmId | None:
    """Read an id; `None` when it is not that of a resource in a resource group."""
    parts = text.strip("/").split("/")
    if len(parts) < 8 or len(parts) % 2:
        return None
    if [parts[0].lower(), parts[2].lower(), parts[4].lower()] != [
        "subscriptions",
        "resourcegroups",
        "providers",
    ]:
        return None
    tail = parts[6:]
    return ArmId(parts[1], parts[3], parts[5], tuple(tail[::2]), tuple(tail[1::2]))


def group_key(subscription: str, group: str) -> str:
    """Return the key of a resource group."""
    return f"/subscriptions/{subscription}/resourcegroups/{group}".lower()

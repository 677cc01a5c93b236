"""Names of Azure resources: resource ids as ARM writes them, compared as ARM compares them (without case)."""

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Final

NETWORK: Final = "Microsoft.Network"
COMPUTE: Final = "Microsoft.Compute"


class InvalidResourceID(ValueError):  # noqa: N818 - ARM calls it InvalidResourceId
    """The text is not an ARM resource id."""


@dataclass(frozen=True, eq=False)
class ResourceID:
    """An ARM resource id: `/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/loadBalancers/web`.

    `names` alternates child type and name after the provider: `("loadBalancers", "web", "probes", "health")`.
    Resource groups themselves have an empty `provider`. Equality and hash ignore case, as ARM does.
    """

    subscription: str
    resource_group: str
    provider: str = ""
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "ResourceID":
        """Parse an id as it stands in a body or a manifest.

        Raises:
            InvalidResourceID: it does not have the form of a resource id in a resource group.
        """
        parts = text.strip("/").split("/")
        lowered = [part.lower() for part in parts]
        if (
            len(parts) < 4
            or lowered[0] != "subscriptions"
            or lowered[2] != "resourcegroups"
            or not all(parts)
        ):
            raise InvalidResourceID(f"{text!r} is not the id of a resource in a resource group")
        # Thousands of ids are kept, of few subscriptions, groups and types: each word of them once.
        parts = [sys.intern(part) for part in parts]
        if len(parts) == 4:
            return cls(parts[1], parts[3])
        if len(parts) < 8 or lowered[4] != "providers" or len(parts) % 2:
            raise InvalidResourceID(f"{text!r} is not the id of a resource in a resource group")
        return cls(parts[1], parts[3], parts[5], tuple(parts[6:]))

    def child(self, kind: str, name: str) -> "ResourceID":
        """The id of a child resource, e.g. `.child("probes", "health")`."""
        return ResourceID(self.subscription, self.resource_group, self.provider, (*self.names, kind, name))

    @property
    def parent(self) -> "ResourceID":
        """The id one level up; of a top-level resource its resource group."""
        if len(self.names) <= 2:
            return ResourceID(self.subscription, self.resource_group)
        return ResourceID(self.subscription, self.resource_group, self.provider, self.names[:-2])

    @property
    def top(self) -> "ResourceID":
        """The top-level resource that this is, or is part of: what ARM writes as a whole."""
        return ResourceID(self.subscription, self.resource_group, self.provider, self.names[:2])

    @property
    def name(self) -> str:
        """The last name."""
        return self.names[-1] if self.names else self.resource_group

    @property
    def type(self) -> str:
        """The full resource type, e.g. `Microsoft.Network/loadBalancers/probes`."""
        if not self.names:
            return "Microsoft.Resources/resourceGroups"
        return "/".join((self.provider, *self.names[::2]))

    @cached_property
    def _key(self) -> str:
        return sys.intern(str(self).lower())  # one for all that mean the same

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResourceID) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
        return group if not self.names else "/".join((group, "providers", self.provider, *self.names))


def network(subscription: str, resource_group: str, kind: str, name: str) -> ResourceID:
    """The id of a top-level resource of Microsoft.Network."""
    return ResourceID(subscription, resource_group, NETWORK, (kind, name))


def compute(subscription: str, resource_group: str, kind: str, name: str) -> ResourceID:
    """The id of a top-level resource of Microsoft.Compute."""
    return ResourceID(subscription, resource_group, COMPUTE, (kind, name))


def resource_group(subscription: str, name: str) -> ResourceID:
    """The id of a resource group."""
    return ResourceID(subscription, name)


def reference(
    name_or_id: str, *, subscription: str, resource_group: str, provider: str, kind: str
) -> ResourceID:
    """What a manifest means by a name (in the pair's resource group) or by a full id.

    Raises:
        InvalidResourceID: it begins with a slash but is no resource id.
    """
    if name_or_id.startswith("/"):
        return ResourceID.parse(name_or_id)
    return ResourceID(subscription, resource_group, provider, (kind, name_or_id))

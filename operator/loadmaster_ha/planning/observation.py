"""What was read from Azure, as the planner sees it: immutable, keyed by resource id, unreadable is `Unknown`.

Bodies are ARM's own JSON (camelCase), never a model: whatever a newer api-version put there must survive our
writes. `azure.observer` fills it; `planning` only reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from loadmaster_ha.domain.reading import Absent, Present, Reading, Unknown
from loadmaster_ha.planning.arm import ResourceID

Body: TypeAlias = Mapping[str, Any]

FAILED_STATES: Final = frozenset({"Failed", "Canceled"})
"""Provisioning states of a resource whose last write came to a bad end; writing it again is the cure."""


@dataclass(frozen=True)
class Resource:
    """One top-level ARM resource as it was last read. `etag` is what `If-Match` takes."""

    id: ResourceID
    body: Body
    etag: str | None = None

    @property
    def properties(self) -> Body:
        """The `properties` of the body; empty where there are none."""
        found = self.body.get("properties")
        return found if isinstance(found, Mapping) else {}

    @property
    def provisioning_state(self) -> str:
        """`Succeeded`, `Updating`, `Failed`, ...; `Succeeded` for types without it (availability sets)."""
        return str(self.properties.get("provisioningState") or "Succeeded")

    @property
    def failed(self) -> bool:
        """Whether the last write of the resource failed or was cancelled."""
        return self.provisioning_state in FAILED_STATES

    @property
    def location(self) -> str:
        """The region, normalised as ARM compares it (`West Europe` is `westeurope`)."""
        return str(self.body.get("location", "")).replace(" ", "").lower()

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags; empty where there are none."""
        found = self.body.get("tags")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, slots=True)
class AddressQuestion:
    """May this private address be taken in this virtual network? (ARM: CheckIPAddressAvailability)."""

    virtual_network: ResourceID
    address: str


Need: TypeAlias = ResourceID | AddressQuestion
"""Something the planner wants to know: a top-level resource or group, or whether an address is free."""


@dataclass(frozen=True)
class Observation:
    """Everything known about Azure for one pair at one time.

    `resources` maps ids of *top-level* resources and resource groups; `addresses` holds True where the
    address is free. An id that is in neither was never asked for: asking for it is an error of the planner's
    `needs`.
    """

    resources: Mapping[ResourceID, Reading[Resource]] = field(default_factory=lambda: MappingProxyType({}))
    addresses: Mapping[AddressQuestion, Reading[bool]] = field(default_factory=lambda: MappingProxyType({}))

    def read(self, resource: ResourceID) -> Reading[Resource]:
        """The reading of a top-level resource; `Unknown` when it was not asked for."""
        return self.resources.get(resource, Unknown("NotRead", f"{resource} has not been read yet"))

    def get(self, resource: ResourceID) -> Resource | None:
        """The resource if it is there, None if it is absent *or unknown*: only where both mean the same."""
        reading = self.read(resource)
        return reading.value if isinstance(reading, Present) else None

    def is_absent(self, resource: ResourceID) -> bool:
        """Whether the resource was looked for and does not exist."""
        return isinstance(self.read(resource), Absent)

    def knows(self, need: Need) -> bool:
        """Whether this need was asked for already, whatever came of it."""
        return need in (self.addresses if isinstance(need, AddressQuestion) else self.resources)

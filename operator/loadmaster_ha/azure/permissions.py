"""Which actions of Azure role-based access control the operator needs: derived from what it can send.

`docs/permissions.md` shows them as two custom roles; a test compares the page with these sets, and others
compare them with the requests that really arrived. An action is `{provider}/{type}/{read|write|delete}`; some
come on top ("Azure built-in
permissions: Microsoft.Network").
"""

from collections.abc import Iterator
from typing import Final

from loadmaster_ha.azure.resource_types import RESOURCE_GROUP, TYPES, ResourceType

ADDRESS_CHECK: Final = "Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read"
"""May this private address be taken?"""

OPERATION_STATUS: Final = (
    "Microsoft.Network/locations/operations/read",
    "Microsoft.Network/locations/operationResults/read",
)
"""Polling of long-running operations."""

KEPT_REFERENCES: Final = (
    "Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action",
    "Microsoft.Network/applicationSecurityGroups/joinNetworkSecurityRule/action",
    "Microsoft.Network/loadBalancers/frontendIPConfigurations/join/action",
    "Microsoft.Network/publicIPPrefixes/join/action",
)
"""What other people may have attached to the resources that the operator writes.

A write repeats these references so that they survive, and Azure asks for the right to make each of them.
"""


def observe_actions() -> frozenset[str]:
    """Actions of `policy.mode: Observe`: nothing is written; a rule's health is a long-running operation."""
    return frozenset(
        {
            *(read_action(kind) for kind in TYPES.values() if kind.read),
            *(f"{kind.name}/health/action" for kind in TYPES.values() if kind.asked),
            ADDRESS_CHECK,
            *OPERATION_STATUS,
        }
    )


def enforce_actions() -> frozenset[str]:
    """Actions of `policy.mode: Enforce`."""
    return observe_actions() | frozenset(_write_actions()) | frozenset(KEPT_REFERENCES)


def read_action(kind: ResourceType) -> str:
    """The action that reading and listing a type needs."""
    if kind is RESOURCE_GROUP:
        return "Microsoft.Resources/subscriptions/resourceGroups/read"
    return f"{kind.name}/read"


def _write_actions() -> Iterator[str]:
    for kind in TYPES.values():
        if kind.written:
            yield f"{kind.name}/write"
        if kind.deleted:
            yield f"{kind.name}/delete"
        yield from kind.joins

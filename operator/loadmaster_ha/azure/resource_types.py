"""The resource types that the operator reads and writes in Azure: addressing, guarding and permissions.

`sdk` addresses resources by it, `snapshot` asks whether a type has lists, `permissions` derives from it what
the operator must be allowed to do. What is not in the table cannot be sent.
"""

from dataclasses import dataclass
from typing import Final

from loadmaster_ha.planning.arm import ResourceID


class UnsupportedRequest(ValueError):  # noqa: N818 - reads as what is wrong
    """The operator never sends this: a mistake of the planner's, not of the user's."""


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One type: its name, the SDK client's operation group for it, and what the operator does with it.

    `read` is whether it is read by itself, `asked` whether its health is asked for. `joins` are the
    permissions that Azure wants on *referenced* resources when one of this type is written ("linked access").
    """

    name: str
    group: str
    written: bool = False
    deleted: bool = False
    listed: bool = True
    read: bool = True
    asked: bool = False
    joins: tuple[str, ...] = ()

    @property
    def provider(self) -> str:
        """The resource provider, e.g. `Microsoft.Network`."""
        return self.name.split("/", 1)[0]


RESOURCE_GROUP: Final = ResourceType("Microsoft.Resources/resourceGroups", "", listed=False)

TYPES: Final = {
    kind.name.lower(): kind
    for kind in (
        RESOURCE_GROUP,
        ResourceType(
            "Microsoft.Network/loadBalancers",
            "load_balancers",
            written=True,
            deleted=True,
            joins=(
                "Microsoft.Network/publicIPAddresses/join/action",
                "Microsoft.Network/virtualNetworks/subnets/join/action",
            ),
        ),
        ResourceType(
            "Microsoft.Network/loadBalancers/loadBalancingRules",
            "load_balancer_load_balancing_rules",
            listed=False,
            read=False,
            asked=True,
        ),
        ResourceType(
            "Microsoft.Network/networkInterfaces",
            "network_interfaces",
            written=True,
            joins=(
                "Microsoft.Network/loadBalancers/backendAddressPools/join/action",
                "Microsoft.Network/loadBalancers/inboundNatRules/join/action",
                "Microsoft.Network/networkSecurityGroups/join/action",
                "Microsoft.Network/publicIPAddresses/join/action",
                "Microsoft.Network/virtualNetworks/subnets/join/action",
            ),
        ),
        ResourceType("Microsoft.Network/networkSecurityGroups", "network_security_groups", written=True),
        ResourceType(
            "Microsoft.Network/networkSecurityGroups/securityRules",
            "security_rules",
            written=True,
            deleted=True,
            listed=False,
        ),
        ResourceType(
            "Microsoft.Network/publicIPAddresses", "public_ip_addresses", written=True, deleted=True
        ),
        ResourceType("Microsoft.Network/virtualNetworks", "virtual_networks"),
        ResourceType("Microsoft.Compute/virtualMachines", "virtual_machines"),
        ResourceType("Microsoft.Compute/availabilitySets", "availability_sets"),
    )
}
"""By name in lower case."""


def resource_type(resource: ResourceID) -> ResourceType:
    """What the operator does with resources of this type.

    Raises:
        UnsupportedRequest: nothing.
    """
    try:
        return TYPES[resource.type.lower()]
    except KeyError:
        raise UnsupportedRequest(
            f"the operator has nothing to do with resources of type {resource.type}: {resource}"
        ) from None

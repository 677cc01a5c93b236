"""Network security groups of a pair (`spec.networkSecurity`; guide, section 6)."""

from pydantic import Field

from loadmaster_ha.resources import cel
from loadmaster_ha.resources.model import Model, Rule, as_set, keyed_by, merged, rules
from loadmaster_ha.resources.names import AddressPrefix, AzureNetworkName, ResourceGroupName
from loadmaster_ha.resources.services import Switch


class SecurityGroupReference(Model):
    """An existing network security group."""

    name: AzureNetworkName
    """Name of the group."""

    resource_group: ResourceGroupName | None = None
    """Resource group of the group. Default: the pair's."""


class NetworkSecurity(Model):
    """Openings that the pair needs in network security groups."""

    security_groups: tuple[SecurityGroupReference, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra=merged(
            keyed_by("name"),
            rules(
                Rule(
                    cel.let("self.map(g, g.name.lowerAscii())", "names", cel.all_different("names")),
                    message="a security group stands here once (Azure's names do not differ by case)",
                )
            ),
        ),
    )
    """Groups on the units' subnets or interfaces in which the operator keeps rules of its own. Other people's
    rules in them stay. Default: none, the operator only checks what the groups let through."""

    management_sources: tuple[AddressPrefix, ...] = Field(
        default=("VirtualNetwork",), min_length=1, max_length=100, json_schema_extra=as_set()
    )
    """From where the units may be managed (web user interface, SSH, check port): IPv4 addresses, CIDR blocks,
    Azure service tags. Must contain the operator's own address."""

    publish_guide_ports: Switch = Switch.DISABLED
    """Enabled also opens the management ports of the frontend (8441, 8442, 221, 222), as the guide lists
    them. Without effect in Azure: a security group sees the port after translation."""

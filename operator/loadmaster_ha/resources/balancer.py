"""The Azure load balancer of a pair: frontend, management access and probe (guide, sections 4 and 5)."""

from enum import StrEnum

from pydantic import ConfigDict, Field

from loadmaster_ha.domain.ha import CHECK_PORT_FORBIDDEN, HEALTH_CHECK_PORT
from loadmaster_ha.resources import cel
from loadmaster_ha.resources.model import Model, Rule, immutable, rules
from loadmaster_ha.resources.names import (
    AzureNetworkName,
    DNSLabel,
    Flag,
    FrontendPort,
    IPv4Address,
    ResourceGroupName,
    VirtualNetworkName,
)

_FORBIDDEN = ", ".join(str(port) for port in sorted(CHECK_PORT_FORBIDDEN))


class LoadBalancerType(StrEnum):
    """Internal has a private frontend address, Public a public one."""

    INTERNAL = "Internal"
    PUBLIC = "Public"


class AccessMode(StrEnum):
    """NAT makes an inbound NAT rule per unit, Disabled none."""

    NAT = "NAT"
    DISABLED = "Disabled"


class Subnet(Model):
    """An existing subnet."""

    virtual_network: VirtualNetworkName
    """Name of the virtual network; both units' interfaces must be in it."""

    name: AzureNetworkName
    """Name of the subnet in it."""

    resource_group: ResourceGroupName | None = None
    """Resource group of the virtual network. Default: the pair's."""


class PublicIPAddress(Model):
    """A Standard public address."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!has(self.dnsLabel) || self.create",
                message="dnsLabel is set only on an address that the operator creates; set create: true, or "
                "set the label on the existing address itself",
                field_path=".dnsLabel",
                reason="FieldValueForbidden",
            )
        )
    )

    name: AzureNetworkName
    """Name of the address resource."""

    resource_group: ResourceGroupName | None = None
    """Resource group of the address. Default: the pair's."""

    create: Flag = False
    """Whether the operator creates the address, and deletes it with the pair. Otherwise it must exist."""

    dns_label: DNSLabel | None = None
    """First label of the address' name in Azure's DNS (LABEL.REGION.cloudapp.azure.com); with create only."""


class Frontend(Model):
    """The address that clients use."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "has(self.subnet) == has(oldSelf.subnet) && (!has(self.subnet) || self.subnet == "
                "oldSelf.subnet)",
                message="loadBalancer.frontend.subnet cannot be changed; create another LoadMasterPair with "
                "a balancer of another name for another subnet",
                field_path=".subnet",
                reason="FieldValueForbidden",
            )
        )
    )

    subnet: Subnet | None = None
    """Subnet of the frontend; required with type Internal, and only there. Cannot be changed."""

    private_ip_address: IPv4Address | None = Field(default=None, alias="privateIPAddress")
    """Static private address in the subnet, with type Internal only. Default: the address that Azure chooses
    (it is in status.frontend.address)."""

    public_ip_address: PublicIPAddress | None = Field(default=None, alias="publicIPAddress")
    """Public address of the frontend; required with type Public, and only there."""


class WebInterfaceAccess(Model):
    """Inbound NAT rules to the units' web user interface and management API."""

    mode: AccessMode = AccessMode.NAT
    """NAT, or Disabled for no such rules."""

    master: FrontendPort = 8441
    """Port of the frontend that leads to the master."""

    slave: FrontendPort = 8442
    """Port of the frontend that leads to the slave."""


class SecureShellAccess(Model):
    """Inbound NAT rules to the units' SSH (port 22)."""

    mode: AccessMode = AccessMode.NAT
    """NAT, or Disabled for no such rules."""

    master: FrontendPort = 221
    """Port of the frontend that leads to the master."""

    slave: FrontendPort = 222
    """Port of the frontend that leads to the slave."""


class ManagementAccess(Model):
    """How each unit is reached through the balancer."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!self.kemp360Central || !has(self.webInterface) || self.webInterface.mode == 'Disabled'",
                message="kemp360Central balances port 8443, and Azure allows no NAT rule to the same port "
                "beside it; leave webInterface out or set webInterface.mode: Disabled",
                field_path=".webInterface",
                reason="FieldValueForbidden",
            ),
            Rule(
                cel.let(cel.nat_ports("self"), "ports", cel.all_different("ports")),
                message="the ports of webInterface and ssh must all be different; the guide's are 8441, 8442 "
                "and 221, 222",
                message_expression=cel.text(
                    "management port %d is used more than once; the ports of webInterface and ssh must all "
                    "be different",
                    cel.let_value(cel.nat_ports("self"), "ports", cel.first_repeated("ports")),
                ),
            ),
            Rule(
                f"!self.kemp360Central || !(8443 in {cel.nat_ports('self')})",
                message="with kemp360Central port 8443 of the frontend is balanced; choose another port for "
                "ssh",
                field_path=".ssh",
            ),
        )
    )

    web_interface: WebInterfaceAccess | None = None
    """NAT rules to the web user interface. Default: NAT on 8441 (master) and 8442 (slave), or none with
    kemp360Central."""

    ssh: SecureShellAccess = SecureShellAccess()
    """NAT rules to SSH."""

    kemp_360_central: Flag = Field(default=False, alias="kemp360Central")
    """Balance port 8443 to the active unit, as the HA awareness of Kemp 360 Central wants it; excludes NAT
    rules to the web user interface."""


class LoadBalancer(Model):
    """The balancer and its frontend."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.type == 'Internal' || !has(self.frontend.privateIPAddress)",
                message="privateIPAddress is only for type Internal; a Public balancer has a publicIPAddress",
                field_path=".frontend.privateIPAddress",
                reason="FieldValueForbidden",
            ),
            Rule(
                "self.type == 'Internal' || !has(self.frontend.subnet)",
                message="subnet is only for type Internal; a Public balancer has a publicIPAddress",
                field_path=".frontend.subnet",
                reason="FieldValueForbidden",
            ),
            Rule(
                "self.type == 'Public' || !has(self.frontend.publicIPAddress)",
                message="publicIPAddress is only for type Public; remove it or set loadBalancer.type: Public",
                field_path=".frontend.publicIPAddress",
                reason="FieldValueForbidden",
            ),
            Rule(
                "self.type == 'Public' || has(self.frontend.subnet)",
                message="an Internal balancer needs frontend.subnet (virtualNetwork and name)",
                field_path=".frontend.subnet",
                reason="FieldValueRequired",
            ),
            Rule(
                "self.type == 'Internal' || has(self.frontend.publicIPAddress)",
                message="a Public balancer needs frontend.publicIPAddress (the name of an existing address, "
                "or one to create)",
                field_path=".frontend.publicIPAddress",
                reason="FieldValueRequired",
            ),
        )
    )

    name: AzureNetworkName = Field(
        json_schema_extra=rules(
            immutable("loadBalancer.name", "create another LoadMasterPair for another balancer")
        )
    )
    """Name of the Azure load balancer. Cannot be changed."""

    type: LoadBalancerType = Field(
        default=LoadBalancerType.INTERNAL,
        json_schema_extra=rules(
            immutable("loadBalancer.type", "Azure cannot convert a balancer, create another LoadMasterPair")
        ),
    )
    """Internal (private frontend address) or Public. Cannot be changed."""

    frontend: Frontend
    """The address that clients use."""

    management_access: ManagementAccess = ManagementAccess()
    """Access to each unit through the balancer."""


class HealthCheck(Model):
    """The probe by which the balancer finds the active unit."""

    port: FrontendPort = Field(
        default=HEALTH_CHECK_PORT,
        json_schema_extra=rules(
            Rule(
                f"!(self in [{_FORBIDDEN}])",
                message=f"the check port cannot be one of {_FORBIDDEN}: Azure refuses it for HTTP probes, or "
                "the units use it themselves; the guide's is 8444",
            )
        ),
    )
    """Port on which the units answer the probe (HTTP GET /). A balancing rule on the same port shows who is
    active."""

    interval_seconds: int = Field(default=5, ge=5, le=2147483, strict=True)
    """Seconds between two probes of a unit."""

    threshold: int = Field(default=2, ge=1, le=100, strict=True)
    """How many probes in a row must stay unanswered before a unit is out. An answer other than 200 counts at
    once."""

"""The two units of a pair: their virtual machines, interfaces and addresses (`spec.master`, `spec.slave`)."""

from pydantic import Field

from loadmaster_ha.domain.ha import MANAGEMENT_PORT
from loadmaster_ha.resources.model import Model, Rule, keyed_by, rules
from loadmaster_ha.resources.names import (
    AzureNetworkName,
    BackendPort,
    InterfaceName,
    IPv4Address,
    NetworkInterfaceResource,
    VirtualMachineName,
)

MAX_INTERFACES = 8
"""The most that any size of virtual machine has."""


class VirtualMachineReference(Model):
    """A virtual machine in the pair's resource group."""

    name: VirtualMachineName
    """Name of the virtual machine."""


class NetworkInterface(Model):
    """One arm of a unit."""

    name: InterfaceName
    """Name of the arm, e.g. eth0. Both units have the same names; services refer to it."""

    resource: NetworkInterfaceResource
    """The Azure network interface: its name in the pair's resource group, or its full resource id."""

    ip_configuration: AzureNetworkName | None = None
    """The IP configuration that joins the balancer. Default: the interface's primary one."""


class Management(Model):
    """How a unit is managed."""

    port: BackendPort = Field(
        default=MANAGEMENT_PORT,
        json_schema_extra=rules(
            Rule(
                "!(self in [22, 6973])",
                message="management.port cannot be 22 (SSH) or 6973 (synchronisation of the units); "
                "the default is 8443",
            )
        ),
    )
    """Port of the web user interface and the management API on the unit itself."""


class Unit(Model):
    """One LoadMaster of the pair."""

    virtual_machine: VirtualMachineReference | None = None
    """The unit's virtual machine, whose availability set, zone and diagnostics are checked. Default: the
    machine that the primary interface is attached to."""

    network_interfaces: tuple[NetworkInterface, ...] = Field(
        min_length=1, max_length=MAX_INTERFACES, json_schema_extra=keyed_by("name")
    )
    """The unit's interfaces; the first is the primary one (eth0), more make a multi-arm pair."""

    address: IPv4Address | None = None
    """Private address by which partner and operator reach the unit. Default: the primary interface's."""

    management: Management = Management()
    """Web user interface and management API of the unit."""

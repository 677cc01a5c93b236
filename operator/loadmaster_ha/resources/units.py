"""The two units of a pair: their virtual machines, interfaces and addresses (`spec.master`, `spec.slave`)."""

from pydantic import ConfigDict, Field

from loadmaster_ha.domain.ha import MANAGEMENT_PORT
from loadmaster_ha.resources.azure import SecretReference
from loadmaster_ha.resources.model import Model, Rule, keyed_by, rules
from loadmaster_ha.resources.names import (
    AzureNetworkName,
    BackendPort,
    Fingerprint,
    HostName,
    InterfaceName,
    IPv4Address,
    NetworkInterfaceResource,
    SecretKey,
    SecretName,
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


class CAReference(Model):
    """A PEM bundle in a Secret of the same namespace."""

    name: SecretName
    """Name of the Secret."""

    key: SecretKey = "ca.crt"
    """Key in the Secret. Default: ca.crt."""


class ManagementTLS(Model):
    """How the unit's certificate is verified."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!has(self.fingerprintSHA256) || !(has(self.caSecretRef) || has(self.serverName))",
                message="with fingerprintSHA256 exactly that certificate is accepted, whoever signed it and "
                "whatever its name; leave caSecretRef and serverName out",
                field_path=".fingerprintSHA256",
                reason="FieldValueForbidden",
            )
        )
    )

    fingerprint_sha256: Fingerprint | None = Field(default=None, alias="fingerprintSHA256")
    """SHA-256 fingerprint of the unit's certificate, as `openssl x509 -fingerprint -sha256` prints it or just
    its hexadecimal digits, with or without colons; nothing else is accepted then. Before it is known, leave
    tls out: the condition HASynced shows the fingerprint that was seen, and nothing is sent."""

    ca_secret_ref: CAReference | None = None
    """Secret with the certificates of the authorities that may have signed the unit's. Default: the system's
    authorities."""

    server_name: HostName | None = None
    """Name that the certificate must have, where it is not the address. Not with fingerprintSHA256."""


class Management(Model):
    """How a unit is managed."""

    address: IPv4Address | None = None
    """Address of the web user interface and the management API. Default: the unit's address."""

    credentials_secret_ref: SecretReference | None = None
    """Secret with the key apikey, or the keys username and password, of a user of the unit. With it, on both
    units, the operator configures and watches the units; without, it takes care of Azure only."""

    tls: ManagementTLS = ManagementTLS()
    """How the unit's certificate is verified."""

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

"""LoadMasterPair: one custom resource is one HA pair. The pydantic models are the single source of the CRD.

`crds/loadmasterpairs.loadmaster.dev.yaml` is generated from here (`crd.py`). A field that nothing acts on yet is not
here. Attribute names are the wire names in snake_case; every default of the guide stands in the schema, so what the
API server stores is complete.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from loadmaster_ha.domain.ha import HEALTH_CHECK_PORT, MANAGEMENT_PORT

Port = Annotated[int, Field(ge=1, le=65534)]


class Model(BaseModel):
    """Base of all parts: camelCase on the wire, immutable, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class LoadBalancerType(StrEnum):
    INTERNAL = "Internal"
    PUBLIC = "Public"


class AccessMode(StrEnum):
    NAT = "NAT"
    DISABLED = "Disabled"


class Protocol(StrEnum):
    TCP = "TCP"
    UDP = "UDP"


class Switch(StrEnum):
    ENABLED = "Enabled"
    DISABLED = "Disabled"


class Mode(StrEnum):
    ENFORCE = "Enforce"
    OBSERVE = "Observe"


class Adoption(StrEnum):
    IF_UNOWNED = "IfUnowned"
    ALWAYS = "Always"
    NEVER = "Never"


class Deletion(StrEnum):
    DELETE = "Delete"
    ORPHAN = "Orphan"


class Availability(StrEnum):
    REPORT = "Report"
    REQUIRE = "Require"


class SecretReference(Model):
    """A Secret in the same namespace."""

    name: str


class Azure(Model):
    subscription_id: str = Field(alias="subscriptionID")
    resource_group: str
    location: str | None = None
    credentials_secret_ref: SecretReference | None = None
    tags: dict[str, str] = {}


class VirtualMachineReference(Model):
    name: str


class NetworkInterface(Model):
    name: str
    resource: str
    ip_configuration: str | None = None  # absent: the interface's primary one


class Management(Model):
    port: Port = MANAGEMENT_PORT


class Unit(Model):
    virtual_machine: VirtualMachineReference | None = None
    network_interfaces: tuple[NetworkInterface, ...]
    address: str | None = None
    management: Management = Management()


class Subnet(Model):
    virtual_network: str
    name: str
    resource_group: str | None = None


class PublicIPAddress(Model):
    name: str
    resource_group: str | None = None
    create: bool = False
    dns_label: str | None = None


class Frontend(Model):
    subnet: Subnet | None = None
    private_ip_address: str | None = Field(default=None, alias="privateIPAddress")
    public_ip_address: PublicIPAddress | None = Field(default=None, alias="publicIPAddress")


class WebInterfaceAccess(Model):
    mode: AccessMode = AccessMode.NAT
    master: Port = 8441
    slave: Port = 8442


class SecureShellAccess(Model):
    mode: AccessMode = AccessMode.NAT
    master: Port = 221
    slave: Port = 222


class ManagementAccess(Model):
    web_interface: WebInterfaceAccess | None = None  # absent: NAT, or Disabled with kemp360Central
    ssh: SecureShellAccess = SecureShellAccess()
    kemp_360_central: bool = Field(default=False, alias="kemp360Central")


class LoadBalancer(Model):
    name: str
    type: LoadBalancerType = LoadBalancerType.INTERNAL
    frontend: Frontend
    management_access: ManagementAccess = ManagementAccess()


class HealthCheck(Model):
    port: Port = HEALTH_CHECK_PORT
    interval_seconds: int = 5
    threshold: int = 2


class Service(Model):
    name: str
    protocol: Protocol = Protocol.TCP
    port: Port
    backend_port: Port | None = None  # absent: the same as port
    interface: str | None = None  # absent: the primary one
    idle_timeout_minutes: int = 4
    tcp_reset: Switch = Switch.DISABLED
    source_address_prefixes: tuple[str, ...] = ()  # empty: VirtualNetwork for Internal, Internet for Public


class SecurityGroupReference(Model):
    name: str
    resource_group: str | None = None


class NetworkSecurity(Model):
    security_groups: tuple[SecurityGroupReference, ...] = ()
    management_sources: tuple[str, ...] = ("VirtualNetwork",)
    publish_guide_ports: Switch = Switch.DISABLED


class Policy(Model):
    mode: Mode = Mode.ENFORCE
    adoption: Adoption = Adoption.IF_UNOWNED
    deletion: Deletion = Deletion.DELETE
    availability: Availability = Availability.REPORT


class LoadMasterPairSpec(Model):
    azure: Azure
    master: Unit
    slave: Unit
    load_balancer: LoadBalancer
    health_check: HealthCheck = HealthCheck()
    services: tuple[Service, ...] = ()
    network_security: NetworkSecurity = NetworkSecurity()
    policy: Policy = Policy()
    suspend: bool = False

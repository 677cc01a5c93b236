"""LoadMasterPair: one custom resource is one HA pair. The pydantic models are the single source of the CRD.

`crds/loadmasterpairs.loadmaster.dev.yaml` is generated from here (`crd.py`). A field that nothing acts on yet
is not here. Attribute names are the wire names in snake_case; every default of the guide stands in the
schema, so what the API server stores is complete. The sections have modules of their own and are all
reachable from this one.
"""

from typing import Final

from pydantic import ConfigDict, Field

from loadmaster_ha.resources import cel
from loadmaster_ha.resources.azure import Azure, SecretReference
from loadmaster_ha.resources.balancer import (
    AccessMode,
    Frontend,
    HealthCheck,
    LoadBalancer,
    LoadBalancerType,
    ManagementAccess,
    PublicIPAddress,
    SecureShellAccess,
    Subnet,
    WebInterfaceAccess,
)
from loadmaster_ha.resources.high_availability import HighAvailability, SharedSecretReference
from loadmaster_ha.resources.model import Model, Rule, keyed_by, merged, rules
from loadmaster_ha.resources.names import Flag
from loadmaster_ha.resources.names import FrontendPort as Port
from loadmaster_ha.resources.policy import Adoption, Availability, Deletion, Mode, Policy, Reboots
from loadmaster_ha.resources.rules import SPEC_RULES
from loadmaster_ha.resources.security import NetworkSecurity, SecurityGroupReference
from loadmaster_ha.resources.services import Protocol, Service, Switch
from loadmaster_ha.resources.status import LoadMasterPairStatus
from loadmaster_ha.resources.units import (
    CAReference,
    Management,
    ManagementTLS,
    NetworkInterface,
    Unit,
    VirtualMachineReference,
)

__all__ = [
    "AccessMode",
    "Adoption",
    "Availability",
    "Azure",
    "CAReference",
    "Deletion",
    "Frontend",
    "HealthCheck",
    "HighAvailability",
    "LoadBalancer",
    "LoadBalancerType",
    "LoadMasterPair",
    "LoadMasterPairSpec",
    "LoadMasterPairStatus",
    "Management",
    "ManagementAccess",
    "ManagementTLS",
    "Mode",
    "Model",
    "NetworkInterface",
    "NetworkSecurity",
    "Policy",
    "Port",
    "Protocol",
    "PublicIPAddress",
    "Reboots",
    "SecretReference",
    "SecureShellAccess",
    "SecurityGroupReference",
    "Service",
    "SharedSecretReference",
    "Subnet",
    "Switch",
    "Unit",
    "VirtualMachineReference",
    "WebInterfaceAccess",
]

MAX_NAME_LENGTH: Final = 40
"""Names in Azure are made of the pair's name; they must fit into Azure's 80 characters."""

MAX_SERVICES: Final = 100

_PROTOCOLS_AND_PORTS: Final = "self.map(s, '%s/%d'.format([s.protocol, s.port]))"


class LoadMasterPairSpec(Model):
    """What the pair shall be."""

    model_config = ConfigDict(json_schema_extra=rules(*SPEC_RULES))

    azure: Azure
    """Where in Azure the pair lives, and as whom the operator goes there."""

    master: Unit
    """The unit with the role master (the vendor's newer word is First)."""

    slave: Unit
    """The unit with the role slave (the vendor's newer word is Second)."""

    load_balancer: LoadBalancer
    """The Azure load balancer in front of the units."""

    health_check: HealthCheck = HealthCheck()
    """The probe by which the balancer finds the active unit."""

    high_availability: HighAvailability = HighAvailability()
    """What both units are told about their being a pair."""

    services: tuple[Service, ...] = Field(
        default=(),
        max_length=MAX_SERVICES,
        json_schema_extra=merged(
            keyed_by("name"),
            rules(
                Rule(
                    cel.let(_PROTOCOLS_AND_PORTS, "ports", cel.all_different("ports")),
                    message="two services cannot have the same protocol and port",
                    message_expression=cel.text(
                        "more than one service on %s; choose another port",
                        cel.let_value(_PROTOCOLS_AND_PORTS, "ports", cel.first_repeated("ports")),
                    ),
                )
            ),
        ),
    )
    """What the pair publishes: a balancing rule, an opening in the security groups and a virtual service
    each."""

    network_security: NetworkSecurity = NetworkSecurity()
    """Openings that the pair needs in network security groups."""

    policy: Policy = Policy()
    """What the operator may do."""

    suspend: Flag = False
    """True stops all writes to Azure and the units until it is false again. The annotation
    loadmaster.dev/suspend: "true" does the same; either suffices."""


class LoadMasterPair(Model):
    """An HA pair of LoadMasters in Azure: both units behind one load balancer, of which one is active."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
                message=f"the name of a LoadMasterPair has at most {MAX_NAME_LENGTH} characters, since names "
                "in Azure are made of it",
            )
        )
    )

    spec: LoadMasterPairSpec
    """What the pair shall be."""

    status: LoadMasterPairStatus | None = None
    """What the operator found and did. Written by the operator only."""

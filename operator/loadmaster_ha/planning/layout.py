"""One pair's specification in Azure's terms: resources, arms, and what hangs on which arm.

Pure translation of the manifest, without a look at Azure; every other module of the planner starts from here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.planning import arm as ids
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.bodies import children, name_of, named, properties, reference_of
from loadmaster_ha.planning.names import Names
from loadmaster_ha.planning.observation import Observation, Resource
from loadmaster_ha.planning.target import PairIdentity, PairTarget
from loadmaster_ha.resources.loadmasterpair import (
    AccessMode,
    LoadBalancerType,
    LoadMasterPairSpec,
    Service,
    Unit,
)

LOAD_BALANCERS: Final = "loadBalancers"
INTERFACES: Final = "networkInterfaces"
SECURITY_GROUPS: Final = "networkSecurityGroups"
VIRTUAL_NETWORKS: Final = "virtualNetworks"
PUBLIC_ADDRESSES: Final = "publicIPAddresses"
VIRTUAL_MACHINES: Final = "virtualMachines"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One interface of one unit. `path` is where the manifest names it."""

    role: Role
    arm: str
    primary: bool
    interface: ResourceID
    ip_configuration: str | None
    path: str

    def find(self, interface: Resource | None) -> Mapping[str, Any] | None:
        """The IP configuration meant: the named one, else the interface's primary one."""
        found = children(interface, "ipConfigurations")
        if self.ip_configuration is not None:
            return named(found, self.ip_configuration)
        primary = (entry for entry in found if properties(entry).get("primary"))
        return next(primary, found[0] if found else None)

    def address(self, observation: Observation) -> str | None:
        """The private address, None while it is not known."""
        entry = self.find(observation.get(self.interface))
        return None if entry is None else properties(entry).get("privateIPAddress")

    def subnet(self, observation: Observation) -> ResourceID | None:
        """The subnet, None while it is not known."""
        entry = self.find(observation.get(self.interface))
        return None if entry is None else reference_of(properties(entry).get("subnet"))


@dataclass(frozen=True)
class Layout:
    """What a pair consists of in Azure."""

    target: PairTarget

    @property
    def spec(self) -> LoadMasterPairSpec:
        """The manifest's spec."""
        return self.target.spec

    @property
    def identity(self) -> PairIdentity:
        """Who owns what is created."""
        return self.target.identity

    @cached_property
    def names(self) -> Names:
        """The names of our entries."""
        return Names(self.identity.name)

    @cached_property
    def resource_group(self) -> ResourceID:
        """The pair's resource group."""
        return ids.resource_group(self.spec.azure.subscription_id, self.spec.azure.resource_group)

    @cached_property
    def balancer(self) -> ResourceID:
        """The load balancer."""
        return self._network(LOAD_BALANCERS, self.spec.load_balancer.name)

    @property
    def is_public(self) -> bool:
        """Whether the balancer has a public frontend."""
        return self.spec.load_balancer.type is LoadBalancerType.PUBLIC

    @cached_property
    def virtual_network(self) -> ResourceID | None:
        """The frontend's virtual network; None for a public frontend."""
        subnet = self.spec.load_balancer.frontend.subnet
        if subnet is None or self.is_public:
            return None
        return self._network(VIRTUAL_NETWORKS, subnet.virtual_network, subnet.resource_group)

    @cached_property
    def subnet(self) -> ResourceID | None:
        """The frontend's subnet; None for a public frontend."""
        subnet = self.spec.load_balancer.frontend.subnet
        if subnet is None or self.virtual_network is None:
            return None
        return self.virtual_network.child("subnets", subnet.name)

    @cached_property
    def public_address(self) -> ResourceID | None:
        """The frontend's public address; None for an internal frontend."""
        wanted = self.spec.load_balancer.frontend.public_ip_address
        if wanted is None or not self.is_public:
            return None
        return self._network(PUBLIC_ADDRESSES, wanted.name, wanted.resource_group)

    @cached_property
    def security_groups(self) -> tuple[ResourceID, ...]:
        """The network security groups that the manifest names."""
        groups = self.spec.network_security.security_groups
        return tuple(self._network(SECURITY_GROUPS, group.name, group.resource_group) for group in groups)

    @cached_property
    def tags(self) -> Mapping[str, str]:
        """The tags that the manifest wants; of names that Azure holds to be one, the first in order."""
        wanted = self.spec.azure.tags
        distinct = {name.lower(): name for name in sorted(wanted, reverse=True)}
        return {name: wanted[name] for name in distinct.values()}

    def unit(self, role: Role) -> Unit:
        """One unit of the manifest."""
        return self.spec.master if role is Role.MASTER else self.spec.slave

    def virtual_machine(self, role: Role) -> ResourceID | None:
        """The virtual machine that the manifest names for a unit."""
        machine = self.unit(role).virtual_machine
        if machine is None:
            return None
        azure = self.spec.azure
        return ids.reference(
            machine.name,
            subscription=azure.subscription_id,
            resource_group=azure.resource_group,
            provider=ids.COMPUTE,
            kind=VIRTUAL_MACHINES,
        )

    @cached_property
    def attachments(self) -> tuple[Attachment, ...]:
        """All interfaces of both units, the primary ones first."""
        return tuple(sorted(self._attachments(), key=lambda found: not found.primary))

    def primary(self, role: Role) -> Attachment:
        """The primary interface of a unit."""
        return next(found for found in self.attachments if found.primary and found.role is role)

    def arm_of(self, service: Service) -> str | None:
        """The arm that a service is on; None is the primary one."""
        primaries = {found.arm for found in self.attachments if found.primary}
        return None if service.interface is None or service.interface in primaries else service.interface

    @cached_property
    def arms(self) -> tuple[str | None, ...]:
        """The arms that need a pool: the primary one (None), and those that services are on."""
        return tuple(dict.fromkeys([None, *(self.arm_of(service) for service in self.spec.services)]))

    def on_arm(self, arm: str | None) -> tuple[Attachment, ...]:
        """The units' interfaces on an arm."""
        if arm is None:
            return tuple(found for found in self.attachments if found.primary)
        return tuple(found for found in self.attachments if found.arm == arm)

    @property
    def web_interface(self) -> tuple[tuple[Role, int], ...]:
        """Frontend ports of the NAT to the web user interfaces; empty where it is switched off."""
        access = self.spec.load_balancer.management_access
        wanted = access.web_interface
        if wanted is None:
            return () if access.kemp_360_central else ((Role.MASTER, 8441), (Role.SLAVE, 8442))
        return (
            ()
            if wanted.mode is AccessMode.DISABLED
            else ((Role.MASTER, wanted.master), (Role.SLAVE, wanted.slave))
        )

    @property
    def ssh(self) -> tuple[tuple[Role, int], ...]:
        """Frontend ports of the NAT to SSH; empty where it is switched off."""
        wanted = self.spec.load_balancer.management_access.ssh
        return (
            ()
            if wanted.mode is AccessMode.DISABLED
            else ((Role.MASTER, wanted.master), (Role.SLAVE, wanted.slave))
        )

    def addresses(self, arm: str | None, observation: Observation) -> tuple[str, ...]:
        """The units' private addresses on an arm, as far as they are known, sorted."""
        found = {attachment.address(observation) for attachment in self.on_arm(arm)}
        return tuple(sorted(address for address in found if address))

    def is_ours(self, reference: ResourceID) -> bool:
        """Whether an id is that of an entry of ours in our balancer."""
        return (
            reference.top == self.balancer and len(reference.names) == 4 and self.names.owns(reference.name)
        )

    def _network(self, kind: str, name: str, resource_group: str | None = None) -> ResourceID:
        azure = self.spec.azure
        return ids.reference(
            name,
            subscription=azure.subscription_id,
            resource_group=resource_group or azure.resource_group,
            provider=ids.NETWORK,
            kind=kind,
        )

    def _attachments(self) -> Iterator[Attachment]:
        for role in Role:
            for index, interface in enumerate(self.unit(role).network_interfaces):
                yield Attachment(
                    role=role,
                    arm=interface.name,
                    primary=index == 0,
                    interface=self._network(INTERFACES, interface.resource),
                    ip_configuration=interface.ip_configuration,
                    path=f"spec.{role.lower()}.networkInterfaces[{index}]",
                )


def memberships(entry: Mapping[str, Any]) -> tuple[ResourceID, ...]:
    """The pools and NAT rules that an IP configuration of an interface is in."""
    found: list[ResourceID] = []
    for collection in ("loadBalancerBackendAddressPools", "loadBalancerInboundNatRules"):
        for item in properties(entry).get(collection) or ():
            reference = reference_of(item)
            if reference is not None:
                found.append(reference)
    return tuple(found)


def interface_memberships(interface: Resource | None) -> tuple[tuple[str, ResourceID], ...]:
    """All memberships of an interface as (IP configuration, pool or NAT rule)."""
    configurations = children(interface, "ipConfigurations")
    return tuple((name_of(entry), found) for entry in configurations for found in memberships(entry))

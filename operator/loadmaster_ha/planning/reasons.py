"""Every reason that the planner gives: stable words for scripts, with what each means and what to do.

The table of `docs/azure.md` is made from here (a test holds the two together).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from loadmaster_ha.domain.findings import Finding, Severity

_B, _W, _I = Severity.BLOCKING, Severity.WAITING, Severity.WARNING


class Reason(StrEnum):
    """Reasons of findings, and with that of conditions."""

    COULD_NOT_READ = "CouldNotRead"
    AUTHORIZATION_FAILED = "AuthorizationFailed"
    NOT_CHECKED = "PrerequisiteNotChecked"
    RESOURCE_GROUP_NOT_FOUND = "ResourceGroupNotFound"
    VIRTUAL_NETWORK_NOT_FOUND = "VirtualNetworkNotFound"
    SUBNET_NOT_FOUND = "SubnetNotFound"
    INTERFACE_NOT_FOUND = "InterfaceNotFound"
    IP_CONFIGURATION_NOT_FOUND = "IpConfigurationNotFound"
    INTERFACE_NOT_IN_VIRTUAL_NETWORK = "InterfaceNotInVirtualNetwork"
    SAME_INTERFACE = "SameInterface"
    SERVICE_INTERFACE_NOT_FOUND = "ServiceInterfaceNotFound"
    DYNAMIC_UNIT_ADDRESS = "DynamicUnitAddress"
    UNIT_ADDRESS_MISMATCH = "UnitAddressMismatch"
    VIRTUAL_MACHINE_NOT_FOUND = "VirtualMachineNotFound"
    INTERFACE_NOT_ATTACHED = "InterfaceNotAttachedToVirtualMachine"
    DIFFERENT_RESOURCE_GROUPS = "VirtualMachinesInDifferentResourceGroups"
    NO_AVAILABILITY = "NoAvailability"
    NO_EXPLICIT_OUTBOUND = "NoExplicitOutbound"
    GUEST_DIAGNOSTICS = "GuestDiagnosticsEnabled"
    ANOTHER_BALANCER = "AnotherBalancerOfSameKind"
    ADDRESS_NOT_IN_SUBNET = "FrontendAddressNotInSubnet"
    ADDRESS_RESERVED = "FrontendAddressReserved"
    ADDRESS_TAKEN = "FrontendAddressTaken"
    PUBLIC_ADDRESS_NOT_FOUND = "PublicAddressNotFound"
    PUBLIC_ADDRESS_IN_USE = "PublicAddressInUse"
    BASIC_PUBLIC_ADDRESS = "BasicPublicAddress"
    PUBLIC_ADDRESS_NOT_IPV4 = "PublicAddressNotIPv4"
    BASIC_LOAD_BALANCER = "BasicLoadBalancer"
    TYPE_MISMATCH = "LoadBalancerTypeMismatch"
    SUBNET_MISMATCH = "SubnetMismatch"
    LOCATION_MISMATCH = "LocationMismatch"
    PORT_TRIANGLE = "PortTriangle"
    FRONTEND_PORT_TAKEN = "FrontendPortTaken"
    MANAGEMENT_PORTS_DIFFER = "ManagementPortsDiffer"
    HIGH_AVAILABILITY_PORTS = "HighAvailabilityPortsRule"
    RULES_LIMIT = "RulesLimit"
    ADMIN_STATE_OVERRIDE = "AdminStateOverride"
    ENTRY_IN_USE_BY_OTHERS = "EntryInUseByOthers"
    OWNED_BY_OTHER = "OwnedByOther"
    NOT_OWNED = "NotOwned"
    CONFLICTING_PAIR = "ConflictingPair"
    SECURITY_GROUP_NOT_FOUND = "SecurityGroupNotFound"
    SECURITY_GROUP_NOT_ATTACHED = "SecurityGroupNotAttached"
    NO_SECURITY_GROUP = "NoSecurityGroup"
    NO_FREE_PRIORITY = "NoFreePriority"
    PROBE_BLOCKED = "ProbeBlocked"
    SYNCHRONISATION_BLOCKED = "SynchronisationBlocked"
    FOREIGN_DENY_RULE = "ForeignDenyRule"
    NOT_LET_IN = "NotLetInBySecurityGroup"
    REAL_SERVER_BLOCKED = "RealServerBlocked"
    PROVISIONING_FAILED = "ProvisioningFailed"
    UPDATING = "ReferencedResourceUpdating"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means and what helps; `severity` is the one it has unless the text says otherwise."""

    severity: Severity
    meaning: str
    remedy: str


CATALOGUE: Final[dict[Reason, Explanation]] = {
    Reason.COULD_NOT_READ: Explanation(
        _W,
        "A resource that has to be known before anything is written could not be read.",
        "Nothing, if it passes; the message says what Azure answered.",
    ),
    Reason.AUTHORIZATION_FAILED: Explanation(
        _B,
        "The operator's identity may not read a resource that it needs.",
        "Assign the custom role of the documentation to it at the resource group that the message names.",
    ),
    Reason.NOT_CHECKED: Explanation(
        _I,
        "A check could not be made because the operator may not read a neighbour of the units.",
        "Let the operator read the named resource, or make sure yourself that it is in no other balancer of "
        "this kind.",
    ),
    Reason.RESOURCE_GROUP_NOT_FOUND: Explanation(
        _B,
        "The resource group does not exist in the subscription.",
        "Correct spec.azure.resourceGroup or spec.azure.subscriptionID, or create the group.",
    ),
    Reason.VIRTUAL_NETWORK_NOT_FOUND: Explanation(
        _B,
        "The frontend's virtual network does not exist.",
        "Correct spec.loadBalancer.frontend.subnet (its resourceGroup, if the network is in another group), "
        "or create the network.",
    ),
    Reason.SUBNET_NOT_FOUND: Explanation(
        _B,
        "The virtual network has no such subnet.",
        "Correct spec.loadBalancer.frontend.subnet.name, or create the subnet.",
    ),
    Reason.INTERFACE_NOT_FOUND: Explanation(
        _B,
        "A unit's network interface does not exist.",
        "Correct its resource in the manifest (a full id, if it is in another group), or create the "
        "interface.",
    ),
    Reason.IP_CONFIGURATION_NOT_FOUND: Explanation(
        _B,
        "The interface has no IP configuration of this name.",
        "Correct ipConfiguration, or leave it out to mean the interface's primary one.",
    ),
    Reason.INTERFACE_NOT_IN_VIRTUAL_NETWORK: Explanation(
        _B,
        "The units' interfaces and the frontend are not all in one virtual network, which a balancer "
        "requires.",
        "Name interfaces in that network, or another network for the frontend.",
    ),
    Reason.SAME_INTERFACE: Explanation(
        _B,
        "One interface is named more than once.",
        "Give each unit and each arm an interface of its own.",
    ),
    Reason.SERVICE_INTERFACE_NOT_FOUND: Explanation(
        _B,
        "A service is on an interface that not both units have.",
        "Name an entry of networkInterfaces that the master and the slave both have.",
    ),
    Reason.DYNAMIC_UNIT_ADDRESS: Explanation(
        _I,
        "A unit's private address is dynamic: it may be another after the machine was deallocated, while "
        "the partner, "
        "the security rules and the virtual services still mean the old one.",
        "Make the interface's private address static.",
    ),
    Reason.UNIT_ADDRESS_MISMATCH: Explanation(
        _I,
        "The address that the manifest gives for a unit is on none of its interfaces.",
        "Correct the unit's address, or leave it out to mean the primary interface's private address.",
    ),
    Reason.VIRTUAL_MACHINE_NOT_FOUND: Explanation(
        _B,
        "A unit's virtual machine does not exist.",
        "Correct virtualMachine.name (a full id, if it is in another group).",
    ),
    Reason.INTERFACE_NOT_ATTACHED: Explanation(
        _B,
        "An interface does not belong to the virtual machine that the manifest names for its unit.",
        "Correct virtualMachine or the interface; master and slave may be exchanged.",
    ),
    Reason.DIFFERENT_RESOURCE_GROUPS: Explanation(
        _B,
        "The units' virtual machines are in different resource groups; the guide wants both in one.",
        "Move one of the machines into the other's resource group.",
    ),
    Reason.NO_AVAILABILITY: Explanation(
        _I,
        "The units share neither an availability set nor are they in two different zones: one fault of a "
        "host or rack, or "
        "one maintenance, can take both. Blocking with policy.availability: Require.",
        "Deploy the units anew in one availability set or in two zones; it cannot be changed on an existing "
        "machine.",
    ),
    Reason.NO_EXPLICIT_OUTBOUND: Explanation(
        _I,
        "A unit has no explicit way out: joining a Standard load balancer ends Azure's default outbound "
        "access, so "
        "licensing, updates and name resolution outside may stop working.",
        "Put a NAT gateway on the unit's subnet, or give it a public address or an outbound rule, before it "
        "joins.",
    ),
    Reason.GUEST_DIAGNOSTICS: Explanation(
        _B,
        "OS guest diagnostics are enabled on a unit; a LoadMaster with them does not boot correctly (guide, "
        "1.1).",
        "Remove the diagnostics extension from the virtual machine.",
    ),
    Reason.ANOTHER_BALANCER: Explanation(
        _B,
        "An interface, or another machine of the units' availability set, is in another balancer of the "
        "same kind; Azure "
        "allows one internal and one public balancer for both.",
        "Take the interface out of the other balancer, name that balancer in the manifest, or use another "
        "availability set.",
    ),
    Reason.ADDRESS_NOT_IN_SUBNET: Explanation(
        _B,
        "The frontend's private address is not in its subnet.",
        "Choose an address of the subnet, or leave privateIPAddress out to get one.",
    ),
    Reason.ADDRESS_RESERVED: Explanation(
        _B,
        "The frontend's private address is one of the five of each subnet that Azure keeps for itself.",
        "Choose an address other than the first four and the last one of the subnet.",
    ),
    Reason.ADDRESS_TAKEN: Explanation(
        _B,
        "The frontend's private address is in use by something else.",
        "Choose a free address, or leave privateIPAddress out to get one.",
    ),
    Reason.PUBLIC_ADDRESS_NOT_FOUND: Explanation(
        _B,
        "The public address does not exist and the manifest does not ask for its creation.",
        "Correct publicIPAddress, or set its create to true.",
    ),
    Reason.PUBLIC_ADDRESS_IN_USE: Explanation(
        _B,
        "The public address is in use by something else.",
        "Name a free public address, or let the operator create one.",
    ),
    Reason.BASIC_PUBLIC_ADDRESS: Explanation(
        _B,
        "The public address is of the retired Basic kind, or dynamic; a Standard load balancer takes "
        "neither.",
        "Upgrade the address to Standard and Static (it can be done in place while nothing uses it), or "
        "name another.",
    ),
    Reason.PUBLIC_ADDRESS_NOT_IPV4: Explanation(
        _B,
        "The public address is an IPv6 address; frontends of a pair are IPv4.",
        "Name an IPv4 address.",
    ),
    Reason.BASIC_LOAD_BALANCER: Explanation(
        _B,
        "The load balancer is of the Basic kind, which Azure retired on 2025-09-30; it is not converged.",
        "Migrate it to Standard with Microsoft's module AzureBasicLoadBalancerUpgrade, or name a new "
        "balancer.",
    ),
    Reason.TYPE_MISMATCH: Explanation(
        _B,
        "The existing balancer is internal and the manifest wants a public one, or the reverse, or it is a "
        "gateway or a global balancer; the kind cannot change.",
        "Name another balancer, or correct spec.loadBalancer.type.",
    ),
    Reason.SUBNET_MISMATCH: Explanation(
        _B,
        "Our frontend exists in another subnet than the manifest names; it cannot be moved.",
        "Restore the subnet in the manifest, or delete the pair and create it anew.",
    ),
    Reason.LOCATION_MISMATCH: Explanation(
        _B,
        "The balancer, its public address and the units' virtual network are not all in one region.",
        "Correct spec.azure.location, or name resources of one region.",
    ),
    Reason.PORT_TRIANGLE: Explanation(
        _B,
        "Two rules lead to the same protocol and backend port of one interface, which Azure refuses (with "
        "Kemp 360 Central: "
        "NAT to 8443 beside the balancing rule of 8443).",
        "Change or remove one of the two rules; for Kemp 360 Central set managementAccess.webInterface.mode "
        "to Disabled.",
    ),
    Reason.FRONTEND_PORT_TAKEN: Explanation(
        _B,
        "Two rules of one frontend use the same protocol and port.",
        "Change the port of one of the two.",
    ),
    Reason.MANAGEMENT_PORTS_DIFFER: Explanation(
        _B,
        "kemp360Central needs one balancing rule to both units, but their management ports differ.",
        "Give both units the same management port, or switch kemp360Central off.",
    ),
    Reason.HIGH_AVAILABILITY_PORTS: Explanation(
        _B,
        "A rule of all ports (HA ports, without floating IP) leads to a unit's interface; no other rule can "
        "beside it.",
        "Remove that rule, or turn its floating IP on.",
    ),
    Reason.RULES_LIMIT: Explanation(
        _B,
        "The rules would exceed Azure's limits: 300 per interface, 1500 per balancer.",
        "Publish fewer services on this pair, or remove rules that are not needed.",
    ),
    Reason.ADMIN_STATE_OVERRIDE: Explanation(
        _I,
        "A member of our pool has the admin state Up or Down: Azure then does not ask the probe, so traffic "
        "may go to the "
        "standby unit (Up) or not to the active one (Down). The operator leaves it as it is.",
        "Set the member's admin state to None when the maintenance is over.",
    ),
    Reason.ENTRY_IN_USE_BY_OTHERS: Explanation(
        _I,
        "An entry of ours is not wanted any more, but somebody else's rule refers to it, so it stays.",
        "Remove or change the rule that the message names.",
    ),
    Reason.OWNED_BY_OTHER: Explanation(
        _B,
        "A resource or rule belongs to another LoadMasterPair (or to an earlier one of this name).",
        "Correct the manifest, delete the other pair, or take over with policy.adoption: Always.",
    ),
    Reason.NOT_OWNED: Explanation(
        _B,
        "A resource or rule exists already, and policy.adoption: Never forbids to use what we did not "
        "create.",
        "Remove it, name another, or set policy.adoption to IfUnowned.",
    ),
    Reason.CONFLICTING_PAIR: Explanation(
        _B,
        "An older pair in this cluster uses the same load balancer, the same interface or the same unit.",
        "Correct one of the two manifests, or delete one of the pairs.",
    ),
    Reason.SECURITY_GROUP_NOT_FOUND: Explanation(
        _B,
        "A network security group that the manifest names does not exist.",
        "Correct spec.networkSecurity.securityGroups, or create the group.",
    ),
    Reason.SECURITY_GROUP_NOT_ATTACHED: Explanation(
        _I,
        "A security group that the manifest names is on none of the units' interfaces or subnets; rules in "
        "it do nothing.",
        "Attach the group, or take it out of spec.networkSecurity.securityGroups.",
    ),
    Reason.NO_SECURITY_GROUP: Explanation(
        _I,
        "No security group is on a unit's interface or subnet; behind a public Standard balancer nothing "
        "comes in then.",
        "Attach a security group and name it in spec.networkSecurity.securityGroups.",
    ),
    Reason.NO_FREE_PRIORITY: Explanation(
        _B,
        "A security group has no free priority between 1000 and 4096 for our rules.",
        "Remove rules that are not needed, or use a group of its own for the units.",
    ),
    Reason.PROBE_BLOCKED: Explanation(
        _B,
        "A security rule keeps the balancer's probe (AzureLoadBalancer, 168.63.129.16) from the check port: "
        "both units "
        "would be down.",
        "Remove the rule, narrow it, or give it a priority behind our rule's.",
    ),
    Reason.SYNCHRONISATION_BLOCKED: Explanation(
        _B,
        "A security rule keeps the units from each other's check port or from port 6973, over which they "
        "synchronise.",
        "Remove the rule, narrow it, or give it a priority behind our rule's.",
    ),
    Reason.FOREIGN_DENY_RULE: Explanation(
        _I,
        "Somebody else's rule denies, with precedence, what our rule is to let in (management or a service).",
        "If that is not meant: remove the rule, narrow it, or give it a priority behind our rule's.",
    ),
    Reason.NOT_LET_IN: Explanation(
        _I,
        "A security group on the way to a unit, which the manifest does not name, does not let something in "
        "that is wanted.",
        "Add the group to spec.networkSecurity.securityGroups, or add such a rule to it yourself.",
    ),
    Reason.REAL_SERVER_BLOCKED: Explanation(
        _I,
        "A security rule keeps the units from real servers of a service: outbound on the units' side or "
        "inbound on the real servers'.",
        "Remove the rule, narrow it, or add one with a smaller priority number that lets the units' "
        "addresses through.",
    ),
    Reason.PROVISIONING_FAILED: Explanation(
        _B,
        "A resource that we only refer to is in provisioning state Failed; Azure refuses writes that depend "
        "on it.",
        "Write the resource again without a change (for example: az resource update --ids ID), then look at "
        "its log.",
    ),
    Reason.UPDATING: Explanation(
        _W,
        "Somebody else's operation on a resource is not finished.",
        "Nothing is to be done: it passes by itself.",
    ),
}


def finding(reason: Reason, subject: object, what: str, *, severity: Severity | None = None) -> Finding:
    """A finding: what is wrong and where, followed by the reason's remedy."""
    explanation = CATALOGUE[reason]
    return Finding(
        reason.value, f"{what}. {explanation.remedy}", severity or explanation.severity, str(subject)
    )


def reasons_table() -> str:
    """The catalogue as the table of the documentation."""
    lines = ["| Reason | Effect | What it means | What to do |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{reason}` | {explained.severity} | {explained.meaning} | {explained.remedy} |"
        for reason, explained in CATALOGUE.items()
    ]
    return "\n".join(lines)

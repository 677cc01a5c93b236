"""Differences between the emulator and Azure that are known and meant, each with its reason.

`test_examples` fails on a difference that is not here, and on an entry here that explains nothing any more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.contract.fidelity.test_examples import Outcome
    from tests.support.azspecs import Example

_BASIC = "makes something of SKU Basic: Azure has retired it, and the emulator refuses it as Azure does now"
_SECOND_GENERATION = "belongs to NAT rules of the second generation, which the guide's layout cannot use"
_PEERING = "peerings are not emulated: both units and the balancer are in one virtual network"
_OTHERS = "belongs to services (gateways, container instances) that put themselves into a subnet"
_DDOS = "DDoS protection plans are not emulated"
_TAGS_LIST = "Microsoft's own table of service tags, a file of megabytes, is not emulated"
_QUOTA = "quotas and sizes are not emulated"
_PROVIDERS = "is about an invented provider; the emulator has Microsoft.Network, .Compute and .Resources"
_DEPLOYMENTS = "of deployments only what `az` and a template file need is emulated"

UNSUPPORTED: dict[str, str] = {
    "LoadBalancerCreate": _BASIC,
    "PublicIpAddressCreateDefaults": _BASIC,
    "PublicIpAddressCreateDns": _BASIC,
    "PublicIpAddressCreateDnsWithDomainNameLabelScope": _BASIC,
    "LoadBalancerCreateGlobalTier": "global (cross-region) balancers are not emulated",
    "LoadBalancers_SwapPublicIpAddresses": "exchanging the public addresses of two balancers is not emulated",
    "LoadBalancers_MigrateToIpBased": "migrating a pool from interfaces to addresses is not emulated",
    "LoadBalancers_ListInboundNatRulePortMappings": _SECOND_GENERATION,
    "NetworkInterfaceCreate": "asks for a block of addresses on one ipConfiguration, which is not emulated",
    "NetworkInterfaces_GetEffectiveRouteTable": "effective routes are not emulated",
    "NetworkInterfaces_ListEffectiveNetworkSecurityGroups": "effective security rules are not emulated",
    "NetworkInterfaceLoadBalancers_List": "the balancers of an interface are in its ipConfigurations",
    "PublicIPAddresses_DdosProtectionStatus": _DDOS,
    "VirtualNetworks_ListDdosProtectionStatus": _DDOS,
    "VirtualNetworkCreateServiceEndpointPolicy": "service endpoint policies are not emulated",
    "Subnets_PrepareNetworkPolicies": _OTHERS,
    "Subnets_UnprepareNetworkPolicies": _OTHERS,
    "ResourceNavigationLinks_List": _OTHERS,
    "ServiceAssociationLinks_List": _OTHERS,
    "VirtualNetworkPeerings_Delete": _PEERING,
    "VirtualNetworkPeerings_Get": _PEERING,
    "VirtualNetworkPeerings_List": _PEERING,
    "VirtualNetworkPeerings_CreateOrUpdate": _PEERING,
    "VirtualNetworks_ListUsage": _QUOTA,
    "Usages_List": _QUOTA,
    "VirtualMachines_ListAvailableSizes": _QUOTA,
    "AvailabilitySets_ListAvailableSizes": _QUOTA,
    "ServiceTags_List": _TAGS_LIST,
    "ServiceTagInformation_List": _TAGS_LIST,
    "VirtualMachines_ListByLocation": "machines are listed by resource group and by subscription only",
    "AvailabilitySet_Update_MaximumSet_Gen": "changes the number of update domains, which Azure refuses",
    "Deployments_Validate": _DEPLOYMENTS,
    "Deployments_WhatIf": _DEPLOYMENTS,
    "PutDeploymentResourceGroup": "takes its template from an address on the internet",
    "PutDeploymentResourceGroupTemplateSpecsWithId": "takes its template from a template specification",
    "ResourceGroups_ExportTemplate": _DEPLOYMENTS,
    "Providers_ProviderPermissions": _PROVIDERS,
    "Providers_Get": _PROVIDERS,
    "ProviderResourceTypes_List": _PROVIDERS,
}
"""Operation id, or a file's name for single examples, to why it is not sent."""

_FROM_INTERFACE = "shown once an interface is a member; in the example none is written"
_SUBNET_USER = "shown once something is in the subnet; in the example nothing is written"
_DELEGATION = "filled in by the service that a subnet is delegated to, and that is not emulated"
_SCALE_SET = "belongs to the NAT pools of scale sets, which are retired"

MISSING: dict[str, str] = {
    r"^InboundNatRules_.*/backendIPConfiguration$": _FROM_INTERFACE,
    r"^LoadBalancerBackendAddressPools_Get/properties/backendIPConfigurations$": _FROM_INTERFACE,
    r"^LoadBalancerBackendAddressPools_Get/properties/loadBalancingRules$": (
        "shown once a rule uses the pool; in the example none is written"
    ),
    r"/inboundNatRulesPortMapping$": _SECOND_GENERATION,
    r"/frontendIPConfigurations/\*/properties/inboundNatPools$": _SCALE_SET,
    r"/frontendIPConfigurations/\*/properties/privateIPAddressVersion$": (
        "the real Azure leaves it out of public frontends (recording `loadbalancerclient`)"
    ),
    r"^NetworkSecurityGroups_.*/flushConnection$": (
        "the real Azure leaves it out unless it was set (recording `securitygroupclient`)"
    ),
    r"^NetworkInterfaces_Get/properties/(macAddress|primary|virtualMachine)$": (
        "shown once a machine uses the interface; in the example none is written"
    ),
    r"/dscpConfiguration$": "quality-of-service marking is not emulated",
    r"^PublicIPAddresses_CreateOrUpdate/properties/ipConfiguration$": (
        "shown once something uses the address; in the example nothing is written"
    ),
    r"^PublicIPAddresses_CreateOrUpdate/zones$": "the answer has zones that the request does not ask for",
    r"/subnets/\*/properties/ipConfigurations$": _SUBNET_USER,
    r"/subnets/\*/properties/ipConfigurationProfiles$": _OTHERS,
    r"/delegations/\*/(etag|id)$": _DELEGATION,
    r"/delegations/\*/properties/(actions|provisioningState)$": _DELEGATION,
    r"/properties/purpose$": _DELEGATION,
    r"/(resourceNavigationLinks|serviceAssociationLinks)$": _OTHERS,
    r"/serviceEndpoints/\*/(locations|provisioningState)$": "service endpoints are stored, not acted on",
    r"^VirtualMachines_CreateOrUpdate/properties/(osProfile|storageProfile)/": (
        "a machine is kept as written; only what concerns its interfaces and its state is filled in"
    ),
    r"^AvailabilitySets_Get/properties/(statuses|virtualMachines)$": (
        "shown once a machine is in the set; in the example none is written"
    ),
    r"^AvailabilitySets_CreateOrUpdate/properties/scheduledEventsPolicy$": (
        "the answer has what the request does not ask for"
    ),
    r"^AvailabilitySets_Get/sku/(capacity|tier)$": "an availability set's SKU has a name only",
    r"/regionalCommunity$": "BGP communities are stored, not acted on",
    r"^Subnets_CreateOrUpdate/properties/(defaultOutboundAccess|sharingScope)$": (
        "the answer has what the request does not ask for"
    ),
}
"""Pattern of `operation id + place` to why the emulator's answer has no such property."""


def reason_unsupported(example: Example) -> str | None:
    """Why an example is not sent; `None` when it is."""
    return UNSUPPORTED.get(example.file) or UNSUPPORTED.get(example.operation_id)


def subject(example: Example) -> str:
    """What an example that is not sent is about, for the table."""
    return f"`{example.file}`" if example.file in UNSUPPORTED else f"`{example.operation_id}`"


def reason_missing(example: Example, where: str) -> str | None:
    """Why the emulator's answer to an example lacks a property; `None` when there is no reason."""
    key = f"{example.operation_id}{where}"
    return next((reason for pattern, reason in MISSING.items() if re.search(pattern, key)), None)


def unused(outcomes: Iterable[Outcome]) -> list[str]:
    """Entries of this module that nothing needs any more."""
    outcomes = list(outcomes)
    named = {each.example.file for each in outcomes} | {each.example.operation_id for each in outcomes}
    places = [f"{each.example.operation_id}{where}" for each in outcomes for where in each.missing]
    stale = [name for name in UNSUPPORTED if name not in named]
    return stale + [pattern for pattern in MISSING if not any(re.search(pattern, place) for place in places)]

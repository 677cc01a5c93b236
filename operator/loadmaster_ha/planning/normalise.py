"""What of a resource, as ARM answered it, may be sent back.

A PUT replaces the whole resource, so everything that is not ours has to be in it again, also properties that
this version of us has never heard of. Only what the service itself fills is taken out; some of it is refused
when sent.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from loadmaster_ha.planning.bodies import items, properties, thaw
from loadmaster_ha.planning.observation import Resource

_TOP: Final = frozenset({"id", "name", "type", "etag", "systemData", "managedBy"})
_CHILD: Final = frozenset({"type", "etag"})
_STATE: Final = frozenset({"provisioningState"})

# Path of a part (`[]` steps into a list) -> the names in it that only the service writes.
_READ_ONLY: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "loadbalancers": {
        "": _TOP,
        "properties": frozenset({"provisioningState", "resourceGuid"}),
        "properties.frontendIPConfigurations[]": _CHILD,
        "properties.frontendIPConfigurations[].properties": frozenset(
            {"provisioningState", "inboundNatRules", "inboundNatPools", "outboundRules", "loadBalancingRules"}
        ),
        "properties.backendAddressPools[]": _CHILD,
        "properties.backendAddressPools[].properties": frozenset(
            {
                "provisioningState",
                "backendIPConfigurations",
                "loadBalancingRules",
                "outboundRule",
                "outboundRules",
                "inboundNatRules",
            }
        ),
        "properties.backendAddressPools[].properties.loadBalancerBackendAddresses[]": _CHILD,
        "properties.backendAddressPools[].properties.loadBalancerBackendAddresses[].properties": frozenset(
            {"provisioningState", "networkInterfaceIPConfiguration", "inboundNatRulesPortMapping"}
        ),
        "properties.loadBalancingRules[]": _CHILD,
        "properties.loadBalancingRules[].properties": _STATE,
        "properties.probes[]": _CHILD,
        "properties.probes[].properties": frozenset({"provisioningState", "loadBalancingRules"}),
        "properties.inboundNatRules[]": _CHILD,
        "properties.inboundNatRules[].properties": frozenset({"provisioningState", "backendIPConfiguration"}),
        "properties.inboundNatPools[]": _CHILD,
        "properties.inboundNatPools[].properties": _STATE,
        "properties.outboundRules[]": _CHILD,
        "properties.outboundRules[].properties": _STATE,
    },
    "networkinterfaces": {
        "": _TOP,
        "properties": frozenset(
            {
                "provisioningState",
                "resourceGuid",
                "virtualMachine",
                "privateEndpoint",
                "tapConfigurations",
                "macAddress",
                "primary",
                "vnetEncryptionSupported",
                "defaultOutboundConnectivityEnabled",
                "hostedWorkloads",
                "dscpConfiguration",
            }
        ),
        "properties.dnsSettings": frozenset(
            {"appliedDnsServers", "internalFqdn", "internalDomainNameSuffix"}
        ),
        "properties.ipConfigurations[]": _CHILD,
        "properties.ipConfigurations[].properties": frozenset(
            {"provisioningState", "privateLinkConnectionProperties"}
        ),
    },
    "networksecuritygroups": {
        "": _TOP,
        "properties": frozenset(
            {
                "provisioningState",
                "resourceGuid",
                "defaultSecurityRules",
                "networkInterfaces",
                "subnets",
                "flowLogs",
            }
        ),
        "properties.securityRules[]": _CHILD,
        "properties.securityRules[].properties": _STATE,
    },
    "publicipaddresses": {
        "": _TOP,
        "properties": frozenset({"provisioningState", "resourceGuid", "ipConfiguration", "upgradedToV2"}),
        "properties.dnsSettings": frozenset({"fqdn"}),
    },
}


def writable(resource: Resource) -> dict[str, Any]:
    """The body to send for a resource that is to stay as it is; a copy, to be changed at will."""
    body: dict[str, Any] = thaw(resource.body)
    for pool in items(body.get("properties") or {}, "backendAddressPools"):
        _prepare_members(pool)
    for path, names in _READ_ONLY.get(resource.id.names[0].lower(), {"": _TOP}).items():
        for part in _parts(body, path.split(".") if path else []):
            for name in names:
                part.pop(name, None)
    return body


def writable_child(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The body to send for a separately writable child (a security rule) that is to stay as it is."""
    body: dict[str, Any] = thaw(entry)
    for name in _CHILD:
        body.pop(name, None)
    if isinstance(body.get("properties"), dict):
        body["properties"].pop("provisioningState", None)
    return body


def is_address_pool(pool: Mapping[str, Any]) -> bool:
    """Whether a pool's members are addresses rather than interfaces.

    Azure fills `loadBalancerBackendAddresses` for both kinds; only members by address name their address and
    network.
    """
    body = properties(pool)
    if body.get("virtualNetwork"):
        return True
    members = (properties(member) for member in items(body, "loadBalancerBackendAddresses"))
    return any(
        member.get("ipAddress") and not member.get("networkInterfaceIPConfiguration") for member in members
    ) or any(
        properties(member).get("virtualNetwork") or properties(member).get("subnet")
        for member in items(body, "loadBalancerBackendAddresses")
    )


def _prepare_members(pool: Mapping[str, Any]) -> None:
    """Keep of a pool's members what the owner of the pool wrote.

    Members by interface are written on the interface; echoing them here is refused
    (`DuplicateIpConfiguration...`). What can be set on them here is the admin state, so members that have one
    are sent with nothing else.
    """
    body = pool.get("properties")
    if not isinstance(body, dict) or is_address_pool(pool):
        return
    kept = [
        {"name": member.get("name"), "properties": {"adminState": properties(member)["adminState"]}}
        for member in items(body, "loadBalancerBackendAddresses")
        if str(properties(member).get("adminState") or "None") != "None"
    ]
    if kept:
        body["loadBalancerBackendAddresses"] = kept
    else:
        body.pop("loadBalancerBackendAddresses", None)


def _parts(node: Any, path: list[str]) -> Iterator[dict[str, Any]]:
    if not path:
        if isinstance(node, dict):
            yield node
        return
    head, rest = path[0], path[1:]
    if not isinstance(node, dict):
        return
    if head.endswith("[]"):
        for item in node.get(head[:-2]) or ():
            yield from _parts(item, rest)
    else:
        yield from _parts(node.get(head), rest)

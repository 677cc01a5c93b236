"""Security groups as they concern one ipConfiguration.

Tags are turned into addresses, and rules for other destinations are left out.

| tag | stands for |
| --- | --- |
| `VirtualNetwork` | the address space of the interface's network and of those that it is peered with |
| `AzureLoadBalancer` | the balancer's probes |
| `Internet` | every address that is not in `VirtualNetwork` |
| any other | nothing: the emulator does not know its addresses |

Neighbours: `topology` asks for the rules of a member; `security_groups` evaluates them in the child process.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from loadmaster_ha.emulator.armid import key_of, parse_id
from loadmaster_ha.emulator.dataplane.configuration import Interval, SecurityRule
from loadmaster_ha.emulator.json_types import JsonObject, named, obj, objects, reference_id
from loadmaster_ha.emulator.network.security_groups import default_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loadmaster_ha.emulator.store import Resource, Store

_EVERY_ADDRESS: Final = ((0, 2**32 - 1),)
_EVERY_PORT: Final = ((0, 65535),)
_PROBES: Final = int(ipaddress.IPv4Address("168.63.129.16"))
_ANY: Final = ("*", "any", "0.0.0.0/0")
_INTERFACES: Final = "Microsoft.Network/networkInterfaces"


def groups_of(
    store: Store, interface: Resource, ip_configuration: JsonObject
) -> tuple[tuple[SecurityRule, ...], ...]:
    """Return the inbound rules that hold for an ipConfiguration: its subnet's group, then its interface's.

    Args:
        store: Knows groups and networks.
        interface: The interface.
        ip_configuration: The properties of one of its ipConfigurations.
    """
    subnet_id = parse_id(reference_id(ip_configuration.get("subnet")) or "")
    network = store.get(subnet_id.root) if subnet_id else None
    items = objects(network.properties.get("subnets")) if network else []
    subnet = obj(obj(named(items, subnet_id.name) if subnet_id else None).get("properties"))
    scope = _Scope(store, interface, str(ip_configuration.get("privateIPAddress", "")), network)
    names = (
        reference_id(subnet.get("networkSecurityGroup")),
        reference_id(interface.properties.get("networkSecurityGroup")),
    )
    groups = [store.get(name) for name in names if name]
    return tuple(scope.rules_of(group) for group in groups if group is not None)


class _Scope:
    """Where a rule is looked at from: one address of one network."""

    def __init__(self, store: Store, interface: Resource, address: str, network: Resource | None) -> None:
        self._store = store
        self._subscription = interface.id.subscription
        self._address = int(ipaddress.IPv4Address(address)) if "." in address else -1
        self._network = _address_space(network)

    def rules_of(self, group: Resource) -> tuple[SecurityRule, ...]:
        """Return the group's inbound rules and Azure's default ones, in the order in which they are asked."""
        bodies = [obj(item.get("properties")) for item in objects(group.properties.get("securityRules"))]
        inbound = [body for body in (*bodies, *default_rules()) if body.get("direction") == "Inbound"]
        ordered = sorted(inbound, key=lambda body: int(body["priority"]))
        return tuple(self._rule(body) for body in ordered if self._concerns(body))

    def _concerns(self, body: JsonObject) -> bool:
        return any(first <= self._address <= last for first, last in self._addresses(body, "destination"))

    def _rule(self, body: JsonObject) -> SecurityRule:
        return SecurityRule(
            allow=body["access"] == "Allow",
            protocol=str(body.get("protocol", "*")).lower(),
            sources=self._addresses(body, "source"),
            source_ports=_ports(body, "sourcePortRange"),
            ports=_ports(body, "destinationPortRange"),
            probes=_covers_probes(_values(body, "sourceAddressPrefix", "sourceAddressPrefixes")),
        )

    def _addresses(self, body: JsonObject, side: str) -> tuple[Interval, ...]:
        found: list[Interval] = []
        for text in _values(body, f"{side}AddressPrefix", f"{side}AddressPrefixes"):
            found += self._prefix(text.lower())
        for group in objects(body.get(f"{side}ApplicationSecurityGroups")):
            found += self._application_group(reference_id(group) or "")
        return tuple(found)

    def _prefix(self, text: str) -> Sequence[Interval]:
        if text in _ANY:
            return _EVERY_ADDRESS
        if text == "virtualnetwork":
            return self._network
        if text == "internet":
            return _complement(self._network)
        return _interval(text)

    def _application_group(self, group: str) -> list[Interval]:
        """The addresses of the ipConfigurations that are in an application security group."""
        found: list[Interval] = []
        for interface in self._store.of_type(self._subscription, _INTERFACES):
            for item in objects(interface.properties.get("ipConfigurations")):
                properties = obj(item.get("properties"))
                members = objects(properties.get("applicationSecurityGroups"))
                if any(key_of(reference_id(entry) or "") == key_of(group) for entry in members):
                    found += _interval(str(properties.get("privateIPAddress", "")))
        return found


def _address_space(network: Resource | None) -> tuple[Interval, ...]:
    if network is None:
        return ()
    peerings = objects(network.properties.get("virtualNetworkPeerings"))
    spaces = [obj(network.properties.get("addressSpace"))]
    spaces += [obj(obj(peering.get("properties")).get("remoteAddressSpace")) for peering in peerings]
    prefixes = [str(prefix) for space in spaces for prefix in space.get("addressPrefixes") or ()]
    return tuple(interval for prefix in prefixes for interval in _interval(prefix))


def _interval(prefix: str) -> list[Interval]:
    """The addresses of an IPv4 prefix; nothing for a tag that is not known, and for IPv6."""
    try:
        network = ipaddress.IPv4Network(prefix, strict=False)
    except ValueError:
        return []
    return [(int(network.network_address), int(network.broadcast_address))]


def _complement(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    found: list[Interval] = []
    start = 0
    for first, last in sorted(intervals):
        if first > start:
            found.append((start, first - 1))
        start = max(start, last + 1)
    return (*found, (start, 2**32 - 1)) if start < 2**32 else tuple(found)


def _values(body: JsonObject, singular: str, plural: str) -> list[str]:
    many = body.get(plural) or []
    one = body.get(singular)
    return [str(item) for item in many] or ([str(one)] if one else [])


def _ports(body: JsonObject, singular: str) -> tuple[Interval, ...]:
    found: list[Interval] = []
    for text in _values(body, singular, f"{singular}s"):
        first, dash, last = text.partition("-")
        found += _EVERY_PORT if text == "*" else ((int(first), int(last if dash else first)),)
    return tuple(found)


def _covers_probes(prefixes: Iterable[str]) -> bool:
    """Whether sources hold the probes' one: by `*`, by their tag, or by Azure's address for them."""
    return any(
        prefix.lower() in (*_ANY, "azureloadbalancer")
        or any(first <= _PROBES <= last for first, last in _interval(prefix))
        for prefix in prefixes
    )

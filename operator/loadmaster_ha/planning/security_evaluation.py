"""What a security group lets through: its rules, and the default ones, in the order of their priorities.

Sources and destinations are prefixes, service tags or application security groups. Where a rule's reach
cannot be told (an application security group, a tag whose addresses Azure keeps, a rule for a part of the
source), it is `MAYBE`: such a rule decides nothing here, and what is behind it is not certain any more.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeAlias

from loadmaster_ha.planning.bodies import children, items, name_of, properties, singular_or_plural
from loadmaster_ha.planning.observation import Resource
from loadmaster_ha.planning.security_rules import PROBE_SOURCE, is_prefix

PROBE_ADDRESS: Final = "168.63.129.16"
"""Where Azure's probes come from; the tag `AzureLoadBalancer` stands for it."""

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_PROBE: Final = PROBE_SOURCE.lower()

_DEFAULTS: Final = {
    "inbound": (
        ("AllowVnetInBound", "VirtualNetwork", "VirtualNetwork", "Allow", 65000),
        ("AllowAzureLoadBalancerInBound", PROBE_SOURCE, "*", "Allow", 65001),
        ("DenyAllInBound", "*", "*", "Deny", 65500),
    ),
    "outbound": (
        ("AllowVnetOutBound", "VirtualNetwork", "VirtualNetwork", "Allow", 65000),
        ("AllowInternetOutBound", "*", "Internet", "Allow", 65001),
        ("DenyAllOutBound", "*", "*", "Deny", 65500),
    ),
}


class Match(Enum):
    """Whether a rule is about a flow."""

    YES = "yes"
    MAYBE = "maybe"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Flow:
    """Traffic from a source (address, prefix or tag) to one port of one address."""

    source: str
    destination: str
    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol} {self.port} from {self.source} to {self.destination}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a group does with a flow, and by which rule. `certain` is False behind a rule of unknown reach."""

    allowed: bool
    rule: str
    priority: int
    is_default: bool
    certain: bool = True


def inbound_rules(group: Resource) -> tuple[tuple[bool, Mapping[str, Any]], ...]:
    """The inbound rules of a group in the order in which they are asked, as (is a default rule, rule)."""
    return _rules(group, "inbound")


def outbound_rules(group: Resource) -> tuple[tuple[bool, Mapping[str, Any]], ...]:
    """The outbound rules of a group, as `inbound_rules`."""
    return _rules(group, "outbound")


def _rules(group: Resource, direction: str) -> tuple[tuple[bool, Mapping[str, Any]], ...]:
    rules = [(False, rule) for rule in children(group, "securityRules") if _direction(rule) == direction]
    defaults = [rule for rule in children(group, "defaultSecurityRules") if _direction(rule) == direction]
    rules += [(True, rule) for rule in defaults or _default_rules(direction)]
    return tuple(sorted(rules, key=lambda found: _priority(found[1])))


def _direction(rule: Mapping[str, Any]) -> str:
    return str(properties(rule).get("direction", "Inbound")).lower()


def decide(
    rules: Iterable[tuple[bool, Mapping[str, Any]]], flow: Flow, address_space: Sequence[str]
) -> Verdict:
    """What rules, in the order in which they are asked, do with a flow.

    `address_space` are the prefixes of the virtual network and its peers (`address_space_of`).
    """
    networks = tuple(_networks(address_space))
    certain = True
    for is_default, rule in rules:
        body = properties(rule)
        match = matches(body, flow, networks)
        if match is Match.YES:
            allowed = str(body.get("access")).lower() == "allow"
            return Verdict(allowed, name_of(rule), _priority(rule), is_default, certain)
        if match is Match.MAYBE:
            certain = False
    return Verdict(allowed=False, rule="(none)", priority=65500, is_default=True, certain=certain)


def matches(rule: Mapping[str, Any], flow: Flow, address_space: Iterable[Network]) -> Match:
    """Whether one rule (its properties) is about the whole of a flow."""
    if Match.NO in (_protocol(rule, flow), _ports(rule, flow)):
        return Match.NO
    networks = tuple(address_space)
    return _weakest(
        Match.YES if _is_any(rule, "sourcePortRange", "sourcePortRanges") else Match.MAYBE,
        _side(rule, "source", flow.source, networks),
        _side(rule, "destination", flow.destination, networks),
    )


def address_space_of(virtual_network: Resource | None) -> tuple[str, ...]:
    """The prefixes of a virtual network and of those that it is peered with."""
    if virtual_network is None:
        return ()
    peerings = items(virtual_network.properties, "virtualNetworkPeerings")
    spaces = [virtual_network.properties.get("addressSpace") or {}]
    spaces += [properties(peering).get("remoteAddressSpace") or {} for peering in peerings]
    return tuple(str(prefix) for space in spaces for prefix in space.get("addressPrefixes") or ())


def _weakest(*found: Match) -> Match:
    if Match.NO in found:
        return Match.NO
    return Match.MAYBE if Match.MAYBE in found else Match.YES


def _priority(rule: Mapping[str, Any]) -> int:
    return int(properties(rule).get("priority") or 65500)


def _protocol(rule: Mapping[str, Any], flow: Flow) -> Match:
    protocol = str(rule.get("protocol", "*")).lower()
    return Match.YES if protocol in ("*", flow.protocol.lower()) else Match.NO


def _is_any(rule: Mapping[str, Any], singular: str, plural: str) -> bool:
    ranges = singular_or_plural(rule, singular, plural)
    return not ranges or any(text in ("*", "0-65535", "1-65535") for text in ranges)


def _ports(rule: Mapping[str, Any], flow: Flow) -> Match:
    ranges = singular_or_plural(rule, "destinationPortRange", "destinationPortRanges")
    return Match.YES if any(_in_range(flow.port, text) for text in ranges) else Match.NO


def _in_range(port: int, text: str) -> bool:
    if text == "*":
        return True
    first, _, last = text.partition("-")
    if not first.strip().isdigit():
        return False
    return int(first) <= port <= int(last if last.strip().isdigit() else first)


def _side(rule: Mapping[str, Any], side: str, wanted: str, networks: tuple[Network, ...]) -> Match:
    """How a source or destination of a flow stands to one of a rule."""
    prefixes = singular_or_plural(rule, f"{side}AddressPrefix", f"{side}AddressPrefixes")
    found = {_covers(prefix, wanted, networks) for prefix in prefixes}
    if Match.YES in found:
        return Match.YES
    if Match.MAYBE in found or items(rule, f"{side}ApplicationSecurityGroups"):
        return Match.MAYBE
    return Match.NO


def _covers(prefix: str, wanted: str, networks: tuple[Network, ...]) -> Match:
    """Whether a prefix or tag of a rule holds all of a source or destination, a part of it, or nothing."""
    if prefix.lower() in ("*", "0.0.0.0/0", "any", wanted.lower()):
        return Match.YES
    if is_prefix(prefix):
        known = PROBE_ADDRESS if wanted.lower() == _PROBE else wanted
        return _compare(_network(known), _network(prefix)) if is_prefix(known) else Match.MAYBE
    if is_prefix(wanted):
        return _tag_holds_prefix(prefix.lower(), wanted, networks)
    return _tag_holds_tag(prefix.lower(), wanted.lower())


def _tag_holds_tag(tag: str, wanted: str) -> Match:
    """Whether a tag holds another; for VirtualNetwork and the probes' source Azure's pages disagree."""
    if wanted == _PROBE:
        return Match.NO if tag == "internet" else Match.MAYBE
    if tag == _PROBE or {tag, wanted} == {"internet", "virtualnetwork"}:
        return Match.NO
    return Match.MAYBE


def _tag_holds_prefix(tag: str, wanted: str, networks: tuple[Network, ...]) -> Match:
    network = _network(wanted)
    if network is None:
        return Match.MAYBE
    inside = any(_compare(network, space) is Match.YES for space in networks)
    if tag == "virtualnetwork":
        outside = (
            Match.NO if network.is_global else Match.MAYBE
        )  # gateways and routes add networks of their own
        return Match.YES if inside else outside
    if tag == "internet":
        return Match.YES if network.is_global and not inside else Match.NO
    if tag == _PROBE:
        return Match.YES if wanted == PROBE_ADDRESS else Match.NO
    return Match.MAYBE if network.is_global else Match.NO


def _compare(inner: Network | None, outer: Network | None) -> Match:
    if inner is None or outer is None:
        return Match.MAYBE
    if inner.version != outer.version or not inner.overlaps(outer):
        return Match.NO
    return Match.YES if inner.prefixlen >= outer.prefixlen else Match.MAYBE


@lru_cache(maxsize=4096)
def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _networks(prefixes: Iterable[str]) -> Iterable[Network]:
    return (network for network in map(_network, prefixes) if network is not None)


def _default_rules(direction: str) -> list[Mapping[str, Any]]:
    """Azure's default rules, for a group whose body does not list them."""
    return [
        {
            "name": name,
            "properties": {
                "protocol": "*",
                "sourcePortRange": "*",
                "destinationPortRange": "*",
                "sourceAddressPrefix": source,
                "destinationAddressPrefix": destination,
                "access": access,
                "priority": priority,
                "direction": direction.capitalize(),
            },
        }
        for name, source, destination, access, priority in _DEFAULTS[direction]
    ]

"""The security rules that a pair needs, and how one is written: pure translation of the manifest.

Security groups see the port *after* the balancer's translation, so openings are for backend ports, on the
units' interface addresses. Azure takes a service tag only alone in a rule, so sources that mix tags and
prefixes become one rule per tag and one for all prefixes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from loadmaster_ha.domain.ha import SSH_PORT, SYNCHRONISATION_PORT, Role
from loadmaster_ha.planning.bodies import properties, singular_or_plural
from loadmaster_ha.planning.diff import canonical, canonical_prefix
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.observation import Observation
from loadmaster_ha.resources.loadmasterpair import Protocol, Switch

PROBE_SOURCE: Final = "AzureLoadBalancer"

_OURS: Final = frozenset(
    {
        "description",
        "protocol",
        "access",
        "priority",
        "direction",
        "sourcePortRange",
        "sourcePortRanges",
        "destinationPortRange",
        "destinationPortRanges",
        "sourceAddressPrefix",
        "sourceAddressPrefixes",
        "destinationAddressPrefix",
        "destinationAddressPrefixes",
        "sourceApplicationSecurityGroups",
        "destinationApplicationSecurityGroups",
    }
)


@dataclass(frozen=True, slots=True)
class Opening:
    """One security rule of ours: who may reach which ports of which addresses."""

    name: str
    protocol: str
    sources: tuple[str, ...]
    ports: tuple[int, ...]
    destinations: tuple[str, ...]

    def widened(self, observed: Mapping[str, Any]) -> "Opening":
        """With the ports and destinations that the rule has now, for as long as they are in use."""
        body = properties(observed)
        ports = {int(port) for port in _plural(body, "destinationPort") if port.isdigit()}
        destinations = set(_plural(body, "destinationAddress")) - {"*"}
        return replace(
            self,
            ports=tuple(sorted({*self.ports, *ports})),
            destinations=tuple(sorted({*self.destinations, *destinations})),
        )

    def body(self, *, priority: int, description: str, observed: Mapping[str, Any]) -> dict[str, Any]:
        """The rule's properties; of what is there, only properties that we know nothing of are kept."""
        kept = {key: value for key, value in properties(observed).items() if key not in _OURS}
        sources = (
            {"sourceAddressPrefix": self.sources[0]}
            if len(self.sources) == 1
            else {"sourceAddressPrefixes": list(self.sources)}
        )
        return {
            **kept,
            "description": description,
            "protocol": self.protocol,
            "sourcePortRange": "*",
            **sources,
            "destinationPortRanges": [str(port) for port in self.ports],
            "destinationAddressPrefixes": list(self.destinations),
            "access": "Allow",
            "priority": priority,
            "direction": "Inbound",
        }


def comparable(body: Mapping[str, Any]) -> dict[str, Any]:
    """A rule in one form: singular and plural alike, sets sorted; for comparison and for people."""
    return {
        "protocol": body.get("protocol"),
        "access": body.get("access"),
        "direction": body.get("direction"),
        "sourcePortRanges": sorted(_plural(body, "sourcePort")),
        "sourceAddressPrefixes": sorted(_plural(body, "sourceAddress")),
        "destinationPortRanges": sorted(_plural(body, "destinationPort"), key=_port_order),
        "destinationAddressPrefixes": sorted(_plural(body, "destinationAddress")),
        "sourceApplicationSecurityGroups": canonical(body.get("sourceApplicationSecurityGroups") or []),
        "destinationApplicationSecurityGroups": canonical(
            body.get("destinationApplicationSecurityGroups") or []
        ),
    }


def openings(layout: Layout, observation: Observation) -> tuple[Opening, ...]:
    """Every rule that the pair needs, in the order of their priorities."""
    return tuple(_openings(layout, observation))


def management_addresses(layout: Layout, observation: Observation) -> tuple[str, ...]:
    """Where the units are managed: their primary interfaces, and the addresses that the manifest gives."""
    given = {layout.unit(role).address for role in Role}
    return tuple(sorted({*layout.addresses(None, observation), *(address for address in given if address)}))


def management_ports(layout: Layout) -> tuple[int, ...]:
    """Ports of the units' management: web user interface and API, SSH."""
    return tuple(sorted({SSH_PORT, *(layout.unit(role).management.port for role in Role)}))


def probed_addresses(layout: Layout, observation: Observation) -> tuple[str, ...]:
    """Every address in a pool of ours: the probe asks each of them."""
    return tuple(sorted({found for arm in layout.arms for found in layout.addresses(arm, observation)}))


def default_sources(layout: Layout) -> tuple[str, ...]:
    """Who may use a service whose manifest does not say."""
    return ("Internet",) if layout.is_public else ("VirtualNetwork",)


def by_source(sources: Iterable[str]) -> tuple[tuple[str | None, tuple[str, ...]], ...]:
    """Sources as Azure takes them in one rule each: (tag, sources), tag None for the prefixes together.

    Of spellings that mean the same, the first in order is taken.
    """
    distinct = sorted({canonical_prefix(source): source for source in sorted(sources, reverse=True)}.values())
    tags = [source for source in distinct if not is_prefix(source)]
    prefixes = tuple(source for source in distinct if is_prefix(source))
    found: list[tuple[str | None, tuple[str, ...]]] = [(tag, (tag,)) for tag in tags]
    return tuple(found + ([(None, prefixes)] if prefixes else []))


def is_prefix(source: str) -> bool:
    """Whether a source is an address or prefix rather than a service tag (or `*`)."""
    return source[:1].isdigit() or ":" in source


def _openings(layout: Layout, observation: Observation) -> Iterator[Opening]:
    names, check = layout.names, layout.spec.health_check.port
    units = layout.addresses(None, observation)
    yield Opening(
        names.security_rule("probe"), "Tcp", (PROBE_SOURCE,), (check,), probed_addresses(layout, observation)
    )
    yield Opening(
        names.security_rule("units"), "Tcp", units, tuple(sorted((check, SYNCHRONISATION_PORT))), units
    )
    security = layout.spec.network_security
    managed = management_addresses(layout, observation)
    ports = tuple(sorted({check, *management_ports(layout)}))
    for tag, sources in by_source(security.management_sources):
        yield Opening(names.security_rule("management", tag), "Tcp", sources, ports, managed)
    for service in layout.spec.services:
        protocol = "Udp" if service.protocol is Protocol.UDP else "Tcp"
        for tag, sources in by_source(service.source_address_prefixes or default_sources(layout)):
            yield Opening(
                name=names.security_rule(f"service_{service.name}", tag),
                protocol=protocol,
                sources=sources,
                ports=(service.backend_port or service.port,),
                destinations=layout.addresses(layout.arm_of(service), observation),
            )
    if security.publish_guide_ports is Switch.ENABLED:
        guide = tuple(sorted({port for _, port in (*layout.web_interface, *layout.ssh)}))
        for tag, sources in by_source(security.management_sources) if guide else ():
            yield Opening(names.security_rule("guide_ports", tag), "Tcp", sources, guide, managed)


def _plural(body: Mapping[str, Any], what: str) -> tuple[str, ...]:
    end = "Range" if what.endswith("Port") else "Prefix"
    plural = f"{what}Ranges" if what.endswith("Port") else f"{what}Prefixes"
    return singular_or_plural(body, f"{what}{end}", plural)


def _port_order(text: str) -> tuple[int, str]:
    first = text.split("-", 1)[0]
    return (int(first) if first.isdigit() else -1, text)

"""The security rules between the units and their real servers: out of the one, into the other.

Evaluated where the groups are read: those of the units' subnets and interfaces (read anyway), and those of
the subnets that real servers with an address in the manifest are in, if these subnets are in a virtual
network of the units'. Not seen are groups on a real server's own interface, and what is beyond the virtual
network (peerings, gateways, firewalls). A block is told with the rule's name; no rule is ever changed.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.virtual_services import RealServer
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.bodies import children, name_of, properties, reference_of, singular_or_plural
from loadmaster_ha.planning.layout import Attachment, Layout
from loadmaster_ha.planning.observation import Observation
from loadmaster_ha.planning.reasons import Reason, finding
from loadmaster_ha.planning.security_evaluation import (
    Flow,
    Verdict,
    address_space_of,
    decide,
    inbound_rules,
    outbound_rules,
)
from loadmaster_ha.planning.security_groups import attached_groups
from loadmaster_ha.resources.services import Protocol, Service

MOST_GROUPS: Final = 8
"""Groups that are read for real servers alone: each costs a read of Azure's budget."""

_SHOWN: Final = 3


@dataclass(slots=True)
class _Block:
    """One rule that keeps units from real servers of one service."""

    group: ResourceID
    verdict: Verdict
    direction: str
    flows: dict[str, None] = field(default_factory=dict)


def groups_of_real_servers(layout: Layout, observation: Observation) -> tuple[ResourceID, ...]:
    """The groups on the subnets of real servers that have an address in the manifest, for reading them."""
    found: dict[ResourceID, None] = {}
    for service in layout.spec.services:
        for address, _ in _static(service):
            subnet = _subnet_of(layout, observation, address)
            group = None if subnet is None else subnet[1]
            if group is not None:
                found[group] = None
    return tuple(found)[:MOST_GROUPS]


def by_service(
    layout: Layout,
    observation: Observation,
    endpoints: Mapping[str, Sequence[RealServer]] | None = None,
) -> Mapping[str, tuple[Finding, ...]]:
    """What stands between the units and the real servers, by service; only what is certain.

    Args:
        layout: the pair.
        observation: what is known of Azure.
        endpoints: by service, the real servers that were looked up in Kubernetes.
    """
    found = {}
    for index, service in enumerate(layout.spec.services):
        looked_up = [(each.address, each.port) for each in (endpoints or {}).get(service.name, ())]
        blocks = _blocks(layout, observation, service, [*_static(service), *looked_up])
        if findings := tuple(_finding(index, service, block) for block in blocks):
            found[service.name] = findings
    return found


def _blocks(
    layout: Layout, observation: Observation, service: Service, servers: Sequence[tuple[str, int]]
) -> list[_Block]:
    found: dict[tuple[ResourceID, str, str], _Block] = {}
    for address, port in servers:
        for role in Role:
            for direction, group, verdict, flow in _passages(
                layout, observation, role, (address, port, _protocol(service))
            ):
                if not verdict.allowed and verdict.certain:
                    key = (group, verdict.rule, direction)
                    block = found.setdefault(key, _Block(group, verdict, direction))
                    block.flows[str(flow)] = None
    return list(found.values())


def _passages(
    layout: Layout, observation: Observation, role: Role, server: tuple[str, int, str]
) -> Iterator[tuple[str, ResourceID, Verdict, Flow]]:
    """What each group that is known does with the traffic of one unit to one real server."""
    address, port, protocol = server
    attachment = _way_out(layout, observation, role, address)
    source = attachment.address(observation)
    if source is None:
        return
    flow = Flow(source, address, protocol, port)
    own = attachment.subnet(observation)
    space = address_space_of(None if own is None else observation.get(own.top))
    for group in attached_groups(observation, own, attachment.interface):
        if (known := observation.get(group)) is not None:
            yield "outbound", group, decide(outbound_rules(known), flow, space), flow
    subnet = _subnet_of(layout, observation, address)
    if subnet is None or subnet[1] is None:
        return
    if (known := observation.get(subnet[1])) is not None:
        space = address_space_of(observation.get(subnet[0]))
        yield "inbound", subnet[1], decide(inbound_rules(known), flow, space), flow


def _way_out(layout: Layout, observation: Observation, role: Role, address: str) -> Attachment:
    """The interface towards a real server: the one in its subnet, else the primary one."""
    for attachment in layout.attachments:
        subnet = attachment.subnet(observation)
        if attachment.role is role and subnet is not None:
            network = observation.get(subnet.top)
            for entry in children(network, "subnets"):
                if name_of(entry).lower() == subnet.name.lower() and _holds(entry, address):
                    return attachment
    return layout.primary(role)


def _subnet_of(
    layout: Layout, observation: Observation, address: str
) -> tuple[ResourceID, ResourceID | None] | None:
    """The virtual network whose subnet an address is in, and the subnet's group; None: not one we read."""
    subnets = (attachment.subnet(observation) for attachment in layout.attachments)
    networks = dict.fromkeys(subnet.top for subnet in subnets if subnet is not None)
    for network in networks:
        for entry in children(observation.get(network), "subnets"):
            if _holds(entry, address):
                return network, reference_of(properties(entry).get("networkSecurityGroup"))
    return None


def _holds(subnet: Mapping[str, Any], address: str) -> bool:
    prefixes = singular_or_plural(properties(subnet), "addressPrefix", "addressPrefixes")
    return any(_is_in(address, prefix) for prefix in prefixes)


def _is_in(address: str, prefix: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(prefix, strict=False)
    except ValueError:
        return False


def _static(service: Service) -> list[tuple[str, int]]:
    wanted = service.virtual_service
    return [] if wanted is None else [(each.address, each.port) for each in wanted.real_servers]


def _protocol(service: Service) -> str:
    return "Udp" if service.protocol is Protocol.UDP else "Tcp"


def _finding(index: int, service: Service, block: _Block) -> Finding:
    flows = list(block.flows)
    more = f" and {len(flows) - _SHOWN} more" if len(flows) > _SHOWN else ""
    rule = f"{block.verdict.rule!r} (priority {block.verdict.priority}, {block.direction})"
    what = (
        f"Rule {rule} of {block.group} keeps the units from real servers of service {service.name!r}: "
        f"{', '.join(flows[:_SHOWN])}{more}"
    )
    return finding(Reason.REAL_SERVER_BLOCKED, f"spec.services[{index}].virtualService", what)

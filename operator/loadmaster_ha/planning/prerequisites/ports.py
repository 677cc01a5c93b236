"""Ports that cannot be used twice: of a frontend, and of an interface behind it.

Azure tells of the second only at the interface's write, after the balancer was changed; so it is worked out
before. Sources: Azure's error codes `RulesUseSameBackendPortProtocolAndPool`, `...AndIPConfig`,
`RulesOfSameLoadBalancerTypeUseSameBackendPortProtocolAndIPConfig`; limits of Azure Load Balancer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.balancer import FRONTENDS, NAT_RULES, POOLS, RULES, nat_rules_of, wanted_children
from loadmaster_ha.planning.bodies import children, name_of, properties, reference_of, references
from loadmaster_ha.planning.layout import Attachment, memberships
from loadmaster_ha.planning.observation import Resource
from loadmaster_ha.planning.prerequisites.balancers import balancers_of
from loadmaster_ha.planning.prerequisites.context import Context
from loadmaster_ha.planning.reasons import Reason, finding

LARGEST_PER_INTERFACE: Final = 300
LARGEST_PER_BALANCER: Final = 1500


@dataclass(frozen=True, slots=True)
class Use:
    """A rule that leads to a port of an interface. `rule` is how people find it."""

    rule: str
    protocol: str
    port: int


def backend_ports_differ(context: Context) -> Iterator[Finding]:
    """No two rules lead to one protocol and port of one interface."""
    told: set[tuple[str, str]] = set()
    for attachment, interface in context.attachments():
        seen: dict[tuple[str, int], Use] = {}
        for use in _uses(context, attachment, interface):
            first = seen.setdefault((use.protocol, use.port), use)
            if first is not use and (first.rule, use.rule) not in told:
                told.add((first.rule, use.rule))
                port = f"{use.protocol} {use.port} of {attachment.interface}"
                what = f"{first.rule} and {use.rule} both lead to {port}"
                yield finding(Reason.PORT_TRIANGLE, "spec.loadBalancer", what)


def frontend_ports_differ(context: Context) -> Iterator[Finding]:
    """No rule of others uses a port of our frontend that one of ours needs."""
    names = context.layout.names
    ours = context.layout.balancer.child(FRONTENDS, names.frontend)
    seen: dict[tuple[str, int], str] = {}
    wanted = wanted_children(context.layout)
    for collection in (RULES, NAT_RULES):
        for name, body in wanted[collection].items():
            key = (str(body["protocol"]).lower(), int(body["frontendPort"]))
            first = seen.setdefault(key, name)
            if first != name:
                what = f"{first} and {name} both need {key[0]} {key[1]} of the frontend"
                yield finding(Reason.FRONTEND_PORT_TAKEN, "spec", what)
    for collection in (RULES, NAT_RULES, "inboundNatPools"):
        for entry in children(context.balancer, collection):
            if (
                names.owns(name_of(entry))
                or reference_of(properties(entry).get("frontendIPConfiguration")) != ours
            ):
                continue
            for (protocol, port), name in seen.items():
                if _takes(properties(entry), protocol, port):
                    taker = f"{collection}[{name_of(entry)}]"
                    what = f"{taker} has {protocol} {port} of our frontend, which {name} needs"
                    yield finding(Reason.FRONTEND_PORT_TAKEN, "spec", what)


def no_rule_of_all_ports(context: Context) -> Iterator[Finding]:
    """No rule of all ports leads to a unit's interface."""
    for attachment, interface in context.attachments():
        pools = _pools(attachment, interface)
        for balancer in balancers_of(context.layout, context.observation, interface):
            for rule in children(balancer, RULES):
                body = properties(rule)
                everything = str(body.get("protocol", "")).lower() == "all"
                if everything and not body.get("enableFloatingIP") and pools & set(_pools_of(body)):
                    what = f"{balancer.id}, rule {name_of(rule)!r}, leads all ports to {attachment.interface}"
                    yield finding(Reason.HIGH_AVAILABILITY_PORTS, attachment.path, what)


def management_ports_agree(context: Context) -> Iterator[Finding]:
    """With Kemp 360 Central both units have one management port: one rule leads to both."""
    spec = context.layout.spec
    if spec.load_balancer.management_access.kemp_360_central and (
        spec.master.management.port != spec.slave.management.port
    ):
        what = f"The management ports are {spec.master.management.port} and {spec.slave.management.port}"
        yield finding(Reason.MANAGEMENT_PORTS_DIFFER, "spec.slave.management.port", what)


def within_limits(context: Context) -> Iterator[Finding]:
    """The numbers of rules are within Azure's limits."""
    wanted = wanted_children(context.layout)
    foreign = [
        entry
        for collection in (RULES, NAT_RULES)
        for entry in children(context.balancer, collection)
        if not context.layout.names.owns(name_of(entry))
    ]
    total = len(wanted[RULES]) + len(wanted[NAT_RULES]) + len(foreign)
    if total > LARGEST_PER_BALANCER:
        what = f"{context.layout.balancer} would have {total} rules, Azure takes {LARGEST_PER_BALANCER}"
        yield finding(Reason.RULES_LIMIT, "spec.services", what)
    for attachment, interface in context.attachments():
        count = sum(1 for _ in _uses(context, attachment, interface))
        if count > LARGEST_PER_INTERFACE:
            what = f"{attachment.interface} would have {count} rules, Azure takes {LARGEST_PER_INTERFACE}"
            yield finding(Reason.RULES_LIMIT, "spec.services", what)


def _uses(context: Context, attachment: Attachment, interface: Resource) -> Iterator[Use]:
    yield from _ours(context, attachment)
    entry = attachment.find(interface)
    held = set(memberships(entry or {}))
    pools = _pools(attachment, interface) | _our_pools(context, attachment)
    for balancer in balancers_of(context.layout, context.observation, interface):
        ours = balancer.id == context.layout.balancer
        for collection in (RULES, NAT_RULES):
            for rule in children(balancer, collection):
                if ours and context.layout.names.owns(name_of(rule)):
                    continue
                identity = balancer.id.child(collection, name_of(rule))
                if identity in held or pools & set(_pools_of(properties(rule))):
                    yield from _use(f"{collection}[{name_of(rule)}] of {balancer.id.name}", properties(rule))


def _ours(context: Context, attachment: Attachment) -> Iterator[Use]:
    wanted = wanted_children(context.layout)
    pools = _our_pools(context, attachment)
    for name, body in wanted[RULES].items():
        if pools & set(_pools_of(body)):
            yield from _use(f"{RULES}[{name}]", body)
    for name in nat_rules_of(context.layout, attachment.role) if attachment.primary else ():
        yield from _use(f"{NAT_RULES}[{name}]", wanted[NAT_RULES][name])


def _use(rule: str, body: Mapping[str, Any]) -> Iterator[Use]:
    protocol = str(body.get("protocol", "")).lower()
    if protocol != "all" and not body.get("enableFloatingIP") and body.get("backendPort"):
        yield Use(rule, protocol, int(body["backendPort"]))


def _our_pools(context: Context, attachment: Attachment) -> set[ResourceID]:
    layout = context.layout
    return {
        layout.balancer.child(POOLS, layout.names.pool(arm))
        for arm in layout.arms
        if attachment in layout.on_arm(arm)
    }


def _pools(attachment: Attachment, interface: Resource) -> set[ResourceID]:
    """The pools that the interface is in and that are not ours to leave again."""
    found = memberships(attachment.find(interface) or {})
    return {reference for reference in found if reference.names[2].lower() == POOLS.lower()}


def _pools_of(rule: Mapping[str, Any]) -> Iterator[ResourceID]:
    single = reference_of(rule.get("backendAddressPool"))
    if single is not None:
        yield single
    yield from references(rule, POOLS)


def _takes(body: Mapping[str, Any], protocol: str, port: int) -> bool:
    if str(body.get("protocol", "")).lower() not in (protocol, "all"):
        return False
    if str(body.get("protocol", "")).lower() == "all":
        return True
    start = body.get("frontendPortRangeStart") or body.get("frontendPort")
    end = body.get("frontendPortRangeEnd") or start
    return start is not None and end is not None and int(start) <= port <= int(end)

"""What the other lanes have to know of a pair in Azure, drawn from what the Azure lane observed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Absent, Present, Reading, Unknown
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.balancer import PROBES, RULES
from loadmaster_ha.planning.bodies import children, named, properties
from loadmaster_ha.planning.changes import Plan
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.observation import Observation, Resource
from loadmaster_ha.planning.pair import frontend_address
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.planning.units.observation import Publication
from loadmaster_ha.planning.units.publishing import published


@dataclass(frozen=True, slots=True)
class AzureView:
    """One pair as Azure shows it."""

    addresses: Mapping[Role, str] = field(default_factory=lambda: MappingProxyType({}))
    """The units' own addresses: the manifest's, else those of the primary interfaces, as far as known."""
    arm_addresses: Mapping[tuple[Role, str], str] = field(default_factory=lambda: MappingProxyType({}))
    frontend: Reading[str] = field(default_factory=Absent)
    published: Reading[frozenset[Publication]] = field(default_factory=Absent)
    ports: Reading[frozenset[int]] = field(default_factory=Absent)
    """The check ports of our probe and rule; empty: there is neither."""
    health_rule: ResourceID | None = None
    findings: tuple[Finding, ...] = ()
    paths: Mapping[str, tuple[Finding, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """By service: the security rules that stand between the units and its real servers."""
    waiting: frozenset[str] = frozenset()
    """Services that are left out, or left as they are, until they are ready on the units."""


def from_manifest(target: PairTarget) -> AzureView:
    """What is known before Azure has been looked at."""
    layout = Layout(target)
    found = {role: layout.unit(role).address for role in Role}
    return AzureView(addresses={role: address for role, address in found.items() if address})


def view_of(
    target: PairTarget,
    observation: Observation,
    plan: Plan,
    *,
    waiting: frozenset[str] = frozenset(),
    paths: Mapping[str, tuple[Finding, ...]] = MappingProxyType({}),
) -> AzureView:
    """The view of one observation and the plan that was made on it."""
    layout = Layout(target)
    arms = {
        (found.role, found.arm): address
        for found in layout.attachments
        if (address := found.address(observation)) is not None
    }
    primaries = {role: arms.get((role, layout.primary(role).arm)) for role in Role}
    addresses = {role: layout.unit(role).address or primaries[role] for role in Role}
    balancer = observation.get(layout.balancer)
    return AzureView(
        addresses={role: address for role, address in addresses.items() if address},
        arm_addresses=arms,
        frontend=_frontend(target, observation),
        published=published(layout, observation),
        ports=_ports(layout, observation),
        health_rule=_health_rule(layout, balancer),
        findings=plan.findings,
        paths=paths,
        waiting=waiting,
    )


def frontend_to_be(target: PairTarget, view: AzureView) -> Reading[str]:
    """The balancer's address: as Azure has it, else as the manifest says it will be."""
    wanted = target.spec.load_balancer.frontend.private_ip_address
    if isinstance(view.frontend, Present) or wanted is None or Layout(target).is_public:
        return view.frontend
    return Present(str(wanted))


def _frontend(target: PairTarget, observation: Observation) -> Reading[str]:
    layout = Layout(target)
    if (address := frontend_address(target, observation)) is not None:
        return Present(address)
    for resource in (layout.balancer, layout.public_address):
        if resource is not None and isinstance(reading := observation.read(resource), Unknown):
            return reading
    return Absent()


def _ports(layout: Layout, observation: Observation) -> Reading[frozenset[int]]:
    if isinstance(reading := observation.read(layout.balancer), Unknown):
        return reading
    balancer = observation.get(layout.balancer)
    probe = properties(named(children(balancer, PROBES), layout.names.probe) or {}).get("port")
    rule = properties(named(children(balancer, RULES), layout.names.check_rule) or {}).get("backendPort")
    return Present(frozenset(int(port) for port in (probe, rule) if port is not None))


def _health_rule(layout: Layout, balancer: Resource | None) -> ResourceID | None:
    name = layout.names.check_rule
    return layout.balancer.child(RULES, name) if named(children(balancer, RULES), name) is not None else None

"""Who has to reach the units: the flows that the pair needs, through every security group on their way."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from loadmaster_ha.domain.ha import SYNCHRONISATION_PORT
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.layout import Attachment, Layout
from loadmaster_ha.planning.observation import Observation, Resource
from loadmaster_ha.planning.security_evaluation import Flow, Verdict, address_space_of, evaluate
from loadmaster_ha.planning.security_groups import attached_groups
from loadmaster_ha.planning.security_rules import PROBE_SOURCE, default_sources, management_ports
from loadmaster_ha.resources.loadmasterpair import Protocol


class Purpose(StrEnum):
    """What a flow is for."""

    PROBE = "the balancer's probe"
    PARTNER = "the units' check of each other"
    SYNCHRONISATION = "the units' synchronisation"
    MANAGEMENT = "management"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One flow that the pair needs, and the interface that it goes to."""

    purpose: Purpose
    flow: Flow
    attachment: Attachment
    subject: str


@dataclass(frozen=True, slots=True)
class Passage:
    """What one security group on the way does with a required flow."""

    requirement: Requirement
    group: ResourceID
    verdict: Verdict


def requirements(
    layout: Layout, observation: Observation, *, check_port: int | None = None
) -> Iterator[Requirement]:
    """Every flow that the pair needs; `check_port` where it is another than the manifest's for the moment."""
    port = check_port or layout.spec.health_check.port
    units = layout.addresses(None, observation)
    for arm in layout.arms:
        for attachment in layout.on_arm(arm):
            address = attachment.address(observation)
            if address is not None:
                subject = "spec.healthCheck.port"
                yield Requirement(
                    Purpose.PROBE, Flow(PROBE_SOURCE, address, "Tcp", port), attachment, subject
                )
                if arm is None:
                    yield from _to_unit(layout, attachment, address, units, port)
                yield from _services(layout, attachment, arm, address)


def passages(observation: Observation, requirement: Requirement) -> Iterator[Passage]:
    """What each security group on the way does; both the subnet's and the interface's must allow."""
    subnet = requirement.attachment.subnet(observation)
    space = address_space_of(None if subnet is None else observation.get(subnet.top))
    for group in attached_groups(observation, subnet, requirement.attachment.interface):
        known: Resource | None = observation.get(group)
        if known is not None:
            yield Passage(requirement, group, evaluate(known, requirement.flow, space))


def is_reachable(observation: Observation, requirement: Requirement) -> bool:
    """Whether a flow passes every known security group on its way."""
    return all(passage.verdict.allowed for passage in passages(observation, requirement))


def _to_unit(
    layout: Layout, attachment: Attachment, address: str, units: tuple[str, ...], check_port: int
) -> Iterator[Requirement]:
    for partner in units:
        if partner != address:
            check = Flow(partner, address, "Tcp", check_port)
            yield Requirement(Purpose.PARTNER, check, attachment, "spec.healthCheck.port")
            synchronisation = Flow(partner, address, "Tcp", SYNCHRONISATION_PORT)
            yield Requirement(Purpose.SYNCHRONISATION, synchronisation, attachment, "spec.networkSecurity")
    for source in layout.spec.network_security.management_sources:
        for port in (*management_ports(layout), check_port):
            flow = Flow(source, address, "Tcp", port)
            yield Requirement(Purpose.MANAGEMENT, flow, attachment, "spec.networkSecurity.managementSources")


def _services(layout: Layout, attachment: Attachment, arm: str | None, address: str) -> Iterator[Requirement]:
    for index, service in enumerate(layout.spec.services):
        if layout.arm_of(service) != arm:
            continue
        protocol = "Udp" if service.protocol is Protocol.UDP else "Tcp"
        for source in service.source_address_prefixes or default_sources(layout):
            flow = Flow(source, address, protocol, service.backend_port or service.port)
            yield Requirement(Purpose.SERVICE, flow, attachment, f"spec.services[{index}]")

"""Who has to reach the units: the flows that the pair needs, through every security group on their way."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from loadmaster_ha.domain.ha import SYNCHRONISATION_PORT
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.layout import Attachment, Layout
from loadmaster_ha.planning.observation import Observation
from loadmaster_ha.planning.security_evaluation import Flow, Verdict, address_space_of, decide, inbound_rules
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
    yield from vital_requirements(layout, observation, check_port=check_port)
    for arm in layout.arms:
        for attachment in layout.on_arm(arm):
            address = attachment.address(observation)
            if address is not None:
                yield from _services(layout, attachment, arm, address)


def vital_requirements(
    layout: Layout, observation: Observation, *, check_port: int | None = None
) -> Iterator[Requirement]:
    """The flows that must never be cut: probe, partner, synchronisation, management."""
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


class Ways:
    """The ways to the units' interfaces through the security groups of one observation."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._groups: dict[Attachment, tuple[ResourceID, ...]] = {}
        self._spaces: dict[Attachment, tuple[str, ...]] = {}
        self._rules: dict[ResourceID, tuple[tuple[bool, Mapping[str, Any]], ...] | None] = {}

    def passages(self, requirement: Requirement) -> Iterator[Passage]:
        """What each security group on the way does; both the subnet's and the interface's must allow."""
        attachment = requirement.attachment
        if attachment not in self._groups:
            self._look_up(attachment)
        for group in self._groups[attachment]:
            rules = self._rules[group]
            if rules is not None:
                verdict = decide(rules, requirement.flow, self._spaces[attachment])
                yield Passage(requirement, group, verdict)

    def is_open(self, requirement: Requirement) -> bool:
        """Whether a flow passes every known security group on its way."""
        return all(passage.verdict.allowed for passage in self.passages(requirement))

    def _look_up(self, attachment: Attachment) -> None:
        subnet = attachment.subnet(self._observation)
        groups = attached_groups(self._observation, subnet, attachment.interface)
        self._groups[attachment] = groups
        self._spaces[attachment] = address_space_of(
            None if subnet is None else self._observation.get(subnet.top)
        )
        for group in groups:
            known = self._observation.get(group)
            self._rules[group] = None if known is None else inbound_rules(known)


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

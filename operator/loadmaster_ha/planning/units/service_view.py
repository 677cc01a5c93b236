"""What the planning of services looks at, and what each part of it gives; for `services` and its parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import UnitChange
from loadmaster_ha.domain.units import UnitFacts
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService
from loadmaster_ha.planning.units.marks import Marks
from loadmaster_ha.planning.units.observation import UnitsObservation, UnitsTarget
from loadmaster_ha.planning.units.publishing import leads_to
from loadmaster_ha.planning.units.virtual_services import port_of, protocol_of
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec
from loadmaster_ha.resources.services import Service


@dataclass(frozen=True)
class View:
    """One unit, whose virtual services could be read, and what is wanted of it."""

    target: UnitsTarget
    observation: UnitsObservation
    role: Role
    facts: UnitFacts
    services: tuple[VirtualService, ...]
    now: float

    @property
    def spec(self) -> LoadMasterPairSpec:
        """The manifest's spec."""
        return self.target.pair.spec

    @cached_property
    def marks(self) -> Marks:
        """By what ours are recognised."""
        return Marks(self.target.pair.identity)

    @cached_property
    def by_key(self) -> Mapping[ServiceKey, VirtualService]:
        """The virtual services by address, port and protocol."""
        return {each.key: each for each in self.services}

    @cached_property
    def manifest(self) -> Mapping[str, Service]:
        """The entries of `spec.services` by name."""
        return {each.name: each for each in self.spec.services}

    def arm_of(self, service: Service) -> str:
        """The interface that a service is on, by its name in the manifest."""
        return service.interface or self.spec.master.network_interfaces[0].name

    def key_of(self, service: Service) -> ServiceKey | None:
        """Where the virtual service of a published service is to be; None while the address is not known."""
        address = self.target.arm_addresses.get((self.role, self.arm_of(service)))
        return None if address is None else ServiceKey(address, port_of(service), protocol_of(service))

    def is_led_to(self, service: str, key: ServiceKey) -> bool:
        """Whether Azure leads, or for all that is known may lead, to a virtual service."""
        publications = self.observation.published
        if not isinstance(publications, Present):
            return True
        arms = [
            arm
            for (role, arm), address in self.target.arm_addresses.items()
            if role is self.role and address == key.address
        ]
        return any(
            leads_to(found, service, key.protocol, key.port, arm)
            for found in publications.value
            for arm in arms
        )


@dataclass(slots=True)
class Part:
    """What one service adds to the plan."""

    changes: list[UnitChange] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    draining: set[str] = field(default_factory=set)
    look_again: float | None = None
    ready: bool = False
    """It can answer, by what was observed."""
    ready_when_made: bool = False
    """It can, once the changes are made, if it cannot yet."""
    name: str = ""
    """The service; empty for the part of those that go."""
    path: str = ""
    """The service's field path."""
    settled: bool = False
    """Its virtual service is where it is wanted, so that those elsewhere can go."""

    def wait(self, seconds: float | None) -> None:
        """Look again at least then."""
        if seconds is not None:
            self.look_again = seconds if self.look_again is None else min(self.look_again, seconds)

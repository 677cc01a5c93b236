"""From what is wanted to a configuration that HAProxy accepts, without the services that it does not.

One service that cannot be served must not keep the others from being served: `admission` sorts out what is
known to be impossible, here is what only trying tells, `haproxy -c` and the ports of the machine. Who is to
blame keeps its former version, or its former certificate, or is left out; the reasons are handed on.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from loadmaster_ha.agent.dataplane import listening
from loadmaster_ha.agent.dataplane.admission import admit
from loadmaster_ha.agent.dataplane.checker import Checker
from loadmaster_ha.agent.dataplane.configuration import Renderer
from loadmaster_ha.agent.dataplane.difference import Commands, difference
from loadmaster_ha.agent.dataplane.model import Configuration, ConfigurationRefused, Node
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService

_ROUNDS = 5
"""How often services that HAProxy refuses are put aside before it is given up."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings say."""

    number: int
    services: tuple[VirtualService, ...]
    certificates: Mapping[str, str] = field(repr=False)
    """PEM texts by name."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration, and what of the wish is not in it as wished."""

    configuration: Configuration
    services: tuple[VirtualService, ...]
    certificates: Mapping[str, str] = field(repr=False)
    rejected: Mapping[ServiceKey, str]


class Candidates:
    """Makes candidates; remembers what was served last."""

    def __init__(self, checker: Checker, *, external: bool) -> None:
        self._checker = checker
        self._external = external
        self._renderer = Renderer()
        self._served: dict[int, VirtualService] = {}
        self._certificates: Mapping[str, str] = {}
        self._accepted = ""
        self.refusals = 0
        """How often HAProxy has refused a candidate."""

    def serve(self, candidate: Candidate) -> None:
        """This one is in use now."""
        self._served = {service.index: service for service in candidate.services}
        self._certificates = candidate.certificates

    def excerpt(
        self, services: Iterable[VirtualService], node: Node, certificates: Mapping[str, str]
    ) -> Configuration:
        """A configuration with nothing but these services, which are all possible, to be tried by itself.

        Raises:
            words.Unprintable: a value cannot stand in a configuration.
        """
        return self._renderer.excerpt(services, node, certificates)

    def untried(self, wish: Wish, node: Node, known: Mapping[ServiceKey, str] | None = None) -> Candidate:
        """As wished, without what is known to be impossible."""
        return self._candidate(wish.services, wish.certificates, node, known or {})

    async def tried(
        self,
        wish: Wish,
        node: Node,
        occupied: Mapping[ServiceKey, str],
        running: Configuration | None = None,
    ) -> Candidate:
        """One that HAProxy accepts.

        Args:
            wish: what is wanted.
            node: where.
            occupied: services whose ports somebody else has.
            running: what HAProxy runs. When only servers differ from that, only their sections are tried.

        Raises:
            ConfigurationRefused: HAProxy refuses it, and no service is to blame.
        """
        excluded = dict(occupied)
        excused: dict[ServiceKey, str] = {}
        certificates = dict(wish.certificates)
        for _ in range(_ROUNDS):
            candidate = self._candidate(wish.services, certificates, node, excluded, occupied)
            refused = await self._refusal(candidate, running)
            if refused is None:
                return Candidate(
                    candidate.configuration,
                    candidate.services,
                    certificates,
                    {**excused, **candidate.rejected},
                )
            if not refused.services:
                raise refused
            for service in candidate.services:
                if service.key in refused.services:
                    reason = refused.services[service.key]
                    former = self._former_certificates(service, certificates)
                    certificates |= former
                    (excused if former else excluded)[service.key] = reason
                    if not former:
                        self._distrust(service)
        raise ConfigurationRefused("HAProxy refuses one configuration after the other; the log has its words")

    def occupied(
        self, services: Iterable[VirtualService], node: Node, own: set[tuple[str, int]]
    ) -> dict[ServiceKey, str]:
        """Services whose ports somebody else has; `own` are those that HAProxy itself listens on."""
        found = {}
        for service in services:
            ports = {(service.key.address, port) for port in (service.key.port, *service.extra_ports)} - own
            if service.enabled and ports and node.interface_of(service.key.address):
                reason = listening.obstacle(ports, privileged_elsewhere=self._external)
                if reason:
                    found[service.key] = reason
        return found

    async def _refusal(
        self, candidate: Candidate, running: Configuration | None
    ) -> ConfigurationRefused | None:
        configuration = candidate.configuration
        fingerprint = configuration.fingerprint
        if fingerprint == self._accepted:
            return None
        step = difference(running, configuration) if running else None
        if isinstance(step, Commands) and not step.certificates:
            configuration = configuration.excerpt(step.sections)
        try:
            await self._checker.check(configuration)
        except ConfigurationRefused as refused:
            self.refusals += 1
            return refused
        self._accepted = fingerprint
        return None

    def _candidate(
        self,
        services: Iterable[VirtualService],
        certificates: Mapping[str, str],
        node: Node,
        excluded: Mapping[ServiceKey, str],
        occupied: Collection[ServiceKey] = (),
    ) -> Candidate:
        admission = admit(services, self._served, node, certificates, known=excluded, occupied=occupied)
        configuration = self._renderer.render(admission.services, node, certificates)
        return Candidate(configuration, admission.services, certificates, admission.rejected)

    def _former_certificates(
        self, service: VirtualService, certificates: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Those of the service that have changed since they were served."""
        names = () if service.tls is None else service.tls.certificates or ("",)
        return {
            name: self._certificates[name]
            for name in names
            if name in self._certificates and self._certificates[name] != certificates.get(name)
        }

    def _distrust(self, service: VirtualService) -> None:
        """What HAProxy refuses is no version to go back to."""
        if self._served.get(service.index) == service:
            del self._served[service.index]

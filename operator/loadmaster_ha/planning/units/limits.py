"""What a published service cannot be, told as findings with field paths before anything of it is written.

Two reasons: the pair needs a port itself, or the units cannot do what is asked for (the same limits hold in
the node agent, which refuses by itself: `agent.dataplane.limits`). Other limits of Azure HA have no field:
transparency, addresses other than the interface's, an alternate default gateway (guide, 1.1 and 2).
"""

from collections.abc import Iterator
from typing import Final

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import AGENT_METRICS_PORT, MANAGEMENT_PORT, SSH_PORT, SYNCHRONISATION_PORT, Role
from loadmaster_ha.domain.units import UnitKind
from loadmaster_ha.planning.units.observation import UnitsTarget
from loadmaster_ha.planning.units.service_reasons import ServiceReason, finding
from loadmaster_ha.planning.units.virtual_services import port_of
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec
from loadmaster_ha.resources.services import Protocol, Service
from loadmaster_ha.resources.virtual_services import (
    CheckProtocol,
    PersistenceMode,
    Switch,
    VirtualService,
    VirtualServiceType,
)

LOWEST_PORT: Final = 3
HIGHEST_PORT: Final = 65530
"""Of a virtual service ("RESTful API Interface Description", 3.6.1.1)."""

_READING: Final = frozenset({VirtualServiceType.HTTP, VirtualServiceType.HTTP2})
_COOKIES: Final = frozenset({PersistenceMode.COOKIE, PersistenceMode.ACTIVE_COOKIE})
_TLS_PORT: Final = 443


def refusals(target: UnitsTarget, index: int, service: Service, kind: UnitKind | None) -> tuple[Finding, ...]:
    """Everything that stands against a service that has a `virtualService`.

    Args:
        target: the pair.
        index: the service's place in `spec.services`.
        service: the service.
        kind: what the units are; None while that is not known, then only what holds for both is told.
    """
    wanted = service.virtual_service
    if wanted is None:
        return ()
    path = f"spec.services[{index}]"
    return (
        *_ports(target.pair.spec, path, service, kind),
        *_requests(path, service, wanted),
        *(_agents(path, service, wanted) if kind is UnitKind.AGENT else ()),
        *_loops(target, path, service, wanted),
    )


def _ports(spec: LoadMasterPairSpec, path: str, service: Service, kind: UnitKind | None) -> Iterator[Finding]:
    port = port_of(service)
    subject = f"{path}.port" if service.backend_port is None else f"{path}.backendPort"
    if not LOWEST_PORT <= port <= HIGHEST_PORT:
        what = f"Service {service.name!r}: a virtual service cannot be on port {port}, only on 3 to 65530"
        yield finding(ServiceReason.NOT_POSSIBLE, subject, what)
    if service.protocol is Protocol.TCP and (use := _reserved(spec, kind).get(port)) is not None:
        what = f"Service {service.name!r}: port {port} of the units is {use}"
        yield finding(ServiceReason.PORT_RESERVED, subject, what)


def _reserved(spec: LoadMasterPairSpec, kind: UnitKind | None) -> dict[int, str]:
    agents = {AGENT_METRICS_PORT: "that of the node agents' metrics"} if kind is UnitKind.AGENT else {}
    return {
        **agents,
        SSH_PORT: "that of SSH",
        MANAGEMENT_PORT: "that of the management (guide, 2)",
        spec.slave.management.port: "the slave's management port",
        spec.master.management.port: "the master's management port",
        spec.health_check.port: "the check port (healthCheck.port)",
        SYNCHRONISATION_PORT: "where they synchronise their settings",
    }


def _requests(path: str, service: Service, wanted: VirtualService) -> Iterator[Finding]:
    """What needs requests to be read, and what needs TCP."""
    inside = f"{path}.virtualService"
    reads = wanted.type in _READING
    if service.protocol is Protocol.UDP and (reads or wanted.tls is not None):
        what = f"Service {service.name!r}: UDP goes with type Generic and without tls only"
        yield finding(ServiceReason.NOT_POSSIBLE, f"{path}.protocol", what)
    if wanted.type is VirtualServiceType.HTTP2 and wanted.tls is None:
        what = f"Service {service.name!r}: type HTTP2 needs tls, clients agree on HTTP/2 while it is set up"
        yield finding(ServiceReason.NOT_POSSIBLE, f"{inside}.type", what)
    if wanted.persistence.mode in _COOKIES and not reads:
        what = f"Service {service.name!r}: persistence by cookie needs type HTTP or HTTP2"
        yield finding(ServiceReason.NOT_POSSIBLE, f"{inside}.persistence.mode", what)
    if wanted.forwarded_for is Switch.ENABLED and not reads:
        what = f"Service {service.name!r}: forwardedFor needs type HTTP or HTTP2"
        yield finding(ServiceReason.NOT_POSSIBLE, f"{inside}.forwardedFor", what)


def _agents(path: str, service: Service, wanted: VirtualService) -> Iterator[Finding]:
    """What HAProxy cannot do."""
    inside = f"{path}.virtualService"
    if service.protocol is Protocol.UDP:
        what = f"Service {service.name!r}: node agents forward TCP only, not UDP"
        yield finding(ServiceReason.NOT_POSSIBLE, f"{path}.protocol", what)
    if wanted.health_check.type is CheckProtocol.ICMP:
        what = f"Service {service.name!r}: node agents check connections, not hosts: ICMP is not possible"
        yield finding(ServiceReason.NOT_POSSIBLE, f"{inside}.healthCheck.type", what)
    if wanted.type is VirtualServiceType.HTTP and wanted.tls is None and port_of(service) == _TLS_PORT:
        what = (
            f"Service {service.name!r}: on port 443 without tls the node agents see encrypted bytes; type "
            "HTTP needs tls there, or another backendPort"
        )
        yield finding(ServiceReason.NOT_POSSIBLE, f"{inside}.type", what)


def _loops(target: UnitsTarget, path: str, service: Service, wanted: VirtualService) -> Iterator[Finding]:
    """Real servers that are the service itself, on either unit or at the frontend."""
    arm = service.interface or target.pair.spec.master.network_interfaces[0].name
    own = {target.arm_addresses.get((role, arm)) for role in Role}
    for place, server in enumerate(wanted.real_servers):
        if server.address in own and server.port == port_of(service):
            what = f"Real server {server.address}:{server.port} of service {service.name!r} is the service"
            subject = f"{path}.virtualService.realServers[{place}]"
            yield finding(ServiceReason.REAL_SERVER_LOOP, subject, what)

"""Real servers out of Kubernetes: the ready endpoints of a Service, or its port on the ready nodes.

Pure: `cluster_view` keeps what is read here of the API's objects, as little of each as possible. Sources:
Kubernetes' EndpointSlice, Service and Node APIs, and the service controller's choice of nodes for external
load balancers.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadmaster_ha.domain.reading import Absent, Present, Reading
from loadmaster_ha.domain.virtual_services import RealServer
from loadmaster_ha.resources.services import Protocol
from loadmaster_ha.resources.virtual_services import KubernetesRealServers, RealServersFrom

MOST_REAL_SERVERS: Final = 1000
"""More than that behind one virtual service are refused: a label selector that catches too much."""

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
EXCLUDE_LABEL: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
LEAVING_TAINT: Final = "ToBeDeletedByClusterAutoscaler"

_READY: Final = "Ready"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service."""

    name: str
    port: int
    protocol: str
    node_port: int | None


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What matters of a Service."""

    ports: tuple[ServicePort, ...] = ()
    external_name: bool = False
    local: bool = False
    """`externalTrafficPolicy: Local`: a node passes on only what it has an endpoint for."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint that is ready, by its first address."""

    address: str
    node: str


@dataclass(frozen=True, slots=True)
class SliceFacts:
    """What matters of an EndpointSlice. `ports`: name -> number and protocol."""

    service: str
    ipv4: bool
    ports: tuple[tuple[str, int | None, str], ...]
    endpoints: tuple[Endpoint, ...]
    """Those that are ready and not on their way out."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What matters of a node."""

    address: str | None
    """Its first internal IPv4 address."""
    usable: bool
    """Ready, and neither excluded from load balancers nor about to be removed."""
    labels: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What is known for one Service. `nodes` by name; only needed for mode Nodes."""

    service: ServiceFacts | None
    slices: tuple[SliceFacts, ...] = ()
    nodes: Mapping[str, NodeFacts] | None = None


def read_service(body: Mapping[str, Any]) -> ServiceFacts:
    """A Service as the API gives it."""
    spec = body.get("spec") or {}
    ports = tuple(
        ServicePort(
            port.get("name") or "", int(port["port"]), port.get("protocol") or "TCP", port.get("nodePort")
        )
        for port in spec.get("ports") or ()
    )
    local = spec.get("externalTrafficPolicy") == "Local"
    return ServiceFacts(ports, external_name=spec.get("type") == "ExternalName", local=local)


def read_slice(body: Mapping[str, Any]) -> SliceFacts:
    """An EndpointSlice as the API gives it."""
    labels = (body.get("metadata") or {}).get("labels") or {}
    ports = tuple(
        (port.get("name") or "", port.get("port"), port.get("protocol") or "TCP")
        for port in body.get("ports") or ()
    )
    ipv4 = body.get("addressType") == "IPv4"
    endpoints = tuple(
        Endpoint(str(each["addresses"][0]), str(each.get("nodeName") or ""))
        for each in body.get("endpoints") or ()
        if each.get("addresses") and _takes_connections(each.get("conditions") or {})
    )
    return SliceFacts(str(labels.get(SERVICE_NAME_LABEL, "")), ipv4, ports, endpoints)


def read_node(body: Mapping[str, Any]) -> NodeFacts:
    """A Node as the API gives it."""
    metadata, status = body.get("metadata") or {}, body.get("status") or {}
    labels = metadata.get("labels") or {}
    taints = {taint.get("key") for taint in (body.get("spec") or {}).get("taints") or ()}
    ready = any(
        condition.get("type") == _READY and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
    internal = (
        str(each.get("address", ""))
        for each in status.get("addresses") or ()
        if each.get("type") == "InternalIP" and ":" not in str(each.get("address", ":"))
    )
    leaving = metadata.get("deletionTimestamp") is not None or LEAVING_TAINT in taints
    usable = ready and not leaving and EXCLUDE_LABEL not in labels
    return NodeFacts(next(internal, None), usable, frozenset(labels.items()))


def real_servers(
    wanted: RealServersFrom, namespace: str, protocol: Protocol, facts: ClusterFacts
) -> Reading[tuple[RealServer, ...]]:
    """The real servers, in order of address and port; `Absent` where the reference leads to nothing.

    Args:
        wanted: the reference.
        namespace: the pair's, and with that the Service's.
        protocol: of the published service.
        facts: what is known of the Service.
    """
    name = f"{namespace}/{wanted.service.name}"
    if facts.service is None:
        return Absent("ServiceNotFound", f"There is no Service {name}.")
    if facts.service.external_name:
        return Absent("NoEndpoints", f"The Service {name} is of type ExternalName, which has no endpoints.")
    port = _port(wanted.service.port, protocol, facts.service)
    if port is None:
        has = ", ".join(_described(each) for each in facts.service.ports) or "none"
        return Absent(
            "PortNotFound",
            f"The Service {name} has no {protocol} port {wanted.service.port} (its ports: {has}).",
        )
    if wanted.mode is KubernetesRealServers.NODES:
        if port.node_port is None:
            message = f"The port {wanted.service.port} of the Service {name} has no node port; its type must "
            return Absent("NoNodePort", f"{message}be NodePort or LoadBalancer.")
        found = {(address, port.node_port) for address in _nodes(wanted, facts)}
    else:
        found = set(_endpoints(port, facts.slices))
    if len(found) > MOST_REAL_SERVERS:
        message = f"The Service {name} has {len(found)} real servers; {MOST_REAL_SERVERS} are taken at most."
        return Absent("TooManyRealServers", message)
    ordered = sorted(found, key=lambda each: (tuple(map(int, each[0].split("."))), each[1]))
    return Present(tuple(RealServer(0, *each, weight=wanted.weight) for each in ordered))


def _takes_connections(conditions: Mapping[str, Any]) -> bool:
    """Ready unless it says otherwise; one that terminates counts no longer, also where it is still ready."""
    return conditions.get("ready") is not False and conditions.get("terminating") is not True


def _port(wanted: str, protocol: Protocol, service: ServiceFacts) -> ServicePort | None:
    """By name, else by number."""
    of_protocol = [port for port in service.ports if port.protocol == protocol.value]
    named = [port for port in of_protocol if port.name == wanted]
    numbered = [port for port in of_protocol if str(port.port) == wanted]
    return next(iter((*named, *numbered)), None)


def _described(port: ServicePort) -> str:
    number = f"{port.protocol}/{port.port}"
    return f"{port.name} ({number})" if port.name else number


def _endpoints(port: ServicePort, slices: Collection[SliceFacts]) -> Iterator[tuple[str, int]]:
    """An endpoint may be in several slices; slices of one Service may resolve a named port differently."""
    for each in slices:
        if not each.ipv4:
            continue
        for name, number, protocol in each.ports:
            if name == port.name and protocol == port.protocol:
                # Without a number the slice is about all ports.
                yield from ((endpoint.address, number or port.port) for endpoint in each.endpoints)


def _nodes(wanted: RealServersFrom, facts: ClusterFacts) -> Iterator[str]:
    serving = None
    if facts.service is not None and facts.service.local:
        serving = {endpoint.node for each in facts.slices for endpoint in each.endpoints}
    labels = set(wanted.node_labels.items())
    for name, node in (facts.nodes or {}).items():
        if node.usable and node.address and labels <= node.labels and (serving is None or name in serving):
            yield node.address

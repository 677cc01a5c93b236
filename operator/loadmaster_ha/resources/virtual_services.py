"""The virtual service of a published service (`spec.services[].virtualService`; guide, 5.4).

Words of the manifest are those of LoadMaster's user interface; `planning.units.services` turns them into
`domain.virtual_services`.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from loadmaster_ha.domain.virtual_services import CheckMethod
from loadmaster_ha.resources.azure import SecretReference
from loadmaster_ha.resources.model import Model, Rule, as_set, keyed_by, rules
from loadmaster_ha.resources.names import BackendPort, HostName, IPv4Address, KubernetesName, LabelValue

MAX_REAL_SERVERS = 250
"""Real servers of one service."""


class Switch(StrEnum):
    """On or off."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class VirtualServiceType(StrEnum):
    """What the unit understands of the traffic."""

    GENERIC = "Generic"
    HTTP = "HTTP"
    HTTP2 = "HTTP2"


class Scheduling(StrEnum):
    """How a connection finds its real server."""

    ROUND_ROBIN = "RoundRobin"
    WEIGHTED_ROUND_ROBIN = "WeightedRoundRobin"
    LEAST_CONNECTION = "LeastConnection"
    WEIGHTED_LEAST_CONNECTION = "WeightedLeastConnection"
    FIXED = "Fixed"
    SOURCE_HASH = "SourceHash"


class PersistenceMode(StrEnum):
    """By what a client is sent to the same real server again."""

    NONE = "None"
    SOURCE = "SourceAddress"
    COOKIE = "ServerCookie"
    ACTIVE_COOKIE = "ActiveCookie"


class Persistence(Model):
    """Sending a client to the same real server again."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "has(self.cookie) == (self.mode in ['ServerCookie', 'ActiveCookie'])",
                message="cookie is required with mode ServerCookie and ActiveCookie, and only there",
                field_path=".cookie",
            )
        )
    )

    mode: PersistenceMode = PersistenceMode.NONE
    """SourceAddress, ServerCookie (one that the real servers set), ActiveCookie (one that the unit sets), or
    None."""

    timeout_minutes: int = Field(default=6, ge=1, le=10080, strict=True)
    """Minutes for which a client is remembered."""

    cookie: Annotated[str, Field(pattern=r"^[-A-Za-z0-9_.]+$", min_length=1, max_length=127)] | None = None
    """Name of the cookie."""


class CheckProtocol(StrEnum):
    """How a real server is checked."""

    TCP = "TCP"
    HTTP = "HTTP"
    HTTPS = "HTTPS"
    ICMP = "ICMP"
    NONE = "None"


class RealServerCheck(Model):
    """How the unit finds out which real servers can serve."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.type in ['HTTP', 'HTTPS'] || (self.path == '/' && self.method == 'HEAD' && "
                "!has(self.host) && !has(self.statusCodes))",
                message="path, host, method and statusCodes are only for type HTTP and HTTPS",
                field_path=".type",
            ),
            Rule(
                "!has(self.port) || !(self.type in ['ICMP', 'None'])",
                message="port is only for type TCP, HTTP and HTTPS",
                field_path=".port",
                reason="FieldValueForbidden",
            ),
            Rule(
                "self.type == 'None' || self.timeoutSeconds <= self.intervalSeconds",
                message="timeoutSeconds cannot be longer than intervalSeconds: one check would begin before "
                "the last one is over",
                field_path=".timeoutSeconds",
            ),
        )
    )

    type: CheckProtocol = CheckProtocol.TCP
    """TCP, HTTP, HTTPS, ICMP (appliances only), or None."""

    port: BackendPort | None = None
    """Port that is checked. Default: the real server's own."""

    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=126)] = "/"
    """With HTTP and HTTPS: what is asked for."""

    host: HostName | None = None
    """With HTTP and HTTPS: the Host header; HTTP/1.1 is used then."""

    method: CheckMethod = CheckMethod.HEAD
    """With HTTP and HTTPS: the method."""

    status_codes: tuple[Annotated[int, Field(ge=300, le=599, strict=True)], ...] = Field(
        default=(), max_length=32, json_schema_extra=as_set()
    )
    """With HTTP and HTTPS: statuses that count as healthy beside 200 to 299."""

    interval_seconds: int = Field(default=9, ge=9, le=901, strict=True)
    """Seconds between two checks."""

    timeout_seconds: int = Field(default=4, ge=4, le=60, strict=True)
    """Seconds to wait for an answer."""

    retries: int = Field(default=2, ge=2, le=15, strict=True)
    """Checks in a row that must fail before the real server is down."""


class MinimumTLS(StrEnum):
    """The oldest version of TLS that clients may use."""

    TLS_1_0 = "TLSv1.0"
    TLS_1_1 = "TLSv1.1"
    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


class ServiceTLS(Model):
    """TLS towards the client ends on the unit."""

    certificate_secret_ref: SecretReference
    """Secret of type kubernetes.io/tls with certificate and key. When it changes (cert-manager renews it)
    both units get the new one without losing a connection."""

    reencrypt: Switch = Switch.DISABLED
    """Enabled: the unit speaks TLS to the real servers too."""

    minimum_version: MinimumTLS = MinimumTLS.TLS_1_2
    """The oldest version of TLS that clients may use."""


class RealServerState(StrEnum):
    """Whether a real server gets traffic."""

    ENABLED = "Enabled"
    DRAINING = "Draining"
    DISABLED = "Disabled"


class RealServer(Model):
    """One server behind the virtual service."""

    address: IPv4Address
    """Address of the server."""

    port: BackendPort
    """Port of the server."""

    weight: int = Field(default=1000, ge=1, le=65535, strict=True)
    """Share of the traffic, with the weighted schedules."""

    connection_limit: int = Field(default=0, ge=0, le=100000, strict=True)
    """Most connections at a time; 0: no limit."""

    state: RealServerState = RealServerState.ENABLED
    """Enabled; Draining lets connections finish and takes no new ones; Disabled."""


class KubernetesRealServers(StrEnum):
    """Which addresses of a Kubernetes Service become real servers."""

    ENDPOINTS = "Endpoints"
    NODES = "Nodes"


class ServiceReference(Model):
    """A Kubernetes Service in the same namespace."""

    name: KubernetesName
    """Name of the Service."""

    port: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=15)]
    """Name of the Service's port, or its number in quotes."""


class RealServersFrom(Model):
    """Real servers that are looked up in Kubernetes and follow it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.mode == 'Nodes' || !has(self.nodeLabels)",
                message="nodeLabels are only for mode Nodes",
                field_path=".nodeLabels",
                reason="FieldValueForbidden",
            )
        )
    )

    service: ServiceReference
    """The Service whose endpoints or node ports are the real servers."""

    mode: KubernetesRealServers = KubernetesRealServers.ENDPOINTS
    """Endpoints: the addresses of the pods that are ready (the units must reach the pod network). Nodes: the
    node port of the Service on all nodes that are ready."""

    node_labels: dict[str, LabelValue] = Field(default={}, max_length=16)
    """With mode Nodes: only nodes that have all these labels."""

    weight: int = Field(default=1000, ge=1, le=65535, strict=True)
    """Weight of each real server."""


class VirtualService(Model):
    """The virtual service on the units, at the units' own interface addresses."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!(has(self.realServers) && has(self.realServersFrom))",
                message="give either realServers or realServersFrom, not both",
                field_path=".realServersFrom",
                reason="FieldValueForbidden",
            ),
            Rule(
                "self.type != 'Generic' || self.forwardedFor == 'Disabled'",
                message="forwardedFor needs type HTTP or HTTP2: Generic does not read requests",
                field_path=".forwardedFor",
            ),
            Rule(
                "self.type != 'Generic' || !(self.persistence.mode in ['ServerCookie', 'ActiveCookie'])",
                message="persistence by cookie needs type HTTP or HTTP2: Generic does not read requests",
                field_path=".persistence.mode",
            ),
            Rule(
                "self.type != 'HTTP2' || has(self.tls)",
                message="type HTTP2 needs tls: clients agree on HTTP/2 while TLS is set up",
                field_path=".tls",
                reason="FieldValueRequired",
            ),
        )
    )

    type: VirtualServiceType = VirtualServiceType.GENERIC
    """HTTP and HTTP2 make the unit understand requests (cookies, X-Forwarded-For); Generic forwards bytes."""

    enabled: Switch = Switch.ENABLED
    """Disabled keeps the virtual service and takes no traffic."""

    scheduling: Scheduling = Scheduling.ROUND_ROBIN
    """How a connection finds its real server."""

    persistence: Persistence = Persistence()
    """Sending a client to the same real server again."""

    idle_timeout_seconds: int = Field(default=660, ge=1, le=86400, strict=True)
    """Seconds after which the unit ends an idle connection."""

    forwarded_for: Switch = Switch.DISABLED
    """Enabled adds X-Forwarded-For with the client's address."""

    health_check: RealServerCheck = RealServerCheck()
    """How the unit finds out which real servers can serve."""

    tls: ServiceTLS | None = None
    """TLS towards the client ends on the unit. Default: it is passed through."""

    real_servers: tuple[RealServer, ...] = Field(
        default=(), max_length=MAX_REAL_SERVERS, json_schema_extra=keyed_by("address", "port")
    )
    """Servers by address."""

    real_servers_from: RealServersFrom | None = None
    """Servers looked up in Kubernetes. Either this or realServers."""

    drain_seconds: int = Field(default=60, ge=0, le=86400, strict=True)
    """Seconds for which a real server that is to go gets no new connections before it is removed."""

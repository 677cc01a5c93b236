"""Virtual services and real servers, as a LoadMaster knows them: plain values, no wire form, no I/O.

The management API (`loadmaster`) turns its parameters into these, the node agent makes HAProxy's
configuration of them, and the operator will compare them. Names are those of the management API in our
spelling; the reference for each is Kemp's "RESTful API Interface Description", 3.6.1 and 3.10.
"""

from dataclasses import dataclass
from enum import StrEnum


class Protocol(StrEnum):
    """`prot`."""

    TCP = "tcp"
    UDP = "udp"


class ServiceType(StrEnum):
    """`VStype`."""

    GENERIC = "gen"
    HTTP = "http"
    HTTP2 = "http2"
    TERMINAL_SERVICES = "ts"
    TLS = "tls"
    LOG = "log"


class Schedule(StrEnum):
    """`Schedule`: how a connection finds its real server."""

    ROUND_ROBIN = "rr"
    WEIGHTED_ROUND_ROBIN = "wrr"
    LEAST_CONNECTION = "lc"
    WEIGHTED_LEAST_CONNECTION = "wlc"
    FIXED = "fixed"
    ADAPTIVE = "adaptive"
    SOURCE_HASH = "sh"
    DIRECT_LEAST = "dl"
    SDN_ADAPTIVE = "sdn-adaptive"
    URL_HASH = "uhash"


class CheckType(StrEnum):
    """`CheckType`: how a real server is checked."""

    ICMP = "icmp"
    TCP = "tcp"
    HTTP = "http"
    HTTPS = "https"
    NONE = "none"
    SMTP = "smtp"
    NNTP = "nntp"
    FTP = "ftp"
    TELNET = "telnet"
    POP3 = "pop3"
    IMAP = "imap"
    RDP = "rdp"
    BINARY = "bdata"
    LDAP = "ldap"


class CheckMethod(StrEnum):
    """`CheckUseGet`, 0 to 3 in this order."""

    HEAD = "HEAD"
    GET = "GET"
    POST = "POST"
    OPTIONS = "OPTIONS"


@dataclass(frozen=True, slots=True, order=True)
class ServiceKey:
    """What tells one virtual service from another on a unit."""

    address: str
    """The unit's own interface address (guide, 1.1), as this unit has it."""
    port: int
    protocol: Protocol = Protocol.TCP

    def __str__(self) -> str:
        return f"{self.address}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How the real servers of a service are checked. Times are in seconds; 0 is the unit's default."""

    type: CheckType = CheckType.TCP
    port: int = 0
    """0: the real server's own."""
    path: str = "/"
    host: str = ""
    """Sent as `Host` when `http_1_1`; empty: the real server's address."""
    http_1_1: bool = False
    method: CheckMethod = CheckMethod.HEAD
    codes: tuple[str, ...] = ()
    """Further statuses that count as healthy, each `404` or `4xx`-less three digits; empty: 200 to 299."""
    pattern: str = ""
    interval: int = 0
    timeout: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS of a service: termination towards the client and re-encryption towards the real servers."""

    certificates: tuple[str, ...] = ()
    """Names of certificates in the unit's store; the first is the default."""
    reencrypt: bool = False
    minimum_version: str = "TLSv1.2"
    """`TLSv1.0` to `TLSv1.3` (from the bit mask `TlsType`)."""


@dataclass(frozen=True, slots=True)
class RealServer:
    """One server behind a virtual service."""

    index: int
    """`RsIndex`: unique on the unit, equal on both units of a pair."""
    address: str
    port: int
    weight: int = 1000
    """1 to 65535."""
    limit: int = 0
    """Most connections at a time; 0: unlimited."""
    enabled: bool = True
    draining: bool = False
    """Disabled, but existing connections and persistent clients are let finish."""
    critical: bool = False
    """The service is down when this one is."""


@dataclass(frozen=True, slots=True)
class VirtualService:
    """One virtual service as this unit serves it."""

    index: int
    """`Index`: unique on the unit, equal on both units of a pair."""
    key: ServiceKey
    nickname: str = ""
    enabled: bool = True
    type: ServiceType = ServiceType.GENERIC
    schedule: Schedule = Schedule.ROUND_ROBIN
    persistence: str = "none"
    """`Persist`, as the API names it: none, src, cookie, active-cookie ..."""
    persistence_timeout: int = 0
    """Seconds, whole minutes; 0: off."""
    persistence_cookie: str = ""
    idle_timeout: int = 660
    """`Idletime`, in seconds."""
    check: HealthCheck = HealthCheck()
    tls: Tls | None = None
    """None: TLS is not terminated."""
    extra_ports: tuple[int, ...] = ()
    forwarded_for: bool = False
    """Add `X-Forwarded-For` (HTTP services)."""
    minimum_real_servers: int = 0
    standby: tuple[str, int] | None = None
    """`StandbyAddr` and `StandbyPort`: the sorry server."""
    error_code: int = 0
    error_url: str = ""
    transparent: bool = False
    default_gateway: str = ""
    real_servers: tuple[RealServer, ...] = ()

"""One virtual service in HAProxy's words: which algorithm, which weights, which check stands for what.

Gets services that `limits` has let pass. What a LoadMaster's setting becomes, and what cannot be the same, is
told in docs/dataplane.md. The words around the values are `service.cfg.j2`; `configuration` puts it all
together.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from loadmaster_ha.agent.dataplane.model import PREFIX, Node, Section, Server
from loadmaster_ha.agent.dataplane.words import Word, checked, literal_format, quoted
from loadmaster_ha.domain.virtual_services import (
    CheckMethod,
    CheckType,
    HealthCheck,
    RealServer,
    Schedule,
    ServiceType,
    VirtualService,
)

Render: TypeAlias = Callable[[Mapping[str, Any]], str]
"""Fills `service.cfg.j2` with the values of `context`."""

NOTHING: Final = Word("")

MARKER: Final = Word("@servers@")
"""Stands in the rendered text where the servers' lines belong."""

HEAVIEST: Final = 256
"""The greatest weight that HAProxy knows; a LoadMaster's is 65535."""
EQUAL: Final = 100
"""The weight of every server where the algorithm does not look at weights."""

DEFAULT_INTERVAL: Final = 9
DEFAULT_TIMEOUT: Final = 4
DEFAULT_RETRIES: Final = 2
"""A LoadMaster's: check every 9 s, 4 s for an answer, two failures in a row are one too many."""
DEFAULT_IDLE: Final = 660
DEFAULT_COOKIE: Final = "LMPERSIST"

_BALANCE: Final = {
    Schedule.ROUND_ROBIN: "roundrobin",
    Schedule.WEIGHTED_ROUND_ROBIN: "roundrobin",
    Schedule.LEAST_CONNECTION: "leastconn",
    Schedule.WEIGHTED_LEAST_CONNECTION: "leastconn",
    Schedule.FIXED: "first",
    Schedule.SOURCE_HASH: "source",
    Schedule.URL_HASH: "uri whole",
}
SCHEDULES: Final = frozenset(_BALANCE)
_WEIGHTED: Final = frozenset({Schedule.WEIGHTED_ROUND_ROBIN, Schedule.WEIGHTED_LEAST_CONNECTION})
_HASHED: Final = frozenset({Schedule.SOURCE_HASH, Schedule.URL_HASH})

_HTTP: Final = frozenset({ServiceType.HTTP, ServiceType.HTTP2})
_HTTP_CHECKS: Final = frozenset({CheckType.HTTP, CheckType.HTTPS})


@dataclass(frozen=True, slots=True)
class Check:
    """A health check, as the template prints it."""

    timeout: int
    http: bool
    method: str = ""
    path: str = "/"
    version: str = "1.0"
    host: Word = NOTHING
    codes: str = ""
    pattern: str = ""


def is_http(service: VirtualService) -> bool:
    """Whether HAProxy reads the requests of this service, or forwards bytes."""
    return service.type in _HTTP


def section_name(service: VirtualService, node: Node) -> str:
    """`vs_eth0_443_tcp`: the same on both units of a pair, as long as their interfaces are named alike."""
    interface = node.interface_of(service.key.address) or service.key.address
    return f"{PREFIX}{re.sub('[^A-Za-z0-9.-]', '-', interface)}_{service.key.port}_{service.key.protocol}"


def server_name(server: RealServer) -> str:
    """`rs_7`: by `RsIndex`, equal on both units, so that a cookie means the same server on either."""
    return f"rs_{server.index}"


def persistence_of(service: VirtualService) -> str:
    """What keeps clients at their server; nothing does for less than a minute (3.6.1.3, `PersistTimeout`)."""
    return service.persistence if service.persistence_timeout >= 60 else "none"


def scaled_weights(servers: Sequence[RealServer]) -> dict[int, int]:
    """Weights on HAProxy's scale, by `RsIndex`.

    The heaviest server of the service gets 256, the others their share of that, rounded to the nearest whole
    number and never to 0 (a server of weight 0 would get nothing).
    """
    heaviest = max((server.weight for server in servers), default=1)
    return {server.index: max(1, round(server.weight * HEAVIEST / heaviest)) for server in servers}


def ordered_servers(service: VirtualService) -> tuple[RealServer, ...]:
    """In the order that the configuration has them: by index, under `fixed` the heaviest first."""
    by_index = sorted(service.real_servers, key=lambda server: server.index)
    if service.schedule is Schedule.FIXED:
        by_index.sort(key=lambda server: -server.weight)
    return tuple(by_index)


def servers_of(service: VirtualService) -> tuple[Server, ...]:
    """The real servers, as HAProxy is told of them."""
    weights = scaled_weights(service.real_servers) if service.schedule in _WEIGHTED else {}
    return tuple(
        Server(
            name=server_name(server),
            address=str(ipaddress.ip_address(server.address)),
            port=server.port,
            weight=0 if server.draining else weights.get(server.index, EQUAL),
            limit=server.limit,
            maintenance=not server.enabled and not server.draining,
            options=_options(service, server),
        )
        for server in ordered_servers(service)
    )


def section_of(service: VirtualService, node: Node, render: Render) -> Section:
    """The section of a service that `limits` let pass."""
    name = section_name(service, node)
    head, tail = render(context(service, node)).split(f"{MARKER}\n")
    return Section(
        name=name,
        key=service.key,
        head=head,
        tail=tail,
        servers=servers_of(service),
        # `first` goes by the order of identifiers; a cookie cannot be given to a server that is added later.
        growable=service.schedule is not Schedule.FIXED
        and persistence_of(service) != "active-cookie"
        and not any(server.critical for server in service.real_servers),
        ordered=service.schedule is Schedule.FIXED,
        listens=tuple((service.key.address, port) for port in _ports(service)) if service.enabled else (),
        minimum=max(1, service.minimum_real_servers),
        critical=_critical(service),
    )


def context(service: VirtualService, node: Node) -> dict[str, Any]:
    """The values that `service.cfg.j2` prints."""
    http = is_http(service)
    critical = _critical(service)
    standby = "" if service.standby is None else _where(*service.standby)
    return {
        "name": section_name(service, node),
        "nickname": service.nickname,
        "mode": "http" if http else "tcp",
        "enabled": service.enabled,
        "bind_address": _where(service.key.address, None),
        "ports": _ports(service),
        "tls_of_clients": _tls_of_clients(service, node),
        "idle": service.idle_timeout or DEFAULT_IDLE,
        "forwarded_for": service.forwarded_for,
        "guarded": bool(
            standby or critical or service.minimum_real_servers > 1 or service.error_url or service.error_code
        ),
        "minimum": max(1, service.minimum_real_servers),
        "critical": critical,
        "standby": standby,
        "standby_options": Word(_tls_of_server(service)),
        "error_url": service.error_url,
        "error_code": service.error_code or 503,
        "balance": Word(_BALANCE[service.schedule]),
        "hashed": service.schedule in _HASHED,
        "persistence": persistence_of(service),
        "persistence_timeout": service.persistence_timeout - service.persistence_timeout % 60,
        "cookie": service.persistence_cookie or DEFAULT_COOKIE,
        "cookie_options": Word(" secure" if service.tls else ""),
        "ipv6": ":" in service.key.address,
        "check": _check(service.check),
        "servers": MARKER,
    }


def _ports(service: VirtualService) -> tuple[int, ...]:
    return tuple(dict.fromkeys((service.key.port, *service.extra_ports)))


def _critical(service: VirtualService) -> tuple[str, ...]:
    return tuple(server_name(server) for server in ordered_servers(service) if server.critical)


def certificate_list(service: VirtualService, node: Node) -> str:
    """Where the list of the service's certificates is, beside `haproxy.cfg`."""
    return f"certificates/{section_name(service, node)}.list"


def _tls_of_clients(service: VirtualService, node: Node) -> Word:
    if service.tls is None:
        return Word("")
    protocols = {ServiceType.HTTP2: " alpn h2,http/1.1", ServiceType.HTTP: " alpn http/1.1"}
    return Word(
        f" ssl crt-list {certificate_list(service, node)} ssl-min-ver {checked(service.tls.minimum_version)}"
        + protocols.get(service.type, "")
    )


def _tls_of_server(service: VirtualService) -> str:
    # As on a LoadMaster, a real server's certificate is not verified.
    return " ssl verify none" if service.tls is not None and service.tls.reencrypt else ""


def _options(service: VirtualService, server: RealServer) -> str:
    words = []
    if service.schedule is not Schedule.FIXED:  # `first` picks the lowest identifier: the order of the lines
        words.append(f"id {server.index}")
    words.append(_tls_of_server(service).strip())
    words.append(_check_options(service))
    if persistence_of(service) == "active-cookie":
        words.append(f"cookie {server_name(server)}")
    return " ".join(word for word in words if word)


def _check_options(service: VirtualService) -> str:
    check = service.check
    if check.type is CheckType.NONE:
        return ""
    words = [
        f"check inter {check.interval or DEFAULT_INTERVAL}s fall {check.retries or DEFAULT_RETRIES} rise 1",
    ]
    if check.port:
        words.append(f"port {check.port}")
    encrypted = bool(_tls_of_server(service))
    if check.type is CheckType.HTTPS:
        words.append("check-ssl" if encrypted else "check-ssl verify none")
        if check.host:
            words.append(f"check-sni {quoted(check.host)}")
    elif encrypted:
        words.append("no-check-ssl")
    return " ".join(words)


def _check(check: HealthCheck) -> Check | None:
    if check.type is CheckType.NONE:
        return None
    timeout = check.timeout or DEFAULT_TIMEOUT
    if check.type not in _HTTP_CHECKS:
        return Check(timeout=timeout, http=False)
    host = NOTHING
    if check.http_1_1:
        # Without a name of its own the request names the server's address, which the check's target tells.
        host = Word(f" hdr Host {literal_format(check.host) if check.host else '%[bc_dst]'}")
    return Check(
        timeout=timeout,
        http=True,
        method=check.method.value,
        path=check.path or "/",
        version="1.1" if check.http_1_1 else "1.0",
        host=host,
        codes=",".join(["200-299", *check.codes]),
        pattern=check.pattern if check.method in {CheckMethod.GET, CheckMethod.POST} else "",
    )


def _where(address: str, port: int | None) -> str:
    text = str(ipaddress.ip_address(address))
    text = f"[{text}]" if ":" in text else text
    return text if port is None else f"{text}:{port}"

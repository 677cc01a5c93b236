"""What this data plane cannot do, in words for the person who asked for it (docs/dataplane.md has the table).

Two reasons: Azure forbids it on an HA pair (the guide, 1.1 and 2: transparency, alternate default gateways,
addresses that float), or HAProxy does not know it. `refusal` looks at one service, `conflict` at
all of them, and `loops` at where they lead.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from loadmaster_ha.agent.dataplane.model import Node
from loadmaster_ha.agent.dataplane.sections import SCHEDULES, is_http, persistence_of
from loadmaster_ha.agent.host_addresses import is_of_a_host
from loadmaster_ha.domain.virtual_services import (
    CheckType,
    Protocol,
    RealServer,
    Schedule,
    ServiceKey,
    ServiceType,
    VirtualService,
)

_TYPES: Final = frozenset(
    {ServiceType.GENERIC, ServiceType.HTTP, ServiceType.HTTP2, ServiceType.TERMINAL_SERVICES}
)
_CHECKS: Final = frozenset({CheckType.TCP, CheckType.HTTP, CheckType.HTTPS, CheckType.NONE})
_PERSISTENCE: Final = frozenset({"none", "src", "cookie", "active-cookie"})
_COOKIES: Final = frozenset({"cookie", "active-cookie"})
_TLS_VERSIONS: Final = frozenset({"TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"})

_COOKIE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_HOST: Final = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_CODE: Final = re.compile(r"[1-5][0-9]{2}")
_LONGEST_TIME: Final = 86400
"""A day, in seconds: the most that `Idletime` takes."""
_LONGEST_PERSISTENCE: Final = 7 * 86400


def refusal(service: VirtualService, node: Node, certificates: Collection[str] = ()) -> str | None:
    """Why this unit cannot serve this service; None when it can.

    Args:
        service: what is asked for.
        node: the unit's addresses and ports.
        certificates: names of the certificates that it has; `""` among them is its own default one.
    """
    for rule in _RULES:
        if text := rule(service, node):
            return text
    return _certificates(service, certificates)


def conflict(services: Iterable[VirtualService]) -> Mapping[ServiceKey, str]:
    """Services that want what another one has, each with the reason; the one with the lower index has it."""
    owners: dict[tuple[str, int], VirtualService] = {}
    refused: dict[ServiceKey, str] = {}
    for service in sorted(services, key=lambda each: each.index):
        wanted = [(service.key.address, port) for port in (service.key.port, *service.extra_ports)]
        taken = next((each for each in wanted if each in owners and owners[each] is not service), None)
        if taken is not None:
            refused[service.key] = (
                f"port {taken[1]} of {taken[0]} already belongs to virtual service {owners[taken].key}: "
                "give this one another port, or that one no such extra port"
            )
            continue
        owners.update(dict.fromkeys(wanted, service))
    return refused


def _protocol(service: VirtualService, _: Node) -> str | None:
    if service.key.protocol is Protocol.UDP:
        return "UDP services are not possible on this unit: HAProxy forwards TCP only"
    return None


def _address(service: VirtualService, node: Node) -> str | None:
    if node.interface_of(service.key.address) is None:
        own = ", ".join(f"{address} ({name})" for name, address in node.interfaces.items()) or "none"
        return (
            f"a virtual service must be on the unit's own interface address in Azure; {service.key.address} "
            f"is not one of them: {own}"
        )
    return None


def _ports(service: VirtualService, node: Node) -> str | None:
    for port in (service.key.port, *service.extra_ports):
        if not 0 < port < 65536:
            return f"port {port} of a virtual service is not possible on this unit: give one of 1 to 65535"
        if port in node.reserved_ports:
            return f"port {port} is one that the unit itself listens on: give the virtual service another one"
    return None


def _azure(service: VirtualService, _: Node) -> str | None:
    if service.transparent:
        return "transparency is not possible in Azure HA: set Transparent to off"
    if service.default_gateway:
        return (
            f"an alternate default gateway ({service.default_gateway}) is not possible in Azure: "
            "leave DefaultGW empty"
        )
    return None


def _type(service: VirtualService, _: Node) -> str | None:
    if service.type not in _TYPES:
        return (
            f"service type {service.type} is not possible on this unit; possible are gen, http, http2 (with "
            "SSLAcceleration) and ts"
        )
    if service.type is ServiceType.HTTP2 and service.tls is None:
        return "service type http2 needs SSLAcceleration: browsers speak HTTP/2 over TLS only"
    return None


def _schedule(service: VirtualService, _: Node) -> str | None:
    if service.schedule not in SCHEDULES:
        possible = ", ".join(sorted(SCHEDULES))
        return f"scheduling method {service.schedule} is not possible on this unit; possible are {possible}"
    if service.schedule is Schedule.URL_HASH and not is_http(service):
        return "scheduling method uhash needs a service type that reads HTTP: http or http2"
    return None


def _persistence(service: VirtualService, _: Node) -> str | None:
    mode = service.persistence
    if mode not in _PERSISTENCE:
        possible = ", ".join(sorted(_PERSISTENCE))
        return f"persistence {mode!r} is not possible on this unit; possible are {possible}"
    if mode in _COOKIES and not is_http(service):
        return f"persistence {mode} needs a service type that reads HTTP: http or http2"
    if mode == "cookie" and not service.persistence_cookie and persistence_of(service) != "none":
        return "persistence cookie needs the name of the cookie that the real servers set"
    if service.persistence_cookie and not _COOKIE_NAME.fullmatch(service.persistence_cookie):
        return f"cookie name {service.persistence_cookie!r} is not possible: use letters, digits, . _ -"
    if not 0 <= service.persistence_timeout <= _LONGEST_PERSISTENCE:
        return (
            f"a persistence time of {service.persistence_timeout} s is not possible: at most 604800 (a week)"
        )
    return None


def _times(service: VirtualService, _: Node) -> str | None:
    check = service.check
    for name, value in (
        ("Idletime", service.idle_timeout),
        ("ChkInterval", check.interval),
        ("ChkTimeout", check.timeout),
    ):
        if not 0 <= value <= _LONGEST_TIME:
            return f"{name} {value} is not possible: give 0 to {_LONGEST_TIME} seconds"
    if not 0 <= check.retries <= 100:
        return f"ChkRetryCount {check.retries} is not possible: give 0 to 100"
    return None


def _check(service: VirtualService, _: Node) -> str | None:
    check = service.check
    if check.type is CheckType.ICMP:
        return (
            "health check icmp is not possible on this unit: HAProxy checks connections, not hosts, and a "
            "host that answers a ping may serve nothing; use tcp, http, https or none"
        )
    if check.type not in _CHECKS:
        return f"health check {check.type} is not possible on this unit; possible are tcp, http, https, none"
    if not 0 <= check.port < 65536:
        return f"CheckPort {check.port} is not possible: give a port, or 0 for the real server's own"
    return _check_request(service)


def _check_request(service: VirtualService) -> str | None:
    check = service.check
    if check.path and (not check.path.startswith("/") or not check.path.isprintable() or " " in check.path):
        return f"CheckUrl {check.path!r} is not possible: it begins with / and has no spaces or line breaks"
    if check.host and not _HOST.fullmatch(check.host):
        return f"CheckHost {check.host!r} is not possible: give a host name or an address"
    if wrong := next((code for code in check.codes if not _CODE.fullmatch(code)), None):
        return f"CheckCodes {wrong!r} is not possible: give statuses of three digits, such as 404"
    if not check.pattern.isprintable():
        return "CheckPattern is not possible: it has a line break or another control character"
    return None


def _tls(service: VirtualService, _: Node) -> str | None:
    if service.tls is not None and service.tls.minimum_version not in _TLS_VERSIONS:
        return f"TLS version {service.tls.minimum_version!r} is not possible here; use TLSv1.2 or TLSv1.3"
    return None


def _texts(service: VirtualService, _: Node) -> str | None:
    if not service.nickname.isprintable():
        return "NickName is not possible: it has a line break or another control character"
    if not service.error_url.isprintable() or " " in service.error_url:
        return f"ErrorUrl {service.error_url!r} is not possible: it has spaces or line breaks"
    if service.error_code and not 200 <= service.error_code < 600:
        return f"ErrorCode {service.error_code} is not possible: give an HTTP status of 200 to 599"
    if service.minimum_real_servers < 0:
        return f"RsMinimum {service.minimum_real_servers} is not possible: give 0 or more"
    return None


def _standby(service: VirtualService, _: Node) -> str | None:
    if service.standby is None:
        return None
    address, port = service.standby
    if not _is_possible(address) or not 0 < port < 65536:
        return f"the sorry server {address} port {port} is not possible: give an IP address and a port"
    return None


def _real_servers(service: VirtualService, _: Node) -> str | None:
    seen: set[int] = set()
    for server in service.real_servers:
        if text := _real_server(server):
            return text
        if server.index in seen:
            return f"two real servers have the index {server.index}: delete one of them and add it again"
        seen.add(server.index)
    return None


def _real_server(server: RealServer) -> str | None:
    if server.index < 1:
        return f"real server {server.address}:{server.port} has no index: delete it and add it again"
    if not _is_possible(server.address):
        return f"real server {server.address!r} is not possible on this unit: give its IP address"
    if not 0 < server.port < 65536:
        return f"port {server.port} of real server {server.address} is not possible: give one of 1 to 65535"
    if not 1 <= server.weight <= 65535:
        return f"weight {server.weight} of real server {server.address} is not possible: give 1 to 65535"
    if not 0 <= server.limit <= 100_000:
        return f"limit {server.limit} of real server {server.address} is not possible: give 0 to 100000"
    return None


def _certificates(service: VirtualService, certificates: Collection[str]) -> str | None:
    if service.tls is None:
        return None
    if not service.tls.certificates and "" not in certificates:
        return "SSLAcceleration needs a certificate: add one and name it in CertFile"
    missing = [name for name in service.tls.certificates if name not in certificates]
    if missing:
        return f"there is no certificate {', '.join(missing)} on this unit: add it before a service uses it"
    return None


def _is_possible(address: str) -> bool:
    """To HAProxy 0.0.0.0 would be where the client connected to, which is this unit; it knows no scopes."""
    return is_of_a_host(address) and "%" not in address


_RULES: Final[tuple[Callable[[VirtualService, Node], str | None], ...]] = (
    _protocol,
    _address,
    _ports,
    _azure,
    _type,
    _schedule,
    _persistence,
    _times,
    _check,
    _tls,
    _texts,
    _standby,
    _real_servers,
)

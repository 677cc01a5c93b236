"""From `spec.services[].virtualService` to the virtual service that a unit is to have, and what differs.

What the manifest has no word for (a sorry server, further ports, error pages ...) is left on the unit as
somebody set it. Two things are put right though nobody can ask for them, because Azure HA forbids them:
transparency and an alternate default gateway (guide, 1.1).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.virtual_services import (
    CheckType,
    HealthCheck,
    Protocol,
    RealServer,
    Schedule,
    ServiceKey,
    ServiceType,
    Tls,
    VirtualService,
)
from loadmaster_ha.resources.services import Protocol as ManifestProtocol
from loadmaster_ha.resources.services import Service
from loadmaster_ha.resources.virtual_services import (
    CheckProtocol,
    Persistence,
    PersistenceMode,
    RealServerCheck,
    RealServerState,
    Scheduling,
    Switch,
    VirtualServiceType,
)
from loadmaster_ha.resources.virtual_services import RealServer as ManifestRealServer
from loadmaster_ha.resources.virtual_services import VirtualService as ManifestVirtualService

_TYPES: Final = {
    VirtualServiceType.GENERIC: ServiceType.GENERIC,
    VirtualServiceType.HTTP: ServiceType.HTTP,
    VirtualServiceType.HTTP2: ServiceType.HTTP2,
}
_SCHEDULES: Final = {
    Scheduling.ROUND_ROBIN: Schedule.ROUND_ROBIN,
    Scheduling.WEIGHTED_ROUND_ROBIN: Schedule.WEIGHTED_ROUND_ROBIN,
    Scheduling.LEAST_CONNECTION: Schedule.LEAST_CONNECTION,
    Scheduling.WEIGHTED_LEAST_CONNECTION: Schedule.WEIGHTED_LEAST_CONNECTION,
    Scheduling.FIXED: Schedule.FIXED,
    Scheduling.SOURCE_HASH: Schedule.SOURCE_HASH,
}
_PERSISTENCE: Final = {
    PersistenceMode.NONE: "none",
    PersistenceMode.SOURCE: "src",
    PersistenceMode.COOKIE: "cookie",
    PersistenceMode.ACTIVE_COOKIE: "active-cookie",
}
_CHECKS: Final = {
    CheckProtocol.TCP: CheckType.TCP,
    CheckProtocol.HTTP: CheckType.HTTP,
    CheckProtocol.HTTPS: CheckType.HTTPS,
    CheckProtocol.ICMP: CheckType.ICMP,
    CheckProtocol.NONE: CheckType.NONE,
}
_PROTOCOLS: Final = {ManifestProtocol.TCP: Protocol.TCP, ManifestProtocol.UDP: Protocol.UDP}

_REQUESTING: Final = frozenset({CheckType.HTTP, CheckType.HTTPS})
_COOKIES: Final = frozenset({"cookie", "active-cookie"})
_CHECK_DEFAULTS: Final = {"interval": 9, "timeout": 4, "retries": 2}
"""What a unit takes where its own value is 0 ("RESTful API Interface Description", 3.6.1.2)."""

_FIELDS: Final = (
    "nickname",
    "enabled",
    "type",
    "schedule",
    "persistence",
    "persistence_timeout",
    "persistence_cookie",
    "idle_timeout",
    "forwarded_for",
    "transparent",
    "default_gateway",
)
"""Plain fields that are ours to set, in the order in which differences are told."""
_CHECK_FIELDS: Final = ("type", "port", "path", "host", "http_1_1", "method", "codes", *_CHECK_DEFAULTS)
_TLS_FIELDS: Final = ("certificates", "reencrypt", "minimum_version")


def protocol_of(service: Service) -> Protocol:
    """The transport protocol in the units' word."""
    return _PROTOCOLS[service.protocol]


def port_of(service: Service) -> int:
    """The port on the units."""
    return service.backend_port or service.port


def wanted_service(
    service: Service,
    wanted: ManifestVirtualService,
    *,
    address: str,
    nickname: str,
    certificate: str | None,
) -> VirtualService:
    """The virtual service that a unit is to have, without its real servers; `index` is 0.

    Args:
        service: the entry of the manifest.
        wanted: its `virtualService`.
        address: the unit's own on the service's interface.
        nickname: what marks it as ours.
        certificate: its name in the unit's store; None where TLS is not terminated.
    """
    mode = wanted.persistence.mode
    return VirtualService(
        index=0,
        key=ServiceKey(address, port_of(service), protocol_of(service)),
        nickname=nickname,
        enabled=wanted.enabled is Switch.ENABLED,
        type=_TYPES[wanted.type],
        schedule=_SCHEDULES[wanted.scheduling],
        persistence=_PERSISTENCE[mode],
        persistence_timeout=_persistence_timeout(wanted.persistence),
        persistence_cookie=wanted.persistence.cookie or "",
        idle_timeout=wanted.idle_timeout_seconds,
        check=_check(wanted.health_check),
        tls=_tls(wanted, certificate),
        forwarded_for=wanted.forwarded_for is Switch.ENABLED,
    )


def wanted_real_server(server: ManifestRealServer) -> RealServer:
    """A real server of the manifest; `index` is 0."""
    return RealServer(
        index=0,
        address=server.address,
        port=server.port,
        weight=server.weight,
        limit=server.connection_limit,
        enabled=server.state is RealServerState.ENABLED,
        draining=server.state is RealServerState.DRAINING,
    )


def goal(have: VirtualService, want: VirtualService) -> VirtualService:
    """What an existing service shall become: ours as wanted, everything else as it is.

    Where two values mean the same to the unit, its own is kept, so that nothing is written for nothing.
    """
    mine = {name: getattr(want, name) for name in _FIELDS}
    if want.persistence == "none":
        mine["persistence_timeout"] = have.persistence_timeout
    if want.persistence not in _COOKIES:
        mine["persistence_cookie"] = have.persistence_cookie
    return replace(have, **mine, check=_check_goal(have.check, want.check), tls=_tls_goal(have.tls, want.tls))


def service_differences(have: VirtualService, want: VirtualService) -> tuple[Difference, ...]:
    """Field by field, e.g. `lm_web_https@6f1a2b3c.check.path: /, should be /healthz`."""
    return tuple(_differences(want.nickname, have, want))


def _differences(path: str, have: VirtualService, want: VirtualService) -> Iterator[Difference]:
    yield from _fields(path, _FIELDS, have, want)
    yield from _fields(f"{path}.check", _CHECK_FIELDS, have.check, want.check)
    if have.tls is None or want.tls is None:
        if have.tls is not want.tls:
            yield Difference(f"{path}.tls", _terminates(have.tls), _terminates(want.tls))
        return
    yield from _fields(f"{path}.tls", _TLS_FIELDS, have.tls, want.tls)


def _fields(path: str, names: tuple[str, ...], have: object, want: object) -> Iterator[Difference]:
    for name in names:
        old, new = getattr(have, name), getattr(want, name)
        if old != new:
            yield Difference(f"{path}.{name}", _readable(old), _readable(new))


def _readable(value: Any) -> Any:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return '""' if value == "" else value


def _terminates(tls: Tls | None) -> str:
    return "passed through" if tls is None else f"terminated with {', '.join(tls.certificates) or 'nothing'}"


def _persistence_timeout(wanted: Persistence) -> int:
    return 0 if wanted.mode is PersistenceMode.NONE else wanted.timeout_minutes * 60


def _check(wanted: RealServerCheck) -> HealthCheck:
    return HealthCheck(
        type=_CHECKS[wanted.type],
        port=wanted.port or 0,
        path=wanted.path,
        host=wanted.host or "",
        http_1_1=wanted.host is not None,
        method=wanted.method,
        codes=tuple(sorted(str(code) for code in wanted.status_codes)),
        interval=wanted.interval_seconds,
        timeout=wanted.timeout_seconds,
        retries=wanted.retries,
    )


def _tls(wanted: ManifestVirtualService, certificate: str | None) -> Tls | None:
    if wanted.tls is None or certificate is None:
        return None
    return Tls(
        certificates=(certificate,),
        reencrypt=wanted.tls.reencrypt is Switch.ENABLED,
        minimum_version=wanted.tls.minimum_version.value,
    )


def _check_goal(have: HealthCheck, want: HealthCheck) -> HealthCheck:
    kept: dict[str, Any] = {
        name: 0
        for name, default in _CHECK_DEFAULTS.items()
        if getattr(have, name) == 0 and getattr(want, name) == default
    }
    if want.type is CheckType.NONE:
        kept |= {name: getattr(have, name) for name in _CHECK_DEFAULTS}
    if want.type not in _REQUESTING:
        kept |= {name: getattr(have, name) for name in ("path", "host", "http_1_1", "method", "codes")}
    elif sorted(have.codes) == sorted(want.codes):
        kept["codes"] = have.codes
    return replace(want, **kept, pattern=have.pattern)


def _tls_goal(have: Tls | None, want: Tls | None) -> Tls | None:
    """Certificates that somebody put beside ours stay (for further names); ours comes first."""
    if have is None or want is None:
        return want
    others = tuple(name for name in have.certificates if name not in want.certificates)
    return replace(want, certificates=(*want.certificates, *others))

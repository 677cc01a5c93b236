"""From virtual services and real servers to the parameters of `addvs`, `modvs`, `addrs` and `modrs`.

Every setting is one parameter, so that two values that do not differ have no parameter to send, and a value
that was read back can be compared parameter by parameter. The way here is `virtual_service_fields`.
Canonical values; names as in "RESTful API Interface Description", 3.6.1 and 3.10.
"""

from collections.abc import Mapping
from typing import Final

from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.virtual_services import RealServer, ServiceKey, VirtualService
from loadmaster_ha.loadmaster.values import Json
from loadmaster_ha.loadmaster.virtual_service_fields import METHODS, READING_REQUESTS, TLS_VERSIONS
from loadmaster_ha.loadmaster.virtual_service_rows import EVERY_PORT

UNREADABLE: Final = frozenset({"drain"})
"""What not every unit tells: an appliance has no such parameter (and ignores it), it tells `enable` alone."""

_MINUTE: Final = 60
_ADD_FORWARDED_FOR: Final = 5
_ADD_NOTHING: Final = 2
"""`AddVia`: X-Forwarded-For without Via, and no header (3.6.1.5)."""
_ALWAYS_FOR_NEW: Final = frozenset(
    {"NickName", "Enable", "VStype", "Schedule", "Idletime", "CheckType", "Transparent"}
)
"""Sent with a new service even if it is the default: the unit's own default depends on port, protocol or
firmware (`Transparent`: the manual contradicts itself)."""


def which_service(key: ServiceKey) -> dict[str, Json]:
    """The parameters that address a service: its address, port and protocol.

    Not its index, though the API takes that too: an index can be another service's since it was read.
    """
    return {"vs": key.address, "port": _port(key.port), "prot": key.protocol.value}


def which_server(server: RealServer) -> dict[str, Json]:
    """The parameters that address a real server of a service: address and port, or its index (`!3`).

    The index is for a server that was given by name, since its address is the unit's to look up.
    """
    if _is_name(server.address) and server.index:
        return {"rs": f"!{server.index}"}
    return {"rs": server.address, "rsport": server.port}


def for_new_service(want: VirtualService) -> dict[str, Json]:
    """The parameters of `addvs`, without those of `which_service`."""
    plain = _service(VirtualService(index=0, key=want.key))
    wanted = _service(want)
    return {
        name: value
        for name, value in wanted.items()
        if name in _ALWAYS_FOR_NEW or name not in plain or plain[name] != value
    }


def for_changed_service(have: VirtualService, want: VirtualService) -> dict[str, Json]:
    """The parameters of `modvs` in which the two differ, a new place among them, without real servers."""
    return _place(have.key, want.key) | _differing(_service(have), _service(want))


def for_new_server(want: RealServer) -> dict[str, Json]:
    """The parameters of `addrs`, without those of `which_server`."""
    plain = _server(RealServer(index=0, address=want.address, port=want.port))
    return _differing(plain, _server(want))


def for_changed_server(have: RealServer, want: RealServer) -> dict[str, Json]:
    """The parameters of `modrs` in which the two differ.

    Raises:
        ValueError: they have different addresses; then they are two servers.
    """
    if have.address != want.address:
        raise ValueError(f"{have.address} and {want.address} are two servers: add one, delete the other.")
    moved: dict[str, Json] = {} if have.port == want.port else {"newport": want.port}
    return moved | _differing(_server(have), _server(want))


def not_kept(got: VirtualService, want: VirtualService, sent: Mapping[str, Json]) -> tuple[Difference, ...]:
    """Of the parameters that were sent: those that read back otherwise."""
    found = _service(got) | _place_of(got.key)
    return _otherwise(sent, _service(want) | _place_of(want.key), found)


def server_not_kept(got: RealServer, want: RealServer, sent: Mapping[str, Json]) -> tuple[Difference, ...]:
    """As `not_kept`, of a real server."""
    return _otherwise(sent, _server(want) | {"newport": want.port}, _server(got) | {"newport": got.port})


def _otherwise(
    sent: Mapping[str, Json], wanted: Mapping[str, Json], found: Mapping[str, Json]
) -> tuple[Difference, ...]:
    readable = [name for name in sent if name in wanted and name not in UNREADABLE]
    return tuple(
        Difference(name, found.get(name), wanted[name])
        for name in readable
        if found.get(name) != wanted[name]
    )


def _differing(have: Mapping[str, Json], want: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in want.items() if name not in have or have[name] != value}


def _place(have: ServiceKey, want: ServiceKey) -> dict[str, Json]:
    return _differing(_place_of(have), _place_of(want))


def _place_of(key: ServiceKey) -> dict[str, Json]:
    return {"VSAddress": key.address, "VSPort": _port(key.port), "Protocol": key.protocol.value}


def _port(port: int) -> str:
    return str(port) if port else EVERY_PORT


def _service(service: VirtualService) -> dict[str, Json]:
    """Every setting of a service by its parameter."""
    check, tls = service.check, service.tls
    standby = service.standby or ("", 0)
    settings: dict[str, Json] = {
        "NickName": service.nickname,
        "Enable": service.enabled,
        "VStype": service.type.value,
        "Schedule": service.schedule.value,
        "Persist": service.persistence,
        # Whole minutes are kept, and less than one is none (3.6.1.3).
        "PersistTimeout": service.persistence_timeout - service.persistence_timeout % _MINUTE,
        "Cookie": service.persistence_cookie,
        "Idletime": service.idle_timeout,
        "CheckType": check.type.value,
        "CheckPort": check.port,
        "CheckUrl": check.path,
        "CheckUse1.1": check.http_1_1,
        "CheckHost": check.host,
        "CheckUseGet": METHODS.index(check.method),
        "CheckCodes": list[Json](sorted(check.codes)),
        "CheckPattern": check.pattern,
        "ChkInterval": check.interval,
        "ChkTimeout": check.timeout,
        "ChkRetryCount": check.retries,
        "EnhancedHealthChecks": service.minimum_real_servers > 0,
        "RsMinimum": service.minimum_real_servers,
        "SSLAcceleration": tls is not None,
        "SSLReencrypt": tls is not None and tls.reencrypt,
        "CertFile": list[Json](tls.certificates if tls else ()),
        "ExtraPorts": ",".join(map(str, sorted(service.extra_ports))),
        "StandbyAddr": standby[0],
        "StandbyPort": standby[1],
        "ErrorCode": service.error_code,
        "ErrorUrl": service.error_url,
        "Transparent": service.transparent,
        "DefaultGW": service.default_gateway,
    }
    if tls is not None:
        settings["TlsType"] = (1 << TLS_VERSIONS.index(tls.minimum_version)) - 1
    if service.type in READING_REQUESTS:
        settings["AddVia"] = _ADD_FORWARDED_FOR if service.forwarded_for else _ADD_NOTHING
    return settings


def _server(server: RealServer) -> dict[str, Json]:
    """Every setting of a real server by its parameter."""
    return {
        "weight": server.weight,
        "limit": server.limit,
        "enable": server.enabled and not server.draining,
        "drain": server.draining,
        "critical": server.critical,
    }


def _is_name(address: str) -> bool:
    return any(each.isalpha() for each in address.rpartition(".")[2]) and ":" not in address

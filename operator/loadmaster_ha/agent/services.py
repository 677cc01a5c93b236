"""From the settings to the virtual services that this unit serves.

The store holds services by the *name* of the interface (`eth0:443/tcp`), with the management API's own
parameter names as fields, so that the same setting means each unit's own address. Here they become `domain`
values for this unit's addresses: the data plane renders those, and the management API's lists read from
them. The other way, from parameters to fields and their defaults, is `service_settings`.

Nothing here fails: a partner of a newer version may have written fields, or values, that this one does not
know. What it cannot read counts as not set; a service that makes no sense without it (no index, no such
interface here, another protocol) is left out and named in `unreadable`.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar
from typing import Protocol as TypingProtocol

from loadmaster_ha.agent.service_settings import (
    REAL_SERVER_DEFAULTS,
    SERVICE_DEFAULTS,
    ServerAddress,
    StoredKey,
    extra_ports,
    lowest_tls_version,
)
from loadmaster_ha.agent.settings.model import Fields, Json, Kind
from loadmaster_ha.domain.virtual_services import (
    CheckMethod,
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

_HTTP = frozenset({ServiceType.HTTP, ServiceType.HTTP2})
_FORWARDED_FOR = frozenset({0, 5})
"""`AddVia`: legacy operation, and X-Forwarded-For without Via (interface description, 3.6.1.5)."""
_METHODS = tuple(CheckMethod)
_TLS_PORT = 443
_MOST_BUILT = 4096

_Word = TypeVar("_Word", bound=StrEnum)
_TYPES: Final = {word.value: word for word in ServiceType}
_SCHEDULES: Final = {word.value: word for word in Schedule}
_CHECKS: Final = {word.value: word for word in CheckType}
_PROTOCOLS: Final = {word.value: word for word in Protocol}


class Snapshot(TypingProtocol):
    """What is read of the store's snapshot."""

    def entities(self, kind: Kind) -> Mapping[str, Fields]:
        """The entities of a kind by their keys."""
        ...


def virtual_services(snapshot: Snapshot, own_addresses: Mapping[str, str]) -> tuple[VirtualService, ...]:
    """The services of this unit, by index.

    Args:
        snapshot: the settings.
        own_addresses: interface name -> this unit's primary address on it.
    """
    servers = _servers_by_service(snapshot.entities(Kind.REAL_SERVER))
    found = (
        service(key, fields, servers.get(key, {}), own_addresses)
        for key, fields in snapshot.entities(Kind.VIRTUAL_SERVICE).items()
    )
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.index))


def unreadable(snapshot: Snapshot, own_addresses: Mapping[str, str]) -> tuple[str, ...]:
    """Keys of the stored services that this unit cannot serve because it does not understand them."""
    entities = snapshot.entities(Kind.VIRTUAL_SERVICE)
    return tuple(
        sorted(key for key, fields in entities.items() if _place(key, fields, own_addresses) is None)
    )


def _place(
    stored_key: str, fields: Fields, own_addresses: Mapping[str, str]
) -> tuple[ServiceKey, int] | None:
    """Where a service is, and its index; None when it makes no sense on this unit."""
    key = _own_key(stored_key, own_addresses)
    index = _Reader(fields, SERVICE_DEFAULTS).number("Index")
    return None if key is None or index <= 0 else (key, index)


@dataclass(slots=True)
class _Built:
    """A service and what it was built of, which never changes in place."""

    fields: Fields
    servers: Mapping[str, Fields]
    service: VirtualService | None

    def is_of(self, fields: Fields, servers: Mapping[str, Fields]) -> bool:
        if not (
            _alike(self.fields, fields)
            and self.servers.keys() == servers.keys()
            and all(_alike(self.servers[key], each) for key, each in servers.items())
        ):
            return False
        # What was planned is stored by now: only the latter is kept.
        self.fields, self.servers = fields, servers
        return True


def _alike(one: Fields, other: Fields) -> bool:
    return one is other or (
        one == other and all(type(value) is type(other[name]) for name, value in one.items())
    )


_built: OrderedDict[tuple[str, str | None], _Built] = OrderedDict()
"""The latest builds by key and own address: a change of one service among a thousand builds one."""


def service(
    stored_key: str, fields: Fields, servers: Mapping[str, Fields], own_addresses: Mapping[str, str]
) -> VirtualService | None:
    """One service; None when this unit cannot make sense of it.

    Args:
        stored_key: `eth0:443/tcp`.
        fields: the entity's fields.
        servers: its real servers' fields by `address:port`.
        own_addresses: interface name -> address.
    """
    which = stored_key, own_addresses.get(stored_key.rpartition(":")[0])
    known = _built.get(which)
    if known is None or not known.is_of(fields, servers):
        known = _built[which] = _Built(fields, servers, _build(stored_key, fields, servers, own_addresses))
        if len(_built) > _MOST_BUILT:
            _built.popitem(last=False)
    return known.service


def _build(
    stored_key: str, fields: Fields, servers: Mapping[str, Fields], own_addresses: Mapping[str, str]
) -> VirtualService | None:
    place = _place(stored_key, fields, own_addresses)
    if place is None:
        return None
    key, index = place
    read = _Reader(fields, SERVICE_DEFAULTS)
    tls = _tls(read)
    kind = read.word("VStype", _TYPES)
    if key.port == _TLS_PORT and tls is None and kind in _HTTP:
        # "HTTP/HTTPS" is what the API calls either. Without termination here the clients speak TLS with the
        # real servers, and nobody in between can read HTTP.
        kind = ServiceType.GENERIC
    return VirtualService(
        index=index,
        key=key,
        nickname=read.text("NickName"),
        enabled=read.flag("Enable"),
        type=kind,
        schedule=read.word("Schedule", _SCHEDULES),
        persistence=read.text("Persist") or "none",
        persistence_timeout=read.number("PersistTimeout"),
        persistence_cookie=read.text("Cookie"),
        idle_timeout=read.number("Idletime"),
        check=_health_check(read),
        tls=tls,
        extra_ports=extra_ports(read.text("ExtraPorts")),
        forwarded_for=kind in _HTTP and read.number("AddVia") in _FORWARDED_FOR,
        minimum_real_servers=read.number("RsMinimum") if read.flag("EnhancedHealthChecks") else 0,
        standby=_standby(read),
        error_code=read.number("ErrorCode"),
        error_url=read.text("ErrorUrl"),
        transparent=read.flag("Transparent"),
        default_gateway=read.text("DefaultGW"),
        real_servers=_real_servers(servers),
    )


class _Reader:
    """Fields with their defaults; what has the wrong type counts as not set.

    Types are compared exactly, as a boolean is an `int` too. There are dozens of reads for each service, and
    thousands of services: plain code.
    """

    __slots__ = ("_defaults", "_fields")

    def __init__(self, fields: Fields, defaults: Mapping[str, Json]) -> None:
        self._fields = fields
        self._defaults = defaults

    def number(self, name: str) -> int:
        value = self._fields.get(name)
        if type(value) is int:
            return value
        default = self._defaults[name]
        return default if isinstance(default, int) else 0

    def flag(self, name: str) -> bool:
        value = self._fields.get(name)
        return value if type(value) is bool else bool(self._defaults[name])

    def text(self, name: str) -> str:
        value = self._fields.get(name)
        return value if type(value) is str else str(self._defaults[name])

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._fields.get(name)
        return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()

    def word(self, name: str, words: Mapping[str, _Word]) -> _Word:
        value = self._fields.get(name)
        known = words.get(value) if type(value) is str else None
        return known or words[str(self._defaults[name])]


def _own_key(stored_key: str, own_addresses: Mapping[str, str]) -> ServiceKey | None:
    parsed = StoredKey.parse(stored_key)
    if parsed is None:
        return None
    address, protocol = own_addresses.get(parsed.interface), _PROTOCOLS.get(parsed.protocol)
    return None if address is None or protocol is None else ServiceKey(address, parsed.port, protocol)


def _servers_by_service(entities: Mapping[str, Fields]) -> Mapping[str, Mapping[str, Fields]]:
    grouped: dict[str, dict[str, Fields]] = {}
    for key, fields in entities.items():
        owner, _, address = key.partition("|")
        grouped.setdefault(owner, {})[address] = fields
    return grouped


def _real_servers(servers: Mapping[str, Fields]) -> tuple[RealServer, ...]:
    return tuple(sorted(_readable(servers.items()), key=lambda each: each.index))


def _readable(servers: Iterable[tuple[str, Fields]]) -> Iterable[RealServer]:
    for key, fields in servers:
        where = ServerAddress.parse(key)
        read = _Reader(fields, REAL_SERVER_DEFAULTS)
        index = read.number("RsIndex")
        if where is not None and index > 0:
            enabled = read.flag("Enable")
            yield RealServer(
                index=index,
                address=where.address,
                port=where.port,
                weight=read.number("Weight"),
                limit=read.number("Limit"),
                enabled=enabled,
                draining=not enabled and read.flag("Drain"),
                critical=read.flag("Critical"),
            )


def _health_check(read: _Reader) -> HealthCheck:
    method = read.number("CheckUseGet")
    return HealthCheck(
        type=read.word("CheckType", _CHECKS),
        port=read.number("CheckPort"),
        path=read.text("CheckUrl") or "/",
        host=read.text("CheckHost"),
        http_1_1=read.flag("CheckUse1.1"),
        method=_METHODS[method] if 0 <= method < len(_METHODS) else CheckMethod.HEAD,
        codes=read.texts("CheckCodes"),
        pattern=read.text("CheckPattern"),
        interval=read.number("ChkInterval"),
        timeout=read.number("ChkTimeout"),
        retries=read.number("ChkRetryCount"),
    )


def _tls(read: _Reader) -> Tls | None:
    if not read.flag("SSLAcceleration"):
        return None
    return Tls(
        certificates=read.texts("CertFile"),
        reencrypt=read.flag("SSLReencrypt"),
        minimum_version=lowest_tls_version(read.number("TlsType")),
    )


def _standby(read: _Reader) -> tuple[str, int] | None:
    address, port = read.text("StandbyAddr"), read.number("StandbyPort")
    return (address, port) if address and port else None

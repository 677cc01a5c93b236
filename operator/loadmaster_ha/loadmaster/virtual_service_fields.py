"""From the named fields of virtual services and real servers to `domain.virtual_services`.

Fields bear the names that the management API reads back, with canonical values (`loadmaster.values`). The
node agent stores services by these names and the operator reads them in answers, so both read them here; what
is the agent's alone (keys by interface, what HAProxy makes of a service) is `agent.services`, what is the
client's alone is `virtual_service_rows` (rows of answers) and `virtual_service_parameters` (the way back).

Nothing here fails: a field that is missing, or of another type than it should be, has its default. Defaults
are the appliance's ("RESTful API Interface Description", 3.6.1 and 3.10) unless said otherwise.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from loadmaster_ha.domain.virtual_services import (
    CheckMethod,
    CheckType,
    HealthCheck,
    RealServer,
    Schedule,
    ServiceKey,
    ServiceType,
    Tls,
    VirtualService,
)
from loadmaster_ha.loadmaster.values import Json

SERVICE_DEFAULTS: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "Index": 0,
        "NickName": "",
        "Enable": True,
        "VStype": "gen",
        "Schedule": "rr",
        "Persist": "none",
        "PersistTimeout": 0,
        "Cookie": "",
        "Idletime": 660,
        "ServerInit": 0,
        "CheckType": "tcp",
        "CheckPort": 0,
        "CheckUrl": "",
        "CheckHost": "",
        "CheckUse1.1": False,
        "CheckUseGet": 0,
        "CheckCodes": [],
        "CheckPattern": "",
        "ChkInterval": 0,
        "ChkTimeout": 0,
        "ChkRetryCount": 0,
        "SSLAcceleration": False,
        "SSLReencrypt": False,
        "CertFile": [],
        "TlsType": 0,
        "ExtraPorts": "",
        "AddVia": 0,
        "EnhancedHealthChecks": False,
        "RsMinimum": 0,
        "StandbyAddr": "",
        "StandbyPort": 0,
        "ErrorCode": 0,
        "ErrorUrl": "",
        "Transparent": False,
        "DefaultGW": "",
    }
)
"""`VStype` and `CheckType` are decided by the port when a service is added. `ServerInit`, the protocol in
which the server speaks first, is only kept: HAProxy connects without waiting for the client."""

REAL_SERVER_DEFAULTS: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "RsIndex": 0,
        "Enable": True,
        "Drain": False,
        "Weight": 1000,
        "Limit": 0,
        "Critical": False,
        "Forward": "nat",
        "DnsName": "",
    }
)
"""`Drain` is the node agent's: disabled, but persistent clients are let finish."""

READING_REQUESTS: Final = frozenset({ServiceType.HTTP, ServiceType.HTTP2})
"""The types whose requests the unit reads: only these have cookies and further headers."""
METHODS: Final = tuple(CheckMethod)
"""By the number that `CheckUseGet` has for them."""
TLS_VERSIONS: Final = ("SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")
"""Bit 0 to bit 4 of `TlsType`; a bit that is set switches its version off (3.6.1.4.1)."""
_FORWARDED_FOR: Final = frozenset({0, 5})
"""`AddVia`: legacy operation, and X-Forwarded-For without Via (3.6.1.5)."""
_MOST_PORTS: Final = 4096
_PORTS: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)

_Word = TypeVar("_Word", bound=StrEnum)
_TYPES: Final = {word.value: word for word in ServiceType}
_SCHEDULES: Final = {word.value: word for word in Schedule}
_CHECKS: Final = {word.value: word for word in CheckType}


class Fields:
    """Fields with their defaults; what has the wrong type counts as not set.

    Types are compared exactly, as a boolean is an `int` too. There are dozens of reads for each service, and
    thousands of services: plain code.
    """

    __slots__ = ("_defaults", "_fields")

    def __init__(self, fields: Mapping[str, Json], defaults: Mapping[str, Json]) -> None:
        self._fields = fields
        self._defaults = defaults

    def number(self, name: str) -> int:
        """A whole number."""
        value = self._fields.get(name)
        if type(value) is int:
            return value
        default = self._defaults[name]
        return default if isinstance(default, int) else 0

    def flag(self, name: str) -> bool:
        """Yes or no."""
        value = self._fields.get(name)
        return value if type(value) is bool else bool(self._defaults[name])

    def text(self, name: str) -> str:
        """A text."""
        value = self._fields.get(name)
        return value if type(value) is str else str(self._defaults[name])

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._fields.get(name)
        return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()

    def word(self, name: str, words: Mapping[str, _Word]) -> _Word:
        """One of some words."""
        value = self._fields.get(name)
        known = words.get(value) if type(value) is str else None
        return known or words[str(self._defaults[name])]


def virtual_service(
    fields: Mapping[str, Json],
    index: int,
    key: ServiceKey,
    real_servers: tuple[RealServer, ...],
    *,
    default_tls_type: int,
) -> VirtualService:
    """The service that has these fields.

    Args:
        fields: canonical values.
        index: `Index`.
        key: where it is.
        real_servers: what is behind it.
        default_tls_type: what a `TlsType` of 0 means: an agent stores it for "not chosen".
    """
    read = Fields(fields, SERVICE_DEFAULTS)
    kind = read.word("VStype", _TYPES)
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
        tls=_tls(read, default_tls_type),
        extra_ports=extra_ports(read.text("ExtraPorts")),
        forwarded_for=kind in READING_REQUESTS and read.number("AddVia") in _FORWARDED_FOR,
        minimum_real_servers=read.number("RsMinimum") if read.flag("EnhancedHealthChecks") else 0,
        standby=_standby(read),
        error_code=read.number("ErrorCode"),
        error_url=read.text("ErrorUrl"),
        transparent=read.flag("Transparent"),
        default_gateway=read.text("DefaultGW"),
        real_servers=real_servers,
    )


def real_server(fields: Mapping[str, Json], address: str, port: int) -> RealServer | None:
    """The real server that has these fields; None without an index."""
    read = Fields(fields, REAL_SERVER_DEFAULTS)
    index = read.number("RsIndex")
    if index <= 0:
        return None
    enabled = read.flag("Enable")
    return RealServer(
        index=index,
        address=address,
        port=port,
        weight=read.number("Weight"),
        limit=read.number("Limit"),
        enabled=enabled,
        draining=not enabled and read.flag("Drain"),
        critical=read.flag("Critical"),
    )


def extra_ports(text: str) -> tuple[int, ...]:
    """The ports of `ExtraPorts` (`8080,8443` or `8000-8003`) in ascending order, without what is no port."""
    found: set[int] = set()
    for word in text.replace(",", " ").split():
        ports = _PORTS.fullmatch(word)
        first, last = (int(ports[1]), int(ports[2] or ports[1])) if ports else (0, 0)
        if 0 < first <= last < 65536 and last - first < _MOST_PORTS:
            found.update(range(first, last + 1))
    return tuple(sorted(found))


def lowest_tls_version(tls_type: int) -> str:
    """The lowest version that the bit mask `TlsType` leaves on.

    SSLv3 does not exist any more: a mask that leaves it on begins with TLS 1.0.
    """
    mask = tls_type | 1
    return next((name for bit, name in enumerate(TLS_VERSIONS) if not mask >> bit & 1), TLS_VERSIONS[-1])


def _health_check(read: Fields) -> HealthCheck:
    method = read.number("CheckUseGet")
    return HealthCheck(
        type=read.word("CheckType", _CHECKS),
        port=read.number("CheckPort"),
        path=read.text("CheckUrl") or "/",
        host=read.text("CheckHost"),
        http_1_1=read.flag("CheckUse1.1"),
        method=METHODS[method] if 0 <= method < len(METHODS) else CheckMethod.HEAD,
        codes=read.texts("CheckCodes"),
        pattern=read.text("CheckPattern"),
        interval=read.number("ChkInterval"),
        timeout=read.number("ChkTimeout"),
        retries=read.number("ChkRetryCount"),
    )


def _tls(read: Fields, default_tls_type: int) -> Tls | None:
    if not read.flag("SSLAcceleration"):
        return None
    return Tls(
        certificates=read.texts("CertFile"),
        reencrypt=read.flag("SSLReencrypt"),
        minimum_version=lowest_tls_version(read.number("TlsType") or default_tls_type),
    )


def _standby(read: Fields) -> tuple[str, int] | None:
    address, port = read.text("StandbyAddr"), read.number("StandbyPort")
    return (address, port) if address and port else None

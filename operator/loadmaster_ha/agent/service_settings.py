"""How virtual services and real servers are stored: their keys, and what this unit does not take.

Fields bear the names that the management API reads back, with the wire's canonical values
(`loadmaster.values`). Only what was set is stored; what is missing has the default of
`loadmaster.virtual_service_fields`. `services` makes `domain` values of them, the handlers of the management
API write them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from loadmaster_ha.agent.settings.model import Json

_BY_PORT: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {80: ("http", "http"), 443: ("http", "https")}
)

LOWEST_PORT: Final = 3
HIGHEST_PORT: Final = 65530
"""Of a virtual service (interface description, 3.6.1.1)."""

DEFAULT_TLS_TYPE: Final = 0b00111
"""TLS 1.2 and 1.3: what a stored `TlsType` of 0, "not chosen", means. The appliance's own default lets TLS
1.1 in too, which today's OpenSSL does not offer."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """The key of a virtual service: `eth0:443/tcp`."""

    interface: str
    port: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.interface}:{self.port}/{self.protocol}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The key that this text stands for; None when it is none."""
        interface, colon, rest = text.rpartition(":")
        port, slash, protocol = rest.partition("/")
        if not (interface and colon and slash and protocol and _is_port(port)):
            return None
        return cls(interface, int(port), protocol)

    def server(self, where: "ServerAddress") -> str:
        """The key of a real server of this service: `eth0:443/tcp|10.0.0.5:80`."""
        return f"{self}|{where}"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Address and port of a real server, the second half of its key."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The address that `10.0.0.5:80` or `2001:db8::5:80` stands for; None when it is none."""
        address, _, port = text.rpartition(":")
        return cls(address, int(port)) if address and _is_port(port) else None


def by_port(port: int) -> Mapping[str, Json]:
    """`VStype` and `CheckType` of a new service that says nothing of them."""
    kind, check = _BY_PORT.get(port, ("gen", "tcp"))
    return {"VStype": kind, "CheckType": check}


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536


@dataclass(frozen=True, slots=True)
class Fixed:
    """A setting that has one value on this unit."""

    value: Json
    """What is read back, and the only one that may be written."""
    function: str = ""
    """What another value would ask for; empty: it is read only, and ignored when written."""


_WAF: Final = "the web application firewall"
_SIGN_ON: Final = "the Edge Security Pack"
_CLIENT_CERTIFICATES: Final = "client certificates"
_CLIENT_LIMITS: Final = "limits per client"
_LAYER_4: Final = "layer 4 forwarding"
_HEADERS: Final = "further headers of requests"
_CIPHERS: Final = "a choice of ciphers"

FIXED: Final[Mapping[str, Fixed]] = MappingProxyType(
    {
        "Layer": Fixed(7),
        "SSLReverse": Fixed(value=False, function="TLS towards the real servers alone"),
        "InterceptMode": Fixed(0, _WAF),
        "Intercept": Fixed(value=False, function=_WAF),
        "AlertThreshold": Fixed(0, _WAF),
        "SubnetOriginating": Fixed(value=True, function="another source address than the unit's own"),
        "StartTLSMode": Fixed(0, "STARTTLS"),
        "Cache": Fixed(value=False, function="caching"),
        "Compress": Fixed(value=False, function="compression"),
        "Verify": Fixed(0, "intrusion detection"),
        "UseforSnat": Fixed(value=False, function="address translation for real servers"),
        "ForceL4": Fixed(value=False, function=_LAYER_4),
        "ForceL7": Fixed(value=True, function=_LAYER_4),
        "MultiConnect": Fixed(value=False, function="connection multiplexing"),
        "ClientCert": Fixed(0, _CLIENT_CERTIFICATES),
        "SecurityHeaderOptions": Fixed(0, "security headers"),
        "SameSite": Fixed(0, _SIGN_ON),
        "VerifyBearer": Fixed(value=False, function=_SIGN_ON),
        "MatchLen": Fixed(0, "binary health checks"),
        "SSLRewrite": Fixed(0, "rewriting of redirects"),
        "FollowVSID": Fixed(0, "port following"),
        "HTTPReschedule": Fixed(value=False, function="a new real server for each request"),
        "NRules": Fixed(0),
        "NRequestRules": Fixed(0),
        "NResponseRules": Fixed(0),
        "NMatchBodyRules": Fixed(0),
        "NPreProcessRules": Fixed(0),
        "EspEnabled": Fixed(value=False, function=_SIGN_ON),
        "InputAuthMode": Fixed(0, _SIGN_ON),
        "OutputAuthMode": Fixed(0, _SIGN_ON),
        "MasterVS": Fixed(0),
        "MasterVSID": Fixed(0),
        "IsTransparent": Fixed(2),
        "QoS": Fixed(0, "marks of quality of service"),
        "NeedHostName": Fixed(value=False, function="refusal of clients without SNI"),
        "OCSPVerify": Fixed(value=False, function=_CLIENT_CERTIFICATES),
        "AllowHTTP2": Fixed(value=False, function="HTTP/2 by this switch (`VStype` http2 is the way)"),
        "PassCipher": Fixed(value=False, function="headers about TLS"),
        "PassSni": Fixed(value=False, function="SNI towards the real servers"),
        "Bandwidth": Fixed(0, _CLIENT_LIMITS),
        "ConnsPerSecLimit": Fixed(0, _CLIENT_LIMITS),
        "RequestsPerSecLimit": Fixed(0, _CLIENT_LIMITS),
        "MaxConnsLimit": Fixed(0, _CLIENT_LIMITS),
        "RefreshPersist": Fixed(value=False, function="persistence that open connections renew"),
        "AltAddress": Fixed(None, "an alternate address"),
        "QueryTag": Fixed(None, "persistence by query"),
        "CheckHeaders": Fixed(None, "further headers of health checks"),
        "CheckPostData": Fixed(None, "a body of health checks"),
        "ExtraHdrKey": Fixed(None, _HEADERS),
        "ExtraHdrValue": Fixed(None, _HEADERS),
        "CopyHdrFrom": Fixed(None, _HEADERS),
        "CopyHdrTo": Fixed(None, _HEADERS),
        "LocalBindAddrs": Fixed(None, "another source address than the unit's own"),
        "ReverseSNIHostname": Fixed(None, "SNI towards the real servers"),
        "Ciphers": Fixed(None, _CIPHERS),
        "CipherSet": Fixed("Default", _CIPHERS),
        "Tls13CipherSet": Fixed(None, _CIPHERS),
        "IntermediateCerts": Fixed(None, _CLIENT_CERTIFICATES),
        "LdapEndpoint": Fixed(None, "LDAP"),
        "Template": Fixed(None, "templates"),
        "CreateSubVS": Fixed(None, "SubVSs"),
    }
)
"""So a client that writes back what it has read is content, and one that asks for more is told so."""

"""What a unit can be told: kinds of settings, and which of them its partner gets too.

A setting is one *field* of one *entity* of a *kind*: field `Idletime` of virtual service `eth0:443/tcp`.
The guide, section 1, lists what is not synchronised; everything else is. Addresses that are the unit's own
are stored by the name of the interface (`addresses`), so that the same value means its own address on each
unit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Json: TypeAlias = str | int | float | bool | list["Json"] | dict[str, "Json"] | None


class Kind(StrEnum):
    """What an entity is. The comment after each tells its key."""

    PARAMETER = "parameter"  # name, lower case; field `value`. Synchronised.
    VIRTUAL_SERVICE = "virtual-service"  # `eth0:443/tcp` (own interface, port, protocol)
    REAL_SERVER = "real-server"  # `eth0:443/tcp|10.0.0.5:80`
    CERTIFICATE = "certificate"  # name; fields `pem` (certificates and key)
    INTERMEDIATE = "intermediate"  # name; field `pem`
    USER = "user"  # name; fields `hash`, `permissions`
    API_KEY = "api-key"  # digest of the key; fields `user`, `created`
    GEO_PARAMETER = "geo-parameter"  # name; field `value`
    GEO_CLUSTER = "geo-cluster"  # address (`@eth0` for an own one)
    GEO_FQDN = "geo-fqdn"  # name with the trailing dot
    GEO_MAP = "geo-map"  # `name.|address`
    HOST_ENTRY = "host-entry"  # address; field `name`
    # Local: never sent (guide, section 1)
    LOCAL_PARAMETER = "local-parameter"  # default gateways, host name, name servers, domain, admin gateway
    INTERFACE = "interface"  # eth0; link, MTU
    ADDITIONAL_ADDRESS = "additional-address"  # `eth0|10.0.0.9/24`
    VLAN = "vlan"
    VXLAN = "vxlan"
    ROUTE = "route"
    ADMIN_CERTIFICATE = "admin-certificate"
    HA = "ha"  # one entity `ha`; each unit has a mode and partner of its own
    AGENT = "agent"  # one entity `agent`; frontend, probe source, interval, threshold
    SECRET = "secret"  # noqa: S105 - a kind, no secret. `partner`: the Partner Shared Secret


LOCAL = frozenset(
    {
        Kind.LOCAL_PARAMETER,
        Kind.INTERFACE,
        Kind.ADDITIONAL_ADDRESS,
        Kind.VLAN,
        Kind.VXLAN,
        Kind.ROUTE,
        Kind.ADMIN_CERTIFICATE,
        Kind.HA,
        Kind.AGENT,
        Kind.SECRET,
    }
)

LOCAL_PARAMETERS = frozenset(
    {
        "hostname",
        "nameserver",
        "searchlist",
        "domain",
        "dfltgw",
        "dfltgwv6",
        "admingw",
        "wuiport",
        "apiport",
        "enableapi",
    }
)
"""Names of `set` that are stored as LOCAL_PARAMETER; all others are PARAMETER."""

Fields: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Put:
    """Create the entity, or change these fields of it; a field with None is taken away."""

    kind: Kind
    key: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the entity with all its fields."""

    kind: Kind
    key: str


Change: TypeAlias = Put | Delete


def is_local(kind: str) -> bool:
    """Whether settings of this kind stay on the unit. What a later release adds is synchronised."""
    return kind in LOCAL

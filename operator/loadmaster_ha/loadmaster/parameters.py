"""The parameters of `get`, `set` and `getall`: those that mean something on a node agent.

An appliance has some 180 ("RESTful API Interface Description", 3.12 to 3.22). A parameter that nothing acts
on is not here; one that has only one possible value here is *fixed*, and an attempt to change it is refused
with the reason. Reading back what is fixed is the truth about this unit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from loadmaster_ha.loadmaster.values import Json, Kind


@dataclass(frozen=True, slots=True)
class UnitParameter:
    """One parameter."""

    name: str
    documentation: str
    kind: Kind = Kind.TEXT
    local: bool = False
    """Not sent to the partner (guide, 1)."""
    default: Json = None
    read_only: str = ""
    """Why it cannot be set; empty: it can."""
    told_by_unit: bool = False
    """Its value is not stored: the unit knows it."""
    minimum: int | None = None
    maximum: int | None = None
    in_getall: bool = True


_AZURE: Final = "not permitted in a cloud environment"
_FACT: Final = "it is read-only"
_FILE: Final = "it is set in the agent's configuration file"
_KEPT: Final = "Kept and read back; the operating system's setting is not changed."

_TOLD: Final = (
    UnitParameter("version", "Version of the agent.", read_only=_FACT, told_by_unit=True),
    UnitParameter(
        "serialnumber",
        "Identity of this unit, made at its first start; a fresh one at the same address has another.",
        read_only=_FACT,
        told_by_unit=True,
    ),
    UnitParameter("time", "The clock.", read_only=_FACT, told_by_unit=True),
    UnitParameter("boottime", "When the unit started.", read_only=_FACT, told_by_unit=True),
    UnitParameter(
        "activetime",
        "Since when it is active; 0 while it is not.",
        read_only=_FACT,
        told_by_unit=True,
    ),
    UnitParameter(
        "hamode",
        "0: none, 3: cloud HA.",
        read_only="set the role with azurehamode or setcloudhamode",
        told_by_unit=True,
    ),
    UnitParameter(
        "hastatus",
        "`Active`, `Standby`, `Passive` (not probed yet), `Failed` or `HA not configured`.",
        read_only=_FACT,
        told_by_unit=True,
    ),
    UnitParameter("apiport", "Port of this API.", Kind.NUMBER, read_only=_FILE, told_by_unit=True),
    UnitParameter(
        "wuiport",
        "The same: there is no web interface.",
        Kind.NUMBER,
        read_only=_FILE,
        told_by_unit=True,
    ),
    UnitParameter(
        "localcert",
        "Of the other kind of HA.",
        read_only=_FACT,
        default="Only available in HA mode",
    ),
)
_FIXED: Final = (
    UnitParameter("multigw", "Alternate default gateways.", Kind.SWITCH, default=False, read_only=_AZURE),
    UnitParameter("transparent", "Transparency.", Kind.SWITCH, default=False, read_only=_AZURE),
    UnitParameter(
        "subnetoriginating",
        "Connections to real servers come from the unit's address.",
        Kind.SWITCH,
        default=True,
        read_only="HAProxy always connects from the unit's own address",
    ),
    UnitParameter(
        "nonlocalrs",
        "Real servers on other networks.",
        Kind.SWITCH,
        default=True,
        read_only="HAProxy reaches every server that the machine has a route to",
    ),
    UnitParameter(
        "sessioncontrol",
        "Session management, which API v2 needs on an appliance.",
        Kind.SWITCH,
        default=True,
        read_only="API v2 is always on",
    ),
    UnitParameter(
        "sessionbasicauth",
        "Basic authentication only.",
        Kind.SWITCH,
        default=False,
        read_only="API keys and credentials in the body are always taken too",
    ),
    UnitParameter(
        "MinPassword",
        "Shortest password.",
        Kind.NUMBER,
        default=8,
        read_only="it is part of the agent",
    ),
)
_STORED: Final = (
    UnitParameter(
        "enableapi",
        "This API. While it is off every request gets 404 but the one that sets it to `yes`.",
        Kind.SWITCH,
        local=True,
        default=True,
    ),
    UnitParameter("hostname", f"Name of the unit. {_KEPT}", local=True),
    UnitParameter("nameserver", f"DNS servers. {_KEPT}", Kind.ADDRESSES, local=True),
    UnitParameter("searchlist", f"DNS search list. {_KEPT}", Kind.WORDS, local=True),
    UnitParameter("domain", f"DNS domain. {_KEPT}", local=True),
    UnitParameter("dfltgw", f"Default gateway. {_KEPT}", Kind.ADDRESS, local=True),
    UnitParameter("dfltgwv6", f"Default gateway for IPv6. {_KEPT}", Kind.ADDRESS, local=True),
    UnitParameter("admingw", f"Gateway of the administrative interface. {_KEPT}", Kind.ADDRESS, local=True),
    UnitParameter("geoclients", "Remote GEO LoadMaster Access: who may ask this unit.", Kind.ADDRESSES),
    UnitParameter("geopartners", "GEO LoadMaster Partners.", Kind.ADDRESSES),
    UnitParameter(
        "geosshport",
        "Port between GEO partners.",
        Kind.NUMBER,
        default=22,
        minimum=1,
        maximum=65_535,
    ),
    UnitParameter(
        "geo_ssh_iface",
        "Interface between GEO partners.",
        Kind.NUMBER,
        default=0,
        minimum=0,
        maximum=99,
    ),
)

PARAMETERS: Final[Mapping[str, UnitParameter]] = MappingProxyType(
    {each.name: each for each in (*_STORED, *_FIXED, *_TOLD)},
)
"""By name, in the order of `getall`."""

_OLD_SPELLINGS: Final = MappingProxyType({"namserver": "nameserver", "subnetorigin": "subnetoriginating"})
_BY_LOWER_NAME: Final = MappingProxyType({name.lower(): each for name, each in PARAMETERS.items()})


def find(name: str) -> UnitParameter | None:
    """The parameter of this name or old spelling; case does not count."""
    lower = name.lower()
    return _BY_LOWER_NAME.get(_OLD_SPELLINGS.get(lower, lower))


def kind_of(name: str) -> Kind | None:
    """How the parameter is written; None when it is not known."""
    parameter = find(name)
    return None if parameter is None else parameter.kind

"""Commands of interfaces, additional addresses, routes and names of hosts.

Source: "RESTful API Interface Description", 3.13 to 3.15. The machine's network is the operating system's
here: interfaces are read, and what only an appliance can change is refused.
"""

from typing import Final

from loadmaster_ha.loadmaster.shapes import (
    Access,
    Command,
    Data,
    Field,
    Parameter,
    Permission,
    Record,
    Rows,
    Texts,
)
from loadmaster_ha.loadmaster.values import Kind

_ALL: Final = frozenset({Permission.ALL})
_INTERFACE: Final = Parameter("interface", Kind.NUMBER, "Number of the interface, 0 for eth0.", minimum=0)
_REQUIRED: Final = Parameter("interface", Kind.NUMBER, "Number of the interface.", required=True, minimum=0)

INTERFACE: Final = Record(
    (
        Field("Id", Kind.NUMBER),
        Field("Name"),
        Field("IPAddress"),
        Field("Mtu", Kind.DIGITS),
        Texts("AdditionalAddresses", "IPaddress"),
        Field("InterfaceType"),
        Field("GeoTrafficEnable", Kind.SWITCH),
        Field("DefaultInterface", Kind.SWITCH),
        Field("AdminWuiEnable", Kind.SWITCH),
    ),
    open=True,
)
_ADDITIONAL: Final = (
    _REQUIRED,
    Parameter("addr", documentation="Address with its prefix: 10.0.0.9/24.", required=True, longest=64),
)
_HOST: Final = Parameter("hostip", Kind.ADDRESS, "Address of the host.", required=True)
_ROUTE: Final = Parameter("dest", documentation="Network: 10.1.0.0/16.", required=True, longest=64)

COMMANDS: Final = (
    Command(
        "showiface",
        "The interfaces.",
        parameters=(_INTERFACE,),
        reply=Data(Record((Rows("Interface", INTERFACE),))),
    ),
    Command(
        "modiface",
        "Change an interface, one parameter a call.",
        Access.LOCAL,
        (
            _REQUIRED,
            Parameter("addr", documentation="Address with its prefix.", longest=64),
            Parameter("mtu", Kind.NUMBER, "Bytes.", minimum=512, maximum=65_536),
            Parameter("gwiface", Kind.BIT, "The default gateway is here."),
            Parameter("adminwuienable", Kind.BIT, "This API answers here."),
            Parameter("geotraffic", Kind.BIT, "DNS is answered here."),
            Parameter("hacheck", Kind.BIT, "Of the other kind of HA."),
            Parameter("clupdate", Kind.BIT, "Of clusters."),
            Parameter("bondmode", Kind.NUMBER, "Bonding; not possible in Azure (guide, 1.1)."),
            Parameter("partner", documentation="Of the other kind of HA.", longest=64),
            Parameter("shared", documentation="Of the other kind of HA.", longest=64),
        ),
        permissions=_ALL,
    ),
    *(
        Command(
            name,
            "Refused: bonding is not possible in Azure (guide, 1.1).",
            Access.LOCAL,
            (_REQUIRED, Parameter("bond", Kind.NUMBER, "Number of the bond.", minimum=0)),
            permissions=_ALL,
        )
        for name in ("createbond", "addbond", "delbond", "unbond")
    ),
    Command("addadditional", "Add an additional address.", Access.LOCAL, _ADDITIONAL, permissions=_ALL),
    Command("deladditional", "Take an additional address away.", Access.LOCAL, _ADDITIONAL, permissions=_ALL),
    Command(
        "gethosts",
        "Names of hosts.",
        reply=Data(Record((Rows("HostsEntry", Record((Field("HostIP"), Field("HostFQDN")))),))),
    ),
    Command(
        "addhostsentry",
        "Add a name of a host.",
        Access.SYNCHRONISED,
        (_HOST, Parameter("hostfqdn", documentation="Its name.", required=True, longest=253)),
        permissions=_ALL,
    ),
    Command("delhostsentry", "Delete a name of a host.", Access.SYNCHRONISED, (_HOST,), permissions=_ALL),
    Command(
        "showroute",
        "Additional routes.",
        reply=Data(Record((Rows("Route", Record((Field("Destination"), Field("Gateway")))),))),
    ),
    Command(
        "addroute",
        "Add a route.",
        Access.LOCAL,
        (_ROUTE, Parameter("gateway", Kind.ADDRESS, "Through here.", required=True)),
        permissions=_ALL,
    ),
    Command("delroute", "Delete a route.", Access.LOCAL, (_ROUTE,), permissions=_ALL),
)

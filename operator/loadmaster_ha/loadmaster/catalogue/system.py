"""Commands of the unit as a whole: parameters, what it is, firmware, starting again, backup, tools, licence.

Source: "RESTful API Interface Description", 2.2, 3.4, 3.5, 3.19 to 3.21, and the v2 collection.
"""

from typing import Final

from loadmaster_ha.loadmaster.shapes import (
    Access,
    Binary,
    Command,
    Data,
    Field,
    Parameter,
    Permission,
    Record,
    Texts,
)
from loadmaster_ha.loadmaster.values import Kind

_ALL: Final = frozenset({Permission.ALL})
_BACKUP: Final = frozenset({Permission.BACKUP})
_PARAM: Final = Parameter("param", Kind.TEXT, "Name of the parameter.", required=True)
_TARGET: Final = Parameter("addr", Kind.TEXT, "Address or name of the host.", required=True, longest=253)
_INTERFACE: Final = Parameter("intf", Kind.TEXT, "Interface to send from: its number or name.", longest=15)
_TOOL_SECONDS: Final = 60.0

_PARAMETERS: Final = (
    Command("get", "One parameter by name.", parameters=(_PARAM,), reply=Data(Record(open=True))),
    Command(
        "set",
        "Set one parameter; an empty value unsets it. A standby unit takes local parameters only.",
        Access.LOCAL,
        (
            _PARAM,
            Parameter(
                "value",
                Kind.ANY,
                "Its new value.",
                True,
                may_be_empty=True,
                longest=4096,
                aliases=("val",),
            ),
        ),
        permissions=_ALL,
    ),
    Command(
        "getall",
        "Every parameter that has a value; secrets as `********`.",
        reply=Data(Record(open=True)),
    ),
    Command(
        "listapi",
        "The commands that this unit has, and its version.",
        reply=Data(Record((Texts("commands", "cmd"), Field("version")))),
    ),
)

_FIRMWARE: Final = (
    Command(
        "getpreviousversion",
        "The version before the last update. Refused: the agent is updated by its package.",
        permissions=_ALL,
    ),
    Command(
        "installpatch",
        "Install a firmware patch. Refused: the agent is updated by its package.",
        Access.LOCAL,
        permissions=_ALL,
        upload=True,
        v1_only=True,
        seconds=120,
    ),
    Command(
        "restorepatch",
        "Go back to the firmware before. Refused, as `installpatch`.",
        Access.LOCAL,
        permissions=_ALL,
    ),
    Command(
        "reboot",
        "Restart the agent's processes and HAProxy in the fashion of a boot.",
        Access.LOCAL,
        permissions=_ALL,
    ),
    Command(
        "shutdown",
        "Switch the unit off. Refused: it could not be switched on again through this API.",
        Access.LOCAL,
        permissions=_ALL,
    ),
)

_BACKUPS: Final = (
    Command(
        "backup",
        "All settings as a file of our own, versioned format.",
        permissions=_BACKUP,
        reply=Binary(),
        seconds=60,
    ),
    Command(
        "restore",
        "Put settings back from a backup, after the whole file was checked.",
        Access.SYNCHRONISED,
        (
            Parameter(
                "type",
                Kind.NUMBER,
                "What to restore, a bit mask: 1 base configuration, 2 virtual services, 4 GEO.",
                required=True,
                minimum=1,
                maximum=15,
            ),
        ),
        permissions=_BACKUP,
        upload=True,
        seconds=60,
    ),
)

_TOOLS: Final = (
    Command("logging.ping", "Ping a host.", parameters=(_TARGET, _INTERFACE), seconds=_TOOL_SECONDS),
    Command("logging.ping6", "Ping a host by IPv6.", parameters=(_TARGET, _INTERFACE), seconds=_TOOL_SECONDS),
    Command("logging.traceroute", "The way to a host.", parameters=(_TARGET,), seconds=_TOOL_SECONDS),
    Command(
        "tcpdump",
        "Capture packets; the reply is a file in pcap format.",
        Access.LOCAL,
        (
            Parameter("maxpackets", Kind.NUMBER, "Stop after this many.", minimum=1, maximum=200_000),
            Parameter("maxtime", Kind.NUMBER, "Stop after this many seconds.", minimum=1, maximum=600),
            Parameter("interface", Kind.TEXT, "Number or name of the interface, or `all`.", longest=15),
            Parameter("port", Kind.NUMBER, "Only this port.", minimum=1, maximum=65_535),
            Parameter("address", Kind.ADDRESS, "Only this address."),
            Parameter("tcpoptions", Kind.TEXT, "Not taken: it would be passed to the program as it is."),
        ),
        permissions=_ALL,
        reply=Binary("application/vnd.tcpdump.pcap"),
        seconds=630,
    ),
)

_LICENCE_REASON: Final = "Refused: the node agent needs no licence."
_LICENCE: Final = tuple(
    Command(name, f"{what} {_LICENCE_REASON}", Access.LOCAL, permissions=_ALL)
    for name, what in (
        ("licenseinfo", "The licence."),
        ("accesskey", "The access code for licensing."),
        ("readeula", "The licence agreement."),
        ("accepteula", "Accept the licence agreement."),
        ("accepteula2", "Accept its second part."),
        ("alsilicensetypes", "The kinds of licence on offer."),
        ("alsilicense", "Get a licence from Kemp's server."),
        ("aslactivate", "Get a licence from a server of one's own."),
        ("aslgetlicensetypes", "The kinds of licence that such a server offers."),
        ("killaslinstance", "Give a licence back."),
        ("set_initial_passwd", "Set the first password while licensing."),
    )
)
_LICENCE_FILE: Final = Command(
    "license",
    f"Install a licence file. {_LICENCE_REASON}",
    Access.LOCAL,
    permissions=_ALL,
    upload=True,
)

COMMANDS: Final = (*_PARAMETERS, *_FIRMWARE, *_BACKUPS, *_TOOLS, *_LICENCE, _LICENCE_FILE)

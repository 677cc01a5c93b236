"""Commands that only the node agent has: what an appliance's API has no word for.

`listapi` names them, so a client can tell an agent from an appliance.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from loadmaster_ha.loadmaster.shapes import Access, Command, Data, Field, Parameter, Permission, Record, Texts
from loadmaster_ha.loadmaster.values import Kind

_ALL: Final = frozenset({Permission.ALL})
WATCH_SECONDS: Final = 25
"""How long `agentwatch` waits when it is not told."""

HA_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hamode": "HaMode",
        "haprefered": "HaPrefered",
        "hapartner": "Partner",
        "haport": "Port",
        "hacheckallinterfaces": "HealthCheckAllInterfaces",
    }
)
"""What of `getazurehaparams` stands in `agentstatus`, by its name there."""

SETTINGS: Final = Record(
    (
        Field("frontend", Kind.ADDRESS),
        Field("probesource", Kind.ADDRESS),
        Field("probeinterval", Kind.NUMBER),
        Field("probethreshold", Kind.NUMBER),
    ),
)
STATUS: Final = Record(
    (
        Field("revision", Kind.NUMBER),
        Field("settingsrevision", Kind.NUMBER),
        Field("mode"),
        Field("state"),
        Field("reason"),
        Field("detail"),
        Field("activeseconds", Kind.NUMBER),
        Field("draining", Kind.SWITCH),
        Field("held", Kind.SWITCH),
        Field("switchover"),
        Field("partnerconnected", Kind.SWITCH),
        Field("partner"),
        Field("partnermode"),
        Field("partnerstate"),
        Field("partnerdetail"),
        Field("linkbytesin", Kind.NUMBER),
        Field("linkbytesout", Kind.NUMBER),
        Texts("linkrefusals", "refusal"),
        Field("linkerror"),
        Field("synclag", Kind.NUMBER),
        Field("synclagseconds", Kind.NUMBER),
        Field("synclastsuccess"),
        Field("version"),
        Field("boottime"),
        Texts("notices", "notice"),
        Field("serialnumber"),
        Field("activetime"),
        Field("hamode"),
        Field("haprefered", Kind.DIGITS),
        Field("hapartner"),
        Field("haport"),
        Field("hacheckallinterfaces"),
    ),
).merged(SETTINGS)
"""With what `getazurehaparams`, `agentgetparams` and `get` of `serialnumber` and `activetime` say, so that a
look at a unit is one call."""
_SWITCHOVER: Final = Record((Field("outcome"), Field("reason"), Field("detail")))

COMMANDS: Final = (
    Command(
        "agentgetparams",
        "What the unit knows of the load balancer.",
        reply=Data(SETTINGS),
        extension=True,
    ),
    Command(
        "agentsetparams",
        "Tell the unit about the load balancer; what is not sent stays, what is empty gets its default.",
        Access.LOCAL,
        (
            Parameter("frontend", Kind.ADDRESS, "The balancer's address, asked as a witness."),
            Parameter("probesource", Kind.ADDRESS, "Where the balancer's probes come from: 168.63.129.16."),
            Parameter("probeinterval", Kind.NUMBER, "Seconds between probes: 5.", minimum=1, maximum=3600),
            Parameter("probethreshold", Kind.NUMBER, "Silent probes until down: 2.", minimum=1, maximum=20),
        ),
        permissions=_ALL,
        extension=True,
    ),
    Command(
        "agentswitchover",
        "Planned switch-over: the other unit (or the one named) turns active before this one yields.",
        Access.LOCAL,
        (
            Parameter(
                "to",
                Kind.TEXT,
                "Who is to be active; the unit that is not, if left out. `undo` ends an earlier hold.",
                choices=("master", "slave", "first", "second", "undo"),
            ),
            Parameter(
                "hold",
                Kind.NUMBER,
                "Seconds for which Prefer Master does not take back; until undone, if left out.",
                minimum=1,
                maximum=604_800,
            ),
        ),
        permissions=_ALL,
        reply=Data(_SWITCHOVER),
        extension=True,
        seconds=180,
    ),
    Command(
        "agentdrain",
        "Hand over if possible and take no new connections.",
        Access.LOCAL,
        (
            Parameter(
                "seconds",
                Kind.NUMBER,
                "How long; until ended, if left out.",
                minimum=1,
                maximum=604_800,
            ),
            Parameter("end", Kind.SWITCH, "End the drain."),
        ),
        permissions=_ALL,
        extension=True,
    ),
    Command(
        "agentstatus",
        "State, partner, link, synchronisation, and what HA is set to.",
        reply=Data(STATUS),
        extension=True,
    ),
    Command(
        "agentwatch",
        "As `agentstatus`, but waits until state or settings are others than at `since` (a `revision`), "
        "or time is over.",
        parameters=(
            Parameter("since", Kind.NUMBER, "The revision that is known; 0 for any.", minimum=0),
            Parameter(
                "seconds",
                Kind.NUMBER,
                f"How long to wait at most: {WATCH_SECONDS}.",
                minimum=0,
                maximum=60,
            ),
        ),
        reply=Data(STATUS),
        extension=True,
        seconds=75,
    ),
    Command(
        "agentsetcertificate",
        "Replace the certificate of this API by one in PEM, with its key.",
        Access.LOCAL,
        permissions=_ALL,
        upload=True,
        extension=True,
    ),
)

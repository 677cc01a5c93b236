"""Commands of high availability in the cloud, in the vendor's two families, and the Partner Shared Secret.

Source: "RESTful API Interface Description", 3.22.4, 3.22.5 and 3.24.2; Kemp's PowerShell module for the old
words and `setlmcommsecret`; the guide, 7. The third family (`awshamode` and its like) is not here: this unit
stands in Azure, and an unknown command says so more clearly than a pretence.
"""

from typing import Final

from loadmaster_ha.loadmaster.shapes import Access, Command, Data, Field, Parameter, Permission, Record
from loadmaster_ha.loadmaster.values import Kind

_ALL: Final = frozenset({Permission.ALL})

HA_PARAMETERS: Final = Record(
    (
        Field("HaMode"),
        Field("HaPrefered", Kind.DIGITS),
        Field("Partner"),
        Field("Port"),
        Field("HealthCheckAllInterfaces"),
    ),
)
"""Written as the appliance reads it back: `master` and `slave` where `first` and `second` were set, the word
`unset` for what is not set, and no `HaPrefered` at all on a single unit."""

_MODE: Final = (
    Parameter(
        "hamode",
        Kind.TEXT,
        "Role of this unit; the old words are taken too. In force after the next reboot (guide, 7 step 9).",
        required=True,
        choices=("first", "second", "single", "master", "slave"),
    ),
)
_SETTINGS: Final = (
    Parameter(
        "partner",
        Kind.TEXT,
        "Address of the other unit; empty or `unset` takes it away.",
        longest=253,
    ),
    Parameter("hcp", Kind.NUMBER, "Health check port, the same on both units.", minimum=1, maximum=65_535),
    Parameter("haprefered", Kind.BIT, "1: Prefer Master (the default), 0: No Preferred Host."),
    Parameter("hcai", Kind.BIT, "Answer the health check on all interfaces (multi-arm)."),
)


def _family(mode: str, settings: str, *read_back: str, element: str) -> tuple[Command, ...]:
    return (
        Command(mode, "Set the role of the unit.", Access.LOCAL, _MODE, permissions=_ALL),
        Command(
            settings,
            "Change HA settings; what is not sent stays.",
            Access.LOCAL,
            _SETTINGS,
            permissions=_ALL,
        ),
        *(
            Command(name, "Read the HA settings back.", reply=Data(HA_PARAMETERS, element=element))
            for name in read_back
        ),
    )


COMMANDS: Final = (
    *_family("azurehamode", "azurehaparam", "getazurehaparams", element="AzureHA"),
    *_family(
        "setcloudhamode",
        "setcloudhaparam",
        "getcloudhaparams",
        "getcloudhaparameters",
        element="AzureHA",
    ),
    Command(
        "setlmcommsecret",
        "Set the Partner Shared Secret. There is no way to read it back.",
        Access.LOCAL,
        (
            Parameter(
                "secret",
                Kind.SECRET,
                "8 to 127 letters, digits and punctuation; no space and no apostrophe.",
                required=True,
                longest=127,
                pattern=r"[0-9A-Za-z!\"#$%&()*+,\-./:;<=>?\[~\]^_@`{|}\\]{8,127}",
            ),
        ),
        permissions=_ALL,
    ),
)

"""Starting the unit again, and what an appliance has but a node agent has not: refused with the reason."""

from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.unit import Unit

_UPDATE: Final = (
    "This unit is a node agent: it is updated by its package or image, not by a firmware patch. "
    "Update the standby unit first, then switch over and update the other (guide, 9)."
)
_LICENCE: Final = (
    "This unit is a node agent: it needs no licence, and there is none to show, install or give back."
)


@handles("reboot")
async def reboot(_: Call, unit: Unit) -> Reply:
    """Restart everything once the reply is out."""
    unit.request_reboot()
    return Done("Rebooting")


@handles("shutdown")
async def shutdown(_: Call, __: Unit) -> Reply:
    """Refuse: nothing could start the unit again."""
    raise Refused(
        422,
        "A node agent does not shut its machine down, as nothing here could start it. Use agentdrain to "
        "take the unit out of service, and the machine's own means to stop it.",
    )


@handles("installpatch", "restorepatch", "getpreviousversion")
async def update(_: Call, __: Unit) -> Reply:
    """Refuse."""
    raise Refused(422, _UPDATE)


@handles(
    "licenseinfo",
    "accesskey",
    "readeula",
    "accepteula",
    "accepteula2",
    "alsilicensetypes",
    "alsilicense",
    "aslactivate",
    "aslgetlicensetypes",
    "killaslinstance",
    "set_initial_passwd",
    "license",
)
async def licence(_: Call, __: Unit) -> Reply:
    """Refuse."""
    raise Refused(422, _LICENCE)

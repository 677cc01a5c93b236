"""Whether a unit that was told to reboot is back: asked often and briefly, of that unit alone.

A whole look at both units takes some fifteen calls, and their pace is limited. So while a reboot is waited
for, one call tells whether there is anything to look at; a whole look is made all the same every few seconds,
since the partner goes on serving and a person may want something else.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from loadmaster_ha.controller.units.model import UnitsMemory
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present, Reading
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.faults import UnitFault
from loadmaster_ha.planning.units.observation import RebootUnderWay

ASKED_EVERY: Final = 0.5
"""Seconds."""

LOOKED_EVERY: Final = 5.0
"""Seconds between whole looks at the pair meanwhile."""

Boot = Callable[[Caller], Awaitable[str]]
"""Which start of the unit this is; raises UnitFault."""


def may_only_ask(memory: UnitsMemory, now: float) -> bool:
    """Whether nothing but the end of a reboot is waited for, and both were looked at a moment ago."""
    waits = bool(memory.reboots) and memory.handover is None and memory.waiting is not None
    return waits and now - memory.looked_at < LOOKED_EVERY


async def is_back(told: RebootUnderWay, client: Reading[Caller], boot: Boot) -> bool:
    """Whether the unit answers and has started anew, or cannot be asked in this way."""
    if not isinstance(client, Present):
        return True
    try:
        return await boot(client.value) != told.boot
    except UnitFault:
        return False


def next_ask(reboots: dict[Role, RebootUnderWay], now: float) -> float:
    """Seconds until a unit is asked again: an appliance takes minutes, and a lost one for ever."""
    longest = max((now - told.since for told in reboots.values()), default=0.0)
    return min(LOOKED_EVERY, max(ASKED_EVERY, longest / 60))

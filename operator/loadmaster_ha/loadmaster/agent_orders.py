"""What only a node agent can be told to do: hand over to its partner, take no new connections.

An appliance has no command for a planned switch-over; nobody knows one.
"""

import re
from dataclasses import dataclass
from typing import Final

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.values import Json

SWITCHOVER_SECONDS: Final = 185.0
"""An agent answers when it is over, which it bounds by 180 s."""
_ABORTED: Final = re.compile(r"Switch-over aborted \((?P<reason>\w+)\): (?P<detail>.*)")
"""What an agent says (`UnitFault.said`) when it gave up: its word and its sentences."""


@dataclass(frozen=True, slots=True)
class SwitchoverAnswer:
    """How a planned switch-over ended."""

    done: bool
    reason: str
    """The agent's word (`Done`, `NoProber`, `Rejected`, ...)."""
    detail: str
    """One or two sentences."""


async def switchover(client: Caller, to: Role, hold_seconds: int | None = None) -> SwitchoverAnswer:
    """Have the unit of this role take over, and wait until that is so or was given up.

    Either unit can be told. Waits on a connection of its own.

    Args:
        client: a node agent's.
        to: who is to be active.
        hold_seconds: how long Prefer Master does not take back; None: until undone.

    Raises:
        UnitFault: the agent could not be asked; `sent` tells whether it may be switching over all the same.
    """
    parameters: dict[str, Json] = {"to": to.value.lower()}
    if hold_seconds is not None:
        parameters["hold"] = hold_seconds
    try:
        answer = await client.watch_call("agentswitchover", parameters, seconds=SWITCHOVER_SECONDS)
    except UnitFault as fault:
        aborted = _ABORTED.fullmatch(fault.said)
        if fault.reason is not FaultReason.INVALID_REQUEST or aborted is None:
            raise
        detail = f"{aborted['detail'].strip().rstrip('.')}."
        return SwitchoverAnswer(done=False, reason=aborted["reason"], detail=detail)
    told = answer.fields or {}
    return SwitchoverAnswer(done=True, reason=_text(told.get("reason")), detail=_text(told.get("detail")))


async def undo_switchover(client: Caller) -> None:
    """End the hold of an earlier switch-over: Prefer Master takes back.

    Raises:
        UnitFault: the agent could not be told.
    """
    await client.call("agentswitchover", {"to": "undo"})


async def drain(client: Caller, seconds: int | None = None) -> None:
    """Hand over if possible, and take no new connections for so long (None: until `undrain`).

    Raises:
        UnitFault: the agent could not be told.
    """
    await client.call("agentdrain", {} if seconds is None else {"seconds": seconds})


async def undrain(client: Caller) -> None:
    """End the drain.

    Raises:
        UnitFault: the agent could not be told.
    """
    await client.call("agentdrain", {"end": True})


def _text(value: Json) -> str:
    return "" if value is None else str(value)

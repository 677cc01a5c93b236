"""One call of a unit, as `client` passes it on; and one whose question waits at the unit already."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from loadmaster_ha.loadmaster import commands, redaction
from loadmaster_ha.loadmaster.answers import Answer
from loadmaster_ha.loadmaster.calling import NO_PARAMETERS
from loadmaster_ha.loadmaster.connections import Exchange, Question
from loadmaster_ha.loadmaster.faults import UnitFault
from loadmaster_ha.loadmaster.shapes import Command
from loadmaster_ha.loadmaster.values import Json, Version

MARGIN_SECONDS: Final = 5.0
"""Beyond the time that the unit itself allows for a command."""


@dataclass(frozen=True, slots=True)
class Call:
    """What somebody wants of the unit."""

    command: Command
    parameters: Mapping[str, Json] = field(repr=False)
    data: bytes | None = field(repr=False)
    seconds: float
    waits: bool = False
    """It waits at the unit on purpose."""
    background: bool = False
    """It could be put off, and has been as long as the unit was worked with."""

    @classmethod
    def of(
        cls,
        name: str,
        parameters: Mapping[str, Json] = NO_PARAMETERS,
        data: bytes | None = None,
        seconds: float | None = None,
    ) -> "Call":
        """A command of the catalogue, with the time that it needs.

        Raises:
            ValueError: there is no such command.
        """
        command = commands.find(name)
        if command is None:
            raise ValueError(f"The catalogue has no command {name!r}.")
        return cls(
            command, parameters, data, command.seconds + MARGIN_SECONDS if seconds is None else seconds
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What the unit must not be quoted with."""
        return redaction.secrets_in(self.parameters, self.command)


class Carrier(Protocol):
    """The client, as far as a question that waits needs it."""

    async def answer(self, asked: "Asked") -> Answer:
        """What came of a question that is settled."""

    def give_up(self, asked: "Asked") -> None:
        """Nobody wants to know any more."""


@dataclass(slots=True)
class Asked:
    """A question that waits at a unit (`calling.Waiting`): a first attempt, held by nobody's coroutine."""

    carrier: Carrier
    call: Call
    version: Version
    exchange: Exchange
    started: float
    """Monotonic seconds."""
    question: Question | None = None
    """None: it could not be sent."""
    fault: UnitFault | None = None
    """Why."""

    def whenever_settled(self, told: Callable[[], object]) -> None:
        """See `calling.Waiting`."""
        if self.question is None:
            asyncio.get_running_loop().call_soon(told)
        else:
            self.question.whenever_settled(told)

    async def answer(self) -> Answer:
        """See `calling.Waiting`."""
        return await self.carrier.answer(self)

    def give_up(self) -> None:
        """See `calling.Waiting`."""
        self.carrier.give_up(self)

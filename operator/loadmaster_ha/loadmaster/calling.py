"""What observer and writer ask of a management client: `client.UnitClient`, or a test's own."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from loadmaster_ha.loadmaster.answers import Answer
from loadmaster_ha.loadmaster.trust import SeenCertificate
from loadmaster_ha.loadmaster.values import Json
from loadmaster_ha.loadmaster.version_choice import Offer

NO_PARAMETERS: Final[Mapping[str, Json]] = MappingProxyType({})


class Waiting(Protocol):
    """A question that waits at a unit, while nobody waits for its answer in a coroutine."""

    def whenever_settled(self, told: Callable[[], object]) -> None:
        """Call this once there is an answer, or will be none."""

    async def answer(self) -> Answer:
        """The answer, once it is settled; raises as the other calls do."""
        ...

    def give_up(self) -> None:
        """Nobody wants to know any more; not to be answered then."""


class Caller(Protocol):
    """One unit's management API. Every failure is a `faults.UnitFault`; an answer that is returned is ok."""

    @property
    def certificate(self) -> SeenCertificate | None:
        """Of the last connection that carried a request."""
        ...

    async def offer(self) -> Offer:
        """Firmware and commands, as of when they were last asked for."""
        ...

    async def call(
        self,
        command: str,
        parameters: Mapping[str, Json] = NO_PARAMETERS,
        *,
        data: bytes | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """Do a command after those that wait already."""
        ...

    async def watch_call(
        self,
        command: str,
        parameters: Mapping[str, Json] = NO_PARAMETERS,
        *,
        seconds: float | None = None,
    ) -> Answer:
        """Do a command that may take long, beside the others."""
        ...

    async def begin(
        self,
        command: str,
        parameters: Mapping[str, Json] = NO_PARAMETERS,
        *,
        seconds: float | None = None,
    ) -> Waiting:
        """As `watch_call`, up to the question."""
        ...

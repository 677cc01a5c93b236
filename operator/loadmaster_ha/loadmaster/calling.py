"""What observer and writer ask of a management client: `client.UnitClient`, or a test's own."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from loadmaster_ha.loadmaster.answers import Answer
from loadmaster_ha.loadmaster.trust import SeenCertificate
from loadmaster_ha.loadmaster.values import Json
from loadmaster_ha.loadmaster.version_choice import Offer

NO_PARAMETERS: Final[Mapping[str, Json]] = MappingProxyType({})


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

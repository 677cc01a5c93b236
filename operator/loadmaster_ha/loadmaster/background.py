"""The management client for those who only watch: what they ask waits while somebody works with the unit.

The pace of calls is the unit's, and reading and changing its settings goes first (`pacing`). Both kinds of
callers share one client, and with it connection, credentials and what is known of the unit.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from loadmaster_ha.loadmaster.answers import Answer
from loadmaster_ha.loadmaster.calling import NO_PARAMETERS, Waiting
from loadmaster_ha.loadmaster.client import UnitClient
from loadmaster_ha.loadmaster.trust import SeenCertificate
from loadmaster_ha.loadmaster.values import Json
from loadmaster_ha.loadmaster.version_choice import Offer


class InBackground:
    """A `calling.Caller` whose calls can be put off, at most `pacing.PATIENCE_SECONDS` each.

    Args:
        client: of the unit.
    """

    def __init__(self, client: UnitClient) -> None:
        self._client = client

    @property
    def certificate(self) -> SeenCertificate | None:
        """See `Caller`."""
        return self._client.certificate

    async def offer(self) -> Offer:
        """See `Caller`. It is asked for at the unit only when nobody has yet."""
        return await self._client.offer(background=True)

    async def call(
        self,
        command: str,
        parameters: Mapping[str, Json] = NO_PARAMETERS,
        *,
        data: bytes | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """See `Caller`."""
        return await self._client.call(command, parameters, data=data, seconds=seconds, background=True)

    async def watch_call(
        self,
        command: str,
        parameters: Mapping[str, Json] = NO_PARAMETERS,
        *,
        seconds: float | None = None,
    ) -> Answer:
        """See `Caller`."""
        return await self._client.watch_call(command, parameters, seconds=seconds, background=True)

    async def begin(
        self,
        command: str,
        parameters: Mapping[str, Json] = NO_PARAMETERS,
        *,
        seconds: float | None = None,
    ) -> Waiting:
        """See `Caller`."""
        return await self._client.begin(command, parameters, seconds=seconds, background=True)


if TYPE_CHECKING:
    from loadmaster_ha.loadmaster.calling import Caller

    def _is_a_caller(client: UnitClient) -> Caller:
        return InBackground(client)

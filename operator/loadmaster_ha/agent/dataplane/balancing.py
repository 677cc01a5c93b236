"""The data plane as the management API sees it (`agent.api.unit.Balancing`): a refusal has a status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadmaster_ha.agent.api.dispatch import Refused
from loadmaster_ha.agent.api.unit import ServiceStatistics
from loadmaster_ha.agent.dataplane.controller import DataPlane
from loadmaster_ha.agent.dataplane.model import ConfigurationRefused
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService

_UNPROCESSABLE = 422


@dataclass(frozen=True, slots=True)
class Balancing:
    """What the handlers of the management API see of the data plane."""

    plane: DataPlane

    async def check_change(self, services: Sequence[VirtualService]) -> None:
        """Try what the services would be after a change.

        Raises:
            Refused: HAProxy or Azure cannot do that; 422 and the reason in words.
        """
        try:
            await self.plane.check_change(services)
        except ConfigurationRefused as refused:
            raise Refused(_UNPROCESSABLE, refused.text) from refused

    async def statistics(self) -> Mapping[ServiceKey, ServiceStatistics]:
        """What HAProxy counts now; services that it does not serve (yet) are missing."""
        return await self.plane.statistics()

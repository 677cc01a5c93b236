"""A unit whose management API is served over HTTPS in front of a real store and a real HAProxy.

`management.served` has the store alone; here what the API sets is what HAProxy serves.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.haproxy import Rig, running_rig
from tests.support.management import ADDRESS, NO_LIMIT, PASSWORD, ScriptedUnit, Served
from tests.support.pem import self_signed

from loadmaster_ha.agent import certificates
from loadmaster_ha.agent.api import authentication
from loadmaster_ha.agent.api.dispatch import Refused
from loadmaster_ha.agent.api.server import Limits, ManagementServer
from loadmaster_ha.agent.api.unit import ServiceStatistics
from loadmaster_ha.agent.dataplane.model import ConfigurationRefused
from loadmaster_ha.agent.service_certificates import Chains
from loadmaster_ha.agent.services import virtual_services
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService


@dataclass
class LiveBalancing:
    """The data plane behind the API's protocol: its refusals become the API's."""

    rig: Rig

    async def check_change(self, services: Sequence[VirtualService]) -> None:
        try:
            await self.rig.plane.check_change(services)
        except ConfigurationRefused as refused:
            raise Refused(422, refused.text) from refused

    async def statistics(self) -> Mapping[ServiceKey, ServiceStatistics]:
        return await self.rig.plane.statistics()


@dataclass
class Live(Served):
    """A served API with the HAProxy that it sets."""

    rig: Rig | None = None

    @property
    def address(self) -> str:
        """The unit's own address, where its services are."""
        return self.unit.own_addresses["eth0"]


@contextlib.asynccontextmanager
async def live_unit(folder: Path, limits: Limits = NO_LIMIT) -> AsyncIterator[Live]:
    """Serve an API with user `bal`; HAProxy runs from the start."""
    async with running_rig() as rig:
        unit = ScriptedUnit(folder, {"eth0": rig.address})
        unit.balancing = LiveBalancing(rig)
        unit.add_user(authentication.ADMINISTRATOR, PASSWORD)

        default = self_signed("loadmaster.test")

        chains, tasks = Chains(), set[asyncio.Task[None]]()

        async def submit() -> None:
            snapshot = unit.settings.snapshot
            pems = {"": default, **await chains.completed(snapshot)}
            rig.plane.submit(virtual_services(snapshot, unit.own_addresses), pems)

        def committed(_kinds: object) -> None:
            task = asyncio.get_running_loop().create_task(submit())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        unit.settings.subscribe(committed)
        await rig.serve()
        server = ManagementServer(unit, certificates.management_identity(folder, [ADDRESS]), limits=limits)
        port = await server.start(ADDRESS, 0)
        try:
            yield Live(
                unit,
                server,
                certificates.management_identity(folder, [ADDRESS]),
                port,
                folder=folder,
                rig=rig,
            )
        finally:
            await server.stop(0.1)
            unit.close()

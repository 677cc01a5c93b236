"""A managed pair of two scripted appliances: on loopback with Azure's side emulated, an operator beside.

    async with appliance_pair(stage, "build") as pair:
        await pair.apply()
        await pair.pairs.ready()

The appliances' port 8444 and the frontend are not there (see tests/e2e for real traffic), so `PairHealthy` is
about what their management APIs say. All addresses are in 127.0.0.0/8.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.support.live_pairs import changed, condition, manifest
from tests.support.rig import rigged
from tests.support.scripted_appliance import Habits, ScriptedAppliance
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.live_pairs import LivePairs
    from tests.support.rig import Rig, Stage

JSON = dict[str, Any]

SECRET: Final = "a-secret-of-the-two"
SERVICE: Final = {
    "name": "web",
    "port": 8080,
    "virtualService": {
        "type": "Generic",
        "healthCheck": {"type": "TCP"},
        "realServers": [{"address": "127.0.9.1", "port": 80}, {"address": "127.0.9.2", "port": 80}],
        "drainSeconds": 0,
    },
}


@dataclass
class AppliancePair:
    """The pair `web`."""

    rig: Rig
    world: World
    units: tuple[ScriptedAppliance, ScriptedAppliance]
    manifest: JSON = field(default_factory=dict)

    @property
    def pairs(self) -> LivePairs:
        return self.rig.pairs

    async def apply(self, **fields: Any) -> JSON:
        """Apply the manifest, with changes of the spec by path."""
        self.manifest = changed(self.manifest, **fields)
        return await self.pairs.apply(self.manifest)

    async def synced(self, seconds: float = 120.0) -> JSON:
        """Wait until Azure and both units are as wanted; the pair."""

        def both(pair: JSON | None) -> bool:
            return all(condition(pair, kind).get("status") == "True" for kind in ("AzureSynced", "HASynced"))

        return await self.pairs.until(both, "AzureSynced and HASynced", seconds=seconds)

    def settings(self) -> list[JSON]:
        """What was set on the units."""
        return [
            {
                "mode": unit.mode,
                "in force": unit.mode_in_force,
                "partner": unit.partner,
                "port": unit.check_port,
                "preferred": unit.preferred,
                "secret": unit.secret,
            }
            for unit in self.units
        ]

    def wanted(self) -> list[JSON]:
        """What the manifest means."""
        master, slave = self.units
        common = {"port": 8444, "preferred": 1, "secret": SECRET}
        return [
            {"mode": "master", "in force": "master", "partner": slave.own_address, **common},
            {"mode": "slave", "in force": "slave", "partner": master.own_address, **common},
        ]


@contextlib.asynccontextmanager
async def appliance_pair(
    stage: Stage, group: str, habits: Habits | None = None, **options: Any
) -> AsyncIterator[AppliancePair]:
    """Give an operator, two fresh units, their Secrets, and the manifest, not applied yet.

    `options` are those of `rigged`.
    """
    prefix = f"127.{random.randint(200, 254)}.{random.randint(0, 255)}"  # noqa: S311 - no secret
    async with contextlib.AsyncExitStack() as stack:
        rig = await stack.enter_async_context(rigged(stage, group, **options))
        world = await World(rig.arm, group, prefix=prefix).build()
        units = []
        for number in (0, 1):
            unit = ScriptedAppliance(f"{prefix}.{4 + number}", habits or Habits(), own_certificate=True)
            stack.push_async_callback(unit.stop)
            units.append(await unit.start(f"{prefix}.{4 + number}"))
        units[0].synchronise_with(units[1])
        for number, unit in enumerate(units):
            await rig.pairs.put_secret(f"lm-{number}-login", username=unit.user, password=unit.password)
        await rig.pairs.put_secret("web-partner", secret=SECRET)
        pair = manifest(
            world,
            rig.pairs.namespace,
            loadBalancer__frontend__privateIPAddress=f"{prefix}.100",
            networkSecurity__managementSources=["127.0.0.0/8"],
            highAvailability__sharedSecretRef={"name": "web-partner"},
            services=[SERVICE],
            **{
                f"{role}__management": {
                    "port": unit.port,
                    "credentialsSecretRef": {"name": f"lm-{number}-login"},
                    "tls": {"fingerprintSHA256": unit.fingerprint},
                }
                for number, (role, unit) in enumerate(zip(("master", "slave"), units, strict=True))
            },
        )
        yield AppliancePair(rig, world, (units[0], units[1]), pair)


@contextlib.asynccontextmanager
async def polled(pair: AppliancePair) -> AsyncIterator[None]:
    """The balancer asks for the health of both, again and again, the master first."""

    async def poll() -> None:
        while True:
            for unit in pair.units:
                unit.balancer_polls()
            await asyncio.sleep(0.2)

    task = asyncio.create_task(poll())
    try:
        yield
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def healthy(pair: AppliancePair) -> AsyncIterator[None]:
    """The health ports of both, and of the frontend, as they answer for a pair that serves."""

    async def serve(address: str, serves: Callable[[], bool]) -> asyncio.Server:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                status = b"200 OK" if serves() else b"503 Service Unavailable"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
            writer.close()

        return await asyncio.start_server(answer, address, 8444)

    units = pair.units
    frontend = units[0].own_address.rpartition(".")[0] + ".100"
    servers = [await serve(unit.own_address, lambda unit=unit: unit.serves) for unit in units]
    servers.append(await serve(frontend, lambda: any(unit.serves for unit in units)))
    try:
        yield
    finally:
        for server in servers:
            server.close()

"""A pair behind an internal balancer in an emulator with data plane, on loopback addresses of its own.

Each site takes a /24 of 127.0.0.0/8 at random, so that sites run side by side: frontend .4, members .68 and
.69; addresses from .128 on are the network's too, for clients.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from tests.support.backends import HEALTH_PORT, SERVICE_PORT
from tests.support.emulator import interface_body, machine_body
from tests.support.emulator_bodies import HERE, Balancer, network_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.emulator import Emulator

PATIENCE_SECONDS = 20
SILENCE_SECONDS = 1.0
"""How long nothing has to come to count as silence; on a busy machine too, for nothing never comes late."""


class LoopbackSite:
    """The pair's resources. `balancer.properties` may be changed before `build`, or after it with `write`."""

    def __init__(self, azure: Emulator) -> None:
        chosen = random.SystemRandom()
        self.prefix = f"127.{chosen.randint(64, 199)}.{chosen.randint(0, 255)}"
        self.azure = azure
        self.frontend = f"{self.prefix}.4"
        self.members = (f"{self.prefix}.68", f"{self.prefix}.69")
        self.client = f"{self.prefix}.130"
        self.space = f"{self.prefix}.0/24"
        self.subnets = (("lb", f"{self.prefix}.0/26"), ("lm", f"{self.prefix}.64/26"))
        self.balancer = Balancer(azure)
        self.balancer.properties["loadBalancingRules"] = [
            self.balancer.rule("check", HEALTH_PORT),
            self.balancer.rule("service", SERVICE_PORT),
        ]
        self.balancer.properties["inboundNatRules"] = []

    @property
    def probe(self) -> dict[str, Any]:
        """The properties of the balancer's probe."""
        found: dict[str, Any] = self.balancer.properties["probes"][0]["properties"]
        return found

    def rule(self, name: str = "service") -> dict[str, Any]:
        """The properties of a balancing rule."""
        rules = self.balancer.properties["loadBalancingRules"]
        found: dict[str, Any] = next(rule["properties"] for rule in rules if rule["name"] == name)
        return found

    def member_id(self, index: int) -> str:
        return f"{self.azure.network('networkInterfaces', f'lm-{index}-nic')}/ipConfigurations/primary"

    async def build(self, *, nat: tuple[tuple[str, ...], ...] = ((), ()), group: str | None = None) -> None:
        """Make everything. `group` is the security group of both interfaces."""
        azure = self.azure
        for name in ("net", "edge"):
            await azure.arm("PUT", azure.group(name), HERE)
        network = azure.network("virtualNetworks", "app", "net")
        await azure.made(network, network_body(*self.subnets, space=self.space))
        for index, address in enumerate(self.members):
            nic = azure.network("networkInterfaces", f"lm-{index}-nic")
            await azure.made(nic, interface_body("westeurope", f"{network}/subnets/lm", address, group))
            machine = azure.compute("virtualMachines", f"lm-{index}")
            await azure.made(machine, machine_body("westeurope", f"lm-{index}", nic))
        await self.write()
        for index in (0, 1):
            nic = azure.network("networkInterfaces", f"lm-{index}-nic")
            await azure.made(nic, await self.balancer.joined(azure, index, nat[index]))

    async def write(self) -> None:
        """PUT the balancer as it stands."""
        await self.azure.made(self.balancer.path, self.balancer.body)

    # -- what the data plane says

    async def probes(self) -> list[dict[str, Any]]:
        """Return the prober's view of the members, in their order."""
        answer = await self.azure.send("GET", "/_emulator/probes")
        assert answer.status == 200, answer.body
        return sorted(answer.body["members"], key=lambda item: str(item["member"]))

    async def until_up(self, *up: bool) -> None:
        """Wait until the probes say so of each member."""
        await eventually(self.probes, lambda found: [item["up"] for item in found] == list(up))

    async def flows(self, rule: str = "service") -> dict[str, Any]:
        """Return what a rule serves and has done."""
        answer = await self.azure.send("GET", "/_emulator/flows")
        assert answer.status == 200, answer.body
        entry = next(item for item in answer.body["rules"] if item["rule"].endswith(f"/{rule}"))
        return {**entry, "flows": [item for item in answer.body["flows"] if item["rule"] == entry["rule"]]}

    # -- a client

    async def connect(
        self,
        port: int = SERVICE_PORT,
        *,
        source: str | None = None,
        address: str | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection to the frontend from an address of the network.

        Raises:
            TimeoutError: nobody answers.
        """
        opening = asyncio.open_connection(
            address or self.frontend, port, local_addr=(source or self.client, 0)
        )
        return await asyncio.wait_for(opening, patience)

    async def served_by(
        self, port: int = SERVICE_PORT, *, source: str | None = None, patience: float = PATIENCE_SECONDS
    ) -> str:
        """Open a connection and return the name of the member that serves it.

        Raises:
            TimeoutError: nobody answers.
            ConnectionError: it is reset.
        """
        reader, writer = await self.connect(port, source=source, patience=patience)
        try:
            line = await asyncio.wait_for(reader.readline(), patience)
        finally:
            writer.close()
        if not line:
            raise ConnectionResetError("closed without a word")
        return line.decode().strip()

    async def assert_unanswered(self, port: int = SERVICE_PORT, *, source: str | None = None) -> None:
        """Not even a connection is answered, as if the first packet was dropped."""
        try:
            _, writer = await self.connect(port, source=source, patience=SILENCE_SECONDS)
        except TimeoutError:
            return
        writer.close()
        raise AssertionError("connected")

    async def assert_silent(
        self, port: int = SERVICE_PORT, *, source: str | None = None, address: str | None = None
    ) -> None:
        """Nobody answers, be it with a connection or on it."""
        try:
            reader, writer = await self.connect(
                port, source=source, address=address, patience=SILENCE_SECONDS
            )
        except TimeoutError:
            return
        try:
            said = await asyncio.wait_for(reader.readline(), SILENCE_SECONDS)
        except TimeoutError:
            return
        finally:
            writer.close()
        raise AssertionError(f"answered with {said!r}")


async def eventually(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """Ask until the answer is right; the limit is a safety net."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = await ask()
        if holds(found):
            return found
        assert time.monotonic() < end, f"still {found}"
        await asyncio.sleep(0.02)

"""The emulated Azure of a laboratory: the balancer in front of two units, and what its prober sees."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.world import LOCATION, SUBSCRIPTION, Arm

from lab.places import Places
from lab.processes import Process, command
from loadmaster_ha.emulator.settings import Disputed

JSON = dict[str, Any]

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/lab"
CHECK_PORT = 8444
PATIENCE_SECONDS = 60.0
PROBE_READING: Final = {
    name: value for name, value in asdict(Disputed()).items() if name.startswith("probe_")
}
"""How what Microsoft's pages dispute about probes is read here; benches tell it with their figures."""


@dataclass(frozen=True, slots=True)
class Balancer:
    """The running emulator with one balancer in it. Members are told apart by their unit's number."""

    arm: Arm
    places: Places
    process: Process

    async def probes(self) -> list[JSON]:
        """What the prober knows of each unit, by number (`GET /_emulator/probes`)."""
        found = await self.arm.request("GET", "/_emulator/probes")
        return sorted(found["members"], key=lambda member: str(member["member"]))

    async def up(self) -> tuple[bool, ...]:
        """Which units the balancer gives new connections to."""
        return tuple(bool(member["up"]) for member in await self.probes())

    async def until_up(self, *wanted: bool) -> None:
        """Wait until it is so of each unit.

        Raises:
            TimeoutError: it is not within a minute; says how it is.
        """
        found: tuple[bool, ...] = ()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (found := await self.up()) != wanted:  # noqa: ASYNC110 - nothing to be told by
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise TimeoutError(f"the balancer holds {found} of the units up, not {wanted}") from error

    async def flows(self) -> JSON:
        """What each rule has done, and the flows there are (`GET /_emulator/flows`)."""
        found: JSON = await self.arm.request("GET", "/_emulator/flows")
        return found


@contextlib.asynccontextmanager
async def open_balancer(
    folder: Path,
    places: Places,
    *,
    services: Sequence[int],
    interval: int,
    threshold: int,
    probe_interval: float | None,
    flags: Sequence[str] = (),
) -> AsyncIterator[Balancer]:
    """Start the emulator with data plane and build network, machines and balancer in it, through ARM.

    Args:
        folder: for state and log.
        places: where everything is.
        services: ports that the balancer forwards, beside the check port.
        interval: seconds between probes, as Azure is told.
        threshold: probes that have to go unanswered, as Azure is told.
        probe_interval: the emulator's own shorter interval, for tests; None: what Azure is told.
        flags: more of `loadmaster-emulator serve`.
    """
    state = folder / "azure"
    arguments = ["serve", "--listen", "127.0.0.1:0", "--state-dir", str(state), "--log-format", "text"]
    arguments += [*data_plane_flags(places, probe_interval), *flags]
    log = folder / "emulator.log"
    async with Process(
        "emulator", command("loadmaster-emulator"), *arguments, log=log, enter=places.azure.enter_for_good
    ) as process:
        said = await process.until(lambda text: "ready" in text)
        found = re.search(r"https://[\w.\[\]:-]+:\d+", said)
        if found is None:
            raise RuntimeError(f"the emulator did not say where it listens: {said}")
        async with Arm(found[0], state / "ca.pem", socket_factory=places.azure.made_for) as arm:
            await _build(arm, places, services=services, interval=interval, threshold=threshold)
            yield Balancer(arm, places, process)


def data_plane_flags(places: Places, probe_interval: float | None) -> list[str]:
    """Flags of `loadmaster-emulator serve` for traffic at these places."""
    flags = ["--data-plane", "--probe-source", places.probe_source, *places.emulator_flags]
    for name, value in PROBE_READING.items():
        flags += ["--disputed", f"{name}={str(value).lower()}"]
    return flags if probe_interval is None else [*flags, "--probe-interval", str(probe_interval)]


async def _build(arm: Arm, places: Places, *, services: Sequence[int], interval: int, threshold: int) -> None:
    await arm.request("PUT", GROUP, {"location": LOCATION})
    network = _network("virtualNetworks", "lab")
    subnet = {"name": "lm", "properties": {"addressPrefix": places.subnet}}
    await _put(arm, network, {"addressSpace": {"addressPrefixes": [places.network]}, "subnets": [subnet]})
    subnet_id = f"{network}/subnets/lm"
    balancer = _network("loadBalancers", "lab")
    frontend = {
        "privateIPAllocationMethod": "Static",
        "privateIPAddress": places.frontend,
        "subnet": {"id": subnet_id},
    }
    probe = {
        "protocol": "Http",
        "port": CHECK_PORT,
        "requestPath": "/",
        "intervalInSeconds": interval,
        "numberOfProbes": threshold,
        "probeThreshold": threshold,
    }
    properties = {
        "frontendIPConfigurations": [{"name": "frontend", "properties": frontend}],
        "backendAddressPools": [{"name": "units"}],
        "probes": [{"name": "health", "properties": probe}],
        "loadBalancingRules": [_rule(balancer, port) for port in (CHECK_PORT, *services)],
    }
    await _put(arm, balancer, properties, sku={"name": "Standard"})
    for unit in places.units:
        interface = _network("networkInterfaces", f"{unit.name}-nic")
        configuration = {
            "privateIPAllocationMethod": "Static",
            "privateIPAddress": unit.address,
            "subnet": {"id": subnet_id},
            "primary": True,
            "loadBalancerBackendAddressPools": [{"id": f"{balancer}/backendAddressPools/units"}],
        }
        await _put(arm, interface, {"ipConfigurations": [{"name": "primary", "properties": configuration}]})
        machine = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/{unit.name}"
        await _put(
            arm,
            machine,
            {
                "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
                "networkProfile": {"networkInterfaces": [{"id": interface}]},
            },
        )


def _rule(balancer: str, port: int) -> JSON:
    return {
        "name": f"port-{port}",
        "properties": {
            "frontendIPConfiguration": {"id": f"{balancer}/frontendIPConfigurations/frontend"},
            "backendAddressPool": {"id": f"{balancer}/backendAddressPools/units"},
            "probe": {"id": f"{balancer}/probes/health"},
            "protocol": "Tcp",
            "frontendPort": port,
            "backendPort": port,
        },
    }


def _network(kind: str, name: str) -> str:
    return f"{GROUP}/providers/Microsoft.Network/{kind}/{name}"


async def _put(arm: Arm, resource: str, properties: JSON, **more: Any) -> None:
    await arm.put(resource, {"location": LOCATION, "properties": properties, **more})

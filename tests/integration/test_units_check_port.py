"""Another check port for a pair of appliances that serves: in which order, and what clients notice.

The real operator on a real API server; Azure emulated with its data plane, which probes and forwards; two
scripted appliances, each of which listens on one check port only. Agents: tests/e2e/pair.
"""

import asyncio
import time

import pytest_asyncio
from tests.support.appliance_pairs import appliance_pair
from tests.support.appliance_traffic import PROBE_SOURCE, open_to_traffic
from tests.support.arm_proxy import Moment
from tests.support.emulator import running_emulator
from tests.support.rig import Stage

from lab.places import Place
from lab.traffic import Client

SERVICE, NEW = 8080, 8445
PROBE_SECONDS = 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(control_plane, crd, tmp_path_factory):
    """Give an Azure that carries traffic, whose networks may lie on loopback, where the units are."""
    flags = ("--data-plane", "--probe-source", PROBE_SOURCE, "--probe-interval", str(PROBE_SECONDS))
    async with running_emulator("--allow-loopback-networks", *flags) as emulator:
        yield Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))


async def eventually(ask):
    """Wait until the answer is something; it."""
    async with asyncio.timeout(90):
        while not (found := await ask()):  # noqa: ASYNC110 - others tell nobody
            await asyncio.sleep(0.05)
    return found


class Course:
    """Who was given the new port when, in seconds of the machine's monotonic clock."""

    def __init__(self, pair):
        self.pair, self.given = pair, []
        for unit in pair.units:
            unit.before = lambda call, unit=unit: self._tell(unit, call)
        pair.rig.proxy.at(Moment.BEFORE, self._is_of_the_balancer, self._write, once=False)

    @staticmethod
    def _is_of_the_balancer(exchange):
        return exchange.key[0] == "PUT" and exchange.key[1].endswith("/loadbalancers/web-ilb")

    async def _write(self, _):
        self.given.append((time.monotonic(), "Azure"))

    def _tell(self, unit, call):
        if call.command.lower() == "azurehaparam" and "hcp" in call.parameters:
            assert str(call.parameters["hcp"]) == str(NEW)
            self.given.append((time.monotonic(), "active" if unit.serves else "standby"))


async def probed(pair, port):
    """When the balancer had its first good probe of a port at the unit that serves; None: not yet."""
    found = await pair.rig.arm.request("GET", "/_emulator/probes")
    good = [
        entry["monotonic"]
        for each in found["members"]
        if each["port"] == port
        for entry in each["log"]
        if entry["up"]
    ]
    return min(good, default=None)


async def test_a_new_check_port_goes_to_azure_then_to_the_active_appliance_then_to_the_other(stage):
    async with appliance_pair(stage, "units-check-port") as pair, open_to_traffic(pair, SERVICE):
        await pair.apply()
        await pair.synced()
        prefix = pair.units[0].own_address.rpartition(".")[0]
        client = Client(Place("client", (f"{prefix}.130",)), f"{prefix}.100", SERVICE)

        async def is_served():
            return (await client.get()).ok

        await eventually(is_served)
        serving, boots = [unit.serves for unit in pair.units], [unit.boots for unit in pair.units]
        course = Course(pair)
        async with client.steady(0.02) as log:
            await asyncio.sleep(0.5)
            await pair.apply(healthCheck__port=NEW)
            good = await eventually(lambda: probed(pair, NEW))
            await pair.synced()
            await asyncio.sleep(2 * PROBE_SECONDS)

        assert [who for _, who in course.given] == ["Azure", "active", "standby"]
        began = course.given[0][0]
        # What docs/units.md allows for: from Azure's write to the first good probe of the new port.
        outside = [each for each in log.failures() if not began < each.ended < good + PROBE_SECONDS]
        assert outside == [], log.told()
        assert [unit.check_port for unit in pair.units] == [NEW, NEW]
        assert [unit.serves for unit in pair.units] == serving, "nobody else has become active"
        assert [unit.boots for unit in pair.units] == boots, "and nobody was rebooted"
        properties = (await pair.rig.arm.get(pair.world.balancer))["properties"]
        assert [probe["properties"]["port"] for probe in properties["probes"]] == [NEW]
        assert {rule["properties"]["frontendPort"] for rule in properties["loadBalancingRules"]} == {
            NEW,
            SERVICE,
        }
        assert log.recovered()

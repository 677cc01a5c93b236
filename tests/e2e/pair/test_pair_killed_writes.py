"""The operator is killed at every write to a unit of a pair's life: what it leads to is the same."""

import asyncio
import contextlib

import pytest
from tests.support.first_pairs import (
    assert_configured,
    balancer_id,
    eventually,
    ha_settings,
    published_ports,
    services,
    until_both_have_the_service,
    until_served,
    writes,
)
from tests.support.unit_proxy import Dropped, UnitProxy

from lab.cluster import is_ready

BUILDING = {
    *((number, name) for number in (0, 1) for name in ("setlmcommsecret", "azurehamode", "azurehaparam")),
    *((number, name) for number in (0, 1) for name in ("agentsetparams", "reboot")),
    *((0, name) for name in ("addcert", "addvs", "addrs")),
}
DELETING = {
    *((number, name) for number in (0, 1) for name in ("azurehamode", "reboot")),
    *((0, name) for name in ("delvs", "delcert")),
}
"""What has to be written at least: unit and command."""


class Killer:
    """Kills the operator at the first sight of each write: before the unit gets it, or after it has acted."""

    def __init__(self, first, when):
        self._first = first
        self._when = when
        self.phase = "building"
        self.seen, self.killed_at = [], []

    def at(self, number):
        async def told(write, when):
            # What a write is about stays the same when it is done again, only what the unit numbers does not.
            key = (self.phase, number, write.command, dict(write.parameters).get("rs"))
            if key not in self.seen:
                self.seen.append(key)
            if when == self._when and key not in self.killed_at:
                self.killed_at.append(key)
                await self._first.kill_operator()
                raise Dropped

        return told

    def struck(self, phase):
        """The writes of a phase at which it was killed: unit and command."""
        return {(number, command) for each, number, command, _ in self.killed_at if each == phase}


async def until(first, holds):
    """Wait until something holds of the pair; an operator that is dead is started again."""
    async with asyncio.timeout(200):
        while not holds(await first.pair()):
            if not first.operator.process.running:
                await first.start_operator()
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_operator_killed_at_every_write_ends_where_one_that_lived_does(open_pair, tmp_path, when):
    async with open_pair() as first, contextlib.AsyncExitStack() as stack:
        killer = Killer(first, when)
        for unit, role in zip(first.units, ("master", "slave"), strict=True):
            prefix, _, last = unit.address.rpartition(".")
            proxy = await stack.enter_async_context(
                UnitProxy(f"{prefix}.{int(last) + 10}", unit.address, tmp_path)
            )
            proxy.on_write = killer.at(unit.number)
            management = first.manifest["spec"][role]["management"]
            management["address"] = proxy.address
            management["tls"] = {"fingerprintSHA256": proxy.fingerprint}
        await first.start_operator()
        await first.apply()
        await until(first, is_ready)
        await first.until_condition("PairHealthy", "True", "ActiveStandby")
        assert killer.struck("building") >= BUILDING, killer.killed_at

        await assert_configured(first)
        await until_both_have_the_service(first)
        for unit in first.units:
            await eventually(
                lambda unit=unit: unit.call("listcert"),
                lambda found: len(found.get("cert") or []) == 1,
                "both units have one certificate",
            )
        assert await published_ports(first) == {8444, first.port}
        await until_served(first)

        done = [[command for command, _ in writes(unit)] for unit in first.units]
        for each in done:
            assert each.count("reboot") == 1, "a reboot that was done is not done again"
            assert each.count("azurehamode") + each.count("setcloudhamode") <= 2

        killer.phase = "deleting"
        await first.cluster.delete_pair(first.namespace, "web")
        await until(first, lambda pair: pair is None)
        assert killer.struck("deleting") >= DELETING, killer.killed_at
        assert killer.killed_at == killer.seen, "it was killed at every write"
        assert await first.stage.emulator.arm.get(balancer_id(first)) is None
        for unit in first.units:
            assert (await ha_settings(unit))["HaMode"] == "single"
            await eventually(lambda unit=unit: services(unit), lambda found: not found, "no service is left")
            assert not (await unit.call("listcert")).get("cert"), "no certificate is left"
            commands = [command for command, _ in writes(unit)]
            assert commands.count("reboot") == 2, "it was rebooted once more, to be single"

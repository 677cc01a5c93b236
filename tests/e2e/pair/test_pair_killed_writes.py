"""The operator is killed at every write to a unit while it builds a pair: what it leads to is the same."""

import asyncio
import contextlib

import pytest
from tests.support.first_pairs import (
    assert_configured,
    eventually,
    published_ports,
    until_both_have_the_service,
    until_served,
    writes,
)
from tests.support.unit_proxy import Dropped, UnitProxy

from lab.cluster import is_ready


class Killer:
    """Kills the operator at the first sight of each write: before the unit gets it, or after it has acted."""

    def __init__(self, first, when):
        self._first = first
        self._when = when
        self.killed_at = []

    def at(self, number):
        async def told(write, when):
            # What a write is about stays the same when it is done again, only what the unit numbers does not.
            key = (number, write.command, dict(write.parameters).get("rs"))
            if when == self._when and key not in self.killed_at:
                self.killed_at.append(key)
                await self._first.kill_operator()
                raise Dropped

        return told


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_operator_killed_at_every_write_builds_the_same_pair(open_pair, tmp_path, when):
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
        async with asyncio.timeout(200):
            while not is_ready(await first.pair()):
                if not first.operator.process.running:
                    await first.start_operator()
                await asyncio.sleep(0.1)
        await first.until_condition("PairHealthy", "True", "ActiveStandby")

        commands = {command for _, command, _ in killer.killed_at}
        assert {"setlmcommsecret", "agentsetparams", "reboot", "addcert", "addvs", "addrs"} <= commands
        assert len(killer.killed_at) >= 12, killer.killed_at

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

"""Kemp's guide from its first page to its last: two fresh units, one manifest, a served pair, and back."""

import asyncio
import contextlib
import itertools
import re

from tests.support.first_pairs import (
    assert_configured,
    balancer_id,
    certificate_of,
    eventually,
    ha_settings,
    published_ports,
    services,
    until_both_have_the_service,
    until_served,
    writes,
)

SINGLE = {"HaMode": "single", "HaPrefered": None, "Partner": "unset", "Port": "unset"}


@contextlib.asynccontextmanager
async def watching_the_ports(first):
    """Give a list that grows: which units' management ports are open, several times a second."""
    seen = []

    async def is_open(unit):
        try:
            _, writer = await asyncio.open_connection(unit.address, 8443)
        except OSError:
            return False
        writer.close()
        return True

    async def watch():
        while True:
            seen.append(tuple([await is_open(unit) for unit in first.units]))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        task.cancel()


async def test_two_fresh_units_become_a_served_pair_and_single_units_again(open_pair):
    async with open_pair() as first:
        for unit in first.units:
            assert await ha_settings(unit) == SINGLE
        boots = [(await unit.call("agentstatus"))["boottime"] for unit in first.units]
        await first.start_operator()
        async with watching_the_ports(first) as ports:
            await first.apply()
            await first.until_ready(120)
        master, slave = first.units

        # the Azure side (guide, 4 to 6)
        assert await published_ports(first) == {8444, first.port}

        # high availability (guide, 7), each unit the other one's partner
        await assert_configured(first)
        for unit in first.units:
            commands = [command for command, _ in writes(unit)]
            assert commands.count("reboot") == 1
            assert commands.count("setlmcommsecret") == 1
            assert commands.index("setlmcommsecret") < commands.index("reboot")

        # reboots, one after the other
        assert (False, False) not in ports
        assert [(await unit.call("agentstatus"))["boottime"] for unit in first.units] != boots
        downs = [
            number
            for before, after in itertools.pairwise(ports)
            for number in (0, 1)
            if before[number] and not after[number]
        ]
        assert sorted(downs) == [0, 1], "each unit was away once"

        # Unconnected, then Active and Standby (guide, 10.2 and 10.1)
        await eventually(master.page, lambda page: page == (200, "Master is active"), "the master is active")
        await eventually(slave.page, lambda page: page[0] == 503, "the slave stands by")
        changes = [re.findall(r"(\w+) -> (\w+): ", unit.log.read_text()) for unit in first.units]
        assert [each[0][0] for each in changes] == ["Unconnected", "Unconnected"]
        assert [each[-1][1] for each in changes] == ["Active", "Standby"]
        seen = {"Master": "Active", "Slave": "Standby"}
        pair = await first.until(
            lambda pair: {unit["role"]: unit["state"] for unit in pair["status"]["units"]} == seen,
            "the status of the units is told",
        )
        status = pair["status"]
        assert status["active"] == "Master"
        assert {unit["kind"] for unit in status["units"]} == {"Agent"}
        assert status["frontend"]["address"] == first.lab.places.frontend

        # published (guide, 5.4), on each unit at its own address (1.1), with the Secret's certificate
        await until_both_have_the_service(first)
        await until_served(first)
        async with first.client().steady(0.02) as log:
            await asyncio.sleep(1)
        assert log.failures() == [], log.told()
        assert {request.body for request in log.requests} == {b"web-0\n", b"web-1\n"}
        assert {request.certificate for request in log.requests} == {certificate_of(first.certificate)}

        # and single again
        await first.cluster.delete_pair(first.namespace, "web")
        await first.until(lambda pair: pair is None, "the pair is gone")
        assert await first.stage.emulator.arm.get(balancer_id(first)) is None
        for unit in first.units:
            await eventually(lambda unit=unit: services(unit), lambda found: not found, "no service is left")
            assert (await ha_settings(unit))["HaMode"] == "single"
        assert first.operator.process.running

"""Who is active is moved on purpose: by a person on the machine, a drain, a reboot; and what stays put."""

import asyncio
import json

LONGER_THAN_FAILBACK = 5.0
"""Seconds; the laboratory's fail-back delay is 3 s (conftest)."""


async def status_of(unit):
    code, said = await unit.administer("status", "--output", "json")
    assert code == 0, said
    return json.loads(said)


async def test_a_person_on_the_machine_switches_over_and_back_without_a_lost_request(lab):
    async with lab.client.steady(0.02) as log:
        code, said = await lab.units[1].administer("switchover")
        assert code == 0, said
        await lab.until_settled(1)
        await asyncio.sleep(LONGER_THAN_FAILBACK)
        assert await lab.balancer.up() == (False, True), "the hold keeps the master from taking it back"
        code, said = await lab.units[0].administer("switchover", "--undo")
        assert code == 0, said
        await lab.until_settled(0)
    assert log.failures() == []


async def test_a_switchover_with_an_end_is_taken_back_when_it_is_over(lab):
    async with lab.client.steady(0.02) as log:
        code, said = await lab.units[0].administer("switchover", "--hold", "3s")
        assert code == 0, said
        await lab.until_serving(1)
        await lab.until_settled(0)
    assert log.failures() == []


async def test_without_a_prober_a_switchover_aborts_and_says_so(in_namespaces, lab):
    heal = lab.cut_balancer(1)
    await asyncio.sleep(3)
    async with lab.client.steady(0.02) as log:
        code, said = await lab.units[0].administer("switchover")
        assert code != 0
        assert "probe" in said.lower()
        assert await lab.units[0].state_now() == "Active"
    heal()
    await lab.until_settled(0)
    assert log.failures() == []


async def test_a_drained_unit_hands_over_and_serves_again_after_it(lab):
    async with lab.client.steady(0.02) as log:
        assert (await lab.units[0].administer("drain"))[0] == 0
        await lab.until_serving(1)
        assert (await lab.units[0].administer("undrain"))[0] == 0
        await lab.until_settled(0)
    assert log.failures() == []


async def test_a_reboot_through_the_api_hands_over_and_comes_back_as_after_a_boot(lab):
    unit = lab.units[0]
    booted = (await unit.call("agentstatus"))["boottime"]
    haproxy = unit.processes.pids("haproxy")
    async with lab.client.steady(0.02) as log:
        await unit.call("reboot")
        await lab.until_serving(1)
        await lab.until_settled(0)
    assert (await unit.call("agentstatus"))["boottime"] != booted
    assert not set(haproxy) & set(unit.processes.pids("haproxy")), "a new master process"
    assert log.requests[-1].ok
    assert log.gap() < 20


async def test_without_a_preferred_host_nothing_moves_back(open_laboratory):
    async with open_laboratory(preferred_host="None") as lab:
        for unit in lab.units:
            await unit.start()
        first = await lab.until_at_rest()
        lab.units[first].kill()
        await lab.until_serving(1 - first)
        await lab.units[first].start()
        await lab.until_settled(1 - first)
        await asyncio.sleep(LONGER_THAN_FAILBACK)
        await lab.until_settled(1 - first)


async def test_the_local_status_says_who_is_active_and_why(lab):
    active, standby = [await status_of(unit) for unit in lab.units]
    assert (active["mode"], active["state"]) == ("Master", "Active")
    assert (standby["mode"], standby["state"]) == ("Slave", "Standby")
    code, text = await lab.units[1].administer("status")
    assert code == 0
    assert "Standby" in text
    assert lab.units[0].address in text

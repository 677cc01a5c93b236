"""A pair from its first start on: it comes up, serves, hands over, stops and starts again."""

import asyncio

import pytest

from lab.nodes import Refused


async def test_a_fresh_pair_comes_up_with_the_master_active_and_serves(open_laboratory):
    async with open_laboratory() as lab:
        assert (await lab.client.get()).ok is False
        await lab.start()
        assert await lab.units[0].page() == (200, "Master is active")
        assert (await lab.units[1].page())[0] == 503
        await lab.publish()
        async with lab.client.steady() as log:
            await asyncio.sleep(2)
        assert log.failures() == []
        assert {request.body for request in log.requests} == {b"web-0\n", b"web-1\n"}
        for unit in lab.units:
            services = (await unit.call("listvs"))["VS"]
            assert [(each["VSAddress"], str(each["VSPort"])) for each in services] == [(unit.address, "8080")]


async def test_a_standby_refuses_what_is_synchronised_and_names_the_active_unit(lab):
    standby, active = lab.units[1], lab.units[0]
    with pytest.raises(
        Refused, match=f"unit is standby, configure the active unit {active.address}"
    ) as refused:
        await standby.call("addvs", vs=standby.address, port=8081, prot="tcp")
    assert refused.value.status == 422
    assert len((await active.call("listvs"))["VS"]) == 1


async def test_a_stranger_at_the_partner_link_is_turned_away_counted_and_named_in_the_log(lab):
    unit, stranger = lab.units[0], lab.places.client
    with stranger.connection() as connection:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (unit.address, 6973))
        async with asyncio.timeout(20):
            assert await loop.sock_recv(connection, 100) == b""
    await lab.until_status(0, lambda found: "stranger 1" in found["linkrefusals"], "counting the stranger")
    assert f"Unauthorized Remote Machine connection from {stranger.address}" in unit.log.read_text()
    await lab.until_settled(0)


async def test_a_pair_that_nobody_probes_is_unconnected_until_the_balancer_comes(
    open_laboratory, in_namespaces
):
    async with open_laboratory() as lab:
        heals = [lab.cut_balancer(number) for number in (0, 1)]
        for unit in lab.units:
            await unit.start()
        for number in (0, 1):
            await lab.until_state(number, "Unconnected")
        status, _ = await lab.units[0].page()
        assert status == 503, "a person's poll is not taken for the balancer's"
        for heal in heals:
            heal()
        await lab.until_settled(0)


async def test_a_planned_switchover_under_load_loses_nothing(lab):
    async with (
        lab.client.steady() as log,
        lab.client_of(8080, source=1).kept_alive() as alive,
        lab.client_of(8080, source=2).kept_alive(path="/bytes/3000000", interval=0.0) as downloads,
    ):
        await asyncio.sleep(1)
        long_download = asyncio.create_task(lab.client_of(8080, source=3).get("/slow/60"))
        await lab.units[0].call("agentswitchover")
        await lab.until_settled(1)
        await asyncio.sleep(1)
        await lab.units[1].call("agentswitchover", to="undo")
        await lab.until_settled(0)
        assert (await long_download).ok
    for each in (log, alive, downloads):
        assert each.requests
        assert each.failures() == []


async def test_a_clean_stop_of_the_active_unit_loses_nothing(lab):
    async with lab.client.steady() as log:
        await asyncio.sleep(0.5)
        assert await lab.units[0].stop() == 0
        await lab.until_serving(1)
        await lab.units[0].start()
        await lab.until_settled(0)
    assert log.failures() == []


async def test_both_units_restarted_at_once_come_back_with_their_settings(lab):
    for unit in lab.units:
        unit.kill()
    await lab.until_serving(None)
    await lab.start()
    for unit in lab.units:
        await lab.until_served(unit)
    assert (await lab.client.get()).ok

"""What breaks, breaks for real: processes killed and frozen, links cut, a full disk. Somebody serves on."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from lab.namespaces import Cut
from lab.nodes import Refused
from lab.poor_line import Quality
from lab.traffic import Client

SAFETY_SECONDS = 20.0
"""No client waits for so long, whatever happens; what it really takes is measured by bench/failover."""


@contextlib.asynccontextmanager
async def clients(lab):
    """A new connection every 20 ms; checks afterwards that nobody waited too long, and that all is well."""
    async with lab.client.steady(0.02) as log:
        await asyncio.sleep(0.5)
        yield log
        await asyncio.sleep(0.5)
    assert log.requests[0].ok
    assert log.requests[-1].ok
    assert log.gap() < SAFETY_SECONDS


async def test_a_killed_unit_is_replaced_at_once_and_takes_over_again_when_it_is_back(lab):
    async with clients(lab):
        lab.units[0].kill()
        await lab.until_serving(1)
        await lab.until_state(1, "Active")
        await lab.units[0].start()
        await lab.until_settled(0)


async def test_a_killed_node_process_leaves_haproxy_serving_and_comes_back(lab):
    unit = lab.units[0]
    past_the_balancer = Client(lab.places.client, unit.address, 8080, source=lab.places.client.addresses[1])
    async with clients(lab), past_the_balancer.steady(0.02) as log:
        master = unit.processes.pids("haproxy")[0]
        assert unit.kill("loadmaster_ha.agent.process.node")
        await lab.until_settled(0)
        assert unit.processes.pids("haproxy")[0] == master
    assert log.failures() == []


async def test_a_frozen_unit_is_replaced_and_does_not_serve_beside_the_other_when_it_thaws(lab):
    async with clients(lab):
        lab.units[0].freeze()
        await lab.until_serving(1)
        lab.units[0].thaw()
        await lab.until_settled(0)
    assert await lab.units[1].state_now() == "Standby"


async def test_a_killed_haproxy_is_started_again_and_somebody_serves(lab):
    async with clients(lab):
        lab.units[0].kill("haproxy")
        await lab.until_served(lab.units[0])
        await lab.until_settled(0)


async def test_a_stuck_haproxy_is_noticed_and_the_other_unit_serves(lab):
    async with clients(lab):
        lab.units[0].freeze("haproxy")
        await lab.until_serving(1)
        await lab.until_state(0, "Failed")
        lab.units[0].thaw()
        await lab.until_settled(0)


async def test_an_isolated_unit_is_replaced_and_yields_when_the_cable_is_back(in_namespaces, lab):
    async with clients(lab):
        heal = lab.isolate(0)
        await lab.until_serving(1)
        heal()
        await lab.until_settled(0)
    assert await lab.units[1].state_now() == "Standby"


@pytest.mark.parametrize(
    ("what", "one_way"),
    [("link", None), ("everything", None), ("everything", 0), ("everything", 1)],
    ids=["the link", "both ways", "from the active", "from the standby"],
)
async def test_with_only_the_units_cut_from_each_other_nobody_takes_over_and_the_finding_is_told(
    in_namespaces, lab, what, one_way
):
    async with lab.client.steady(0.02) as log:
        cut = lab.cut_partner_link if what == "link" else lab.cut_units
        heal = cut(one_way=one_way)
        status = await lab.until_status(1, lambda found: bool(found["notices"]), "telling a finding")
        await asyncio.sleep(5)
        assert await lab.balancer.up() == (True, False), status
        heal()
        await lab.until_settled(0)
    assert log.failures() == []


async def test_a_partition_that_the_witness_cannot_see_into_ends_with_one_active_unit(in_namespaces, lab):
    """A rule between the units' addresses drops what the balancer forwards for the standby as well."""
    one, other = (unit.address for unit in lab.units)
    async with lab.client.steady(0.02) as log:
        heal = lab.places.cut(Cut(one, other), Cut(other, one))
        await lab.balancer.until_up(True, True)
        heal()
        await lab.until_settled(0)
    assert log.failures() == [], "both served meanwhile; nobody was turned away"


async def test_over_lines_that_lose_and_delay_nobody_takes_over_and_settings_arrive(over_poor_lines, lab):
    """A tenth of what the units send each other is lost; a lost probe is the balancer's own matter."""
    slow = Quality(delay=0.05, jitter=0.05)
    async with lab.client.steady(0.02) as log:
        heals = [lab.worsen_balancer(0, slow), lab.worsen_balancer(1, slow)]
        heals.append(lab.worsen_units(replace(slow, loss=0.1)))
        await lab.publish(port=8081)
        await asyncio.sleep(8)
        assert await lab.balancer.up() == (True, False)
        for heal in heals:
            heal()
        await lab.until_settled(0)
    assert log.failures() == []


async def test_a_killed_unit_is_replaced_over_slow_lines_too(over_poor_lines, lab):
    slow = Quality(delay=0.2, jitter=0.1)
    async with clients(lab):
        heals = [lab.worsen_units(slow), lab.worsen_balancer(1, slow)]
        lab.units[0].kill()
        await lab.until_serving(1)
        for heal in heals:
            heal()
        await lab.units[0].start()
        await lab.until_settled(0)


async def test_with_the_balancer_cut_from_the_active_unit_the_other_one_serves(in_namespaces, lab):
    async with clients(lab):
        heal = lab.cut_balancer(0)
        await lab.until_serving(1)
        heal()
        await lab.until_settled(0)


async def add_a_service(unit):
    """Needs room for HAProxy's trial of the new configuration."""
    await unit.call("addvs", vs=unit.address, port=9000, prot="tcp")


async def rename_often(unit):
    """Needs room in the store alone, once what is left within its files is used up."""
    for number in range(500):
        await unit.call("set", param="hostname", value=f"lm-{number}")


async def test_a_full_disk_refuses_changes_and_stops_nothing_else(in_namespaces, open_laboratory):
    async with open_laboratory(disk_bytes=24 << 20) as lab:
        await lab.start()
        await lab.publish()
        active = lab.units[0]
        async with lab.client.steady(0.02) as log:
            active.fill_disk()
            for change in (add_a_service, rename_often):
                with pytest.raises(Refused, match="nothing was changed") as refused:
                    await change(active)
                assert refused.value.status == 503
            assert lab.units[0].running
            assert await active.state_now() == "Active"
            active.free_disk()
            await lab.publish(port=8090)
        assert log.failures() == []
        for unit in lab.units:
            ports = {str(each["VSPort"]) for each in (await unit.call("listvs"))["VS"]}
            assert {"8080", "8090"} <= ports


async def test_settings_changed_on_the_old_active_unit_during_the_failover_are_on_both_afterwards(
    in_namespaces, lab
):
    old, new = lab.units
    heals = [lab.cut_units(), lab.cut_balancer(0)]
    await lab.until_serving(1)
    await lab.until_state(1, "Active")
    changes = {"addvs": {"port": 8091}, "modvs": {"port": 8080, "NickName": "changed-on-the-new-one"}}
    await new.call("addvs", vs=new.address, prot="tcp", **changes["addvs"])
    # Whether the old one still takes settings is its own business; what it acknowledged must not be lost.
    taken = []
    with contextlib.suppress(Refused):
        await old.call("addvs", vs=old.address, port=8092, prot="tcp")
        taken.append("8092")
    await new.call("modvs", vs=new.address, prot="tcp", **changes["modvs"])
    for heal in heals:
        heal()
    await lab.until_settled(0)
    wanted = {"8080", "8091", *taken}
    for unit in lab.units:
        async with asyncio.timeout(60):
            while {str(each["VSPort"]) for each in (await unit.call("listvs"))["VS"]} != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            service = {"vs": unit.address, "port": 8080, "prot": "tcp"}
            while (await unit.call("showvs", **service))["NickName"] != "changed-on-the-new-one":  # noqa: ASYNC110
                await asyncio.sleep(0.2)

"""A pair at work whose operator dies, whose manifest changes, which is suspended, and at last deleted."""

import asyncio
import contextlib
import time

import aiohttp
import pytest
from tests.support.first_pairs import (
    ROLES,
    active_of,
    balancer_id,
    eventually,
    ha_settings,
    probe_ports,
    published_ports,
    services,
    writes,
)

from lab.traffic import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

PORTS = (8444, 8445)
CONFIRMED_BY = 5
"""Probes after which a unit has taken over: as many seconds, and an operator starts in less."""


async def metrics(first):
    """The lines of /metrics that are about the pair, by series."""
    url = f"http://127.0.0.1:{first.operator.port('metrics')}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    ours = ('pair="web"', 'name="web"')
    return {name: float(value) for name, _, value in lines if any(label in name for label in ours)}


def switchovers(first):
    """The orders to hand over that the units were given."""
    return [given for unit in first.units for command, given in writes(unit) if command == "agentswitchover"]


async def set_threshold(first, number):
    """Let the balancer, and so the agents, want so many probes."""
    await first.patch({"spec": {"healthCheck": {"threshold": number}}})
    await first.until_ready()
    for unit in first.units:
        await eventually(
            lambda unit=unit: unit.call("agentgetparams"),
            lambda found: str(found.get("probethreshold")) == str(number),
            "the agent knows the threshold",
        )


async def test_an_operator_killed_during_a_planned_switchover_tells_once_how_it_ended(first):
    old = await active_of(first)
    new, wanted = 1 - old, ROLES[1 - old].lower()
    await set_threshold(first, CONFIRMED_BY)
    ordered, told = len(switchovers(first)), len(await first.events("SwitchedOver"))
    async with (
        first.client().steady(0.02) as log,
        first.client(source=1).kept_alive() as alive,
    ):
        await asyncio.sleep(0.5)
        await first.annotate(switchover_to=wanted)
        await eventually(
            lambda: first.units[old].call("agentstatus"),
            lambda found: found.get("switchover"),
            "the agent is handing over",
        )
        await first.kill_operator()
        await first.start_operator()
        pair = await first.until(
            lambda pair: "loadmaster.dev/switchover-to" not in (pair["metadata"].get("annotations") or {}),
            "the request is answered",
        )
        await first.until_active(ROLES[new])
        await first.lab.until_settled(new)
        await asyncio.sleep(1)
    outcome = pair["status"]["lastSwitchover"]
    assert (outcome["requested"], outcome["outcome"]) == (wanted, "Done"), outcome
    assert "gapSeconds" not in outcome, "nobody has seen all of it"
    assert log.failures() == [], log.told()
    assert alive.failures() == [], alive.told()
    assert len(switchovers(first)) == ordered + 1, "it was ordered once"
    assert len(await first.events("SwitchedOver")) == told + 1
    assert await first.events("SwitchoverRefused", "SwitchoverAborted") == []
    found = await first.until(
        lambda pair: pair["status"].get("lastFailover", {}).get("to") == ROLES[new], "it is told as planned"
    )
    assert found["status"]["lastFailover"]["trigger"] == "Planned"
    assert found["status"]["lastSwitchover"] == outcome
    await set_threshold(first, 2)


async def page(first, unit, port):
    """Whether a unit's health page answers on a port, whatever it says."""
    found = await Client(first.lab.places.client, unit.address, port).get()
    return found.ok or found.outcome.isdigit()


async def watch_the_move(first, old, new, seen):
    """Look, again and again, at who has which check port; `seen` gets what was never to be seen."""
    while True:
        answered = [await page(first, unit, old) for unit in first.units]
        if new not in await probe_ports(first) and not all(answered):
            seen.append("a unit has left the old port while the balancer probed it there")
        if new in await probe_ports(first):
            ports = [(await ha_settings(unit))["Port"] for unit in first.units]
            if ports != [str(new)] * 2:
                seen.append(f"the balancer probes {new} while the units have {ports}")
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def during(work):
    task = asyncio.create_task(work)
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(("old", "new"), [PORTS, PORTS[::-1]])
async def test_another_check_port_in_the_manifest_moves_a_running_pair_without_a_lost_request(
    first, old, new
):
    serving, seen = await active_of(first), []
    async with (
        first.client().steady(0.02) as log,
        first.client(source=1).kept_alive() as alive,
        during(watch_the_move(first, old, new, seen)),
    ):
        await asyncio.sleep(0.5)
        await first.patch({"spec": {"healthCheck": {"port": new}}})
        await eventually(lambda: probe_ports(first), lambda found: found == {new}, "the probe has moved")
        await first.until_ready()
        await first.until_condition("PairHealthy", "True", "ActiveStandby")
        for unit in first.units:
            await eventually(
                lambda unit=unit: page(first, unit, old), lambda found: not found, "the old port is left"
            )
        await asyncio.sleep(1)
    assert seen == []
    assert log.failures() == [], log.told()
    assert alive.failures() == [], alive.told()
    assert await active_of(first) == serving, "nobody else has become active"
    assert await published_ports(first) == {new, first.port}


async def test_a_check_port_that_waits_for_a_unit_changes_nothing_that_is_said_of_who_serves(first):
    active, old = await active_of(first), (await first.pair())["spec"]["healthCheck"]["port"]
    first.units[1 - active].kill()
    await first.until_condition("PairHealthy", "False", "PartnerUnreachable")
    await first.patch({"spec": {"healthCheck": {"port": 8555}}})
    await eventually(
        lambda: first.condition("AzureSynced"),
        lambda found: found["status"] == "False" and f"stays {old}" in found["message"],
        "AzureSynced tells that the probe's port waits",
    )
    until = time.monotonic() + 6  # more than a round of polls
    while time.monotonic() < until:
        assert (await first.condition("PairHealthy"))["reason"] == "PartnerUnreachable"
        assert (await first.status())["active"] == ROLES[active]
        await asyncio.sleep(0.1)
    assert await probe_ports(first) == {old}
    await first.patch({"spec": {"healthCheck": {"port": old}}})
    await first.until_condition("AzureSynced", "True")


async def test_a_suspended_pair_is_not_written_to_and_is_repaired_after_it_resumes(first):
    active = first.units[await active_of(first)]
    service = {"vs": active.address, "port": first.port, "prot": "tcp"}
    await first.annotate(suspend="true")
    await first.until_condition("Paused", "True", "Suspended")
    before = [len(writes(unit)) for unit in first.units]
    repaired = len(await first.events("DriftRepaired"))

    def another(body):
        body["properties"]["probes"][0]["properties"]["port"] = 8446

    await active.call("modvs", **service, Schedule="lc")
    await first.stage.emulator.arm.edit(balancer_id(first), another)
    await first.annotate(look="suspended")
    pair = await first.until(
        lambda pair: (
            any("lc" in line for line in pair["status"].get("pending") or [])
            and any("8446" in line for line in pair["status"]["pending"])
        ),
        "both changes by hand are told",
    )
    assert {found["type"]: found["reason"] for found in pair["status"]["conditions"]}["HASynced"] == "Drift"
    await first.until_condition("AzureSynced", "False", "Drift")

    await first.annotate(switchover_to=ROLES[1 - active.number].lower())
    pair = await first.until(
        lambda pair: "loadmaster.dev/switchover-to" not in pair["metadata"]["annotations"], "it is answered"
    )
    assert pair["status"]["lastSwitchover"]["outcome"] == "Refused"
    assert "suspended" in pair["status"]["lastSwitchover"]["reason"]

    await asyncio.sleep(3)
    assert sum(len(writes(unit)) for unit in first.units) == sum(before) + 1, "ours alone"
    assert await probe_ports(first) == {8446}
    assert len(await first.events("DriftRepaired")) == repaired

    await first.annotate(suspend=None)
    await eventually(lambda: probe_ports(first), lambda found: found == {8444}, "the probe is set right")
    await eventually(
        lambda: active.call("showvs", **service), lambda found: found["Schedule"] == "rr", "the unit, too"
    )
    await first.until_condition("Paused", "False")
    await first.until_ready()
    await eventually(
        lambda: first.events("DriftRepaired"),
        lambda found: len(found) >= repaired + 2,
        "both repairs are told",
    )


async def until_watched(first, active):
    """Wait until the present process sees who is active, which status may have from an earlier one."""
    name = f'loadmaster_pair_active{{namespace="{first.namespace}",pair="web",unit="{ROLES[active]}"}}'
    return await eventually(lambda: metrics(first), lambda found: found.get(name), "the operator watches")


async def test_a_fail_over_is_counted_once_also_by_the_next_operator(first):
    old = await active_of(first)
    new = 1 - old
    told = len(await first.events("FailedOver"))
    await first.kill_operator()
    await first.start_operator()
    await until_watched(first, old)

    def counted(found):
        return {name: value for name, value in found.items() if "failovers_total" in name and value}

    assert counted(await metrics(first)) == {}, "of what other processes have counted"

    first.units[old].kill()
    await first.until_active(ROLES[new])
    await eventually(lambda: metrics(first), counted, "it is counted")
    await eventually(
        lambda: metrics(first),
        lambda found: sum(v for name, v in found.items() if "failover_duration_seconds_count" in name) == 1,
        "its length is known",
    )
    (name, value), *others = counted(await metrics(first)).items()
    assert (value, others) == (1, [])
    for label in (f'from="{ROLES[old]}"', f'to="{ROLES[new]}"', 'trigger="ProcessDied"'):
        assert label in name
    pair = await first.until(
        lambda pair: "durationSeconds" in pair["status"].get("lastFailover", {}), "status has its length"
    )
    failover = pair["status"]["lastFailover"]
    assert (failover["from"], failover["to"], failover["trigger"]) == (ROLES[old], ROLES[new], "ProcessDied")
    (event,) = (
        await eventually(
            lambda: first.events("FailedOver"), lambda found: len(found) > told, "an Event tells it"
        )
    )[told:]
    for words in (ROLES[old].lower(), ROLES[new].lower(), "ProcessDied", " s"):
        assert words in event["note"], event["note"]
    at = {name: value for name, value in (await metrics(first)).items() if "last_failover_timestamp" in name}

    await first.kill_operator()
    await first.start_operator()
    await first.units[old].start()
    await first.until_condition("PairHealthy", "True", "ActiveStandby")
    found = await until_watched(first, new)
    assert counted(found) == {}, "of what another process has counted"
    again = {name: value for name, value in found.items() if "last_failover_timestamp" in name}
    assert again.keys() == at.keys()
    assert all(abs(value - at[name]) < 1.0 for name, value in again.items()), "the stored time, in seconds"
    assert (await first.status())["lastFailover"]["time"] == failover["time"]
    assert len(await first.events("FailedOver")) == told + 1


async def test_a_deleted_pair_leaves_two_single_units_and_no_series(first):
    assert await metrics(first)
    await first.cluster.delete_pair(first.namespace, "web")
    await first.until(lambda pair: pair is None, "the pair is gone")
    for unit in first.units:
        assert (await ha_settings(unit))["HaMode"] == "single"
        await eventually(lambda unit=unit: services(unit), lambda found: not found, "no service is left")
    assert await first.stage.emulator.arm.get(balancer_id(first)) is None
    await eventually(lambda: metrics(first), lambda found: not found, "its series are gone")
    assert len(await first.events("CleanedUp")) == 1

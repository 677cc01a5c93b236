"""A pair at work: fail-overs are told, and what is done on purpose loses no request."""

import asyncio
import re
import time

import aiohttp
import pytest
from tests.support.first_pairs import (
    ROLES,
    active_of,
    azure_writes,
    certificate_of,
    endpoints,
    eventually,
    nodes,
    published_ports,
    servers_of,
    writes,
)
from tests.support.pem import self_signed
from tests.support.prometheus import scraping
from tests.support.unit_accounts import CHANGES

from lab.first_pair import HOST

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDLE_SECONDS = 12
"""More than two rounds of the operator's looks at health ports."""
QUIET_SECONDS = 6


async def until_quiet(first):
    """Wait until nothing was told for a round: a pair that has just been built is still getting known."""
    version, since = "", asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - since < QUIET_SECONDS:
        found = (await first.pair())["metadata"]["resourceVersion"]
        if found != version:
            version, since = found, asyncio.get_running_loop().time()
        await asyncio.sleep(0.2)


async def revive(first, number):
    await first.units[number].start()
    await first.lab.until_settled(1 - number)


async def test_a_pair_that_is_as_wanted_is_left_alone(first):
    await until_quiet(first)
    pair, events = await first.pair(), len(await first.events())
    before = [len(writes(unit)) for unit in first.units]
    in_azure = await azure_writes(first)
    await asyncio.sleep(IDLE_SECONDS)
    assert [len(writes(unit)) for unit in first.units] == before
    assert await azure_writes(first) == in_azure
    after = await first.pair()
    assert after["metadata"]["resourceVersion"] == pair["metadata"]["resourceVersion"], after["status"]
    assert len(await first.events()) == events


async def test_a_fail_over_under_load_is_told_in_status_condition_event_and_metrics(first, tmp_path):
    old = await active_of(first)
    new, labels = 1 - old, f'namespace="{first.namespace}",pair="web"'
    async with scraping(first.operator.port("metrics"), tmp_path) as prometheus:
        counted = f"sum(loadmaster_failovers_total{{{labels}}}) or vector(0)"
        before = await prometheus.value(counted) or 0
        told = len(await first.events("FailedOver"))
        async with first.client().steady(0.02) as log:
            await asyncio.sleep(0.5)
            first.units[old].kill()
            pair = await first.until_active(ROLES[new])
            await first.lab.until_serving(new)
            await asyncio.sleep(1)
        assert log.recovered()
        failover = pair["status"]["lastFailover"]
        assert (failover["from"], failover["to"]) == (ROLES[old], ROLES[new])
        assert failover["trigger"] == "ProcessDied"
        unhealthy = await first.until_condition("PairHealthy", "False", "PartnerUnreachable")
        assert first.units[old].address in unhealthy["message"]
        await first.until_condition("Available", "True")
        events = await eventually(
            lambda: first.events("FailedOver"), lambda found: len(found) > told, "an Event"
        )
        assert ROLES[old].lower() in events[-1]["note"]
        assert ROLES[new].lower() in events[-1]["note"]
        await prometheus.until(counted, before + 1)
        await prometheus.until(f'loadmaster_pair_active{{{labels},unit="{ROLES[new]}"}}', 1)
        await prometheus.until(f'loadmaster_pair_active{{{labels},unit="{ROLES[old]}"}}', 0)
        await revive(first, old)
        await prometheus.until(f'loadmaster_unit_state{{{labels},unit="{ROLES[old]}",state="Standby"}}', 1)
        assert await prometheus.value(counted) == before + 1, "the return of the old one is no fail-over"


async def test_an_operator_that_was_dead_during_a_fail_over_reports_it_afterwards(first):
    old = await active_of(first)
    before = (await first.status()).get("lastFailover")
    told = len(await first.events("FailedOver"))
    await first.kill_operator()
    async with first.client().steady(0.02) as log:
        first.units[old].kill()
        await first.lab.until_serving(1 - old)
        await asyncio.sleep(1)
    assert log.recovered(), "fail-over is not the operator's"
    await first.start_operator()
    pair = await first.until_active(ROLES[1 - old])
    failover = pair["status"]["lastFailover"]
    assert failover != before
    assert (failover["from"], failover["to"]) == (ROLES[old], ROLES[1 - old])
    await eventually(lambda: first.events("FailedOver"), lambda found: len(found) == told + 1, "one Event")
    await revive(first, old)
    await first.until_condition("PairHealthy", "True", "ActiveStandby")

    await first.kill_operator()
    await first.start_operator()
    await first.until_condition("PairHealthy", "True", "ActiveStandby")
    await asyncio.sleep(3)
    assert (await first.status())["lastFailover"] == failover, "history is not counted twice"
    assert len(await first.events("FailedOver")) == told + 1


async def test_a_planned_switchover_by_annotation_loses_no_request(first):
    old = await active_of(first)
    new = 1 - old
    async with (
        first.client().steady(0.02) as log,
        first.client(source=1).kept_alive() as alive,
    ):
        await asyncio.sleep(0.5)
        await first.annotate(switchover_to=ROLES[new].lower())
        pair = await first.until(
            lambda pair: (pair["status"].get("lastSwitchover") or {}).get("requested") == ROLES[new].lower(),
            "the switch-over is over",
        )
        await first.until_active(ROLES[new])
        await first.lab.until_settled(new)
        await asyncio.sleep(1)
    assert pair["status"]["lastSwitchover"]["outcome"] == "Done", pair["status"]["lastSwitchover"]
    assert pair["status"]["lastSwitchover"]["gapSeconds"] == 0
    assert log.failures() == [], log.told()
    assert alive.failures() == [], alive.told()
    await first.until(
        lambda pair: "loadmaster.dev/switchover-to" not in (pair["metadata"].get("annotations") or {}),
        "the annotation is taken away",
    )
    await eventually(
        first.status,
        lambda status: (
            (status["lastFailover"]["to"], status["lastFailover"]["trigger"]) == (ROLES[new], "Planned")
        ),
        "the history tells of a planned change",
    )


async def test_a_renewed_certificate_is_served_by_both_units_without_a_lost_request(first):
    old, new = first.certificate, self_signed(HOST)
    async with (
        first.client().steady(0.05) as log,
        first.client(source=1).kept_alive() as alive,
    ):
        await asyncio.sleep(0.5)
        await first.put_certificate(new)
        for unit in first.units:
            await eventually(
                first.client_of_unit(unit.number).get,
                lambda found: found.ok and found.certificate == certificate_of(new),
                f"unit {unit.number} shows the new certificate",
            )
        await asyncio.sleep(0.5)
    assert log.failures() == [], log.told()
    assert alive.failures() == [], alive.told()
    shown = {request.certificate for request in log.requests}
    assert shown == {certificate_of(old), certificate_of(new)}
    assert log.requests[-1].certificate == certificate_of(new)
    await first.until_ready()


async def commands_sent(first):
    """What the present operator has sent to units, by its own account."""
    url = f"http://127.0.0.1:{first.operator.port('metrics')}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    return set(re.findall(r'^loadmaster_unit_requests_total\{command="(\w+)".*\} [1-9]', text, re.MULTILINE))


async def test_neither_building_a_pair_nor_starting_again_makes_users_or_api_keys(first):
    await first.kill_operator()
    await first.start_operator()
    sent = await eventually(
        lambda: commands_sent(first), lambda found: {"listapi", "listvs"} <= found, "it looks at the units"
    )
    assert not sent & CHANGES
    for unit in first.units:
        told = {command.lower() for command, _ in writes(unit)}
        assert {"azurehamode", "reboot"} <= told, "its log has all that was ever written"
        assert not told & CHANGES
        assert (await unit.call("listapikeys")).get("apikeys") in (None, [])
        assert (await unit.call("userlist")).get("User") in (None, [])


async def answered_by(log, *numbers):
    """Wait until each of these servers must have had its turn since now; nobody else has answered."""
    began = time.monotonic()

    async def bodies():
        return [request.body for request in log.requests if request.began > began]

    found = await eventually(bodies, lambda found: len(found) >= 4 * len(numbers), "it is answered")
    assert set(found) == {f"web-{number}\n".encode() for number in numbers}


async def test_nodes_that_come_and_go_serve_without_a_lost_request(first):
    port = first.port + 2
    source = {"service": {"name": "shop", "port": "http"}, "mode": "Nodes"}
    virtual_service = {"type": "HTTP", "realServersFrom": source, "drainSeconds": 2}
    service = {"name": "shop", "port": port, "virtualService": virtual_service}
    async with nodes(first, "shop", [f"127.77.0.{number}" for number in range(1, 5)]) as cluster:

        async def until_behind(*numbers):
            for unit in first.units:
                await eventually(
                    lambda unit=unit: servers_of(unit, port),
                    lambda found: found == cluster.servers(*numbers),
                    f"unit {unit.number} has the nodes {numbers} behind it",
                )

        await cluster.ready(0, 1)
        await first.patch({"spec": {"services": [first.service(), service]}})
        await until_behind(0, 1)
        client = first.lab.client_of(port, source=2)
        await eventually(client.get, lambda answer: answer.ok, "the new service is served")
        async with client.steady(0.05) as log:
            await answered_by(log, 0, 1)
            await cluster.ready(0, 1, 2, 3)
            await until_behind(0, 1, 2, 3)
            await answered_by(log, 0, 1, 2, 3)
            await cluster.ready(0, 2, 3)
            await cluster.remove(3)
            await until_behind(0, 2)
            await answered_by(log, 0, 2)

            # At last the same by address, so that the pair stays whole when the nodes are gone.
            fixed = first.service()["virtualService"]["realServers"]
            service["virtualService"] = {"type": "HTTP", "realServers": fixed, "drainSeconds": 2}
            await first.patch({"spec": {"services": [first.service(), service]}})
            for unit in first.units:
                await eventually(
                    lambda unit=unit: servers_of(unit, port),
                    lambda found: found == sorted(first.lab.web),
                    "the nodes have gone",
                )
        assert log.failures() == [], log.told()
    await first.until_ready()


async def test_endpoints_go_from_3_to_30_and_back_without_a_lost_request(in_namespaces, wire, first):
    port = first.port + 1
    addresses = [f"10.9.0.{number}" for number in range(1, 31)]  # the API server refuses loopback's
    wire.own(*addresses)
    before = (await first.pair())["spec"]["services"]
    async with endpoints(first, "pods", addresses) as pods:
        wanted = await pods.set(3)
        service = {
            "name": "pods",
            "port": port,
            "virtualService": {
                "type": "HTTP",
                "realServersFrom": {"service": {"name": "pods", "port": "http"}, "mode": "Endpoints"},
                "drainSeconds": 2,
            },
        }
        await first.patch({"spec": {"services": [*before, service]}})
        await first.until_ready()
        active = first.units[await active_of(first)]
        assert await servers_of(active, port) == wanted
        await eventually(
            first.lab.client_of(port, source=2).get, lambda answer: answer.ok, "the new service is served"
        )
        async with (
            first.client().steady(0.05) as other,
            first.lab.client_of(port, source=2).steady(0.05) as log,
        ):
            for number in (30, 3):
                wanted = await pods.set(number)
                for unit in first.units:
                    await eventually(
                        lambda unit=unit: servers_of(unit, port),
                        lambda found, wanted=wanted: found == wanted,
                        f"{number} real servers",
                    )
                await asyncio.sleep(1)
        assert log.failures() == [], log.told()
        assert other.failures() == [], other.told()
        assert len({request.body for request in log.requests}) > 3, "the new ones were given traffic"
        await first.patch({"spec": {"services": [first.service()]}})
        await eventually(
            lambda: published_ports(first), lambda found: port not in found, "the rule is taken away"
        )
        assert await servers_of(active, port) == wanted, "who is connected is let finish"

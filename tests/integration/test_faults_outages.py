"""Azure is throttled, slow of mind or away: conditions say so, nothing is hammered, and it goes on by
itself."""

import asyncio

import pytest
from tests.support.arm_proxy import ArmProxy
from tests.support.live_pairs import changed, condition, manifest
from tests.support.world import World, assert_same

pytestmark = pytest.mark.asyncio(loop_scope="module")

RETRY_AFTER = 4
"""Seconds; Azure asks for minutes, the pattern is the same."""
UNDER_WAY = 1.5
"""Seconds for which requests may arrive that a busy operator had sent before it read the answer."""


def impatient(proxy: ArmProxy, retry_after: float) -> list[str]:
    """Requests that were sent although an earlier answer had asked to wait; they shall not be."""
    refusals = [exchange for exchange in proxy.exchanges if exchange.status == 429 and exchange.answered_at]
    return [
        f"{exchange.method} {exchange.path} {exchange.at - refusal.answered_at:.1f} s after a 429"
        for refusal in refusals
        for exchange in proxy.exchanges
        if refusal.answered_at and UNDER_WAY < exchange.at - refusal.answered_at < retry_after - 0.2
    ]


async def throttle(rig, group: str) -> None:
    await rig.arm.add_fault(
        count=0,
        verb="GET|PUT|DELETE|PATCH",
        path=f"(?i)/resourceGroups/{group}/",
        status=429,
        code="SubscriptionRequestsThrottled",
        message="Number of requests for subscription exceeded the limit.",
        retryAfter=RETRY_AFTER,
    )


async def test_throttling_is_told_waited_out_and_not_hammered(rig):
    world = await World(rig.arm, "throttled").build()
    await throttle(rig, "throttled")
    try:
        start = len(rig.proxy.exchanges)
        await rig.pairs.apply(manifest(world, rig.pairs.namespace, "throttled"))
        ready = await rig.pairs.until(
            lambda pair: condition(pair, "AzureSynced").get("reason") == "Throttled", "throttled", "throttled"
        )
        assert condition(ready, "AzureSynced")["status"] == "Unknown"
        assert condition(ready, "Reconciling")["status"] == "True"
        assert condition(ready, "Stalled")["status"] == "False"
        await asyncio.sleep(3 * RETRY_AFTER)
        assert impatient(rig.proxy, RETRY_AFTER) == []
        sent = [exchange for exchange in rig.proxy.exchanges[start:] if exchange.status == 429]
        # Each round may find out with the reads that were under way together; there are at most five rounds.
        assert len(sent) <= 5 * 10, "that is hammering"
        assert not [write for write in rig.proxy.writes if "/throttled/" in write.path], "written unseen"
    finally:
        await rig.arm.clear_faults()
    await rig.pairs.ready("throttled")


async def test_throttled_in_the_middle_of_a_change_it_goes_on_afterwards(rig):
    world = await World(rig.arm, "throttled-writes").build()
    pair = manifest(world, rig.pairs.namespace, "throttled-writes")
    await rig.pairs.apply(pair)
    await rig.pairs.ready("throttled-writes")
    await throttle(rig, "throttled-writes")
    try:
        await rig.pairs.apply(changed(pair, healthCheck__intervalSeconds=15))
        await rig.pairs.condition("AzureSynced", "Unknown", "Throttled", "throttled-writes")
    finally:
        await rig.arm.clear_faults()
    await rig.pairs.ready("throttled-writes")
    assert impatient(rig.proxy, RETRY_AFTER) == []


async def test_azure_out_of_reach_turns_conditions_unknown_and_recovers(rig):
    world = await World(rig.arm, "away").build()
    pair = manifest(world, rig.pairs.namespace, "away")
    await rig.pairs.apply(pair)
    before = await rig.pairs.ready("away")
    azure = await world.snapshot(exact=True)

    rig.proxy.outage = True
    try:
        start = len(rig.proxy.exchanges)
        await rig.pairs.apply(changed(pair, healthCheck__intervalSeconds=15))
        away = await rig.pairs.until(
            lambda found: condition(found, "AzureSynced").get("status") == "Unknown", "Unknown", "away"
        )
        told = condition(away, "AzureSynced")
        assert told["message"]
        assert condition(away, "Ready")["status"] == "Unknown", "the old True must not stay"
        assert condition(away, "Stalled")["status"] == "False", "it passes without a person"
        assert away["status"]["frontend"] == before["status"]["frontend"], "the address is still known"
        await asyncio.sleep(10)
        assert len(rig.proxy.exchanges) - start <= 60, "a dead Azure is hammered"
        assert_same(azure, await world.snapshot(exact=True), "Azure was written to")
    finally:
        rig.proxy.outage = False
    await rig.pairs.ready("away")
    balancer = await rig.arm.get(world.balancer)
    assert [probe["properties"]["intervalInSeconds"] for probe in balancer["properties"]["probes"]] == [15]


async def test_one_server_error_after_another_is_survived(rig):
    world = await World(rig.arm, "errors").build()
    for status, code in ((500, "InternalServerError"), (503, "ServiceUnavailable"), (504, "GatewayTimeout")):
        await rig.arm.add_fault(
            verb="PUT", path="(?i)/resourceGroups/errors/", status=status, code=code, count=1, retryAfter=1
        )
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "errors"))
    await rig.pairs.ready("errors")

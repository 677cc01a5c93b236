"""What the operator does with Azure shows in its figures: real API server, requests to the emulated ARM."""

import asyncio

import pytest
from tests.support.live_pairs import manifest
from tests.support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNTED = (
    "loadmaster_azure_requests_total",
    "loadmaster_azure_request_duration_seconds_count",
    "loadmaster_azure_throttled_total",
    "loadmaster_queue_wait_seconds_count",
    "loadmaster_reconcile_duration_seconds_count",
    "loadmaster_reconcile_total",
)
REASON = "loadmaster_condition_reason{"
DEPTH = 'loadmaster_queue_depth{kind="LoadMasterPair"}'


async def until_metrics(rig, holds):
    """Wait until the figures are so; the figures."""
    async with asyncio.timeout(60):
        while not holds(samples := rig.operator.metrics()):  # noqa: ASYNC110 - the operator is another process
            await asyncio.sleep(0.05)
    return samples


def total(samples, name):
    return sum(value for key, value in samples.items() if key.partition("{")[0] == name)


async def test_work_on_azure_shows_in_the_figures(rig):
    before = rig.operator.metrics()
    world = await World(rig.arm, "figures").build()
    await rig.arm.add_fault(
        count=0,
        verb="GET",
        path="(?i)/resourceGroups/figures/",
        status=429,
        code="SubscriptionRequestsThrottled",
        message="Number of requests for subscription exceeded the limit.",
        retryAfter=1,
    )
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "figures"))
    await until_metrics(rig, lambda samples: any(REASON in key and "figures" in key for key in samples))
    await rig.arm.clear_faults()
    await rig.pairs.ready("figures")
    after = await until_metrics(rig, lambda samples: samples[DEPTH] == 0)
    for name in COUNTED:
        assert total(after, name) > total(before, name), f"{name} has not moved"
    assert 0 < after["loadmaster_azure_budget_ratio"] < 1

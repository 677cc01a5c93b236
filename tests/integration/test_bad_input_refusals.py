"""Azure refuses a write for good (rights, policy, quota, locks): the user is told why, and nothing is
hammered."""

import asyncio

import pytest
from tests.support.arm_proxy import Exchange
from tests.support.live_pairs import changed, condition, manifest
from tests.support.rig import Rig
from tests.support.world import World, assert_same

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSALS = {
    "AuthorizationFailed": (
        403,
        (
            "The client '0' with object id '0' does not have authorization to perform action "
            "'Microsoft.Network/loadBalancers/write' over scope '/subscriptions/s'."
        ),
        "role",
    ),
    "RequestDisallowedByPolicy": (
        403,
        "Resource 'web-ilb' was disallowed by policy 'no-balancers'.",
        "policy",
    ),
    "ScopeLocked": (
        409,
        "The scope '/subscriptions/s' cannot perform write operation: it is locked.",
        "lock",
    ),
    "LoadBalancerRuleCountLimitReached": (400, "Cannot create more than 250 rules.", "quota"),
    "ReadOnlyDisabledSubscription": (
        409,
        "The subscription is disabled and therefore marked as read only.",
        "enabled",
    ),
}


def writes_to(rig: Rig, world: World) -> list[Exchange]:
    return [write for write in rig.proxy.writes if f"/{world.group}/" in write.path]


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refused_write_is_told_with_its_remedy(rig, code):
    status, message, remedy = REFUSALS[code]
    group = f"refused-{list(REFUSALS).index(code)}"
    world = await World(rig.arm, group).build()
    before = await world.snapshot(exact=True)
    await rig.arm.add_fault(
        count=0,
        verb="PUT|PATCH|DELETE",
        path=f"(?i)/resourceGroups/{group}/",
        status=status,
        code=code,
        message=message,
    )
    try:
        await rig.pairs.apply(manifest(world, rig.pairs.namespace, group))
        stalled = await rig.pairs.condition("Stalled", "True", code, group)
        assert message.rstrip(".") in stalled["message"]
        assert remedy in stalled["message"].lower()
        assert f"{world.security_group}/securityRules/lm_" in stalled["message"], "which resource?"
        assert condition(await rig.pairs.get(group), "Ready")["reason"] == code
        written = len(writes_to(rig, world))
        await asyncio.sleep(5)
        assert len(writes_to(rig, world)) - written <= 3, "a refusal that stands is repeated again and again"
        assert_same(before, await world.snapshot(exact=True), "Azure was written to")
    finally:
        await rig.arm.clear_faults()
    # The cause is gone: the operator finds out by itself, a change of the manifest only shortens the wait.
    pair = manifest(world, rig.pairs.namespace, group)
    await rig.pairs.apply(changed(pair, healthCheck__intervalSeconds=10))
    await rig.pairs.ready(group)


async def test_reading_without_rights_is_told_and_nothing_is_written(rig):
    world = await World(rig.arm, "no-rights").build()
    await rig.arm.add_fault(
        count=0,
        verb="GET",
        path="(?i)/resourceGroups/no-rights/.*/networkInterfaces",
        status=403,
        code="AuthorizationFailed",
        message="The client '0' does not have authorization to perform action 'read'.",
    )
    try:
        await rig.pairs.apply(manifest(world, rig.pairs.namespace, "no-rights"))
        ready = await rig.pairs.until(
            lambda pair: condition(pair, "Ready").get("reason") == "AuthorizationFailed",
            "reading is not allowed",
            "no-rights",
        )
        assert "networkInterfaces" in condition(ready, "Ready")["message"]
        assert writes_to(rig, world) == []
    finally:
        await rig.arm.clear_faults()

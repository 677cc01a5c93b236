"""Two pairs that want the same: the older one keeps it, the newer one is told, and Azure stays as it was."""

import pytest
from tests.support.live_pairs import manifest
from tests.support.rig import rigged
from tests.support.world import World, assert_same

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_second_pair_on_the_same_interfaces_is_refused(rig):
    world = await World(rig.arm, "conflict").build()
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "older"))
    await rig.pairs.ready("older")
    before = await world.snapshot(exact=True)

    newer = manifest(
        world,
        rig.pairs.namespace,
        "newer",
        loadBalancer__name="other-ilb",
        loadBalancer__frontend__privateIPAddress="10.0.2.101",
    )
    await rig.pairs.apply(newer)
    stalled = await rig.pairs.condition("Stalled", "True", "ConflictingPair", "newer")
    assert f"{rig.pairs.namespace}/older" in stalled["message"]
    await rig.pairs.delete("newer")
    await rig.pairs.gone("newer")
    assert_same(before, await world.snapshot(exact=True), "Azure was written to")


async def test_a_pair_of_the_same_name_in_another_namespace_does_not_take_the_balancer(rig, stage):
    """Each operator sees its own namespace only: what keeps them apart is the ownership written in Azure."""
    world = await World(rig.arm, "namesake").build()
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "web"))
    await rig.pairs.ready("web")
    before = await world.snapshot(exact=True)

    async with rigged(stage, "namesake-2") as other:
        await other.pairs.apply(manifest(world, other.pairs.namespace, "web"))
        stalled = await other.pairs.condition("Stalled", "True", "OwnedByOther")
        assert f"{rig.pairs.namespace}/web" in stalled["message"]
        assert_same(before, await world.snapshot(exact=True), "Azure was written to")
        await other.pairs.delete()
        await other.pairs.gone()
    assert_same(before, await world.snapshot(exact=True), "the deletion took somebody else's balancer")

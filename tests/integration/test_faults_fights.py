"""Another tool wants a field of ours to be otherwise, and writes it back after each of our writes."""

import pytest
from tests.support.arm_proxy import Exchange, Moment, Verdict
from tests.support.live_pairs import manifest
from tests.support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_fight_over_a_field_is_told_and_not_fought_with_all_might(rig):
    world = await World(rig.arm, "fight").build()
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "fight"))
    await rig.pairs.ready("fight")

    def wish(body):
        for probe in body["properties"]["probes"]:
            probe["properties"]["intervalInSeconds"] = 17

    def to_the_balancer(write: Exchange) -> bool:
        return write.method == "PUT" and write.path.lower() == world.balancer.lower()

    async def undo(_: Exchange) -> Verdict:
        await rig.arm.edit(world.balancer, wish)
        return Verdict.PASS

    rig.proxy.at(Moment.APPLIED, to_the_balancer, undo, once=False)
    before = len(rig.proxy.writes)
    await rig.arm.edit(world.balancer, wish)
    await rig.pairs.annotate("fight", look="now")

    told = await rig.pairs.condition("Ready", "False", "NotConverging", "fight")

    assert "intervalInSeconds: 17, should be 5" in told["message"]
    assert 3 <= len(rig.proxy.writes) - before <= 5
    rig.proxy.clear()
    await rig.pairs.ready("fight")

"""Managed pairs that cannot be cleaned up: what is said meanwhile, how they are let go, what is then left.

The real operator on a real API server, two scripted appliances, Azure emulated.
"""

import pytest_asyncio
from tests.support.appliance_pairs import appliance_pair, polled
from tests.support.emulator import running_emulator
from tests.support.live_pairs import condition
from tests.support.rig import Stage

SECRETS = ("azure", "lm-0-login", "lm-1-login", "web-partner")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(control_plane, crd, tmp_path_factory):
    """Give an Azure whose networks may lie on loopback, where the units are."""
    async with running_emulator("--allow-loopback-networks") as emulator:
        yield Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))


async def deleting(pair, reasons, *words):
    """Wait until the condition Deleting gives one of these reasons, with these words; its message."""

    def told(found):
        it = condition(found, "Deleting")
        return it.get("reason") in reasons and all(each in it["message"] for each in words)

    found = await pair.pairs.until(told, f"Deleting ({reasons}) with {words}")
    return condition(found, "Deleting")["message"]


async def balancer(pair):
    return await pair.rig.arm.get(pair.world.network("loadBalancers", "web-ilb"))


async def test_a_unit_that_does_not_answer_holds_up_the_deletion_until_it_is_forced(stage):
    async with appliance_pair(stage, "units-forced") as pair, polled(pair):
        await pair.apply()
        await pair.synced()
        serving, lost = sorted(pair.units, key=lambda unit: not unit.serves)
        mode = lost.mode
        await lost.stop()
        await pair.pairs.delete()
        # One that was told to reboot and was not asked since may still be starting; it refuses connections.
        message = await deleting(pair, {"Booting", "Refused"}, "Azure is clean", lost.own_address)
        assert 'loadmaster.dev/force-delete: "true"' in message
        assert "Orphan" in message
        assert await balancer(pair) is None
        await pair.pairs.until(
            lambda _: serving.mode == "single" and not serving.services.rows, "who answers is freed"
        )

        await pair.pairs.annotate(force_delete="true")
        await pair.pairs.gone()
        (event,) = [each for each in await pair.pairs.events() if each["reason"] == "ForceDeleted"]
        assert event["type"] == "Warning"
        for words in ("Nothing is left in Azure", lost.own_address, "HA mode", "lm_web_"):
            assert words in event["note"]
        assert lost.mode == mode, "nobody has told it anything"


async def terminate(pair):
    """What Kubernetes does when a namespace is deleted: nothing new comes into it, and what is there goes."""
    namespace = f"/api/v1/namespaces/{pair.pairs.namespace}"
    await pair.pairs.request("DELETE", namespace)
    found = await pair.pairs.request("GET", namespace)
    assert found["status"]["phase"] == "Terminating"
    for name in SECRETS:
        await pair.pairs.remove_secret(name)
    await pair.pairs.delete()


async def test_a_pair_goes_with_its_namespace_though_its_secrets_went_first(stage):
    async with appliance_pair(stage, "units-namespace", lease_elsewhere=True) as pair, polled(pair):
        await pair.apply()
        await pair.synced()
        await terminate(pair)
        await pair.pairs.gone()
        assert await balancer(pair) is None
        assert [unit.mode for unit in pair.units] == ["single", "single"]
        assert not any(unit.services.rows for unit in pair.units)


async def test_a_restarted_operator_says_what_to_do_about_a_pair_whose_namespace_went(stage):
    async with appliance_pair(stage, "units-bereft", lease_elsewhere=True) as pair, polled(pair):
        await pair.apply()
        await pair.synced()
        await pair.rig.kill_operator()
        await terminate(pair)
        await pair.rig.restart_operator()
        message = await deleting(pair, {"SecretNotFound"}, "spec.azure.credentialsSecretRef")
        for words in ("namespace", "Orphan", 'loadmaster.dev/force-delete: "true"'):
            assert words in message
        assert await balancer(pair) is not None

        await pair.pairs.annotate(force_delete="true")
        await pair.pairs.gone()
        (told,) = [line for line in pair.rig.operator.log() if line.get("event") == "ForceDeleted"]
        for words in ("load balancer web-ilb", "SecretNotFound", "HA mode", "lm_web_"):
            assert words in told["message"], "no Event can be written in a namespace that goes"

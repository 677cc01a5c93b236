"""Managed pairs that are not or cannot be cleaned up: what is said meanwhile, how they go, what is then left.

The real operator on a real API server, two scripted appliances, Azure emulated.
"""

import asyncio
import copy

import pytest_asyncio
from tests.support.appliance_pairs import appliance_pair, polled
from tests.support.emulator import running_emulator
from tests.support.live_pairs import condition
from tests.support.rig import Stage
from tests.support.unit_proxy import WRITES

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


def on(unit):
    """All that is stored on a unit, and whether it was rebooted."""
    names = ("mode", "mode_in_force", "state", "partner", "check_port", "preferred", "secret", "certificates")
    kept = {name: getattr(unit, name) for name in (*names, "secret_writes", "boots")}
    return copy.deepcopy({**kept, "services": unit.services.rows, "servers": unit.services.servers})


async def published(pair):
    """Wait until the last thing of a new pair was written: the balancing rule of its service."""

    async def is_there():
        rules = ((await balancer(pair)) or {"properties": {}})["properties"].get("loadBalancingRules", ())
        return any(rule["properties"]["frontendPort"] == 8080 for rule in rules)

    async with asyncio.timeout(60):
        while not await is_there():  # noqa: ASYNC110 - Azure tells nobody
            await asyncio.sleep(0.1)
    await pair.synced()


async def test_an_orphan_leaves_azure_and_both_units_exactly_as_they_are(stage):
    async with appliance_pair(stage, "units-orphan") as pair, polled(pair):
        await pair.apply(policy={"deletion": "Orphan"})
        await pair.synced()
        await published(pair)
        units, azure = [on(unit) for unit in pair.units], await pair.world.snapshot(exact=True)
        assert [each["mode"] for each in units] == ["master", "slave"]
        assert all(each["services"] and each["servers"] for each in units)
        asked = [len(unit.calls) for unit in pair.units]
        await pair.pairs.delete()
        await pair.pairs.gone()
        # Whatever has been begun is over when the operator has ended in peace.
        assert await asyncio.to_thread(pair.rig.operator.stop) == 0
        since = [unit.calls[number:] for unit, number in zip(pair.units, asked, strict=True)]
        written = [call.command for calls in since for call in calls if call.command.lower() in WRITES]
        assert written == []
        assert [on(unit) for unit in pair.units] == units
        assert await pair.world.snapshot(exact=True) == azure


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

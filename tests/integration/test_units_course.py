"""What becomes of a managed pair in time: when the operator dies, when secrets and policies change.

The real operator on a real API server, two scripted appliances, Azure emulated.
"""

import asyncio
import contextlib

import pytest_asyncio
from tests.support.appliance_pairs import appliance_pair
from tests.support.emulator import running_emulator
from tests.support.live_pairs import condition
from tests.support.rig import Stage
from tests.support.scripted_appliance import Habits


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(control_plane, crd, tmp_path_factory):
    """Give an Azure whose networks may lie on loopback, where the units are."""
    async with running_emulator("--allow-loopback-networks") as emulator:
        yield Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))


@contextlib.asynccontextmanager
async def polled(pair):
    """The balancer asks for the health of both, again and again."""

    async def poll():
        while True:
            for unit in pair.units:
                unit.balancer_polls()
            await asyncio.sleep(0.2)

    task = asyncio.create_task(poll())
    try:
        yield
    finally:
        task.cancel()


async def test_a_process_that_dies_during_a_reboot_leaves_what_its_successor_ends(stage):
    async with appliance_pair(stage, "units-killed", Habits(boot_seconds=4.0)) as pair, polled(pair):
        await pair.apply()
        await pair.pairs.until(
            lambda found: condition(found, "HASynced").get("reason") == "UnitRebooting", "it reboots"
        )
        await pair.rig.kill_operator()
        await pair.rig.restart_operator()
        await pair.synced()
        assert pair.settings() == pair.wanted()
        assert [unit.boots for unit in pair.units] == [1, 1], "nobody is rebooted a second time"
        assert [unit.secret_writes for unit in pair.units] == [1, 1]


async def test_a_new_shared_secret_is_written_to_both_once_and_reboots_nobody(stage):
    async with appliance_pair(stage, "units-rotation") as pair, polled(pair):
        await pair.apply(services=[])
        await pair.synced()
        boots = [unit.boots for unit in pair.units]
        await pair.pairs.put_secret("web-partner", secret="another-one-of-the-two")
        await pair.pairs.annotate(look="now")
        await pair.pairs.until(
            lambda _: {unit.secret for unit in pair.units} == {"another-one-of-the-two"}, "both have it"
        )
        found = await pair.synced()
        assert [unit.secret_writes for unit in pair.units] == [2, 2]
        assert [unit.boots for unit in pair.units] == boots
        assert "another-one" not in str(found)


async def test_manual_reboots_are_asked_for_with_what_to_do_and_noticed(stage):
    async with appliance_pair(stage, "units-manual") as pair, polled(pair):
        await pair.apply(services=[], policy={"reboots": "Manual"})
        told = await pair.pairs.condition("RebootRequired", "True", "RebootOwed")
        assert "Master" in told["message"]
        assert "Slave" in told["message"]
        assert "reboot" in told["message"].lower()
        await asyncio.sleep(3)
        assert [unit.boots for unit in pair.units] == [0, 0]
        for unit in pair.units:
            unit.reboot()
        await pair.pairs.condition("RebootRequired", "False")
        await pair.synced()
        assert [unit.boots for unit in pair.units] == [1, 1]


async def test_credentials_that_were_refused_are_not_tried_again_by_the_next_process(stage):
    async with appliance_pair(stage, "units-lockout") as pair, polled(pair):
        await pair.pairs.put_secret("lm-1-login", username="bal", password="not it")
        await pair.apply(services=[])
        await pair.pairs.condition("HASynced", "Unknown", "Unauthorized")
        await pair.pairs.until(
            lambda found: any(row.get("refusedCredentials") for row in found["status"]["units"]), "stored"
        )
        tried = len(pair.units[1].calls)
        for _ in range(2):
            await pair.rig.kill_operator()
            await pair.rig.restart_operator()
            await pair.pairs.annotate(look="now")
            await asyncio.sleep(4)
        assert len(pair.units[1].calls) == tried
        assert condition(await pair.pairs.get(), "HASynced")["reason"] == "Unauthorized"
        await pair.pairs.put_secret("lm-1-login", username="bal", password=pair.units[1].password)
        await pair.pairs.annotate(look="again")
        await pair.synced()
        assert not any(row.get("refusedCredentials") for row in (await pair.pairs.get())["status"]["units"])

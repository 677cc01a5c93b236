"""`policy.reboots: WhenIdle`: who stands by is rebooted, who serves waits until somebody else does.

The real operator on a real API server, two scripted appliances, Azure emulated.
"""

import asyncio

import pytest_asyncio
from tests.support.appliance_pairs import appliance_pair, healthy, polled
from tests.support.emulator import running_emulator
from tests.support.live_pairs import condition
from tests.support.rig import Stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(control_plane, crd, tmp_path_factory):
    """Give an Azure whose networks may lie on loopback, where the units are."""
    async with running_emulator("--allow-loopback-networks") as emulator:
        yield Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))


async def test_a_serving_unit_waits_with_its_reboot_until_its_partner_serves(stage):
    async with appliance_pair(stage, "units-idle") as pair, polled(pair), healthy(pair):
        await pair.apply(policy={"reboots": "WhenIdle"})
        await pair.synced()
        await pair.pairs.condition("PairHealthy", "True", "ActiveStandby")
        serving, standby = sorted(pair.units, key=lambda unit: not unit.serves)
        number = pair.units.index(serving)
        roles = ("Master", "Slave")
        assert [unit.boots for unit in pair.units] == [1, 1], "nobody served before"

        # Set by hand and not rebooted: the mode is written again, and with it a reboot is owed.
        standby.mode = "single"
        await pair.pairs.annotate(look="at the standby")
        await pair.pairs.until(lambda _: standby.boots == 2, "who serves nobody is rebooted at once")
        await pair.synced()
        serving.mode = "single"
        await pair.pairs.annotate(look="at who serves")
        told = await pair.pairs.condition("RebootRequired", "True", "RebootOwed")
        for words in (
            f"{roles[number]}: its HA mode {roles[number]} takes effect at a reboot",
            "policy.reboots is WhenIdle",
            "Reboot it yourself when the other one is on standby",
        ):
            assert words in told["message"]
        found = await pair.pairs.get()
        assert any(line.startswith(f"{roles[number]}: reboot owed") for line in found["status"]["pending"])
        await asyncio.sleep(5)  # several looks
        assert (serving.boots, serving.serves) == (1, True)

        serving.is_in("Standby")  # clients are served by the other one from now on
        standby.is_in("Active")
        await pair.pairs.until(lambda _: (serving.boots, standby.boots) == (2, 2), "now it is idle")
        found = await pair.synced()
        assert pair.settings() == pair.wanted()
        assert condition(found, "RebootRequired")["status"] == "False"
        assert (serving.boots, standby.boots) == (2, 2)

"""What becomes of a managed pair in time: at rest, when the operator dies, when secrets and policies change.

The real operator on a real API server, two scripted appliances, Azure emulated.
"""

import asyncio

import pytest
import pytest_asyncio
from tests.support.appliance_pairs import appliance_pair, healthy, polled
from tests.support.emulator import running_emulator
from tests.support.live_pairs import condition
from tests.support.rig import Stage
from tests.support.scripted_appliance import Habits
from tests.support.unit_accounts import CHANGES, changing
from tests.support.unit_proxy import WRITES

REST_SECONDS = 70.0
"""A look at the units without cause (every 55 s), and many of the watch lane."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(control_plane, crd, tmp_path_factory):
    """Give an Azure whose networks may lie on loopback, where the units are."""
    async with running_emulator("--allow-loopback-networks") as emulator:
        yield Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))


def written(pair):
    return [[command for command, _ in unit.writes() if command.lower() in WRITES] for unit in pair.units]


async def settled(pair, quiet=40.0):
    """Until nothing has been written for so long: an appliance's health port is not asked from the start."""
    version, since = "", asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - since < quiet:
        found = (await pair.pairs.get())["metadata"]["resourceVersion"]
        if found != version:
            version, since = found, asyncio.get_running_loop().time()
        await asyncio.sleep(1)


@pytest.mark.timeout(600)
async def test_at_rest_neither_status_nor_units_nor_azure_are_written_to(stage):
    async with appliance_pair(stage, "units-rest") as pair, polled(pair), healthy(pair):
        await pair.apply()
        await pair.synced()
        await settled(pair)
        before, units = await pair.pairs.get(), written(pair)
        events = len(await pair.pairs.events())
        calls = [len(unit.calls) for unit in pair.units]
        await asyncio.sleep(REST_SECONDS)
        after = await pair.pairs.get()
        changes = [
            (name, was, after["status"].get(name))
            for name, was in before["status"].items()
            if was != after["status"].get(name)
        ]
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"], changes
        assert written(pair) == units
        assert len(await pair.pairs.events()) == events
        for unit, had in zip(pair.units, calls, strict=True):
            assert len(unit.calls) - had < REST_SECONDS / 2, "a pair at rest is asked seldom"


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


async def test_a_unit_that_stays_away_after_its_reboot_is_told_and_gone_on_with_when_it_is_seen_to(stage):
    habits = Habits(boot_seconds=3600.0)
    async with appliance_pair(stage, "units-away", habits, reboot_timeout_seconds=10) as pair, polled(pair):
        await pair.apply(services=[])
        told = await pair.pairs.condition("Stalled", "True", "RebootOverdue")
        for words in ("The master was told to reboot", "does not answer after 10 s", "serial console"):
            assert words in told["message"]
        required = await pair.pairs.condition("RebootRequired", "True")
        assert "it waits until the master is back" in required["message"]
        master, slave = pair.units
        assert slave.boots == 0, "nobody else is rebooted meanwhile"

        for unit in pair.units:
            unit.switched_on.set()
        found = await pair.synced()
        assert condition(found, "Stalled")["status"] == "False"
        assert pair.settings() == pair.wanted()
        assert (master.boots, slave.boots) == (1, 1)


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
        found = await pair.pairs.until(
            lambda found: all(
                f"{role}: " in condition(found, "RebootRequired").get("message", "")
                for role in ("Master", "Slave")
            ),
            "reboots of both are owed",
        )
        told = condition(found, "RebootRequired")
        assert (told["status"], told["reason"]) == ("True", "RebootOwed")
        assert "reboot" in told["message"].lower()
        await asyncio.sleep(3)
        assert [unit.boots for unit in pair.units] == [0, 0]
        for unit in pair.units:
            unit.reboot()
        await pair.pairs.condition("RebootRequired", "False")
        await pair.synced()
        assert [unit.boots for unit in pair.units] == [1, 1]


async def looked_at(pair, asked):
    """Wait until the HA settings of both were read again since so many calls; refused ones do not count."""
    await pair.pairs.until(
        lambda _: all(
            any(call.command.lower() == "getazurehaparams" for call in unit.calls[number:])
            for unit, number in zip(pair.units, asked, strict=True)
        ),
        "both units are looked at",
    )


async def test_neither_starts_nor_new_secrets_make_users_or_keys(stage):
    """Whether the operator was given a password or an API key."""
    async with appliance_pair(stage, "units-accounts") as pair, polled(pair):
        master, slave = pair.units
        slave.keys = {"first-key"}
        await pair.pairs.put_secret("lm-1-login", apikey="first-key")
        await pair.apply(services=[])
        await pair.synced()
        for _ in range(2):
            await pair.rig.kill_operator()
            asked = [len(unit.calls) for unit in pair.units]
            await pair.rig.restart_operator()
            await looked_at(pair, asked)
        asked, slave.keys = [len(unit.calls) for unit in pair.units], {"second-key"}
        await pair.pairs.put_secret("lm-1-login", apikey="second-key")
        await pair.pairs.annotate(look="now")
        await looked_at(pair, asked)

        sent = {call.command.lower() for unit in pair.units for call in unit.calls}
        assert {"addapikey", "useraddlocal"} <= CHANGES
        assert not sent & CHANGES
        assert {"azurehamode", "reboot"} <= changing(sent) <= WRITES
        assert (master.keys, slave.keys) == ({"key-of-the-operator"}, {"second-key"})


async def test_credentials_that_were_refused_are_not_tried_again_by_the_next_process(stage):
    async with appliance_pair(stage, "units-lockout") as pair, polled(pair):
        await pair.pairs.put_secret("lm-1-login", username="bal", password="not it")
        await pair.apply(services=[])
        await pair.pairs.condition("HASynced", "Unknown", "Unauthorized")
        await pair.pairs.until(
            lambda found: any(row.get("refusedCredentials") for row in found["status"]["units"]), "stored"
        )
        tried = pair.units[1].refused_logins
        assert tried, "the unit has refused them"
        for _ in range(2):
            await pair.rig.kill_operator()
            await pair.rig.restart_operator()
            await pair.pairs.annotate(look="now")
            await asyncio.sleep(4)
        assert pair.units[1].refused_logins == tried
        await pair.pairs.condition("HASynced", "Unknown", "Unauthorized")
        await pair.pairs.put_secret("lm-1-login", username="bal", password=pair.units[1].password)
        await pair.pairs.annotate(look="again")
        await pair.synced()
        assert not any(row.get("refusedCredentials") for row in (await pair.pairs.get())["status"]["units"])

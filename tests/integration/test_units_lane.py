"""The units of a pair, by the real operator on a real API server: two scripted appliances, Azure emulated."""

import asyncio

import pytest_asyncio
from tests.support.appliance_pairs import SECRET, appliance_pair, polled
from tests.support.emulator import running_emulator
from tests.support.live_pairs import condition
from tests.support.rig import Stage
from tests.support.unit_proxy import WRITES


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(control_plane, crd, tmp_path_factory):
    """Give an Azure whose networks may lie on loopback, where the units are."""
    async with running_emulator("--allow-loopback-networks") as emulator:
        yield Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))


def written(unit):
    """The commands by which something of a unit was changed."""
    return [command for command, _ in unit.writes() if command.lower() in WRITES]


async def test_two_fresh_units_become_a_pair_with_its_service_and_single_again(stage):
    async with appliance_pair(stage, "units-build") as pair, polled(pair):
        await pair.apply()
        found = await pair.synced()
        assert pair.settings() == pair.wanted()
        assert [unit.boots for unit in pair.units] == [1, 1]
        reboots = [
            value
            for name, value in pair.rig.operator.metrics().items()
            if name.startswith("loadmaster_reboots_total")
        ]
        assert reboots == [1, 1]
        assert [unit.secret_writes for unit in pair.units] == [1, 1]
        status = found["status"]
        assert {unit["role"]: unit["kind"] for unit in status["units"]} == {
            "Master": "Appliance",
            "Slave": "Appliance",
        }
        assert condition(found, "RebootRequired")["status"] == "False"
        assert condition(found, "VersionsMatch")["status"] == "True"
        assert SECRET not in str(found)

        # idle: nothing is written any more, anywhere
        before = [len(written(unit)) for unit in pair.units]
        await pair.pairs.annotate(look="again")
        await asyncio.sleep(3)
        assert [len(written(unit)) for unit in pair.units] == before

        await pair.pairs.delete()
        await pair.pairs.gone(seconds=120)
        assert [unit.mode for unit in pair.units] == ["single", "single"]
        assert not any(unit.services.rows for unit in pair.units)


async def test_a_fingerprint_is_shown_and_nothing_is_sent_before_it_is_pinned(stage):
    async with appliance_pair(stage, "units-first-contact") as pair:
        await pair.apply(master__management__tls={})
        told = await pair.pairs.condition("HASynced", "Unknown", "CertificateNotTrusted")
        as_openssl_shows_it = bytes.fromhex(pair.units[0].fingerprint).hex(":").upper()
        assert f"the SHA-256 fingerprint {as_openssl_shows_it} " in told["message"]
        assert await pair.pairs.condition("Stalled", "True", "CertificateNotTrusted")
        assert pair.units[0].calls == []
        seen = (await pair.pairs.get())["status"]["units"][0]["certificateFingerprint"]
        assert seen == as_openssl_shows_it
        await pair.apply(master__management__tls={"fingerprintSHA256": seen})
        await pair.pairs.condition("Stalled", "False")


async def test_a_wrong_password_is_told_and_not_tried_until_the_secret_changes(stage):
    async with appliance_pair(stage, "units-password") as pair:
        await pair.pairs.put_secret("lm-1-login", username="bal", password="not it")
        await pair.apply()
        told = await pair.pairs.condition("HASynced", "Unknown", "Unauthorized")
        assert "slave" in told["message"]
        tried = pair.units[1].refused_logins
        assert tried, "the unit has refused it"
        for number in range(5):
            await pair.pairs.annotate(look=str(number))
            await asyncio.sleep(1)
        assert pair.units[1].refused_logins == tried, "a wrong password is not tried again and again"
        await pair.pairs.put_secret("lm-1-login", username="bal", password=pair.units[1].password)
        await pair.pairs.annotate(look="now")
        await pair.pairs.until(
            lambda found: condition(found, "HASynced").get("reason") != "Unauthorized", "it goes on"
        )


async def test_what_is_changed_by_hand_is_repaired_and_told(stage):
    async with appliance_pair(stage, "units-drift") as pair, polled(pair):
        await pair.apply()
        await pair.synced()
        pair.units[1].partner, pair.units[0].preferred = "127.0.0.9", 0
        await pair.pairs.annotate(look="now")
        await pair.pairs.until(lambda _: pair.settings() == pair.wanted(), "both are repaired")
        await pair.synced()
        # Told after the batch in which both were written.
        both = {"Master", "Slave"}
        await pair.pairs.told(
            "DriftRepaired", lambda notes: {note.partition(":")[0] for note in notes} == both
        )
        drift = [
            value
            for name, value in pair.rig.operator.metrics().items()
            if name.startswith("loadmaster_drift_total") and "HighAvailability" in name
        ]
        assert sum(drift) == 2


async def test_observe_writes_nothing_and_says_what_it_would(stage):
    async with appliance_pair(stage, "units-observe") as pair:
        await pair.apply(policy={"mode": "Observe"})
        await pair.pairs.condition("HASynced", "False", "Drift")
        found = await pair.pairs.get()
        assert any(line.startswith("Master: set the HA mode") for line in found["status"]["pending"])
        assert [written(unit) for unit in pair.units] == [[], []]


async def test_a_switch_over_of_appliances_is_refused_with_the_reason(stage):
    async with appliance_pair(stage, "units-switch") as pair, polled(pair):
        await pair.apply(services=[])
        await pair.synced()
        await pair.pairs.annotate(**{"switchover-to": "slave"})
        found = await pair.pairs.until(
            lambda found: "lastSwitchover" in (found or {}).get("status", {}), "it is answered"
        )
        assert found["status"]["lastSwitchover"]["outcome"] == "Refused"
        assert "no such command" in found["status"]["lastSwitchover"]["reason"]
        await pair.pairs.until(
            lambda found: "loadmaster.dev/switchover-to" not in found["metadata"].get("annotations", {}),
            "the request is taken away",
        )

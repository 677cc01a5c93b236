"""What the operator must not go on with: a unit that it cannot be sure of, secrets that are wrong."""

import asyncio
import copy
import shutil

import pytest
from tests.support.first_pairs import active_of, eventually, ha_settings, servers_of, until_served, writes

from lab.first_pair import SECRET, fingerprint, until_answering

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG_FINGERPRINT = "00" * 32


def plain(text):
    """A fingerprint as text has it, in either case and with or without colons."""
    return text.replace(":", "").lower()


async def test_to_a_unit_with_another_certificate_nothing_is_sent_and_the_one_seen_is_shown(open_pair):
    async with open_pair() as first:
        right = copy.deepcopy(first.manifest)
        wrong = copy.deepcopy(right)
        wrong["spec"]["slave"]["management"]["tls"]["fingerprintSHA256"] = WRONG_FINGERPRINT
        await first.put_secret("lm-0-login", {"username": "bal", "password": "not-the-password"})
        del wrong["spec"]["master"]["management"]["tls"]
        await first.start_operator()
        await first.apply(wrong)
        for number in (0, 1):
            seen = plain(await fingerprint(first.units[number]))
            await first.until(
                lambda pair, seen=seen: any(
                    found["type"] == "HASynced"
                    and found["status"] == "Unknown"
                    and seen in plain(found["message"])
                    for found in (pair.get("status") or {}).get("conditions", [])
                ),
                f"the fingerprint of unit {number} is shown",
            )
        said = await first.condition("HASynced")
        assert said["reason"] == "CertificateNotTrusted"
        await asyncio.sleep(3)
        for unit in first.units:
            assert "by bal at" not in unit.log.read_text(), "no command was sent"
            assert "password" not in unit.log.read_text().lower(), "no login was tried"

        # a person compares, pins, and has the password wrong: tried once, not again until the Secret changes
        await first.apply(right)
        await first.until_condition("HASynced", "Unknown", "Unauthorized")

        async def refusals():
            return first.units[0].log.read_text().count("401")

        refused = await eventually(refusals, lambda number: number > 0, "the unit has refused the login")
        await asyncio.sleep(5)
        assert await refusals() == refused
        await first.put_secret("lm-0-login", {"username": "bal", "password": first.password})
        await first.until_ready(120)
        await until_served(first)
        assert "not-the-password" not in first.operator.process.log.read_text()
        assert first.password not in first.operator.process.log.read_text()


async def test_units_with_different_shared_secrets_are_told_apart_and_healed_by_a_new_secret(first):
    active = await active_of(first)
    async with first.client().steady(0.02) as log:
        await first.units[1 - active].call("setlmcommsecret", secret="another-secret-by-hand")
        await first.until_condition("PairHealthy", "False", "SecretMismatch")
        await first.put_secret("web-partner", {"secret": f"{SECRET}-2"})
        await first.until_condition("PairHealthy", "True", "ActiveStandby")
        await first.until_ready()
    assert log.failures() == [], log.told()
    for unit in first.units:
        assert [command for command, _ in writes(unit)].count("setlmcommsecret") >= 2
    assert SECRET not in first.operator.process.log.read_text()


async def test_a_unit_replaced_by_a_fresh_one_at_its_address_is_built_again(first):
    active = await active_of(first)
    gone = first.units[1 - active]
    gone.kill()
    shutil.rmtree(gone.state)
    gone.state.mkdir(mode=0o700)
    async with first.client().steady(0.02) as log:
        await gone.start()
        await until_answering(gone)
        assert (await ha_settings(gone))["HaMode"] == "single"
        shown = plain(await fingerprint(gone))
        told = await first.until_condition("HASynced", "Unknown", "CertificateNotTrusted")
        assert shown in plain(told["message"])
        unwell = await first.until_condition("PairHealthy", "False", "NotConfigured")
        assert "HA is not configured" in unwell["message"], "its health page is all that is known of it"
        assert (await ha_settings(gone))["HaMode"] == "single", "nothing is sent to a stranger"

        role = gone.role.lower()
        first.manifest["spec"][role]["management"]["tls"]["fingerprintSHA256"] = shown
        await first.apply()
        await first.until_ready(120)
        await first.until_condition("PairHealthy", "True", "ActiveStandby")
        await eventually(
            lambda: servers_of(gone, first.port),
            lambda found: found == sorted(first.lab.web),
            "it has the service",
        )
    assert log.failures() == [], log.told()
    assert await active_of(first) == active
    status = await first.status()
    assert {unit["role"]: plain(unit["certificateFingerprint"]) for unit in status["units"]}[
        gone.role
    ] == shown

"""What is told as the repair of a change by hand, and what is not: nobody changed the unit."""

from dataclasses import replace

import pytest
from tests.support.units_stage import ADDRESSES, Stage, built, fresh

from loadmaster_ha.controller.unit_inputs import Gathered
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.material import Material

AWAY = UnitFault(FaultReason.TIMED_OUT, "10.0.2.5:8443 does not answer")


@pytest.fixture
async def stage():
    stage = Stage()
    await built(stage)
    stage.cluster.events.clear()
    return stage


async def goes_away(stage, *, visits=2):
    """The slave cannot be reached for some visits."""
    stage.units.faults[Role.SLAVE] = AWAY
    for _ in range(visits):
        await stage.visit()
    assert stage.condition("HASynced")["status"] == "Unknown"


async def comes_back(stage):
    stage.units.faults.clear()
    await stage.until_at_rest()
    stage.units.polled()
    await stage.until_at_rest()
    assert stage.condition("HASynced")["status"] == "True"


def set_by_hand(stage, **settings):
    facts = stage.units.facts[Role.SLAVE]
    stage.units.facts[Role.SLAVE] = replace(facts, settings=replace(facts.settings, **settings))


def told(stage):
    return {reason for reason, _ in stage.cluster.events} & {"DriftRepaired", *WRITTEN}


WRITTEN = ("ModeWritten", "ParametersWritten", "SharedSecretWritten")


async def test_a_change_by_hand_on_a_unit_that_was_away_is_drift(stage):
    await goes_away(stage)
    set_by_hand(stage, mode=Mode.MASTER)
    await comes_back(stage)
    assert stage.units.facts[Role.SLAVE].settings.mode is Mode.SLAVE
    assert told(stage) == {"DriftRepaired"}


async def test_a_change_by_hand_on_the_unit_that_stayed_is_drift_while_the_other_is_away(stage):
    await goes_away(stage)
    master = stage.units.facts[Role.MASTER]
    stage.units.facts[Role.MASTER] = replace(master, settings=replace(master.settings, partner="10.9.9.9"))
    await stage.visit()
    await comes_back(stage)
    assert stage.units.facts[Role.MASTER].settings.partner == ADDRESSES[Role.SLAVE]
    assert told(stage) == {"DriftRepaired"}


async def test_a_fresh_unit_in_the_place_of_one_that_was_away_is_no_drift(stage):
    await goes_away(stage)
    stage.units.facts[Role.SLAVE] = replace(fresh(Role.SLAVE), identity="serial:another")
    await comes_back(stage)
    assert stage.units.facts[Role.SLAVE].settings.mode is Mode.SLAVE
    assert "DriftRepaired" not in told(stage)
    assert told(stage) >= {"ModeWritten"}


async def test_a_fresh_unit_that_nobody_saw_come_is_no_drift(stage):
    stage.units.facts[Role.SLAVE] = replace(fresh(Role.SLAVE), identity="serial:another")
    await comes_back(stage)
    assert "DriftRepaired" not in told(stage)


async def test_a_fresh_unit_that_came_while_nobody_looked_is_no_drift(stage):
    stage.start()
    await test_a_fresh_unit_that_nobody_saw_come_is_no_drift(stage)


async def test_a_manifest_that_changed_while_the_unit_was_away_is_no_drift(stage):
    await goes_away(stage)
    stage.cluster.body["spec"]["highAvailability"]["preferredHost"] = "None"
    stage.cluster.body["metadata"]["generation"] += 1
    await stage.visit()
    await comes_back(stage)
    assert "DriftRepaired" not in told(stage)
    assert told(stage) >= {"ParametersWritten"}


async def test_a_secret_that_changed_while_the_unit_was_away_is_no_drift(stage):
    async def gather(*_, **__):
        return Gathered(Present("d2"), material=Material("another-secret", "d2"))

    await goes_away(stage)
    stage.gather = gather
    await comes_back(stage)
    assert told(stage) == {"SharedSecretWritten"}


async def test_firmware_that_changed_while_the_unit_was_away_is_no_drift(stage):
    """A new program may tell settings in other words; who installed it has changed nothing by hand."""
    await goes_away(stage)
    stage.units.facts[Role.SLAVE] = replace(stage.units.facts[Role.SLAVE], firmware="0.2.0.0")
    set_by_hand(stage, port=8445)
    await comes_back(stage)
    assert "DriftRepaired" not in told(stage)


async def test_a_new_process_does_not_know_since_when_a_unit_that_was_away_is_so(stage):
    await goes_away(stage)
    stage.start()
    await stage.visit()
    set_by_hand(stage, port=8445)
    await comes_back(stage)
    assert "DriftRepaired" not in told(stage)

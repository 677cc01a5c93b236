"""What visits to the units of a pair at work remember from one to the next: modes, differing services."""

from dataclasses import replace

import pytest
from tests.support.unit_values import service
from tests.support.units_stage import KEY, Stage, built

from loadmaster_ha.controller.workqueue import VisitOutcome
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import WriteMode
from loadmaster_ha.domain.units import UnitKind


@pytest.fixture
async def stage():
    stage = Stage()
    await built(stage)
    return stage


def change(stage, role, **fields):
    stage.units.facts[role] = replace(stage.units.facts[role], **fields)


async def test_that_a_mode_is_put_right_is_stored_before_it_is_written(stage):
    """A process that dies in between must not take the mode for one that is in force."""
    settings = stage.units.facts[Role.SLAVE].settings
    change(stage, Role.SLAVE, settings=replace(settings, mode=Mode.SINGLE))
    seen = []

    def stored(write):
        rows = {row["role"]: row.get("modeWrittenAtBoot") for row in stage.cluster.body["status"]["units"]}
        seen.append((type(write), rows[write.role] == stage.units.facts[write.role].boot))

    for row in stage.cluster.body["status"]["units"]:
        row.pop("modeWrittenAtBoot", None)
    stage.start()
    stage.units.before_write = stored
    await stage.until_at_rest()
    assert (WriteMode, True) in seen
    assert (WriteMode, False) not in seen
    assert stage.units.facts[Role.SLAVE].settings.mode is Mode.SLAVE


async def test_since_when_the_services_of_appliances_differ_is_kept_until_they_are_alike(stage):
    def since():
        return stage.exchange.units(KEY).services_differ_since

    for role in Role:
        change(stage, role, kind=UnitKind.APPLIANCE, agent=None, inputs=None)
    await stage.until_at_rest()
    assert since() is None
    change(stage, Role.MASTER, services=Present((service(80, "10.0.9.9"),)))
    assert (await stage.visit()).outcome is VisitOutcome.NO_CHANGE
    began = since()
    assert began is not None
    for _ in range(3):
        await stage.visit()
        assert since() == began, "a further look is not another beginning"
    change(stage, Role.SLAVE, services=Present((service(80, "10.0.9.9"),)))
    await stage.visit()
    assert since() is None
    change(stage, Role.SLAVE, services=Present(()))
    await stage.visit()
    assert since() > began


async def test_a_unit_is_not_forgotten_because_the_other_one_answered_at_its_address(stage):
    """Corrected, a management address is no reason to write anything, and nobody has changed anything."""
    writes, events = len(stage.units.writes), len(stage.cluster.events)
    mine = stage.units.facts[Role.SLAVE]
    stage.units.facts[Role.SLAVE] = replace(stage.units.facts[Role.MASTER], role=Role.SLAVE)
    await stage.visit()
    assert stage.condition("HASynced")["reason"] == "SameUnit"
    stage.units.facts[Role.SLAVE] = mine
    await stage.until_at_rest()
    assert stage.condition("HASynced")["status"] == "True"
    assert len(stage.units.writes) == writes
    assert "DriftRepaired" not in {reason for reason, _ in stage.cluster.events[events:]}

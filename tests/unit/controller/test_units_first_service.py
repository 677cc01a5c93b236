"""The first service of a fresh pair: written as soon as the master is back, ready once it is written.

Who waits then is a client: a balancer that probes early finds the unit up before its services are there.
"""

import time
from dataclasses import replace

import pytest
from tests.support.units_stage import KEY, Stage

from loadmaster_ha.controller.workqueue import VisitOutcome
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import AddRealServer, AddService, Reboot
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault

SERVICE = {
    "name": "https",
    "port": 443,
    "virtualService": {"realServers": [{"address": "10.0.5.1", "port": 80}]},
}
PLACE = "https eth0:443/tcp"


@pytest.fixture
def stage(monkeypatch):
    """What counts as a moment is long here: the machine may be slow."""
    monkeypatch.setattr("loadmaster_ha.controller.units.lane.SOON_SECONDS", 600.0)
    found = Stage()
    found.cluster.body["spec"]["services"] = [SERVICE]
    found.pairs.update(found.cluster.body)
    found.units.after_write = lambda change: carried_out(found.units, change)
    return found


def carried_out(units, change):
    """What `planning.units.simulate` leaves out: services, and that the slave takes its time to come back."""
    facts = units.facts[change.role]
    have = facts.services.value
    if isinstance(change, AddService):
        units.facts[change.role] = replace(facts, services=Present((*have, change.service)))
    if isinstance(change, AddRealServer):
        (service,) = have
        filled = replace(service, real_servers=(*service.real_servers, change.server))
        units.facts[change.role] = replace(facts, services=Present((filled,)))
    if isinstance(change, Reboot) and change.role is Role.SLAVE:
        units.faults[Role.SLAVE] = UnitFault(FaultReason.BOOTING, "it boots")


async def until_the_slave_reboots(stage):
    for _ in range(5):
        following = await stage.visit()
        if stage.units.faults:
            assert (following.outcome, following.after) == (VisitOutcome.CHANGED, 0)
            return
    raise AssertionError(stage.units.writes)


def ready(stage):
    return stage.exchange.units(KEY).ready


async def test_the_service_is_written_while_the_slave_reboots_without_another_look_at_the_master(stage):
    await until_the_slave_reboots(stage)
    looks, before = stage.units.looks[Role.MASTER], len(stage.units.writes)
    assert not ready(stage), "nothing of it is written"
    await stage.visit()
    assert [type(each) for each in stage.units.writes[before:]] == [AddService, AddRealServer]
    assert {each.role for each in stage.units.writes[before:]} == {Role.MASTER}
    assert stage.units.looks[Role.MASTER] == looks
    assert ready(stage) == {PLACE}, "the balancer need not wait for another look"
    await stage.visit()
    assert stage.units.looks[Role.MASTER] == looks + 1
    assert ready(stage) == {PLACE}


async def test_the_watch_lane_is_told_when_services_were_written_and_not_of_other_visits(stage):
    await until_the_slave_reboots(stage)
    assert stage.exchange.units(KEY).services_written_at is None, "HA settings are no services"
    began = time.monotonic()
    await stage.visit()
    written = stage.exchange.units(KEY).services_written_at
    assert began <= written <= time.monotonic()
    await stage.visit()
    assert stage.exchange.units(KEY).services_written_at == written


async def test_a_service_is_not_ready_at_any_moment_before_all_of_it_is_written(stage):
    def look(_):
        assert not ready(stage)

    stage.units.before_write = look
    await until_the_slave_reboots(stage)
    assert not ready(stage)
    await stage.visit()
    assert ready(stage) == {PLACE}


async def test_a_service_of_which_a_write_fails_is_not_ready(stage):
    def refuse(change):
        if isinstance(change, AddRealServer):
            raise UnitFault(FaultReason.INVALID_REQUEST, "no")

    stage.units.before_write = refuse
    await until_the_slave_reboots(stage)
    await stage.visit()
    assert isinstance(stage.units.writes[-1], AddService)
    assert not ready(stage)


@pytest.mark.parametrize("cause", ["woken", "late"])
async def test_a_visit_that_has_another_cause_or_comes_late_looks_again(stage, cause):
    await until_the_slave_reboots(stage)
    looks = stage.units.looks[Role.MASTER]
    if cause == "late":
        stage.controller._memories[KEY].looked_at -= 3600
    await stage.visit(woken=cause == "woken")
    assert stage.units.looks[Role.MASTER] == looks + 1
    assert isinstance(stage.units.writes[-1], AddRealServer)

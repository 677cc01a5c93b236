"""Directed scenarios: each failure of `docs/failure-modes-units.md`, who serves and for how long nobody."""

from itertools import pairwise

import pytest
from tests.simulation.ha import bounds
from tests.simulation.ha.setting import Setting, Trouble
from tests.simulation.ha.stage import MASTER, SLAVE, Stage

from loadmaster_ha.agent.ha import timing
from loadmaster_ha.domain.ha import PreferredHost, UnitState

NONE = PreferredHost.NONE
DEFAULT = Setting()
BOTH_PREFERENCES = pytest.mark.parametrize("preferred_host", list(PreferredHost))


def bound(item):
    return item.seconds(DEFAULT)


# Building a pair


@pytest.mark.parametrize("phases", [(0.1, 0.9), (0.9, 0.1), (0.5, 0.5)])
@pytest.mark.parametrize("starts", [(0.0, 0.0), (0.0, 20.0), (4.0, 0.0)])
@BOTH_PREFERENCES
def test_a_fresh_pair_starts_serving_with_exactly_one_unit(phases, starts, preferred_host):
    stage = Stage(phases=phases, starts=starts, preferred_host=preferred_host).let_pass(90)
    assert stage.members == stage.active
    assert len(stage.active) == 1
    if preferred_host is PreferredHost.MASTER or starts[0] <= starts[1]:
        assert stage.active == [MASTER]


def test_a_pair_without_a_balancer_stays_unconnected_and_says_so():
    stage = Stage()
    stage.world.balancer.stopped = 1
    stage.let_pass(60)
    assert [stage.state(role) for role in (MASTER, SLAVE)] == [UnitState.UNCONNECTED] * 2
    assert [stage.world.units[role].answers_200 for role in (MASTER, SLAVE)] == [True, False]
    assert "NotProbed" in stage.notices(MASTER)
    stage.world.balancer.stopped = 0
    stage.let_pass(6)
    assert stage.active == [MASTER]


def test_a_slave_that_alone_is_probed_serves_in_the_end():
    stage = Stage()
    stage.happens(Trouble.CUT_BALANCER, MASTER, 300)
    stage.until([SLAVE], bound(bounds.UNSEEN) + bound(bounds.START) + 5)
    assert stage.reasons(SLAVE)[-1] == "NobodyActive"


# Failures of the active unit


@pytest.mark.parametrize("trouble", [Trouble.KILL_NODE, Trouble.KILL_SUPERVISOR])
@BOTH_PREFERENCES
def test_a_dead_process_is_replaced_at_once(trouble, preferred_host):
    stage = Stage.settled(preferred_host=preferred_host)
    stage.happens(trouble, MASTER, 60)
    assert stage.until([SLAVE], 1.0) < 0.5
    assert stage.reasons(SLAVE)[-1] == "PartnerDown"
    stage.let_pass(5.1)
    assert stage.members == [SLAVE]


def test_a_frozen_node_process_is_replaced_when_its_lease_is_over():
    stage = Stage.settled()
    stage.happens(Trouble.FREEZE_NODE, MASTER, 60)
    assert stage.until([MASTER, SLAVE], bound(bounds.TOLD)) >= DEFAULT.lease - 0.3
    assert stage.reasons(SLAVE)[-1] == "PartnerDown"


@pytest.mark.parametrize("trouble", [Trouble.FREEZE_MACHINE, Trouble.POWER_OFF, Trouble.ISOLATE])
def test_a_silent_machine_is_replaced_after_timeout_and_witness(trouble):
    stage = Stage.settled()
    stage.happens(trouble, MASTER, 100)
    begun = stage.now
    while SLAVE not in stage.active:
        stage.let_pass(0.05)
    assert DEFAULT.partner_timeout <= stage.now - begun <= bound(bounds.SILENT)
    assert stage.reasons(SLAVE)[-1] == "PartnerSilent"
    stage.let_pass(20)
    assert stage.members == [SLAVE]


@pytest.mark.parametrize("trouble", [Trouble.FREEZE_NODE, Trouble.FREEZE_MACHINE, Trouble.SUSPEND_MACHINE])
@BOTH_PREFERENCES
def test_a_unit_that_wakes_does_not_serve_beside_its_replacement_for_long(trouble, preferred_host):
    stage = Stage.settled(preferred_host=preferred_host)
    stage.happens(trouble, MASTER, 40)
    stage.let_pass(40 + 3 * bound(bounds.CHANGING))
    assert len(stage.active) == 1
    if trouble is not Trouble.SUSPEND_MACHINE:
        assert "Paused" in stage.reasons(MASTER)
        assert stage.reasons(SLAVE).count("HandedOver") == (preferred_host is PreferredHost.MASTER)


@BOTH_PREFERENCES
def test_a_failed_haproxy_hands_over_at_once(preferred_host):
    stage = Stage.settled(preferred_host=preferred_host)
    stage.happens(Trouble.HAPROXY, MASTER, 30)
    assert stage.until([SLAVE], 1.5) < 1.0
    assert stage.state(MASTER) is UnitState.FAILED
    assert stage.reasons(SLAVE)[-1] == "PartnerUnable"
    assert "DataPlaneFailed" in stage.notices(MASTER)
    stage.let_pass(90)
    assert stage.active == [MASTER if preferred_host is PreferredHost.MASTER else SLAVE]


def test_when_neither_can_serve_both_say_so_and_the_first_to_recover_serves():
    stage = Stage.settled()
    stage.happens(Trouble.HAPROXY, MASTER, 60)
    stage.happens(Trouble.HAPROXY, SLAVE, 30)
    stage.let_pass(10)
    assert stage.active == []
    assert "NobodyServes" in stage.notices(MASTER)
    assert "NobodyServes" in stage.notices(SLAVE)
    stage.let_pass(25)
    assert stage.active == [SLAVE]
    assert "NobodyServes" not in stage.notices(MASTER)


def test_a_unit_that_the_balancer_does_not_reach_is_replaced():
    stage = Stage.settled()
    stage.happens(Trouble.CUT_BALANCER, MASTER, 120)
    taken = stage.until([SLAVE], 60)
    assert taken <= bound(bounds.UNSEEN) + bound(bounds.CHANGING)
    assert stage.reasons(SLAVE)[-1] == "PartnerCutOff"
    stage.let_pass(60)
    assert stage.active == [SLAVE], "Prefer Master moved to a master that the balancer does not reach"


def test_when_the_prober_stops_nobody_moves():
    stage = Stage.settled()
    stage.happens(Trouble.STOP_PROBER, MASTER, 100)
    stage.let_pass(99)
    assert stage.active == [MASTER]
    assert "NotProbed" in stage.notices(MASTER)


def test_both_restarted_at_once_the_master_serves_again():
    stage = Stage.settled()
    for role in (MASTER, SLAVE):
        stage.happens(Trouble.POWER_OFF, role, 2)
    stage.let_pass(20)
    assert stage.members == stage.active == [MASTER]


# Failures of the ways between


def test_a_cut_link_moves_nobody_and_is_told():
    stage = Stage.settled()
    stage.happens(Trouble.CUT_LINK, MASTER, 60)
    stage.let_pass(30)
    assert stage.active == [MASTER]
    assert "LinkCut" in stage.notices(SLAVE)
    stage.let_pass(40)
    assert "LinkCut" not in stage.notices(SLAVE)


@pytest.mark.parametrize("oneway", [False, True])
@pytest.mark.parametrize("role", [MASTER, SLAVE])
def test_the_witness_keeps_a_standby_from_taking_over_when_it_is_cut_from_its_partner(oneway, role):
    stage = Stage.settled()
    stage.happens(Trouble.CUT_UNITS, role, 60, oneway=oneway)
    stage.let_pass(59)
    assert stage.active == [MASTER]
    if not oneway:
        assert "LinkCut" in stage.notices(SLAVE)


def test_a_partition_that_the_witness_cannot_see_into_makes_both_active_until_it_heals():
    stage = Stage.settled()
    stage.happens(Trouble.CUT_FRONTEND, SLAVE, 60)
    stage.happens(Trouble.CUT_UNITS, SLAVE, 60)
    stage.let_pass(30)
    assert stage.active == [MASTER, SLAVE]
    stage.let_pass(30)
    assert stage.until([MASTER], bound(bounds.CHANGING)) > 0
    assert stage.reasons(SLAVE)[-1] == "ConflictYielded"


def test_the_slave_finds_out_through_the_frontend_that_it_is_not_alone():
    stage = Stage.settled()
    stage.happens(Trouble.CUT_FRONTEND, SLAVE, 20)
    stage.happens(Trouble.CUT_UNITS, SLAVE, 120)
    stage.let_pass(19)
    assert stage.active == [MASTER, SLAVE]
    stage.until([MASTER], bound(bounds.UNNOTICED))
    assert stage.reasons(SLAVE)[-1] == "ConflictSeenByWitness"
    stage.let_pass(60)
    assert stage.active == [MASTER]


@pytest.mark.parametrize("clocks", [(0.0, 0.0), (7 * 3600.0, 40.0), (40.0, 7 * 3600.0)])
def test_after_a_partition_who_has_been_active_for_longer_stays_whatever_the_clocks_say(clocks):
    stage = Stage.settled(preferred_host=NONE, clocks=clocks)
    stage.happens(Trouble.KILL_NODE, MASTER, 2)
    stage.let_pass(120)
    assert stage.active == [SLAVE]
    for role in (MASTER, SLAVE):
        stage.happens(Trouble.CUT_FRONTEND, role, 60)
    stage.happens(Trouble.CUT_UNITS, MASTER, 60)
    stage.let_pass(30)
    assert stage.active == [MASTER, SLAVE]
    stage.let_pass(30 + bound(bounds.CHANGING))
    assert stage.active == [SLAVE]


@pytest.mark.parametrize("probed_before", [4.0, 9.0])
def test_who_was_cut_off_from_everything_does_not_come_back_as_the_active_one(probed_before):
    """It believes that it served all the time, and for longer; the balancer had the other one meanwhile.

    When the balancer reaches it before its partner does, its probes have no gap any more.
    """
    stage = Stage.settled(preferred_host=NONE)
    stage.let_pass(300)
    stage.happens(Trouble.CUT_BALANCER, MASTER, 60)
    for role in (MASTER, SLAVE):
        stage.happens(Trouble.CUT_FRONTEND, role, 60 + probed_before)
    stage.happens(Trouble.CUT_UNITS, MASTER, 60 + probed_before)
    stage.let_pass(60)
    assert stage.active == [MASTER, SLAVE]
    stage.let_pass(probed_before + bound(bounds.CHANGING))
    assert stage.active == [SLAVE]


# Preference and damping


def test_no_preferred_host_never_moves_back():
    stage = Stage.settled(preferred_host=NONE)
    stage.happens(Trouble.POWER_OFF, MASTER, 5)
    stage.let_pass(300)
    assert stage.active == [SLAVE]
    assert len(stage.reasons(SLAVE)) == 2


def test_prefer_master_moves_back_without_a_gap_once_the_master_is_stable():
    stage = Stage.settled()
    stage.happens(Trouble.KILL_NODE, MASTER, 2)
    stage.let_pass(10)
    assert stage.active == [SLAVE]
    stage.forget_gap()
    taken = stage.until([MASTER], 60)
    assert taken >= DEFAULT.failback_delay - 10
    assert stage.monitor.gap == 0
    assert stage.outcomes(SLAVE)[-1].done


def test_a_master_that_comes_and_goes_waits_longer_and_longer():
    stage = Stage.settled()
    waits = []
    for _ in range(5):
        stage.happens(Trouble.KILL_NODE, MASTER, 1)
        stage.until([SLAVE], 5)
        begun = stage.now
        while MASTER not in stage.active:
            stage.let_pass(0.5)
        waits.append(stage.now - begun)
        stage.until([MASTER], 40)
    assert waits[0] < 25
    assert all(later > earlier * 1.3 for earlier, later in pairwise(waits[1:]))
    assert waits[-1] >= 8 * DEFAULT.failback_delay


# Planned switch-overs


def test_a_planned_switchover_loses_nothing_and_holds_off_prefer_master():
    stage = Stage.settled()
    stage.forget_gap()
    stage.happens(Trouble.SWITCHOVER, MASTER, 120)
    taken = stage.until([SLAVE], 30)
    assert taken <= timing.handover_limit(stage.world.units[MASTER].configuration)
    assert stage.outcomes(MASTER)[-1].done
    stage.let_pass(60)
    assert stage.members == stage.active == [SLAVE]
    assert "PreferMasterHeld" in stage.notices(SLAVE)
    stage.let_pass(120)
    assert stage.members == stage.active == [MASTER]
    assert stage.monitor.gap == 0


def test_the_standby_can_be_asked_too():
    stage = Stage.settled()
    stage.happens(Trouble.SWITCHOVER, SLAVE, 300)
    stage.until([SLAVE], 30)
    stage.let_pass(1)
    assert stage.outcomes(SLAVE)[-1].done
    assert stage.outcomes(MASTER)[-1].id == stage.outcomes(SLAVE)[-1].id


@pytest.mark.parametrize("at", [MASTER, SLAVE])
def test_undoing_the_hold_brings_the_master_back(at):
    stage = Stage.settled()
    stage.happens(Trouble.SWITCHOVER, MASTER, 3000)
    stage.let_pass(60)
    assert stage.active == [SLAVE]
    stage.happens(Trouble.UNDO, at)
    stage.until([MASTER], 60)


def test_the_hold_ends_when_the_slave_fails():
    stage = Stage.settled()
    stage.happens(Trouble.SWITCHOVER, MASTER, 3000)
    stage.let_pass(60)
    stage.happens(Trouble.HAPROXY, SLAVE, 10)
    stage.let_pass(60)
    assert stage.active == [MASTER]
    assert stage.notices(SLAVE) == []


def test_without_a_prober_a_switchover_is_given_up_and_says_so():
    stage = Stage.settled()
    stage.happens(Trouble.STOP_PROBER, MASTER, 200)
    stage.happens(Trouble.SWITCHOVER, MASTER, 60)
    stage.until([MASTER, SLAVE], 5)
    given_up = stage.until([MASTER], 30)
    assert given_up <= timing.handover_limit(stage.world.units[MASTER].configuration) + 1
    ended = stage.outcomes(MASTER)[-1]
    assert (ended.done, ended.reason) == (False, "ProberStopped")
    stage.let_pass(20)
    stage.happens(Trouble.SWITCHOVER, MASTER, 60)
    assert stage.outcomes(MASTER)[-1].reason == "PartnerNotProbed"
    assert stage.active == [MASTER]


def test_a_target_that_fails_meanwhile_gives_the_switchover_up():
    stage = Stage.settled()
    stage.happens(Trouble.SWITCHOVER, MASTER, 60)
    stage.let_pass(1)
    stage.happens(Trouble.HAPROXY, SLAVE, 60)
    stage.until([MASTER], 3)
    assert stage.outcomes(MASTER)[-1].reason == "PartnerUnable"


@pytest.mark.parametrize("after", [0.0, 0.004, 0.5, 2.0, 4.0, 6.0, 8.0])
@pytest.mark.parametrize("trouble", [Trouble.CUT_LINK, Trouble.CUT_UNITS, Trouble.KILL_NODE, Trouble.ISOLATE])
@pytest.mark.parametrize("role", [MASTER, SLAVE])
def test_whatever_breaks_a_switchover_somebody_serves(after, trouble, role):
    stage = Stage.settled()
    stage.happens(Trouble.SWITCHOVER, MASTER, 30)
    stage.let_pass(after)
    stage.happens(trouble, role, 60)
    stage.let_pass(60 + 120)
    assert stage.active == [MASTER]


def test_a_drain_hands_over_and_ends_by_itself():
    stage = Stage.settled()
    stage.forget_gap()
    stage.happens(Trouble.DRAIN, MASTER, 60)
    stage.until([SLAVE], 30)
    assert stage.reasons(MASTER)[-1] == "HandedOver"
    assert "Draining" in stage.notices(MASTER)
    stage.let_pass(100)
    assert stage.active == [MASTER]
    assert stage.monitor.gap == 0


def test_a_drained_unit_does_not_take_over():
    stage = Stage.settled()
    stage.happens(Trouble.DRAIN, SLAVE, 60)
    stage.happens(Trouble.KILL_NODE, MASTER, 20)
    stage.let_pass(19)
    assert stage.active == []
    assert "NobodyServes" in stage.notices(SLAVE)


def test_a_clean_stop_loses_nothing():
    stage = Stage.settled()
    stage.forget_gap()
    stage.happens(Trouble.STOP, MASTER)
    stage.until([SLAVE], 30)
    stopped = stage.now
    while stage.world.units[MASTER].node is not None:
        stage.let_pass(0.2)
    assert stage.now - stopped == pytest.approx(DEFAULT.drain_time, abs=1)
    stage.let_pass(60)
    assert stage.monitor.gap == 0


def test_polls_of_people_make_nobody_active():
    stage = Stage()
    stage.world.balancer.stopped = 1
    stage.happens(Trouble.POLL, MASTER, 30)
    stage.let_pass(30)
    assert stage.state(MASTER) is UnitState.UNCONNECTED

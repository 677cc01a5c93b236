"""Every rule of the decision table occurs, with words for people."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.ha_engine import Driven, active_master, report, standby_slave

from loadmaster_ha.agent.ha import timing
from loadmaster_ha.agent.ha.decision import KEEP, RULES
from loadmaster_ha.agent.ha.model import (
    AskPartnerPage,
    AskWitness,
    DataPlane,
    DrainEnded,
    DrainRequested,
    LinkEnd,
    LinkLost,
    Page,
    PartnerPage,
    PartnerReported,
    Probed,
    StopRequested,
    SwitchoverRequested,
    Tell,
    Tick,
    WitnessAnswered,
)
from loadmaster_ha.domain.ha import Mode, PreferredHost, UnitState

ACTIVE, STANDBY, FAILED = UnitState.ACTIVE, UnitState.STANDBY, UnitState.FAILED
MASTER_ACTIVE = report(ACTIVE, Mode.MASTER)
SILENT = PartnerPage(Page.SILENT)


def not_configured() -> Driven:
    return Driven(Mode.SINGLE, partner=None)


def data_plane_failed() -> Driven:
    return active_master().give(DataPlane(False, "port 443 does not answer"))


def stopping() -> Driven:
    return active_master().give(LinkLost(LinkEnd.TIMEOUT), StopRequested())


def draining() -> Driven:
    return active_master().give(LinkLost(LinkEnd.TIMEOUT), DrainRequested(60))


def starting() -> Driven:
    return Driven(Mode.MASTER, healthy=None).probe()


def paused() -> Driven:
    driven = active_master()
    driven.now += 30
    return driven.give(Tick())


def handed_over() -> Driven:
    driven = active_master().give(SwitchoverRequested("s1", Mode.SLAVE))
    return driven.give(PartnerReported(report(ACTIVE)), PartnerReported(report(ACTIVE, handover_ready="s1")))


def handover_taken() -> Driven:
    return standby_slave().give(PartnerReported(report(ACTIVE, Mode.MASTER, handover="s1")))


def handover_aborted() -> Driven:
    return handover_taken().give(PartnerReported(MASTER_ACTIVE))


def conflict_yielded() -> Driven:
    driven = standby_slave().give(LinkLost(LinkEnd.CLOSED)).page(Page.REFUSED)
    return driven.give(PartnerReported(report(ACTIVE, Mode.MASTER, confirmed=True)))


def conflict_seen_by_witness() -> Driven:
    driven = standby_slave().give(LinkLost(LinkEnd.TIMEOUT)).wait(4, page=SILENT)
    driven.give(WitnessAnswered(Page.SILENT)).wait(1.5, page=SILENT).give(WitnessAnswered(Page.SILENT))
    assert driven.state.state is ACTIVE
    for _ in range(12):
        driven.wait(0.5, page=SILENT).give(WitnessAnswered(Page.OK, "Master is active"))
    return driven


def same_mode() -> Driven:
    return Driven(Mode.SLAVE).wait(1, hears=report(UnitState.UNCONNECTED, Mode.SLAVE)).probe()


def partner_cut_off() -> Driven:
    driven = standby_slave()
    for _ in range(4):
        driven.probe().wait(4, hears=report(ACTIVE, Mode.MASTER, probe_age=20.0))
    return driven


def test_a_prober_that_comes_back_to_one_unit_first_moves_nobody():
    driven = standby_slave().wait(60, hears=report(ACTIVE, Mode.MASTER, probe_age=60.0)).probe()
    assert driven.wait(1, hears=report(ACTIVE, Mode.MASTER, probe_age=61.0)).view.state is STANDBY


def test_a_switchover_meant_for_the_process_before_a_restart_is_not_taken():
    meant = report(ACTIVE, Mode.MASTER, handover="s1", handover_for="boot-0")
    assert standby_slave().give(PartnerReported(meant)).view.state is STANDBY
    assert standby_slave().give(PartnerReported(replace(meant, handover_for="boot-1"))).view.state is ACTIVE


def partner_active() -> Driven:
    return standby_slave()


def no_partner() -> Driven:
    return Driven(Mode.MASTER, partner=None).probe()


def looking_for_partner() -> Driven:
    return Driven(Mode.MASTER).probe()


def partner_unable() -> Driven:
    return standby_slave().give(PartnerReported(report(FAILED, Mode.MASTER, detail="HAProxy is gone")))


def partner_down() -> Driven:
    return standby_slave().give(LinkLost(LinkEnd.CLOSED)).page(Page.UNAVAILABLE, "Unit is unavailable")


def nobody_active() -> Driven:
    return active_master()


def partner_serves_first() -> Driven:
    return Driven(Mode.SLAVE).wait(4, hears=report(UnitState.UNCONNECTED, Mode.MASTER)).probe()


def partner_silent() -> Driven:
    driven = standby_slave().give(LinkLost(LinkEnd.TIMEOUT)).wait(4, page=SILENT)
    return driven.give(WitnessAnswered(Page.SILENT)).wait(1.5, page=SILENT).give(WitnessAnswered(Page.SILENT))


def partner_seen_by_witness() -> Driven:
    driven = Driven(Mode.SLAVE).give(LinkLost(LinkEnd.TIMEOUT)).wait(4, page=SILENT)
    return driven.give(WitnessAnswered(Page.OK, "Master is active")).probe()


def recovered() -> Driven:
    return Driven(Mode.MASTER, healthy=False).give(Probed(503)).wait(2).give(DataPlane(True))


def probed() -> Driven:
    return Driven(Mode.MASTER).wait(2).probe()


OCCASIONS: dict[str, Callable[[], Driven]] = {
    "NotConfigured": not_configured,
    "DataPlaneFailed": data_plane_failed,
    "Stopping": stopping,
    "Draining": draining,
    "Starting": starting,
    "Paused": paused,
    "HandedOver": handed_over,
    "HandoverAborted": handover_aborted,
    "ConflictYielded": conflict_yielded,
    "ConflictSeenByWitness": conflict_seen_by_witness,
    "SameMode": same_mode,
    "HandoverTaken": handover_taken,
    "PartnerCutOff": partner_cut_off,
    "PartnerActive": partner_active,
    "NoPartner": no_partner,
    "LookingForPartner": looking_for_partner,
    "PartnerUnable": partner_unable,
    "PartnerDown": partner_down,
    "NobodyActive": nobody_active,
    "PartnerServesFirst": partner_serves_first,
    "PartnerSilent": partner_silent,
    "PartnerSeenByWitness": partner_seen_by_witness,
    "Recovered": recovered,
    "Probed": probed,
}


def test_every_rule_has_its_occasion():
    assert set(OCCASIONS) == {rule.reason for rule in RULES} - {KEEP.reason}


@pytest.mark.parametrize("reason", OCCASIONS)
def test_the_rule_occurs_and_says_why(reason):
    driven = OCCASIONS[reason]()
    assert driven.view.reason == reason
    if reason == "NotConfigured":
        assert driven.reasons == []
        return
    assert driven.reasons[-1] == reason
    assert len(driven.view.message) > 10
    assert "None" not in driven.view.message


def test_a_serving_unit_is_never_taken_down_for_an_equal_mode():
    driven = active_master().wait(30, hears=report(STANDBY, Mode.MASTER))
    assert driven.view.state is ACTIVE
    assert "SameMode" in driven.notices
    assert "set one to master" in driven.view.notices[0].message.lower()


@pytest.mark.parametrize("mode", [Mode.MASTER, Mode.SLAVE])
def test_of_two_that_serve_with_an_equal_mode_the_same_one_yields_whoever_judges(mode):
    """After a partition, for instance. It yields only when the other one's probes are counted."""

    def serving():
        driven = Driven(mode).wait(5).give(LinkLost(LinkEnd.CLOSED)).page(Page.REFUSED).wait(4).probe()
        assert driven.view.state is ACTIVE
        return driven

    before, after = (report(ACTIVE, mode, boot_id=boot, active_for=3.0) for boot in ("boot-0", "boot-2"))
    yields = serving().wait(60, hears=before)
    assert yields.view.state is ACTIVE
    assert "BothActive" in yields.notices
    yields.wait(1, hears=replace(before, confirmed=True))
    assert yields.reasons[-2:] == ["ConflictYielded", "SameMode"]
    assert yields.view.state is FAILED
    assert serving().wait(60, hears=replace(after, confirmed=True)).view.state is ACTIVE


def test_without_a_link_a_slave_yields_to_a_master_and_not_to_another_slave():
    def meets(words):
        driven = Driven(Mode.SLAVE).wait(5).give(LinkLost(LinkEnd.CLOSED)).page(Page.REFUSED).wait(4).probe()
        return driven.wait(60, page=PartnerPage(Page.OK, words)).view.state

    assert meets("Master is active") is STANDBY
    assert meets("Slave is active") is ACTIVE


def test_without_a_link_a_slave_yields_as_soon_as_the_master_must_have_been_probed():
    master = PartnerPage(Page.OK, "Master is active")
    driven = Driven(Mode.SLAVE).wait(5).give(LinkLost(LinkEnd.CLOSED)).page(Page.REFUSED).wait(4).probe()
    needed = timing.confirmation(driven.state.configuration)
    assert driven.wait(needed, page=master).view.state is ACTIVE
    assert driven.wait(1.5, page=master).view.reason == "ConflictYielded"


def test_probes_of_before_both_were_active_confirm_nothing():
    driven = active_master().probe().probe().wait(1, hears=report())
    assert not driven.of(Tell)[-1].report.confirmed
    driven.wait(1, hears=report(ACTIVE))
    assert not driven.of(Tell)[-1].report.confirmed
    driven.probe().probe()
    assert driven.of(Tell)[-1].report.confirmed


def test_an_answer_from_before_a_pause_says_nothing_of_now():
    """It may come out of the buffers after the next question was put."""
    driven = active_master(preferred_host=PreferredHost.NONE).wait(5, hears=report())
    asked = driven.of(AskPartnerPage)[-1].asked
    driven.now += 30  # meanwhile the slave has taken over
    driven.give(Tick(), PartnerPage(Page.UNAVAILABLE, "Slave is standby", asked))
    assert driven.view.state is STANDBY
    driven.give(PartnerPage(Page.OK, "Slave is active", driven.of(AskPartnerPage)[-1].asked))
    assert driven.wait(1).view.reason == "Paused"


def test_an_answer_of_the_frontend_from_before_a_pause_says_nothing_of_now():
    driven = standby_slave().give(LinkLost(LinkEnd.TIMEOUT)).wait(4, page=SILENT)
    before = driven.of(AskWitness)[-1].asked
    driven.now += 30
    driven.wait(4, page=SILENT)
    assert driven.of(AskWitness)[-1].asked != before
    driven.give(*[WitnessAnswered(Page.UNAVAILABLE, "", before)] * 2)
    assert driven.view.state is STANDBY
    driven.give(WitnessAnswered(Page.UNAVAILABLE, "", driven.of(AskWitness)[-1].asked))
    assert driven.view.state is ACTIVE


def test_two_fresh_units_of_equal_mode_both_refuse():
    driven = Driven(Mode.MASTER).wait(5, hears=report(UnitState.UNCONNECTED, Mode.MASTER))
    assert driven.view.state is FAILED
    assert driven.answer.to_balancer.code == 503


def test_the_only_living_one_of_two_equal_modes_serves():
    driven = same_mode().give(LinkLost(LinkEnd.CLOSED)).page(Page.REFUSED).wait(4)
    assert driven.view.state is ACTIVE


@pytest.mark.parametrize(
    ("partner", "notice", "words"),
    [
        (report(check_port=8445), "CheckPortDiffers", "8444 here and 8445"),
        (report(preferred_host=PreferredHost.NONE), "PreferenceDiffers", "Master here and None"),
    ],
)
def test_what_differs_between_the_units_is_told_once_and_its_end_too(partner, notice, words):
    driven = active_master().wait(5, hears=partner)
    told = [effect for effect in driven.view.notices if effect.reason == notice]
    assert len(told) == 1
    assert words in told[0].message
    driven.wait(2, hears=report())
    assert notice not in driven.notices


@pytest.mark.parametrize(
    ("end", "notice"), [(LinkEnd.UNAUTHORISED, "SecretDiffers"), (LinkEnd.INCOMPATIBLE, "ProtocolDiffers")]
)
def test_a_refused_link_is_told(end, notice):
    assert notice in active_master().give(LinkLost(end)).notices


def test_the_slave_obeys_the_masters_preference():
    other = standby_slave(preferred_host=PreferredHost.MASTER)
    other.give(LinkLost(LinkEnd.CLOSED)).page(Page.REFUSED)
    other.wait(20, hears=report(STANDBY, Mode.MASTER, preferred_host=PreferredHost.NONE))
    assert other.view.state is ACTIVE
    assert other.view.switchover == ""


def test_a_reason_to_rest_that_is_over_is_told_no_longer():
    driven = standby_slave().give(DrainRequested(60))
    assert (driven.view.state, driven.view.reason) == (STANDBY, "Draining")
    driven.give(DrainEnded(), PartnerReported(MASTER_ACTIVE))
    assert (driven.view.state, driven.view.reason) == (STANDBY, "PartnerActive")


def test_what_happened_is_told_as_long_as_the_state_lasts():
    driven = handed_over()
    assert (driven.view.state, driven.view.reason) == (STANDBY, "HandedOver")
    driven.give(PartnerReported(report(ACTIVE)))
    assert driven.view.reason == "HandedOver"

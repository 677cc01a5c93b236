"""The status of a managed pair for every mix of what the lanes found: valid, honest, still, and not stale."""

import itertools

import pytest
from tests.support.kstatus import Status, kstatus

from loadmaster_ha.controller.conditions import UNITS_TYPES, ConditionType, find
from loadmaster_ha.controller.events import transitions
from loadmaster_ha.controller.status import Obstacle, Situation
from loadmaster_ha.controller.status_pair import Parts, render, same
from loadmaster_ha.controller.status_units import UnitRow, UnitsSituation, stored_records
from loadmaster_ha.controller.status_units import conditions as of_units
from loadmaster_ha.controller.watching.model import Failover, UnitSight, WatchSituation
from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.unit_changes import WriteMode
from loadmaster_ha.domain.units import Active, ObservedState, Trigger, UnitKind
from loadmaster_ha.planning.changes import Plan
from loadmaster_ha.planning.diagnosis.model import Diagnosis, PairHealth
from loadmaster_ha.planning.units.observation import UnitRecord
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairStatus

NOW, LATER = "2026-11-23T04:00:00Z", "2026-12-24T00:00:00Z"
MODE = WriteMode(Role.SLAVE, Mode.SLAVE, "boot")
ROWS = {
    role: UnitRow(
        f"10.0.2.{4 + number}",
        UnitKind.AGENT,
        "7.2.54.12.22642.RELEASE",
        "ab" * 32,
        UnitRecord(f"serial:{number}", "digest", "Fri, 08 Aug 25 10:07:09 UTC"),
    )
    for number, role in enumerate(Role)
}

AZURE = {
    "no word": None,
    "synced": Situation(2, plan=Plan()),
    "cannot read": Situation(2, obstacle=Obstacle("AzureUnreachable", "no way")),
    "stalled": Situation(2, plan=Plan(findings=(Finding("AddressTaken", "taken", Severity.BLOCKING),))),
}
UNITS = {
    "no word": None,
    "synced": UnitsSituation(2, plan=UnitPlan(), rows=ROWS),
    "applying": UnitsSituation(2, plan=UnitPlan(changes=(MODE,)), rows=ROWS),
    "held": UnitsSituation(2, plan=UnitPlan(changes=(MODE,)), observing=True, rows=ROWS),
    "reboot owed": UnitsSituation(2, plan=UnitPlan(reboots_owed={Role.SLAVE: "its mode"}), rows=ROWS),
    "not trusted": UnitsSituation(
        2,
        plan=UnitPlan(findings=(Finding("CertificateNotTrusted", f"saw {'ab' * 32}", Severity.BLOCKING),)),
        unread=True,
        rows=ROWS,
    ),
    "away": UnitsSituation(
        2, plan=UnitPlan(findings=(Finding("TimedOut", "no answer", Severity.WAITING),)), unread=True
    ),
}


def watched(health, *, healthy, serving, active=Active.MASTER, failover=None):
    states = {Role.MASTER: ObservedState.ACTIVE, Role.SLAVE: ObservedState.STANDBY}
    diagnosis = Diagnosis(health, active, states, healthy, "A cause", serving=serving)
    sights = {role: UnitSight(role, UnitKind.AGENT, states[role]) for role in Role}
    return WatchSituation(diagnosis, sights, failover)


WATCH = {
    "no word": None,
    "fine": watched(PairHealth.ACTIVE_STANDBY, healthy=True, serving=True),
    "nobody": watched(PairHealth.NONE_ACTIVE, healthy=False, serving=False, active=Active.NONE),
    "dark": watched(PairHealth.UNKNOWN, healthy=None, serving=None, active=Active.UNKNOWN),
}
MIXES = list(itertools.product(AZURE, UNITS, WATCH))


def parts(azure="synced", units="synced", watch="fine", **more):
    return Parts(True, AZURE[azure], UNITS[units], WATCH[watch], **more)


def by_type(status):
    return {each["type"]: each for each in status["conditions"]}


@pytest.mark.parametrize(("azure", "units", "watch"), MIXES)
def test_every_mix_is_valid_and_ready_only_if_all_is_well(azure, units, watch):
    mix = parts(azure, units, watch)
    status = render(mix, {}, now=NOW)
    LoadMasterPairStatus.model_validate(status)
    told = by_type(status)
    assert set(told) == {kind.value for kind in ConditionType}
    well = (azure, units, watch) == ("synced", "synced", "fine")
    assert (told["Ready"]["status"] == "True") is well
    assert (told["Stalled"]["status"] == "True") is (azure == "stalled" or units == "not trusted")
    judged = kstatus({"metadata": {"generation": 2}, "status": status})
    assert (judged is Status.CURRENT) is well
    if "no word" in {azure, units}:
        assert judged is Status.IN_PROGRESS, "nobody has looked at this manifest yet"


@pytest.mark.parametrize(("azure", "units", "watch"), MIXES)
def test_the_same_again_is_no_change_and_no_event(azure, units, watch):
    stored = render(parts(azure, units, watch), {}, now=NOW)
    again = render(parts(azure, units, watch), stored, now=LATER)
    assert same(stored, again)
    assert transitions(stored["conditions"], again["conditions"]) == []


@pytest.mark.parametrize(("azure", "units", "watch"), MIXES)
def test_after_a_restart_what_is_stored_stays_until_a_lane_has_looked(azure, units, watch):
    stored = render(parts(azure, units, watch), {}, now=NOW)
    if "no word" in {azure, units, watch}:
        return
    for word in (Parts(True, AZURE[azure]), Parts(True, units=UNITS[units]), Parts(True, watch=WATCH[watch])):
        after = render(word, stored, now=LATER)
        kept = {name: value for name, value in after.items() if name != "conditions"}
        assert kept == {name: value for name, value in stored.items() if name != "conditions"}
        for kind in ("Ready", "AzureSynced", "HASynced", "PairHealthy", "Available", "RebootRequired"):
            assert by_type(after)[kind]["status"] == by_type(stored)[kind]["status"], kind


def test_what_is_stored_is_not_believed_for_ever():
    stored = render(parts(), {}, now=NOW)
    alone = Parts(True, AZURE["synced"], carried=False)
    after = by_type(render(alone, stored, now=LATER))
    for kind in (ConditionType.HA_SYNCED, ConditionType.PAIR_HEALTHY, ConditionType.AVAILABLE):
        assert (after[kind]["status"], after[kind]["reason"]) == ("Unknown", "NotObserved")
    assert after["Ready"]["status"] == "Unknown"
    status = render(alone, stored, now=LATER)
    assert status["active"] == "Unknown"
    assert {row["state"] for row in status["units"]} == {"Unknown"}


def test_records_of_units_outlive_everything():
    stored = render(parts(), {}, now=NOW)
    records = stored_records(stored)
    assert records == {role: row.record for role, row in ROWS.items()}
    for word in (Parts(True, AZURE["synced"], carried=False), parts(units="away"), parts(watch="dark")):
        stored = render(word, stored, now=LATER)
        assert stored_records(stored) == records


def test_of_another_unit_at_the_same_address_nothing_is_remembered():
    stored = render(parts(), {}, now=NOW)
    fresh = UnitsSituation(2, plan=UnitPlan(), rows={Role.SLAVE: UnitRow(record=UnitRecord("serial:9"))})
    after = stored_records(render(Parts(True, units=fresh), stored, now=LATER))
    assert after[Role.SLAVE] == UnitRecord("serial:9")
    assert after[Role.MASTER] == ROWS[Role.MASTER].record


def test_the_oldest_manifest_that_a_lane_speaks_of_is_the_one_observed():
    stored = render(parts(), {}, now=NOW)
    newer = Parts(True, Situation(3, plan=Plan()), UNITS["synced"], WATCH["fine"])
    status = render(newer, stored, now=LATER)
    assert status["observedGeneration"] == 2
    assert by_type(status)["AzureSynced"]["observedGeneration"] == 3
    assert kstatus({"metadata": {"generation": 3}, "status": status}) is Status.IN_PROGRESS


def test_a_failover_is_kept_until_the_next_one():
    seen = Failover(1.0, Role.MASTER, Role.SLAVE, Trigger.SILENT, "it was silent", 12.5)
    told = watched(PairHealth.ACTIVE_STANDBY, healthy=True, serving=True, failover=seen)
    stored = render(Parts(True, AZURE["synced"], UNITS["synced"], told), {}, now=NOW)
    LoadMasterPairStatus.model_validate(stored)
    assert stored["lastFailover"]["durationSeconds"] == 12.5
    after = render(parts(), stored, now=LATER)
    assert after["lastFailover"] == stored["lastFailover"]


def test_credentials_that_were_taken_away_end_what_is_said_of_the_units():
    stored = render(parts(), {}, now=NOW)
    unmanaged = Parts(False, AZURE["synced"])
    status = render(unmanaged, stored, now=LATER)
    assert not set(by_type(status)) & {kind.value for kind in UNITS_TYPES}
    assert "units" not in status
    assert not same(stored, status)
    assert same(status, render(unmanaged, status, now=LATER))


def test_ready_tells_first_what_needs_a_person_then_what_is_certain_then_what_is_unknown():
    told = by_type(render(parts("cannot read", "not trusted", "nobody"), {}, now=NOW))
    assert told["Ready"]["reason"] == "CertificateNotTrusted"
    assert "ab" * 32 in told["HASynced"]["message"]
    assert by_type(render(parts("cannot read", "synced", "nobody"), {}, now=NOW))["Ready"]["reason"] == (
        "NoneActive"
    )
    assert by_type(render(parts("cannot read"), {}, now=NOW))["Ready"]["reason"] == "AzureUnreachable"


def test_what_is_held_back_on_the_units_is_pending_beside_azures():
    status = render(parts(units="held"), {}, now=NOW)
    assert status["pending"] == [f"Slave: {MODE_IN_WORDS}"]
    assert find(status["conditions"], ConditionType.HA_SYNCED)["reason"] == "Drift"


MODE_IN_WORDS = "set the HA mode to Slave; it takes effect at a reboot"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("TimedOut", ('force-delete: "true"',)),
        ("SecretNotFound", ("If the namespace is being deleted", "Orphan", 'force-delete: "true"')),
    ],
)
def test_a_deletion_that_the_units_hold_up_says_how_to_end_it(reason, words):
    stuck = UnitPlan(findings=(Finding(reason, "why", Severity.WAITING),))
    units = UnitsSituation(2, deleting=True, plan=stuck, unread=True)
    azure = Situation(2, deleting=True, plan=Plan())
    told = by_type(render(Parts(True, azure, units), {}, now=NOW))["Deleting"]
    assert told["reason"] == reason
    assert told["message"].startswith("Azure is clean. The units: why")
    assert all(each in told["message"] for each in words)


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ({}, "Slave: its mode."),
        ({"observing": True}, "Slave: its mode. None is rebooted while spec.policy.mode is Observe."),
        ({"suspended": "spec.suspend"}, "Slave: its mode. None is rebooted while the pair is suspended."),
    ],
    ids=["enforced", "observed", "suspended"],
)
def test_a_reboot_that_nobody_will_do_is_not_announced(held, says):
    situation = UnitsSituation(2, plan=UnitPlan(reboots_owed={Role.SLAVE: "its mode"}), rows=ROWS, **held)
    told = next(each for each in of_units(situation) if each.type == "RebootRequired")
    assert (told.status, told.message) == ("True", says)


def test_units_of_different_versions_are_told_apart_by_four_numbers():
    def told(one, other):
        rows = {
            Role.MASTER: UnitRow(firmware=one),
            Role.SLAVE: UnitRow(firmware=other),
        }
        situation = UnitsSituation(2, plan=UnitPlan(), rows=rows)
        return by_type(render(Parts(True, AZURE["synced"], situation), {}, now=NOW))["VersionsMatch"][
            "status"
        ]

    assert told("7.2.54.12.22642.RELEASE", "7.2.54.12.1.RELEASE") == "True"
    assert told("7.2.54.12.22642.RELEASE", "7.2.54.11.22642.RELEASE") == "False"
    assert told("7.2.54.12.22642.RELEASE", "") == "Unknown"

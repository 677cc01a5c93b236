"""Status for every situation a visit can find: valid, judged as kstatus does, still while nothing changes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.kstatus import Status, kstatus

from loadmaster_ha.azure.outcomes import Operation
from loadmaster_ha.controller import status_pair
from loadmaster_ha.controller.conditions import UNITS_TYPES, ConditionType, find
from loadmaster_ha.controller.events import transitions
from loadmaster_ha.controller.status import (
    PENDING_LIMIT,
    Obstacle,
    Situation,
    conditions,
    differences,
    pending,
)
from loadmaster_ha.controller.status_pair import Parts, same
from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.planning.arm import network
from loadmaster_ha.planning.changes import Delete, Difference, Plan, Put, Section
from loadmaster_ha.planning.reasons import Reason as PlanReason
from loadmaster_ha.planning.reasons import finding
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairStatus


def render(situation, stored, *, now):
    """The status of a pair whose units are not managed."""
    return status_pair.render(Parts(azure=situation), stored, now=now)


NOW = "2026-11-23T04:00:00Z"
BALANCER = network("s", "edge", "loadBalancers", "web-ilb")
UPDATE = Put(
    Section.LOAD_BALANCER,
    BALANCER,
    {},
    'W/"1"',
    (Difference("probes[lm_web_health].intervalInSeconds", 15, 5), Difference("tags[x]", None, "1")),
)
CREATE = Put(Section.LOAD_BALANCER, BALANCER, {}, None, ())
REMOVE = Delete(Section.SECURITY_GROUPS, BALANCER.child("probes", "old"), None, "no longer wanted")
OPERATION = Operation(BALANCER, "PUT", "https://management.azure.com/x", "AsyncOperation", NOW)
BLOCKED = Finding("AddressTaken", "it is taken", Severity.BLOCKING)
WAITS = Finding("CouldNotRead", "no answer", Severity.WAITING)
RISK = Finding("NoAvailability", "one rack", Severity.WARNING)

PLANS = {
    "not read": None,
    "converged": Plan(),
    "converged with a risk": Plan(findings=(RISK,)),
    "changes": Plan((UPDATE, CREATE, REMOVE)),
    "blocked": Plan(findings=(BLOCKED,), held_back=(UPDATE,)),
    "waits": Plan(findings=(WAITS,), held_back=(UPDATE,)),
}
OBSTACLES = {
    "none": None,
    "passing": Obstacle("Throttled", "too many requests"),
    "blocking": Obstacle("SecretNotFound", "there is no such Secret", blocking=True),
}
SITUATIONS = [
    pytest.param(
        Situation(
            generation=2,
            suspended="spec.suspend" if suspended else "",
            observing=observing,
            deleting=deleting,
            plan=PLANS[plan],
            obstacle=OBSTACLES[obstacle],
            operation=OPERATION if operation else None,
        ),
        id=", ".join(
            [
                plan,
                f"obstacle {obstacle}",
                *(
                    word
                    for word, given in zip(
                        ("operation", "suspended", "observing", "deleting"),
                        (operation, suspended, observing, deleting),
                        strict=True,
                    )
                    if given
                ),
            ]
        ),
    )
    for plan, obstacle, operation, suspended, observing, deleting in itertools.product(
        PLANS, OBSTACLES, *[(False, True)] * 4
    )
]


def judged(situation, status):
    metadata = {"generation": situation.generation}
    if situation.deleting:
        metadata["deletionTimestamp"] = NOW
    return kstatus({"metadata": metadata, "status": status})


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_situation_makes_a_valid_status_and_an_honest_summary(situation):
    status = render(situation, {}, now=NOW)
    LoadMasterPairStatus.model_validate(status)
    conditions = {each["type"]: each for each in status["conditions"]}
    assert set(conditions) == {kind.value for kind in ConditionType} - UNITS_TYPES

    clean = situation.plan in (PLANS["converged"], PLANS["converged with a risk"])
    undisturbed = situation.obstacle is None and situation.operation is None
    ready = clean and undisturbed and not situation.deleting
    assert (conditions["Ready"]["status"] == "True") is ready
    if situation.deleting:
        expected = Status.TERMINATING
    elif ready:
        expected = Status.CURRENT
    elif situation.blocking and not situation.waiting and situation.operation is None:
        expected = Status.FAILED
    else:
        expected = Status.IN_PROGRESS
    assert judged(situation, status) is expected

    assert (conditions["Stalled"]["status"] == "True") is (situation.blocking is not None)
    assert (conditions["Paused"]["status"] == "True") is bool(situation.suspended)
    assert (conditions["Deleting"]["status"] == "True") is situation.deleting
    if situation.plan is None:
        assert conditions["AzureSynced"]["status"] == "Unknown", "what could not be read is not known"
    assert ("operations" in status.get("azure", {})) is (situation.operation is not None)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_same_situation_again_is_no_change_and_no_event(situation):
    stored = render(situation, {}, now=NOW)
    later = render(situation, stored, now="2026-12-24T00:00:00Z")
    assert same(stored, later)
    assert transitions(stored["conditions"], later["conditions"]) == []


@given(st.sampled_from(SITUATIONS), st.sampled_from(SITUATIONS))
def test_any_change_of_situation_is_stored_and_told_at_most_once_each(before, after):
    (before,), (after,) = before.values, after.values
    stored = render(before, {}, now=NOW)
    new = render(after, stored, now=NOW)
    if find(stored["conditions"], ConditionType.STALLED)["reason"] != find(
        new["conditions"], ConditionType.STALLED
    ).get("reason"):
        assert not same(stored, new)
    told = transitions(stored["conditions"], new["conditions"])
    assert len({event.reason for event in told}) == len(told)
    assert told == transitions(stored["conditions"], new["conditions"]), "a repeated visit tells the same"


def test_a_condition_of_somebody_else_is_no_difference():
    situation = Situation(generation=1, plan=Plan())
    status = render(situation, {}, now=NOW)
    theirs = {"type": "Audited", "status": "True", "reason": "Yes", "message": "", "lastTransitionTime": NOW}
    stored = {**status, "conditions": [theirs, *status["conditions"]]}
    assert same(stored, render(situation, stored, now="2027-01-01T00:00:00Z"))


def test_what_is_no_longer_pending_is_a_difference():
    held = Situation(generation=1, plan=Plan((UPDATE,)), suspended="spec.suspend")
    stored = render(held, {}, now=NOW)
    assert stored["pending"]
    free = Situation(generation=1, plan=Plan())
    assert not same({**render(free, {}, now=NOW), "pending": stored["pending"]}, render(free, {}, now=NOW))


def test_differences_name_the_field_what_it_is_and_what_it_should_be():
    assert differences([UPDATE, CREATE, REMOVE]) == (
        "loadBalancers/web-ilb: probes[lm_web_health].intervalInSeconds: 15, should be 5; "
        "loadBalancers/web-ilb: tags[x]: missing, should be 1; "
        "loadBalancers/web-ilb: to be created; "
        "probes/old: to be deleted (no longer wanted)"
    )


def test_a_risk_is_reported_and_holds_nothing_up():
    status = render(Situation(generation=1, plan=PLANS["converged with a risk"]), {}, now=NOW)
    message = find(status["conditions"], ConditionType.AZURE_SYNCED)["message"]
    assert "NoAvailability: one rack" in message


def test_the_other_obstacles_are_not_hidden_behind_the_first():
    another = Finding("NotOwned", "it is not ours", Severity.BLOCKING)
    status = render(Situation(generation=1, plan=Plan(findings=(BLOCKED, another))), {}, now=NOW)
    stalled = find(status["conditions"], ConditionType.STALLED)
    assert stalled["reason"] == "AddressTaken"
    assert "NotOwned: it is not ours" in stalled["message"]


@given(st.integers(0, 200), st.integers(1, 400))
def test_what_is_told_is_bounded(changes, length):
    put = Put(Section.LOAD_BALANCER, BALANCER, {}, "e", (Difference("x" * length, 1, 2),) * 3)
    situation = Situation(generation=1, plan=Plan((put,) * changes), suspended="spec.suspend")
    status = render(situation, {}, now=NOW)
    LoadMasterPairStatus.model_validate(status)
    lines = pending(situation)
    assert len(lines) == min(changes, PENDING_LIMIT)
    if changes > PENDING_LIMIT:
        assert lines[-1] == f"and {changes - PENDING_LIMIT + 1} more"


def test_a_remedy_is_told_once_and_many_findings_are_counted():
    found = [finding(PlanReason.CONFLICTING_PAIR, "", f"Interface {number} is used") for number in range(9)]
    obstacle = Situation(1, plan=Plan(findings=tuple(found))).blocking
    assert obstacle is not None
    message = obstacle.message
    remedy = found[0].message.removeprefix("Interface 0 is used. ")
    assert message.count(remedy) == 1
    assert "Interface 5 is used" in message
    assert "Interface 6 is used" not in message
    assert message.endswith("And 3 more.")


def test_what_stands_in_the_way_is_told_by_ready_and_what_differs_by_azure_synced():
    blocked = finding(PlanReason.ADDRESS_TAKEN, "", "10.0.2.4 is in use")
    told = {item.type: item for item in conditions(Situation(1, plan=Plan((), (blocked,), (UPDATE,))))}
    assert told[ConditionType.READY].message == blocked.message
    assert told[ConditionType.STALLED].message == blocked.message
    assert told[ConditionType.AZURE_SYNCED].reason == "FrontendAddressTaken"
    assert "10.0.2.4" not in told[ConditionType.AZURE_SYNCED].message
    assert "intervalInSeconds" in told[ConditionType.AZURE_SYNCED].message

"""Several findings in one message: the remedy of a reason is told once."""

import pytest

from loadmaster_ha.controller.finding_words import joined, reported
from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.loadmaster.faults import EXPLANATIONS, FaultReason
from loadmaster_ha.planning.reasons import Reason as AzureReason
from loadmaster_ha.planning.reasons import finding as azure_finding
from loadmaster_ha.planning.units.reasons import Reason as UnitsReason
from loadmaster_ha.planning.units.reasons import finding as units_finding
from loadmaster_ha.planning.units.service_reasons import ServiceReason
from loadmaster_ha.planning.units.service_reasons import finding as service_finding

OF_EACH_KIND = [
    (azure_finding, AzureReason.NO_SECURITY_GROUP, "Attach a security group and name it"),
    (units_finding, UnitsReason.REBOOT_WAITS, "Or reboot it yourself"),
    (service_finding, ServiceReason.NO_REAL_SERVERS, "Name real servers, or see why"),
]


@pytest.mark.parametrize(("made", "reason", "remedy"), OF_EACH_KIND)
def test_a_remedy_is_told_once_for_each_reason(made, reason, remedy):
    both = [made(reason, f"unit {each}", f"Something is wrong with {each}") for each in "ab"]
    for message in (joined(both), reported(both)):
        assert message.count(remedy) == 1
        assert "wrong with a" in message
        assert "wrong with b" in message


def test_what_to_do_about_a_fault_of_both_units_is_told_once():
    remedy = EXPLANATIONS[FaultReason.TIMED_OUT].remedy
    both = [
        Finding("TimedOut", f"The {unit} could not be asked: no answer. {remedy} It waits.", Severity.WAITING)
        for unit in ("master", "slave")
    ]
    assert joined(both).count(remedy) == 1
    assert joined(both).endswith("Also TimedOut: The slave could not be asked: no answer. It waits.")


def test_a_remedy_is_kept_when_the_first_of_its_reason_had_none():
    first = Finding("TimedOut", "The master could not be asked.", Severity.WAITING)
    second = Finding(
        "TimedOut", f"Nothing heard. {EXPLANATIONS[FaultReason.TIMED_OUT].remedy}", Severity.WAITING
    )
    assert joined([first, second]).endswith(second.message)


def test_different_reasons_keep_their_remedies():
    found = [made(reason, "it", "Something is wrong") for made, reason, _ in OF_EACH_KIND]
    assert all(remedy in joined(found) for _, _, remedy in OF_EACH_KIND)


def test_a_message_has_an_end():
    many = [azure_finding(AzureReason.RULES_LIMIT, "spec", f"Number {each}") for each in range(20)]
    assert "Number 5" in joined(many)
    assert "Number 6" not in joined(many)
    assert joined(many).endswith("And 14 more.")


def test_no_risks_are_no_words():
    assert reported([]) == ""

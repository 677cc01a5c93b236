"""What becomes of the units of a deleted pair, when a switch-over may start, and how changes are told."""

import dataclasses
import typing
from dataclasses import replace

import pytest
from tests.support.unit_values import facts, seen, service, settled, units_target

from loadmaster_ha.controller.conditions import Reason as ControllerReason
from loadmaster_ha.domain import firmware, unit_changes
from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.findings import Severity
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.domain.unit_changes import Reboot, WriteMode, WriteParameters, WriteSharedSecret
from loadmaster_ha.domain.units import AgentStatus, ObservedState, UnitKind
from loadmaster_ha.domain.virtual_services import Protocol as UnitProtocol
from loadmaster_ha.domain.virtual_services import RealServer
from loadmaster_ha.loadmaster.faults import FaultReason
from loadmaster_ha.planning.units import pair, shared_secret
from loadmaster_ha.planning.units.invariants import InvariantViolated, verify
from loadmaster_ha.planning.units.marks import Marks
from loadmaster_ha.planning.units.observation import Publication, RebootUnderWay
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.planning.units.reasons import CATALOGUE, NEEDS_A_PERSON, Reason
from loadmaster_ha.planning.units.simulate import after
from loadmaster_ha.planning.units.situation import Situation
from loadmaster_ha.planning.units.switchover import Verdict, decide
from loadmaster_ha.planning.units.words import in_words

M, S = Role.MASTER, Role.SLAVE
APPLIANCE = UnitKind.APPLIANCE
SILENT = Unknown("TimedOut", "10.0.2.5 does not answer within 10 s")


def deleted(observation, *, now=0.0, **policy):
    return pair.plan_deletion(units_target(policy=policy) if policy else units_target(), observation, now=now)


def shape(found):
    return [(type(change).__name__, change.role) for change in found.changes]


# -- deletion


def test_both_units_become_single_again_the_active_one_last():
    found = deleted(seen(facts(M), facts(S)))
    assert shape(found) == [("WriteMode", S), ("WriteMode", M), ("Reboot", S)]
    assert {change.mode for change in found.changes if isinstance(change, WriteMode)} == {Mode.SINGLE}


def test_the_second_unit_is_rebooted_when_the_first_is_back_and_then_it_is_over():
    single = settled(S, mode=Mode.SINGLE)
    back = facts(S, settings=single, in_force=Mode.SINGLE, state=ObservedState.ACTIVE)
    waiting = facts(M, settings=settled(M, mode=Mode.SINGLE), in_force=Mode.MASTER)
    assert shape(deleted(seen(waiting, back))) == [("Reboot", M)]
    gone = deleted(seen(Unknown("Refused", "no"), back, reboots={M: RebootUnderWay(waiting.boot, 0.0)}))
    assert [each.reason for each in gone.waiting] == [Reason.REBOOTING]
    over = facts(M, settings=settled(M, mode=Mode.SINGLE), in_force=Mode.SINGLE)
    assert deleted(seen(over, back)).converged


def test_orphaned_units_are_left_as_they_are():
    found = deleted(seen(facts(M), facts(S)), deletion="Orphan")
    assert found.changes == ()
    assert found.converged


@pytest.mark.parametrize(
    "published",
    [Absent(), Unknown("Throttled", "x"), Present(frozenset({Publication("web", UnitProtocol.TCP, 80)}))],
)
def test_units_stay_a_pair_while_azure_leads_to_them(published):
    found = deleted(seen(facts(M), facts(S), published=published))
    assert not any(isinstance(change, WriteMode | Reboot) for change in found.changes)
    assert not found.converged


def test_a_unit_that_serves_others_is_not_rebooted_and_a_person_is_told():
    others = (service(8080),)
    found = deleted(seen(facts(M, services=others), facts(S, services=others)))
    assert shape(found) == [("WriteMode", S), ("WriteMode", M), ("Reboot", S)]
    assert [each.reason for each in found.warnings] == [Reason.REBOOT_LEFT_TO_PERSON]
    assert "not this pair's" in found.warnings[0].message


def test_manual_reboots_end_the_deletion_with_a_word_to_a_person():
    owing = [
        facts(role, settings=settled(role, mode=Mode.SINGLE), in_force=Mode(role.value)) for role in Role
    ]
    found = deleted(seen(*owing), reboots="Manual")
    assert found.converged
    assert [each.reason for each in found.warnings] == [Reason.REBOOT_LEFT_TO_PERSON] * 2


def test_deletion_waits_for_a_unit_out_of_reach_and_says_how_to_let_go():
    found = deleted(seen(facts(M), SILENT))
    assert shape(found) == [("WriteMode", M)]
    assert "Orphan" in found.waiting[0].message


def test_a_unit_out_of_reach_is_named_also_while_services_wait_for_it():
    ours = replace(service(443), nickname=Marks(units_target().pair.identity).nickname("web"))
    standby = facts(S, state=ObservedState.STANDBY, services=(ours,))
    found = deleted(seen(Unknown("TimedOut", "10.0.2.4 does not answer"), standby))
    assert found.waiting[0].reason == "TimedOut"
    assert "10.0.2.4" in found.waiting[0].message


def test_units_that_were_refused_as_a_pair_are_not_touched():
    found = deleted(seen(facts(M, kind=APPLIANCE), facts(S)))
    assert found.changes == ()
    assert [each.reason for each in found.warnings] == [Reason.UNITS_LEFT]


# -- planned switch-over


def asked(observation, to=S, plan=None):
    target = units_target(secret="v1")
    return decide(target, observation, to, plan or UnitPlan(), now=0.0)


def test_a_switchover_starts_when_the_other_unit_can_take_over():
    found = asked(seen(facts(M), facts(S)))
    assert (found.verdict, found.ask) == (Verdict.START, M)


def test_the_unit_that_is_active_already_needs_none():
    assert asked(seen(facts(M), facts(S)), to=M).verdict is Verdict.DONE


def test_one_that_is_under_way_is_neither_refused_nor_ordered_again():
    def active(role):
        state = ObservedState.ACTIVE
        return facts(role, state=state, agent=AgentStatus(1, Mode(role.value), state, switchover="one"))

    assert asked(seen(active(M), active(S))).verdict is Verdict.UNDER_WAY
    assert asked(seen(active(M), facts(S))).verdict is Verdict.UNDER_WAY
    assert asked(seen(facts(M, state=ObservedState.STANDBY), active(S))).verdict is Verdict.DONE


def test_on_appliances_no_such_command_is_known_and_a_person_is_told_what_to_do():
    found = asked(seen(facts(M, kind=APPLIANCE), facts(S, kind=APPLIANCE)))
    assert found.verdict is Verdict.REFUSED
    assert "no such command is known" in found.reason
    assert "reboot the active unit" in found.reason


@pytest.mark.parametrize(
    ("observation", "told"),
    [
        (seen(facts(M), SILENT), "the slave does not answer"),
        (seen(SILENT, facts(S)), "the master does not answer"),
        (seen(facts(M), facts(S, state=ObservedState.FAILED)), "Failed, not Standby"),
        (seen(facts(M, state=ObservedState.FAILED), facts(S)), "nobody to take over from"),
        (
            seen(facts(M), facts(S, agent=AgentStatus(1, Mode.SLAVE, ObservedState.STANDBY, draining=True))),
            "drained",
        ),
        (seen(facts(M), facts(S, firmware="7.2.1.1")), "another version"),
        (seen(facts(M), facts(S, commands=frozenset({"agentstatus"}))), "does not know agentswitchover"),
    ],
)
def test_a_switchover_is_refused_with_the_reason(observation, told):
    found = asked(observation)
    assert found.verdict is Verdict.REFUSED
    assert told in found.reason
    assert found.ask is None


@pytest.mark.parametrize(
    "plan",
    [
        UnitPlan(reboots_owed={S: "its HA mode takes effect at a reboot"}),
        UnitPlan(changes=(WriteParameters(S, partner="10.0.2.4"),)),
    ],
)
def test_no_switchover_starts_while_a_unit_is_changed_or_rebooted(plan):
    assert asked(seen(facts(M), facts(S)), plan=plan).verdict is Verdict.REFUSED


# -- the guard


@pytest.mark.parametrize(
    ("observation", "change", "told"),
    [
        (seen(facts(M), facts(S)), WriteMode(S, Mode.MASTER, "b"), "both units would be set to Master"),
        (seen(facts(M), SILENT), WriteMode(M, Mode.SLAVE, "b"), "not known"),
        (seen(facts(M), facts(S)), WriteParameters(S, partner="10.0.2.5"), "its own partner"),
        (seen(facts(M), facts(S)), WriteParameters(S, port=1234), "not be the wanted one"),
        (seen(facts(M), SILENT), Reboot(M, "b", "why"), "two would be down"),
        (seen(facts(M), facts(S, state=ObservedState.FAILED)), Reboot(M, "b", "why"), "able to take over"),
    ],
)
def test_a_change_that_would_break_the_pair_is_stopped(observation, change, told):
    target = units_target()
    before, later = Situation(target, observation), Situation(target, after(observation, change))
    with pytest.raises(InvariantViolated, match=told):
        verify(before, change, later)


# -- words


def some(kind):
    """A value of each field of a change, by its type."""
    values = {
        "role": M,
        "version": "0123456789abcdef",
        "mode": Mode.MASTER,
        "boot": "b",
        "why": "because",
        "differences": (Difference("spec.master: partner", None, "10.0.2.5"),),
        "service": service(80),
        "have": service(80),
        "want": service(80),
        "server": RealServer(1, "10.0.3.7", 8080),
        "name": "lm_web_https",
        "fingerprint": "ab" * 32,
        "replaces": True,
    }
    if "RealServer" in kind.__name__:
        values |= {"have": values["server"], "want": values["server"]}
    return kind(**{each.name: values[each.name] for each in dataclasses.fields(kind) if each.name in values})


@pytest.mark.parametrize("kind", typing.get_args(unit_changes.UnitChange), ids=lambda kind: kind.__name__)
def test_every_change_has_words_on_one_line(kind):
    words = in_words(some(kind))
    assert words.startswith("Master: ")
    assert "\n" not in words
    assert len(words) > 15


def test_a_changed_parameter_is_told_with_what_it_was():
    assert in_words(some(WriteParameters)) == "Master: set partner to 10.0.2.5 (is not set)"
    assert "0123456789abcdef" not in in_words(some(WriteSharedSecret))


# -- the secret's form, firmware, reasons


@pytest.mark.parametrize("secret", ["s" * 8, "s" * 127, 'aB3!"#$%&()*+,-./:;<=>?[\\~]^_@`{|}'])
def test_a_secret_that_units_take(secret):
    assert shared_secret.problem_with(secret) is None


@pytest.mark.parametrize(
    "secret", ["", "short7!", "s" * 128, "with space", "it's one", "passwort\u00e4", "line-end\n"]
)
def test_a_secret_that_units_refuse_is_described_and_not_shown(secret):
    problem = shared_secret.problem_with(secret)
    assert problem
    assert not secret or secret not in problem


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("7.2.48.9.1.RELEASE", {"CVE-2024-1212", "CVE-2026-8037"}),
        ("7.2.48.10.1.RELEASE", {"CVE-2026-8037"}),
        ("7.2.54.7", {"CVE-2024-1212", "CVE-2026-8037"}),
        ("7.2.54.17.22642.RELEASE", {"CVE-2026-8037"}),
        ("7.2.54.18.1.RELEASE", set()),
        ("7.2.59.1.1.RELEASE", {"CVE-2024-1212", "CVE-2026-8037"}),
        ("7.2.59.2.1.RELEASE", {"CVE-2026-8037"}),
        ("7.2.63.1.f6d42ce.DEV", {"CVE-2026-8037"}),
        ("7.2.63.2.f6d42ce.DEV", set()),
    ],
)
def test_firmware_with_a_published_weakness_is_known(version, found):
    numbers = firmware.parse(version)
    assert numbers is not None
    assert {each.name for each in firmware.vulnerabilities(numbers)} == found


@pytest.mark.parametrize("text", ["", "unknown", "7.2", "v7.2.54", "7.2.x.1"])
def test_what_is_no_version_is_none(text):
    assert firmware.parse(text) is None


def test_every_reason_has_an_explanation_and_reasons_of_the_client_stay_the_clients():
    assert set(CATALOGUE) == set(Reason)
    secrets = {each.value for each in ControllerReason if each.value.startswith("Secret")}
    assert {each.value for each in FaultReason} | secrets >= NEEDS_A_PERSON
    assert not {each.value for each in FaultReason} & {each.value for each in Reason}
    assert all(each.severity in Severity for each in CATALOGUE.values())

"""HA settings of the units: what is written, in which order, when a unit is rebooted, and what is refused."""

from dataclasses import replace

import pytest
from tests.support.unit_values import ADDRESSES, FRONTEND, facts, fresh, seen, service, settled, units_target

from loadmaster_ha.domain.findings import Severity
from loadmaster_ha.domain.ha import PROBE_SOURCE, Mode, PreferredHost, Role
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.domain.unit_changes import (
    Reboot,
    WriteAgentInputs,
    WriteMode,
    WriteParameters,
    WriteSharedSecret,
)
from loadmaster_ha.domain.units import AgentInputs, AgentStatus, ObservedState, UnitKind
from loadmaster_ha.planning.units.check_port import azure_check_port
from loadmaster_ha.planning.units.high_availability import plan_high_availability
from loadmaster_ha.planning.units.observation import RebootUnderWay, UnitRecord
from loadmaster_ha.planning.units.reasons import Reason

M, S = Role.MASTER, Role.SLAVE
APPLIANCE = UnitKind.APPLIANCE
INPUTS = AgentInputs(FRONTEND, PROBE_SOURCE, 5, 2)
SILENT = Unknown("TimedOut", "10.0.2.5 does not answer within 10 s")
BOTH = pytest.mark.parametrize("kind", list(UnitKind))


def unit(role, **more):
    return facts(role, **{"inputs": INPUTS, **more})


def plan(observation, target=None, *, now=0.0):
    return plan_high_availability(target or units_target(secret="v1"), observation, now=now)


def reasons(found, severity=None):
    return [each.reason for each in found.findings if severity in (None, each.severity)]


def shape(found):
    return [(type(change).__name__, change.role) for change in found.changes]


def member_records(**changed):
    return {role: UnitRecord(f"serial of {role}", "v1", changed.get(role.value, "")) for role in Role}


# -- the first set-up


@BOTH
def test_a_fresh_pair_is_set_up_in_the_order_of_the_guide(kind):
    found = plan(seen(fresh(M, kind=kind), fresh(S, kind=kind), ports=Present(frozenset())))
    writes = [each for each in shape(found) if each[0] != "WriteAgentInputs"]
    assert writes == [
        ("WriteSharedSecret", M),
        ("WriteSharedSecret", S),
        ("WriteMode", M),
        ("WriteMode", S),
        ("WriteParameters", M),
        ("WriteParameters", S),
        ("Reboot", M),
    ]
    assert set(found.reboots_owed) == {M, S}


def test_each_units_partner_is_the_other_one():
    """The guide's step 8 tells to enter the slave's own address."""
    found = plan(seen(fresh(M), fresh(S)))
    partners = {each.role: each.partner for each in found.changes if isinstance(each, WriteParameters)}
    assert partners == {M: ADDRESSES[S], S: ADDRESSES[M]}


def test_the_second_unit_follows_as_soon_as_the_first_answers_again():
    master = unit(M, state=ObservedState.UNCONNECTED)
    slave = unit(S, in_force=Mode.SINGLE, state=ObservedState.ACTIVE)
    found = plan(seen(master, slave, secret="v1"))
    assert shape(found) == [("Reboot", S)]


def test_a_serving_master_is_told_to_a_person_instead_of_being_interrupted():
    master = fresh(M, services=(service(80),))
    found = plan(seen(master, fresh(S)))
    assert shape(found)[-1] == ("Reboot", S)
    later = plan(
        seen(
            unit(M, in_force=Mode.SINGLE, services=(service(80),)),
            unit(S, state=ObservedState.ACTIVE),
            secret="v1",
        )
    )
    assert later.changes == ()
    assert Reason.REBOOT_WAITS in reasons(later, Severity.WAITING)
    assert "virtual services" in later.reboots_owed[M]


@pytest.mark.parametrize(
    ("master", "slave", "reason"),
    [
        ((), (service(443),), Reason.SERVING_UNIT_NOT_MASTER),
        ((service(80),), (service(443),), Reason.BOTH_SERVING),
    ],
)
def test_units_that_serve_alone_stop_everything_before_any_mode_is_written(master, slave, reason):
    found = plan(seen(fresh(M, services=master), fresh(S, services=slave)))
    assert found.changes == ()
    assert reasons(found, Severity.BLOCKING) == [reason]
    assert "443" in found.findings[0].message


@BOTH
def test_one_unit_at_both_addresses_is_neither_set_up_nor_repaired(kind):
    """Each half of the plan would undo the other's, and the active unit would be rebooted as a slave."""
    master = unit(M, kind=kind)
    found = plan(seen(master, replace(master, role=S), secret="v1"))
    assert found.changes == ()
    assert reasons(found, Severity.BLOCKING) == [Reason.SAME_UNIT]


def test_a_copy_of_a_unit_is_another_one():
    """A virtual machine made of a disk image has the identity of the other, and starts for itself."""
    master = unit(M)
    copied = replace(unit(S), identity=master.identity, boot="Fri, 08 Aug 25 11:00:00 UTC")
    assert plan(seen(master, copied, secret="v1")).blocking == ()


def test_nobody_is_set_up_while_it_is_not_known_whether_it_serves():
    unread = Unknown("TimedOut", "listvs was not answered")
    found = plan(seen(fresh(M, services=unread), fresh(S)))
    assert found.changes == ()
    assert found.held_back
    assert reasons(found, Severity.WAITING) == [Reason.SERVICES_NOT_READ]


def test_a_former_member_with_the_services_of_the_active_partner_joins_again():
    slave = fresh(S, services=(service(80),))
    found = plan(seen(unit(M, services=(service(80), service(443))), slave))
    assert not found.blocking
    assert ("WriteMode", S) in shape(found)


# -- keeping it so


@BOTH
def test_a_converged_pair_is_left_alone(kind):
    found = plan(seen(unit(M, kind=kind), unit(S, kind=kind), secret="v1"))
    assert found.changes == ()
    assert found.converged


@pytest.mark.parametrize(
    ("changed", "written"),
    [
        ({"partner": "10.9.9.9"}, {"partner": ADDRESSES[S]}),
        ({"port": 8445}, {"port": 8444}),
        ({"preferred_host": PreferredHost.NONE}, {"preferred_host": PreferredHost.MASTER}),
        ({"all_interfaces": True}, {"all_interfaces": False}),
    ],
)
@BOTH
def test_a_parameter_changed_by_hand_is_the_only_one_that_is_sent(kind, changed, written):
    found = plan(seen(unit(M, kind=kind, settings=settled(M, **changed)), unit(S, kind=kind), secret="v1"))
    (change,) = found.changes
    sent = {name: getattr(change, name) for name in ("partner", "port", "preferred_host", "all_interfaces")}
    assert {name: value for name, value in sent.items() if value is not None} == written
    assert len(change.differences) == 1


def test_what_cannot_be_told_is_not_rewritten_for_ever():
    untold = settled(M, all_interfaces=None)
    found = plan(seen(unit(M, settings=untold), unit(S), secret="v1"))
    assert found.changes == ()


def test_an_agent_is_told_only_what_it_does_not_know():
    known = replace(INPUTS, frontend=None, probe_threshold=3)
    found = plan(seen(unit(M, inputs=known), unit(S), secret="v1"))
    (change,) = found.changes
    assert isinstance(change, WriteAgentInputs)
    assert (change.frontend, change.probe_source, change.probe_interval, change.probe_threshold) == (
        FRONTEND,
        None,
        None,
        2,
    )


def test_modes_changed_by_hand_that_are_not_in_force_are_put_right_without_a_reboot():
    master = unit(M, settings=settled(M, mode=Mode.SLAVE), in_force=Mode.MASTER)
    slave = unit(S, settings=settled(S, mode=Mode.MASTER), in_force=Mode.SLAVE)
    found = plan(seen(master, slave, secret="v1"))
    assert [(each.role, each.mode) for each in found.changes] == [
        (S, Mode.SINGLE),
        (M, Mode.MASTER),
        (S, Mode.SLAVE),
    ]


@pytest.mark.parametrize("mode", [Mode.MASTER, Mode.SLAVE])
def test_equal_modes_are_put_right_on_the_unit_that_has_the_wrong_one(mode):
    master = unit(M, settings=settled(M, mode=mode), state=ObservedState.FAILED)
    slave = unit(S, settings=settled(S, mode=mode), state=ObservedState.FAILED)
    found = plan(seen(master, slave, secret="v1", frontend_serves=Present(False)))
    wrong = S if mode is Mode.MASTER else M
    assert shape(found) == [("WriteMode", wrong), ("Reboot", wrong)]


@BOTH
def test_exchanged_roles_of_a_serving_pair_are_refused(kind):
    master = unit(M, kind=kind, settings=settled(M, mode=Mode.SLAVE), state=ObservedState.STANDBY)
    slave = unit(S, kind=kind, settings=settled(S, mode=Mode.MASTER), state=ObservedState.ACTIVE)
    found = plan(seen(master, slave, secret="v1"))
    assert found.changes == ()
    assert reasons(found) == [Reason.ROLES_EXCHANGED]
    assert "Exchange spec.master and spec.slave" in found.findings[0].message


# -- reboots


def test_the_standby_unit_is_rebooted_before_the_active_one():
    observation = seen(
        unit(M, kind=APPLIANCE),
        unit(S, kind=APPLIANCE),
        records=member_records(Master=unit(M).boot, Slave=unit(S).boot),
    )
    found = plan(observation)
    assert shape(found) == [("Reboot", S)]
    assert "follows" in found.reboots_owed[M] or "waits" in found.reboots_owed[M]


def test_an_appliances_mode_written_since_its_boot_owes_a_reboot_until_it_says_another():
    written = seen(
        unit(M, kind=APPLIANCE), unit(S, kind=APPLIANCE), records=member_records(Slave=unit(S).boot)
    )
    assert shape(plan(written)) == [("Reboot", S)]
    other = unit(S, kind=APPLIANCE, boot="Mon, 23 Nov 26 09:00:00 UTC")
    assert plan(seen(unit(M, kind=APPLIANCE), other, records=written.records)).converged


def test_a_record_of_another_unit_at_the_same_address_counts_for_nothing():
    records = {M: UnitRecord("another serial", "v1", unit(M).boot), S: UnitRecord("serial of Slave", "v1")}
    found = plan(seen(unit(M, kind=APPLIANCE), unit(S, kind=APPLIANCE), records=records))
    assert shape(found) == [("WriteSharedSecret", M)]


@pytest.mark.parametrize(
    ("partner", "told"),
    [
        ({"state": ObservedState.UNCONNECTED}, "Unconnected"),
        ({"state": ObservedState.FAILED}, "Failed"),
        ({"firmware": "7.2.63.3.1.RELEASE"}, "another version"),
        ({"agent": AgentStatus(1, Mode.SLAVE, ObservedState.STANDBY, draining=True)}, "drained"),
    ],
)
def test_the_active_unit_is_not_rebooted_while_the_other_cannot_take_over(partner, told):
    owing = unit(M, kind=APPLIANCE)
    other = replace(unit(S, **partner), kind=APPLIANCE, inputs=None)
    found = plan(seen(owing, other, records=member_records(Master=owing.boot)))
    assert not any(isinstance(each, Reboot) for each in found.changes)
    assert Reason.REBOOT_WAITS in reasons(found)
    assert told in found.reboots_owed[M]


def test_the_active_unit_is_rebooted_when_the_other_is_on_standby():
    observation = seen(
        unit(M, kind=APPLIANCE), unit(S, kind=APPLIANCE), records=member_records(Master=unit(M).boot)
    )
    assert shape(plan(observation)) == [("Reboot", M)]


def test_when_idle_never_reboots_the_active_unit_and_says_how_to_switch_over():
    owing = unit(S, settings=settled(S), in_force=Mode.SINGLE)
    idle = plan(seen(unit(M), owing, secret="v1"), units_target(secret="v1", policy={"reboots": "WhenIdle"}))
    assert shape(idle) == [("Reboot", S)]
    active = seen(
        unit(M, kind=APPLIANCE), unit(S, kind=APPLIANCE), records=member_records(Master=unit(M).boot)
    )
    found = plan(active, units_target(secret="v1", policy={"reboots": "WhenIdle"}))
    assert found.changes == ()
    assert "WhenIdle" in found.reboots_owed[M]
    assert "Reboot it yourself" in found.reboots_owed[M]


def test_manual_reboots_nobody_and_says_exactly_what_to_do():
    target = units_target(secret="v1", policy={"reboots": "Manual"})
    found = plan(seen(fresh(M), fresh(S)), target)
    assert not any(isinstance(each, Reboot) for each in found.changes)
    assert set(found.reboots_owed) == {M, S}
    assert all(
        "reboot it (the command reboot of its API) now" in words for words in found.reboots_owed.values()
    )
    assert not found.blocking


def test_while_a_unit_reboots_nothing_else_does_and_the_words_say_what_is_waited_for():
    gone = Unknown("Refused", "10.0.2.4:8443 refuses connections")
    slave = unit(S, in_force=Mode.SINGLE, state=ObservedState.ACTIVE)
    told = {M: RebootUnderWay("a boot", 100.0)}
    found = plan(seen(gone, slave, secret="v1", reboots=told), now=130.0)
    assert found.changes == ()
    assert reasons(found) == [Reason.REBOOTING]
    assert "told to reboot; waiting at most 900 s" in found.findings[0].message
    assert found.look_again == pytest.approx(870.0)
    assert "waits until the master is back" in found.reboots_owed[S]
    late = plan(seen(gone, slave, secret="v1", reboots=told), now=1100.0)
    assert reasons(late, Severity.BLOCKING) == [Reason.REBOOT_OVERDUE]
    slow = replace(units_target(secret="v1"), longest_reboot=3600.0)
    assert reasons(plan(seen(gone, slave, secret="v1", reboots=told), slow, now=1100.0)) == [Reason.REBOOTING]


def test_a_unit_that_was_told_to_reboot_and_still_answers_is_not_written_to():
    owing = unit(M, in_force=Mode.SINGLE, settings=settled(M, partner="10.9.9.9"), state=ObservedState.ACTIVE)
    told = {M: RebootUnderWay(owing.boot, 100.0)}
    observation = seen(owing, unit(S, in_force=Mode.SINGLE), secret="v1", reboots=told)
    assert plan(observation, now=110.0).changes == ()
    assert ("Reboot", M) in shape(plan(observation, now=300.0))


# -- one unit out of reach


@BOTH
def test_with_one_unit_out_of_reach_only_what_does_not_depend_on_it_is_written(kind):
    wrong = settled(M, mode=Mode.MASTER, partner="10.9.9.9", port=8445)
    found = plan(
        seen(unit(M, kind=kind, settings=wrong), SILENT, secret="v1", ports=Present(frozenset({8445})))
    )
    (change,) = found.changes
    assert (change.partner, change.port) == (ADDRESSES[S], None)
    assert "TimedOut" in reasons(found, Severity.WAITING)
    assert any("wait for it" in each.message for each in found.findings)


def test_no_mode_is_written_while_the_others_is_unknown():
    found = plan(seen(fresh(M), SILENT))
    assert not any(isinstance(each, WriteMode | WriteParameters | Reboot) for each in found.changes)


def test_why_a_unit_cannot_be_asked_is_passed_on_and_needs_a_person_where_it_does():
    refused = Unknown("Unauthorized", "10.0.2.5 refuses the credentials of Secret login")
    found = plan(seen(unit(M), refused, secret="v1"))
    assert reasons(found, Severity.BLOCKING) == ["Unauthorized"]
    assert found.blocking[0].subject == "spec.slave.management"


def test_an_unknown_address_of_the_other_unit_holds_back_only_the_partner():
    target = replace(units_target(secret="v1"), addresses={M: ADDRESSES[M]})
    found = plan(seen(unit(M, settings=settled(M, partner=None, port=9000)), unit(S), secret="v1"), target)
    assert reasons(found, Severity.WAITING) == [Reason.ADDRESS_UNKNOWN]
    assert [(each.partner, each.port) for each in found.changes] == [(None, 8444)]


# -- pairs that are none, and firmware


def test_an_appliance_and_an_agent_are_no_pair():
    found = plan(seen(unit(M, kind=APPLIANCE), unit(S), secret="v1"))
    assert found.changes == ()
    assert reasons(found, Severity.BLOCKING) == [Reason.MIXED_UNITS]


def test_different_versions_and_known_weaknesses_are_reported():
    old = unit(S, kind=APPLIANCE, firmware="7.2.48.9.1.RELEASE")
    found = plan(seen(unit(M, kind=APPLIANCE), old, secret="v1"))
    assert reasons(found) == [Reason.VERSION_SKEW, Reason.AFFECTED_FIRMWARE, Reason.AFFECTED_FIRMWARE]
    assert "CVE-2024-1212" in found.findings[1].message
    assert "check with the vendor" in found.findings[2].message
    assert not plan(seen(unit(M), unit(S), secret="v1")).findings


# -- the shared secret


def test_a_secret_is_written_once_per_version_and_unit():
    assert shape(plan(seen(unit(M), unit(S), secret="v0"))) == [
        ("WriteSharedSecret", S),
        ("WriteSharedSecret", M),
    ]
    assert plan(seen(unit(M), unit(S), secret="v1")).changes == ()


def test_a_rotation_says_what_it_interrupts_and_waits_for_both_units():
    found = plan(seen(unit(M), unit(S), secret="v0"))
    assert reasons(found, Severity.WARNING) == [Reason.SHARED_SECRET_ROTATION] * 2
    waits = plan(seen(unit(M), SILENT, secret="v0"))
    assert waits.changes == ()
    assert Reason.SHARED_SECRET_WAITS in reasons(waits, Severity.WAITING)


@pytest.mark.parametrize("firmware", ["7.2.54.10.1.RELEASE", "7.2.59.4.1.RELEASE", "7.2.63.2.1.RELEASE"])
def test_a_secret_that_the_firmware_demands_and_nobody_gives_stops_everything(firmware):
    units = [unit(role, kind=APPLIANCE, firmware=firmware, settings=settled(role, port=1)) for role in Role]
    found = plan(seen(*units), units_target())
    assert found.changes == ()
    assert found.held_back
    assert reasons(found, Severity.BLOCKING) == [Reason.SHARED_SECRET_REQUIRED] * 2


@pytest.mark.parametrize("firmware", ["7.2.54.9.1.RELEASE", "7.2.59.3.1.RELEASE", "7.2.48.11.1.RELEASE"])
def test_older_firmware_needs_no_secret_and_is_not_given_one(firmware):
    units = [
        unit(role, kind=APPLIANCE, firmware=firmware, commands=frozenset({"azurehamode"})) for role in Role
    ]
    assert not plan(seen(*units), units_target()).blocking
    found = plan(seen(*units))
    assert not any(isinstance(each, WriteSharedSecret) for each in found.changes)
    assert Reason.SHARED_SECRET_NOT_SUPPORTED in reasons(found, Severity.WARNING)


def test_agents_that_are_linked_have_a_secret_of_somebody_elses():
    linked = AgentStatus(1, Mode.MASTER, ObservedState.ACTIVE, partner_connected=True)
    assert not plan(seen(unit(M, agent=linked), unit(S)), units_target()).findings
    assert plan(seen(unit(M), unit(S)), units_target()).blocking


@pytest.mark.parametrize(
    ("reading", "reason", "severity"),
    [
        (
            Unknown("SharedSecretInvalid", "it has 3 characters"),
            Reason.SHARED_SECRET_INVALID,
            Severity.BLOCKING,
        ),
        (Unknown("SharedSecretNotFound", "no key secret"), Reason.SHARED_SECRET_NOT_FOUND, Severity.BLOCKING),
        (Unknown("ServerTimeout", "later"), Reason.SHARED_SECRET_NOT_READ, Severity.WAITING),
    ],
)
def test_a_secret_that_is_not_there_holds_everything_back(reading, reason, severity):
    found = plan(seen(fresh(M), fresh(S)), units_target(secret=reading))
    assert found.changes == ()
    assert reasons(found, severity) == [reason]


# -- a new check port


NEW = {"healthCheck": {"port": 9444}}


def test_agents_get_a_new_port_first_and_azure_follows_when_both_have_it():
    target = units_target(secret="v1", **NEW)
    before = seen(unit(M), unit(S), secret="v1")
    assert [each.port for each in plan(before, target).changes] == [9444, 9444]
    assert azure_check_port(target, before) == 8444
    half = seen(unit(M, settings=settled(M, port=9444)), unit(S), secret="v1")
    assert azure_check_port(target, half) == 8444
    both = seen(*(unit(role, settings=settled(role, port=9444)) for role in Role), secret="v1")
    assert azure_check_port(target, both) == 9444


def test_appliances_wait_for_azure_and_the_active_one_follows_first():
    target = units_target(secret="v1", **NEW)
    units = [
        unit(M, kind=APPLIANCE, state=ObservedState.STANDBY),
        unit(S, kind=APPLIANCE, state=ObservedState.ACTIVE),
    ]
    before = seen(*units, secret="v1")
    found = plan(before, target)
    assert found.changes == ()
    assert set(reasons(found)) == {Reason.CHECK_PORT_CHANGES, Reason.CHECK_PORT_WAITS}
    assert "may fail" in found.warnings[0].message
    assert azure_check_port(target, before) == 9444
    moved = seen(*units, secret="v1", ports=Present(frozenset({9444})))
    assert [(each.role, each.port) for each in plan(moved, target).changes] == [(S, 9444), (M, 9444)]


@BOTH
def test_with_a_unit_out_of_reach_everybody_keeps_the_old_port(kind):
    target = units_target(secret="v1", **NEW)
    observation = seen(unit(M, kind=kind), SILENT, secret="v1")
    assert azure_check_port(target, observation) == 8444
    assert plan(observation, target).changes == ()


def test_a_probe_changed_by_hand_is_put_right_also_while_a_unit_is_out_of_reach():
    observation = seen(unit(M), SILENT, secret="v1", ports=Present(frozenset({9999})))
    assert azure_check_port(units_target(), observation) == 8444


@pytest.mark.parametrize("ports", [Absent(), Present(frozenset()), Present(frozenset({8444}))])
def test_a_first_probe_is_made_on_the_wanted_port(ports):
    assert azure_check_port(units_target(), seen(SILENT, SILENT, ports=ports)) == 8444

"""Visits to the units of a pair, one after another, against two agents kept in memory.

Reading and writing stand in (`planning.units.simulate` says what a unit is after a change); the real client
and writer against real APIs are tests/contract and tests/integration.
"""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.support.units_stage import ADDRESSES, KEY, Stage, built

from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.unit_inputs import Gathered
from loadmaster_ha.controller.units.frontend_gap import Attempt
from loadmaster_ha.controller.units.rebooting import ASKED_EVERY, LOOKED_EVERY
from loadmaster_ha.controller.workqueue import VisitOutcome
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import Reboot, WriteMode, WriteSharedSecret
from loadmaster_ha.domain.units import (
    AgentStatus,
    ObservedState,
)
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService
from loadmaster_ha.loadmaster.agent_orders import SwitchoverAnswer
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.planning.units import service_reasons
from loadmaster_ha.planning.units.service_reasons import ServiceReason


@pytest.fixture
def stage():
    return Stage()


async def test_two_fresh_units_become_a_pair_and_then_nothing_is_written(stage):
    await built(stage)
    for role in Role:
        settings = stage.units.facts[role].settings
        assert (settings.mode.value, settings.partner, settings.port) == (
            role.value,
            ADDRESSES[role.partner],
            8444,
        )
    kinds = Counter((type(change), change.role) for change in stage.units.writes)
    assert kinds[Reboot, Role.MASTER] == kinds[Reboot, Role.SLAVE] == 1
    assert stage.cluster.body["metadata"]["finalizers"] == ["loadmaster.dev/azure-cleanup"]
    writes, statuses, events = len(stage.units.writes), len(stage.cluster.statuses), len(stage.cluster.events)
    assert (await stage.visit()).outcome is VisitOutcome.NO_CHANGE
    assert (len(stage.units.writes), len(stage.cluster.statuses), len(stage.cluster.events)) == (
        writes,
        statuses,
        events,
    )


async def test_that_the_mode_is_being_written_is_stored_before_it_is(stage):
    def stored(change):
        if isinstance(change, WriteMode):
            row = next(each for each in stage.cluster.body["status"]["units"] if each["role"] == change.role)
            assert row["modeWrittenAtBoot"] == change.boot

    stage.units.before_write = stored
    await built(stage)
    assert any(isinstance(change, WriteMode) for change in stage.units.writes)


async def test_what_cannot_be_stored_is_not_written(stage):
    def refuse(_):
        if len(stage.units.writes) == 2:
            stage.cluster.refusals = [KubernetesError(500, "", "not now")]

    stage.units.after_write = refuse
    assert (await stage.visit()).outcome is VisitOutcome.ERROR
    assert [type(change) for change in stage.units.writes] == [WriteSharedSecret] * 2


SETTINGS = [
    *["WriteSharedSecret"] * 2,
    *["WriteMode"] * 2,
    *["WriteParameters"] * 2,
    *["WriteAgentInputs"] * 2,
]


def kinds_of(changes):
    return [type(change).__name__ for change in changes]


async def test_two_fresh_units_are_set_up_and_the_first_is_rebooted_with_one_look_at_each(stage):
    await stage.visit()
    assert kinds_of(stage.units.writes) == [*SETTINGS, "Reboot"]
    assert stage.units.looks == {Role.MASTER: 1, Role.SLAVE: 1}
    assert not any(stage.units.unread.values())


async def test_a_fresh_unit_that_keeps_something_otherwise_is_not_rebooted(stage):
    stage.units.kept_otherwise = {Role.SLAVE}
    following = await stage.visit()
    assert kinds_of(stage.units.writes) == SETTINGS
    assert (following.outcome, following.after) == (VisitOutcome.WAITING, None)
    told = stage.condition("HASynced")
    assert (told["status"], told["reason"]) == ("False", "ValueNotKept")
    written = {note.partition(":")[0] for reason, note in stage.cluster.events if reason != "Rebooted"}
    assert written, "what the master has kept is told"


async def test_of_units_that_are_in_use_settings_are_written_in_a_row_and_a_reboot_alone(stage):
    own = VirtualService(1, ServiceKey("10.0.2.4", 8080), nickname="theirs")
    stage.units.facts[Role.MASTER] = replace(stage.units.facts[Role.MASTER], services=Present((own,)))
    following = await stage.visit()
    assert kinds_of(stage.units.writes) == SETTINGS
    assert stage.units.looks == {Role.MASTER: 1, Role.SLAVE: 1}
    assert (following.outcome, following.after) == (VisitOutcome.CHANGED, 0)
    assert not stage.units.unread, "each was read back at once"
    await stage.visit()
    assert kinds_of(stage.units.writes) == [*SETTINGS, "Reboot"]
    assert stage.units.looks == {Role.MASTER: 2, Role.SLAVE: 2}


async def test_without_the_lease_a_row_of_settings_ends_at_once(stage):
    stage.units.after_write = lambda _: setattr(stage, "leads", False)
    assert (await stage.visit()).outcome is VisitOutcome.ERROR
    assert len(stage.units.writes) == 1


async def until_a_unit_boots(stage):
    """Visit until a unit was told to reboot and does not answer, and once more."""
    stage.units.after_write = lambda change: (
        isinstance(change, Reboot)
        and stage.units.faults.update({change.role: UnitFault(FaultReason.BOOTING, "it boots")})
    )
    while not stage.units.faults:
        await stage.visit()
    await stage.visit()


async def test_while_a_unit_reboots_it_alone_is_asked_and_the_pair_is_woken_when_it_is_back(stage):
    await until_a_unit_boots(stage)
    (away,) = stage.units.faults
    looks, statuses = stage.units.looks.copy(), len(stage.cluster.statuses)
    asked = stage.units.asked[away]
    async with asyncio.timeout(30):
        while stage.units.asked[away] < asked + 3:
            assert (await stage.visit()).after == LOOKED_EVERY
    assert (stage.units.looks, set(stage.units.asked)) == (looks, {away})
    assert len(stage.cluster.statuses) == statuses
    assert stage.condition("HASynced")["reason"] == "UnitRebooting"

    # Something has happened, such as the partner's becoming active: it is looked at.
    await stage.visit(woken=True)
    assert stage.units.looks == {**looks, away.partner: looks[away.partner] + 1}

    stage.woken.clear()
    stage.units.faults.clear()
    await stage.until_woken()
    await stage.visit(woken=True)
    assert isinstance(stage.units.writes[-1], Reboot)
    assert stage.units.writes[-1].role is away.partner, "the second follows as soon as the first is back"


async def test_a_process_that_comes_during_a_reboot_looks_as_soon_as_the_unit_answers(stage, monkeypatch):
    monkeypatch.setattr("loadmaster_ha.controller.units.rebooting.LOOKED_EVERY", 0.02)
    stage.units.after_write = lambda change: (
        isinstance(change, Reboot)
        and stage.units.faults.update({change.role: UnitFault(FaultReason.REFUSED, "it is down")})
    )
    while not stage.units.faults:
        await stage.visit()
    (away,) = stage.units.faults
    stage.returns.close()
    stage.start()
    for _ in range(3):
        await stage.visit()
    stage.woken.clear()
    asked = stage.units.asked[away]
    async with asyncio.timeout(30):
        while stage.units.asked[away] < asked + 3:  # noqa: ASYNC110 - a task that tells nobody
            await asyncio.sleep(0.01)
    assert KEY not in stage.woken, "it is still down"
    stage.units.faults.clear()
    await stage.until_woken()
    stage.woken.clear()
    await stage.visit(woken=True)
    asked = stage.units.asked[away]
    await asyncio.sleep(0.1)
    assert (stage.units.asked[away], KEY in stage.woken) == (asked, False), "it is not waited for any more"


async def test_a_unit_that_hangs_while_it_goes_down_holds_up_nothing(stage):
    stage.units.after_write = lambda change: isinstance(change, Reboot) and stage.units.answers.clear()
    await stage.visit()
    while not isinstance(stage.units.writes[-1], Reboot):
        await stage.visit()
    away = stage.units.writes[-1].role
    looks = stage.units.looks.copy()
    async with asyncio.timeout(30):
        await stage.visit(woken=True)
    assert stage.units.looks == {**looks, away.partner: looks[away.partner] + 1}
    stage.units.answers.set()
    await stage.until_woken()


async def test_nobody_is_asked_any_more_when_the_pair_is_gone(stage):
    await until_a_unit_boots(stage)
    assert stage.units.asked
    await stage.controller.forget(KEY)
    asked = stage.units.asked.copy()
    await asyncio.sleep(3 * ASKED_EVERY)
    assert stage.units.asked == asked


@pytest.mark.parametrize("reason", [FaultReason.UNAUTHORIZED, FaultReason.CERTIFICATE_NOT_TRUSTED])
async def test_a_unit_that_comes_back_as_a_stranger_is_looked_at_and_told(stage, reason):
    stage.units.after_write = lambda change: (
        isinstance(change, Reboot)
        and stage.units.faults.update({change.role: UnitFault(reason, "it is another one")})
    )
    while not stage.units.faults:
        await stage.visit()
    (away,) = stage.units.faults
    looks = stage.units.looks[away]
    await stage.visit()
    assert stage.units.looks[away] > looks


class Killed(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("number", range(10))
async def test_a_process_that_dies_at_any_write_leaves_what_its_successor_ends(stage, number):
    reference = Stage()
    await built(reference)
    assert number < len(reference.units.writes), "there are fewer writes than that"

    def die(_):
        if len(stage.units.writes) == number + 1:
            stage.units.after_write = lambda _: None
            raise Killed

    stage.units.after_write = die
    with pytest.raises(Killed):
        await built(stage)
    stage.start()
    await built(stage)
    assert stage.units.facts == reference.units.facts
    again = Counter(map(type, stage.units.writes)) - Counter(map(type, reference.units.writes))
    assert set(again) <= {WriteSharedSecret}, "only a secret is written once more: nobody can read it back"


async def test_a_wrong_certificate_is_told_with_the_unit_and_nothing_is_written(stage):
    stage.units.faults[Role.SLAVE] = UnitFault(
        FaultReason.CERTIFICATE_NOT_TRUSTED, "10.0.2.5:8443 shows ab12", seen_fingerprint="ab12"
    )
    following = await stage.visit()
    assert following.outcome is not VisitOutcome.NO_CHANGE
    told = stage.condition("HASynced")
    assert (told["status"], told["reason"]) == ("Unknown", "CertificateNotTrusted")
    assert "10.0.2.5:8443 shows ab12" in told["message"]
    slave = next(row for row in stage.cluster.body["status"]["units"] if row["role"] == "Slave")
    assert slave["certificateFingerprint"] == "AB:12"
    assert not any(isinstance(change, WriteMode | Reboot) for change in stage.units.writes)


async def test_that_credentials_were_refused_is_remembered_until_they_are_not(stage):
    def rows():
        return {row["role"]: row.get("refusedCredentials") for row in stage.cluster.body["status"]["units"]}

    stage.units.faults[Role.SLAVE] = UnitFault(FaultReason.UNAUTHORIZED, "10.0.2.5:8443 refuses")
    stage.refusals[Role.SLAVE] = "ab12"
    await stage.visit()
    assert rows() == {"Master": None, "Slave": "ab12"}
    stage.start()
    await stage.visit()
    assert rows() == {"Master": None, "Slave": "ab12"}
    stage.units.faults.clear()
    stage.refusals.clear()
    await stage.visit()
    assert rows() == {"Master": None, "Slave": None}


async def test_a_hand_change_is_repaired_and_counted_as_drift(stage):
    await built(stage)
    facts = stage.units.facts[Role.SLAVE]
    stage.units.facts[Role.SLAVE] = replace(facts, settings=replace(facts.settings, partner="10.9.9.9"))
    await stage.until_at_rest()
    assert stage.units.facts[Role.SLAVE].settings.partner == ADDRESSES[Role.MASTER]
    assert [reason for reason, _ in stage.cluster.events].count("DriftRepaired") == 1
    labels = {"namespace": "edge", "name": "web", "kind": "LoadMasterPair", "section": "HighAvailability"}
    assert stage.metrics.registry.get_sample_value("loadmaster_drift_total", labels) == 1


async def test_a_change_that_does_not_last_is_not_made_for_ever(stage):
    await built(stage)

    def undo(*_):
        facts = stage.units.facts[Role.SLAVE]
        stage.units.facts[Role.SLAVE] = replace(facts, settings=replace(facts.settings, partner="10.9.9.9"))

    undo()
    writes = len(stage.units.writes)
    stage.units.after_write = undo
    following = await stage.until_at_rest()
    assert following.outcome is VisitOutcome.WAITING
    assert following.after is not None
    assert stage.condition("Ready")["reason"] == "NotConverging"
    assert len(stage.units.writes) - writes <= 4


async def test_changes_that_last_are_no_fight_while_something_else_is_in_the_way(stage):
    """Such as a service whose endpoints come and go beside one whose Kubernetes Service does not exist."""
    await built(stage)
    missing = service_reasons.finding(
        ServiceReason.REAL_SERVERS_NOT_FOUND, "spec.services[0]", "There is none"
    )

    async def gather(*_, **__):
        return Gathered(Present("d1"), findings=(missing,), material=Material("a-secret-of-ours", "d1"))

    stage.gather = gather
    for _ in range(6):
        facts = stage.units.facts[Role.SLAVE]
        stage.units.facts[Role.SLAVE] = replace(facts, settings=replace(facts.settings, partner="10.9.9.9"))
        await stage.until_at_rest()
        assert stage.units.facts[Role.SLAVE].settings.partner == ADDRESSES[Role.MASTER]
        assert stage.condition("Ready")["reason"] == ServiceReason.REAL_SERVERS_NOT_FOUND


@pytest.mark.parametrize("how", ["suspended", "observing"])
async def test_held_writes_nothing_and_says_what_it_would(stage, how):
    if how == "suspended":
        stage.cluster.annotate(suspend="true")
    else:
        stage.cluster.body["spec"]["policy"] = {"mode": "Observe"}
    assert (await stage.visit()).outcome is VisitOutcome.NO_CHANGE
    assert stage.units.writes == []
    assert stage.condition("HASynced")["reason"] == "Drift"
    assert any("HA mode" in line for line in stage.cluster.body["status"]["pending"])


async def test_without_the_lease_nothing_is_written(stage):
    stage.leads = False
    assert (await stage.visit()).outcome is VisitOutcome.ERROR
    assert stage.units.writes == []


async def test_a_deleted_pair_becomes_single_again_after_azure_is_clean(stage):
    await built(stage)
    stage.cluster.body["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    writes = len(stage.units.writes)
    await stage.visit()
    assert len(stage.units.writes) == writes, "Azure's rules go first"
    assert not stage.exchange.units(KEY).cleaned
    stage.exchange.azure_cleaned(KEY, cleaned=True)
    for _ in range(12):
        await stage.visit()
    assert {facts.settings.mode for facts in stage.units.facts.values()} == {Mode.SINGLE}
    assert stage.exchange.units(KEY).cleaned


async def test_a_deletion_that_may_not_reboot_says_what_it_leaves_to_a_person(stage):
    await built(stage)
    stage.cluster.body["spec"].setdefault("policy", {})["reboots"] = "Manual"
    stage.cluster.body["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    stage.exchange.azure_cleaned(KEY, cleaned=True)
    for _ in range(12):
        await stage.visit()
    view = stage.exchange.units(KEY)
    assert view.cleaned
    assert "RebootLeftToPerson" in view.left
    assert view.left in stage.condition("HASynced")["message"]


async def test_a_deletion_that_the_units_hold_up_says_why(stage):
    await built(stage)
    stage.cluster.body["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    stage.exchange.azure_cleaned(KEY, cleaned=True)
    stage.units.faults = {role: UnitFault(FaultReason.TIMED_OUT, f"{role} is away") for role in Role}
    await stage.visit()
    view = stage.exchange.units(KEY)
    assert not view.cleaned
    assert view.stuck.startswith("TimedOut: ")


# Switch-overs -----------------------------------------------------------------------------------------


async def switched(stage):
    for _ in range(200):
        await stage.visit()
        status = stage.cluster.body["status"]
        if "lastSwitchover" in status and "annotations" not in stage.cluster.body["metadata"]:
            return status["lastSwitchover"]
        await asyncio.sleep(0.01)
    raise AssertionError("the request was not answered")


@pytest.mark.parametrize(
    ("attempts", "gap", "words"),
    [
        ([Attempt(1.0, 1.1, True), Attempt(1.2, 1.3, True)], 0, "answered all the time"),
        ([Attempt(1.0, 1.1, True), Attempt(1.2, 1.3, False), Attempt(1.4, 1.6, True)], 0.5, "For 0.5 s"),
        ([], None, "."),
    ],
)
async def test_a_switch_over_is_ordered_from_who_is_active_and_answered_once(
    stage, monkeypatch, attempts, gap, words
):
    monkeypatch.setattr("loadmaster_ha.controller.units.switching.settling", lambda _: 0)
    stage.attempts = attempts
    await built(stage)
    asked = []

    def takes_over(client, to):
        asked.append((client.role, to))
        for role, state in ((Role.MASTER, ObservedState.STANDBY), (Role.SLAVE, ObservedState.ACTIVE)):
            stage.units.facts[role] = replace(stage.units.facts[role], state=state)
        return SwitchoverAnswer(done=True, reason="Done", detail="the partner has taken over.")

    stage.answers = [takes_over]
    stage.cluster.annotate(**{"switchover-to": "slave"})
    found = await switched(stage)
    assert asked == [(Role.MASTER, Role.SLAVE)]
    assert (found["requested"], found["outcome"]) == ("slave", "Done")
    assert (found.get("gapSeconds"), stage.frontend_asked) == (gap, [("10.0.2.100", (), 8444)])
    await stage.visit()
    (note,) = [note for reason, note in stage.cluster.events if reason == "SwitchedOver"]
    assert words in note
    assert len(asked) == 1


async def test_a_request_that_a_dead_process_left_is_answered_without_a_second_switch_over(stage):
    await built(stage)
    for role, state in ((Role.MASTER, ObservedState.STANDBY), (Role.SLAVE, ObservedState.ACTIVE)):
        stage.units.facts[role] = replace(stage.units.facts[role], state=state)
    stage.cluster.annotate(**{"switchover-to": "Slave"})
    stage.start()
    found = await switched(stage)
    assert found["outcome"] == "Done"
    assert "gapSeconds" not in found, "nobody has seen it"


def switching_over(stage, *states, ago=0, switchover=""):
    for role, state in zip(Role, states, strict=True):
        agent = AgentStatus(3, stage.units.facts[role].settings.mode, state)
        told = replace(agent, active_seconds=ago, switchover=switchover, reason="HandoverTaken", detail="so")
        stage.units.facts[role] = replace(stage.units.facts[role], state=state, agent=told)


async def test_a_switch_over_that_a_dead_process_has_begun_is_waited_for_and_told_once(stage):
    await built(stage)
    stage.cluster.annotate(**{"switchover-to": "slave"})
    switching_over(stage, ObservedState.ACTIVE, ObservedState.ACTIVE, switchover="one")
    stage.start()
    for _ in range(3):
        await stage.visit()
    assert "lastSwitchover" not in stage.cluster.body["status"]
    assert stage.exchange.units(KEY).switching_to is Role.SLAVE
    switching_over(stage, ObservedState.STANDBY, ObservedState.ACTIVE)
    found = await switched(stage)
    assert (found["outcome"], found["reason"]) == ("Done", "the slave is active already (so)")
    assert [reason for reason, _ in stage.cluster.events if reason.startswith("Switch")] == ["SwitchedOver"]


@pytest.mark.parametrize(("ago", "same"), [(60, True), (1, False)])
async def test_an_outcome_that_a_dead_process_has_stored_is_told_unless_it_is_of_an_earlier_one(
    stage, ago, same
):
    await built(stage)
    stored = {
        "requested": "slave",
        "outcome": "Done",
        "reason": "the partner has taken over",
        "time": datetime.fromtimestamp(time.time() - 30, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "gapSeconds": 0.5,
    }
    stage.cluster.body["status"]["lastSwitchover"] = stored
    stage.cluster.annotate(**{"switchover-to": "slave"})
    switching_over(stage, ObservedState.STANDBY, ObservedState.ACTIVE, ago=ago)
    stage.start()
    found = await switched(stage)
    assert (found == stored) is same
    ((_, note),) = [each for each in stage.cluster.events if each[0] == "SwitchedOver"]
    assert ("For 0.5 s" in note) is same


@pytest.mark.parametrize(("requested", "words"), [("both", "takes master or slave"), ("slave", "Observe")])
async def test_what_cannot_be_done_is_refused_with_the_reason(stage, requested, words):
    await built(stage)
    stage.cluster.annotate(**{"switchover-to": requested})
    if requested == "slave":
        stage.cluster.body["spec"]["policy"] = {"mode": "Observe"}
    found = await switched(stage)
    assert found["outcome"] == "Refused"
    assert words in found["reason"]


async def test_an_agent_that_gives_up_is_told_with_its_words(stage):
    await built(stage)
    stage.answers = [lambda *_: SwitchoverAnswer(done=False, reason="NoProber", detail="nobody probes")]
    stage.cluster.annotate(**{"switchover-to": "slave"})
    found = await switched(stage)
    assert (found["outcome"], found["reason"]) == ("Aborted", "nobody probes")

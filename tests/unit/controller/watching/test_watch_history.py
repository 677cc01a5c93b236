"""Who was active before, who is now, why it changed and how long it took: told once each, never twice."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.controller.watching.failover_words import event
from loadmaster_ha.controller.watching.history import MEASURE_SECONDS, WORD_SECONDS, History
from loadmaster_ha.controller.watching.model import StoredWatch
from loadmaster_ha.domain.ha import Mode, PreferredHost, Role
from loadmaster_ha.domain.units import Active, AgentStatus, ObservedState, Trigger, UnitKind
from loadmaster_ha.planning.diagnosis.model import HealthAnswer, PairView, Silence, UnitView
from loadmaster_ha.planning.diagnosis.states import who_is_active

M, S = Role.MASTER, Role.SLAVE
WALL = 1_700_000_000.0


class Story:
    """A pair as it is seen, second by second."""

    def __init__(self, stored=None, *, preferred=PreferredHost.MASTER, frontend=True):
        self.history = History(stored)
        self.now = 1000.0
        self.preferred = preferred
        self.units = {role: UnitView(role) for role in Role}
        self.frontend = None
        self.asks_frontend = frontend
        self.switching_to = None
        self.told = []

    def _answer(self, before, code, text, silence):
        same = before is not None and (before.code, before.text, before.silence) == (code, text, silence)
        since = before.since if same else self.now
        good = self.now if code == 200 else before.last_good if before else None
        return HealthAnswer(code, text, silence, self.now, since, good)

    def says(self, role, code=None, text="", silence=None):
        unit = self.units[role]
        self.units[role] = replace(unit, health=self._answer(unit.health, code, text, silence))

    def through(self, code=None, text="", silence=None):
        if self.asks_frontend:
            self.frontend = self._answer(self.frontend, code, text, silence)

    def agent(self, role, **status):
        told = {"revision": 1, "mode": Mode(role.value), "state": ObservedState.ACTIVE} | status
        self.units[role] = replace(self.units[role], agent=AgentStatus(**told))

    def see(self, active=None, seconds=1.0):
        view = PairView(
            units=self.units,
            addresses={M: "10.0.0.4", S: "10.0.0.5"},
            check_port=8444,
            preferred_host=self.preferred,
            frontend=self.frontend,
            now=self.now,
        )
        reports = self.history.see(
            view,
            active or who_is_active(view),
            wall=WALL + self.now,
            switching_to=self.switching_to,
        )
        self.told += reports
        self.now += seconds
        return reports

    def calm(self, active=M, seconds=5):
        for _ in range(seconds):
            self.says(active, 200, f"{active} is active")
            self.says(active.partner, 503, f"{active.partner} is standby")
            self.through(200, f"{active} is active")
            self.see()


def test_the_first_sight_of_a_new_pair_is_no_failover():
    story = Story()
    story.calm()
    assert story.told == []
    assert story.history.settled is M


def test_a_dead_master_is_told_at_once_and_measured_at_the_frontend():
    story = Story()
    story.calm()
    lost = story.now - 1
    story.says(M, silence=Silence.REFUSED)
    story.through(silence=Silence.TIMED_OUT)
    assert story.see() == ()
    story.says(S, 200, "Slave is active")
    story.agent(S, reason="PartnerDown", detail="the partner refuses")
    (first,) = story.see()
    assert (first.first, first.measured) == (True, False)
    failover = first.failover
    assert (failover.origin, failover.target, failover.trigger) == (M, S, Trigger.PROCESS_DIED)
    assert failover.seconds == 2.0
    assert "refused" in failover.reason
    assert "the partner refuses" in failover.reason
    story.see(seconds=2)
    story.through(200, "Slave is active")
    (second,) = story.see()
    assert (second.first, second.measured) == (False, True)
    assert second.failover.seconds == story.now - 1 - lost
    assert replace(second.failover, seconds=None) == replace(failover, seconds=None)
    assert event(second).note.count("took 5.0 s") == 1
    assert story.see() == ()


def test_without_a_frontend_the_units_tell_how_long_it_took():
    story = Story(frontend=False)
    story.calm()
    story.says(M, silence=Silence.TIMED_OUT)
    story.see(seconds=12)
    story.says(S, 200)
    (only,) = story.see()
    assert (only.first, only.measured, only.failover.trigger) == (True, True, Trigger.SILENT)
    assert only.failover.seconds == 13.0


def test_a_frontend_that_never_comes_back_is_not_waited_for_for_ever():
    story = Story()
    story.calm()
    story.says(M, silence=Silence.REFUSED)
    story.through(silence=Silence.TIMED_OUT)
    story.says(S, 200)
    story.see()
    story.see(seconds=MEASURE_SECONDS)
    story.see()
    assert [(each.first, each.measured) for each in story.told] == [(True, False), (False, True)]
    assert story.told[1].failover.seconds == story.told[0].failover.seconds


def test_a_switchover_that_makes_before_it_breaks_is_planned_and_takes_no_time_to_speak_of():
    story = Story()
    story.calm()
    story.switching_to = S
    story.says(S, 200, "Slave is active")
    assert story.see(seconds=0.5) == (), "both are active: not over yet"
    story.says(M, 503, "Master is standby")
    story.through(200, "Slave is active")
    (only,) = story.see()
    assert (only.first, only.measured, only.failover.trigger) == (True, True, Trigger.PLANNED)
    assert only.failover.seconds <= 1.5
    assert event(only).warning is False


def test_the_preferred_master_takes_back_politely():
    story = Story()
    story.calm(S)
    story.says(S, 503, "Slave is standby")
    story.says(M, 200, "Master is active")
    (first,) = story.see()
    assert first.failover.trigger is Trigger.FAILBACK
    story = Story(preferred=PreferredHost.NONE)
    story.calm(S)
    story.says(S, 503, "Slave is failed")
    story.says(M, 200, "Master is active")
    assert story.see()[0].failover.trigger is Trigger.PROCESS_DIED


@pytest.mark.parametrize(
    ("reason", "old", "new", "trigger"),
    [
        ("HandoverTaken", {}, {}, Trigger.PLANNED),
        ("HandoverTaken", {}, {"held": True}, Trigger.PLANNED),
        ("PartnerUnable", {}, {}, Trigger.PROCESS_DIED),
        ("PartnerUnable", {"draining": True}, {}, Trigger.PLANNED),
        ("PartnerDown", {}, {}, Trigger.PROCESS_DIED),
        ("PartnerSilent", {}, {}, Trigger.SILENT),
        ("PartnerCutOff", {}, {}, Trigger.SILENT),
        ("SomethingNew", {}, {}, Trigger.PROCESS_DIED),
    ],
)
def test_what_the_agent_gives_as_its_reason_counts(reason, old, new, trigger):
    story = Story()
    story.calm()
    story.says(M, 503)
    story.agent(M, state=ObservedState.STANDBY, **old)
    story.says(S, 200)
    story.agent(S, reason=reason, **new)
    assert story.see()[0].failover.trigger is trigger


def test_an_agent_that_hands_back_to_the_preferred_master_fails_back():
    story = Story()
    story.calm(S)
    story.says(S, 503)
    story.agent(S, state=ObservedState.STANDBY)
    story.says(M, 200)
    story.agent(M, reason="HandoverTaken")
    assert story.see()[0].failover.trigger is Trigger.FAILBACK


def test_an_outage_after_which_the_same_one_serves_is_no_failover():
    story = Story()
    story.calm()
    story.says(M, silence=Silence.REFUSED)
    story.through(503)
    story.see(seconds=300)
    story.calm()
    assert story.told == []


def test_a_pause_of_the_frontend_long_before_is_not_taken_for_this_failover():
    story = Story()
    story.calm()
    story.through(503)
    story.see(seconds=100)
    story.calm()
    story.says(M, 503)
    story.says(S, 200)
    story.through(200, "Slave is active")
    assert story.see()[-1].failover.seconds <= 1.0


def test_a_restarted_operator_counts_nothing_that_was_counted():
    story = Story(StoredWatch(active=Active.SLAVE, last_failover_to=S))
    story.calm(S)
    assert story.told == []


def test_what_changed_while_no_operator_ran_is_told_as_far_as_it_can_be_known():
    story = Story(StoredWatch(active=Active.MASTER))
    story.says(M, silence=Silence.REFUSED)
    story.see(Active.UNKNOWN)
    story.says(S, 200)
    story.agent(S, reason="PartnerSilent", active_seconds=3600)
    story.through(200, "Slave is active")
    (only,) = story.see()
    assert (only.first, only.measured) == (True, True)
    assert only.failover.trigger is Trigger.SILENT
    assert only.failover.seconds is None
    assert only.failover.at == WALL + story.now - 1 - 3600
    assert "did not run" in only.failover.reason
    assert story.see() == ()


@pytest.mark.parametrize(
    ("says", "at"),
    [
        ("Tue, 14 Nov 23 21:13:20 UTC", WALL - 3600),
        ("Tue, 14 Nov 23 23:13:20 UTC", WALL + 1000),  # its clock is ahead
        ("", WALL + 1000),
        ("in the morning", WALL + 1000),
    ],
)
def test_since_when_an_appliance_is_active_is_when_it_took_over_while_no_operator_ran(says, at):
    story = Story(StoredWatch(active=Active.MASTER, kinds=dict.fromkeys(Role, UnitKind.APPLIANCE)))
    story.says(M, 503)
    story.says(S, 200, "Slave is active")
    story.units[S] = replace(story.units[S], active_since=says)
    (only,) = story.see()
    assert only.failover.at == at
    assert only.failover.seconds is None


@pytest.mark.parametrize("before", [Active.BOTH, Active.NONE])
def test_a_change_in_which_the_last_process_died_is_told_by_the_next(before):
    story = Story(StoredWatch(active=before))
    story.says(M, 503, "Master is standby")
    story.says(S, 200, "Slave is active")
    story.agent(S, reason="HandoverTaken", active_seconds=5)
    (only,) = story.see()
    assert (only.failover.origin, only.failover.target) == (M, S)
    assert (only.failover.trigger, only.failover.seconds) == (Trigger.PLANNED, None)
    assert story.see() == ()


@pytest.mark.parametrize("word", [None, "ProbedFirst"])
def test_a_pair_that_is_built_while_the_operator_is_restarted_has_no_failover(word):
    story = Story(StoredWatch(active=Active.NONE))
    story.says(M, 200, "Master is active")
    if word:
        story.agent(M, reason=word, active_seconds=5)
    assert story.see() == ()


def test_the_reason_of_a_change_at_the_start_is_waited_for_but_not_for_ever():
    kinds = dict.fromkeys(Role, UnitKind.AGENT)
    for speaks in (True, False):
        story = Story(StoredWatch(active=Active.MASTER, kinds=kinds))
        story.says(M, 503, "Master is standby")
        story.says(S, 200, "Slave is active")
        assert story.see(seconds=WORD_SECONDS - 1) == ()
        if speaks:
            story.agent(S, reason="HandoverTaken", active_seconds=20)
        (only,) = story.see() or story.see()
        assert only.failover.trigger is (Trigger.PLANNED if speaks else Trigger.PROCESS_DIED)
        assert story.see() == ()


def test_who_took_over_last_is_the_beginning_when_nobody_was_active_at_the_end():
    story = Story(StoredWatch(active=Active.NONE, last_failover_to=M))
    story.calm(S)
    assert [each.failover.origin for each in story.told if each.first] == [M]


def test_a_second_failover_overtakes_the_measuring_of_the_first():
    story = Story()
    story.calm()
    story.says(M, silence=Silence.REFUSED)
    story.through(silence=Silence.TIMED_OUT)
    story.says(S, 200)
    story.see()
    story.says(S, silence=Silence.REFUSED)
    story.says(M, 200)
    closed, opened = story.see()
    assert (closed.failover.target, closed.first, closed.measured) == (S, False, True)
    assert (opened.failover.target, opened.first) == (M, True)


STEP = st.tuples(
    st.sampled_from(Active),
    st.sampled_from([200, 503, None]),
    st.sampled_from([200, 503, None]),
    st.sampled_from([(200, "Master is active"), (200, "Slave is active"), (200, ""), (503, ""), (None, "")]),
    st.floats(0.1, 100),
)


@given(st.lists(STEP, max_size=40), st.sampled_from([None, *Active]))
def test_whatever_is_seen_every_failover_is_told_once_and_measured_once(steps, stored):
    story = Story(StoredWatch(active=stored) if stored else None)
    settled = story.history.settled
    for active, master, slave, (code, text), seconds in steps:
        for role, said in ((M, master), (S, slave)):
            story.says(role, said, silence=None if said else Silence.TIMED_OUT)
        story.through(code, text, None if code else Silence.TIMED_OUT)
        reports = story.see(active, seconds)
        sole = {Active.MASTER: M, Active.SLAVE: S}.get(active)
        firsts = [each for each in reports if each.first]
        if sole is not None and settled is not None and sole is not settled:
            assert [(each.failover.origin, each.failover.target) for each in firsts] == [(settled, sole)]
        else:
            assert firsts == []
        settled = sole or settled
    story.see(Active.UNKNOWN, MEASURE_SECONDS)
    story.see(Active.UNKNOWN)
    begun = [each.failover.at for each in story.told if each.first]
    ended = [each.failover.at for each in story.told if each.measured]
    assert begun == ended
    assert all(each.failover.seconds is None or each.failover.seconds >= 0 for each in story.told)
    assert all(event(each) is not None for each in story.told if each.first)

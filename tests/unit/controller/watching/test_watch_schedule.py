"""The timetable of polls keeps its promises, whatever order things happen in."""

import random

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from loadmaster_ha.controller.watching.schedule import JITTER, Pace, Timetable

PACE = Pace(calm=5.0, fast=1.0)
KEYS = st.sampled_from("abcd")
SLACK = 1e-6


class TimetableMachine(RuleBasedStateMachine):
    """A driver that takes at once whatever is due; polls last as long as they like."""

    def __init__(self):
        super().__init__()
        self.table = Timetable(random.Random(7).random)  # noqa: S311 - jitter
        self.now = 0.0
        self.known = {}
        """Key -> when it was last taken, hurried or ended at the latest."""
        self.running = {}
        self.fast_until = {}
        self.hurried = set()

    @rule(key=KEYS)
    def add(self, key):
        self.table.add(key, PACE, self.now)
        if key not in self.known:
            self.known[key] = self.now
            self.fast_until.pop(key, None)

    @rule(key=KEYS)
    def remove(self, key):
        self.table.remove(key)
        self.known.pop(key, None)
        self.running.pop(key, None)
        self.hurried.discard(key)

    @rule(key=KEYS)
    def hurry(self, key):
        self.table.hurry(key, self.now)
        if key in self.known:
            self.hurried.add(key)

    @rule(key=KEYS, seconds=st.floats(0, 20))
    def hasten(self, key, seconds):
        self.table.hasten(key, self.now, self.now + seconds)
        if key in self.known:
            self.fast_until[key] = max(self.fast_until.get(key, 0), self.now + seconds)

    @rule(seconds=st.floats(0, 7))
    def time_passes(self, seconds):
        end = self.now + seconds
        while (due := self.table.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.take()
        self.now = end

    @rule()
    def take(self):
        while (turn := self.table.take(self.now)) is not None:
            assert turn.key in self.known, "taken after it was removed"
            assert turn.key not in self.running, "taken twice at a time"
            assert turn.late >= 0
            self.running[turn.key] = self.known[turn.key] = self.now
            self.hurried.discard(turn.key)

    @rule(data=st.data())
    def end(self, data):
        if self.running:
            key = data.draw(st.sampled_from(sorted(self.running)))
            del self.running[key]
            self.known[key] = max(self.known[key], self.now - PACE.calm)
            self.table.end(key, self.now)

    @invariant()
    def nothing_waits_longer_than_its_interval(self):
        """Of what is not running, the next turn is never further away than the pace allows."""
        due = {}
        for key, entry in self.table._entries.items():
            due[key] = entry.due
        assert set(due) == set(self.known)
        for key, at in due.items():
            if key in self.running:
                continue
            assert at is not None
            assert at <= self.now + PACE.calm * (1 + JITTER) + SLACK
            if key in self.hurried:
                assert at <= self.now + SLACK
            elif self.now < self.fast_until.get(key, 0):
                assert at <= self.now + PACE.fast * (1 + JITTER) + SLACK


TestTimetable = TimetableMachine.TestCase


@given(st.integers(0, 2**32))
def test_a_thousand_pairs_spread_over_the_interval(seed):
    table = Timetable(random.Random(seed).random)  # noqa: S311 - jitter
    for number in range(1000):
        table.add(number, PACE, 0.0)
    taken = 0
    for tenth in range(10):
        before = taken
        while table.take((tenth + 1) * 0.5) is not None:
            taken += 1
        assert 50 <= taken - before <= 160
    assert taken == 1000


def test_a_poll_that_took_long_is_followed_by_one_and_not_by_a_burst():
    table = Timetable(lambda: 0.5)
    table.add("a", PACE, 0.0)
    assert table.take(2.5).key == "a"
    table.end("a", 60.0)
    assert table.take(60.0).key == "a"
    table.end("a", 60.1)
    assert table.take(60.1) is None
    assert table.next_due() == 65.0


def test_what_is_hurried_while_it_is_polled_is_polled_again_when_that_ends():
    table = Timetable(lambda: 0.5)
    table.add("a", PACE, 0.0)
    table.take(2.5)
    table.hurry("a", 2.6)
    assert table.take(2.7) is None
    table.end("a", 3.0)
    assert table.take(3.0).key == "a"


def test_calm_comes_back_by_itself():
    table = Timetable(lambda: 0.5)
    table.add("a", PACE, 0.0)
    table.hasten("a", 0.0, until=1.5)
    beats = []
    while (due := table.next_due()) < 20:
        table.take(due)
        table.end("a", due)
        beats.append(due)
    assert beats == [1.0, 2.0, 7.0, 12.0, 17.0]

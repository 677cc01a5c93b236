"""How often a unit is called: never more than it takes, and no slower than that asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.loadmaster.pacing import (
    BACK_OFF_SECONDS,
    FIRST_WORK_SECONDS,
    LIMITS,
    PATIENCE_SECONDS,
    QUIET_SECONDS,
    Pace,
)


def begin(pace, now):
    """Begin a call as soon as it may; when that was."""
    while (wait := pace.wait(now)) > 0:
        now += wait
    pace.started(now)
    return now


@given(st.lists(st.floats(0, 0.5), max_size=80))
def test_no_stretch_of_time_has_more_calls_than_its_limit(gaps):
    pace, now, starts = Pace(), 0.0, []
    for gap in gaps:
        now = begin(pace, now + gap)
        starts.append(now)

    for calls, seconds in LIMITS:
        for first, one_too_many in zip(starts, starts[calls:], strict=False):
            assert one_too_many - first >= seconds - 1e-6


def test_the_limits_stay_below_what_an_appliance_drops_connections_for():
    calls, seconds = max(LIMITS, key=lambda limit: limit[1])

    assert seconds == 3.0
    assert calls < 30


def test_a_short_burst_passes_at_once():
    pace = Pace()

    assert [begin(pace, 5.0) for _ in range(10)] == [5.0] * 10
    assert pace.wait(5.0) == pytest.approx(1.0)


@given(st.lists(st.floats(1.01, 10), min_size=1, max_size=30))
def test_calls_that_are_far_apart_never_wait(gaps):
    pace, now = Pace(), 0.0
    for gap in gaps:
        now += gap
        assert pace.wait(now) == 0
        pace.started(now)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 10)), min_size=1, max_size=10))
def test_backing_off_lasts_until_its_last_end(pauses):
    pace, now, end = Pace(), 0.0, 0.0
    for gap, seconds in pauses:
        now += gap
        pace.back_off(now, seconds)
        end = max(end, now + seconds)

    assert begin(pace, now) >= end - 1e-6


def test_after_a_dropped_connection_the_unit_is_left_alone_for_as_long_as_it_counts():
    pace = Pace()
    pace.started(1.0)
    pace.back_off(1.0)

    assert pace.wait(1.0) == BACK_OFF_SECONDS == 3.0
    assert pace.wait(4.0) == 0


def test_a_unit_that_has_started_anew_remembers_only_the_call_that_found_it():
    pace = Pace()
    for _ in range(9):
        pace.started(1.0)
    pace.back_off(1.0)
    pace.started(1.5)
    pace.restarted()

    assert [begin(pace, 1.5) for _ in range(9)] == [1.5] * 9
    assert pace.wait(1.5) == pytest.approx(1.0)


def test_a_watcher_waits_until_a_unit_has_not_been_called_for_a_moment():
    pace = Pace()
    pace.started(5.0)

    assert pace.wait(5.0) == 0
    assert pace.wait_in_background(5.0, since=5.0) == pytest.approx(QUIET_SECONDS)
    assert pace.wait_in_background(5.0 + QUIET_SECONDS, since=5.0) == pytest.approx(0)


def test_watchers_do_not_wait_for_each_other():
    pace = Pace()
    pace.started(5.0, background=True)

    assert pace.wait_in_background(5.0, since=5.0) == 0


def test_who_has_just_begun_to_call_a_unit_will_work_with_it():
    pace = Pace(begun=5.0)
    pace.started(5.0)
    assert pace.wait_in_background(5.0, since=5.0) == pytest.approx(FIRST_WORK_SECONDS)


@given(st.lists(st.floats(0, 2 * QUIET_SECONDS), max_size=80))
def test_no_work_puts_a_watcher_off_for_longer_than_its_patience(gaps):
    pace, now = Pace(), 0.0
    pace.started(now)
    for gap in gaps:
        now = begin(pace, now + gap)
        waits = pace.wait_in_background(now, since=0.0)
        assert waits <= max(0.0, PATIENCE_SECONDS - now)

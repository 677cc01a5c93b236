"""What answers mean to the prober, for any sequence of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.emulator.dataplane.probe_state import Answer, ProbeState, Reading, after, wait_for

INTERVAL = 5.0
ANSWERS = st.lists(st.sampled_from(Answer), max_size=60)
THRESHOLDS = st.integers(1, 8)
READINGS = st.builds(
    Reading,
    reset_is_answer=st.booleans(),
    one_answer_suffices=st.booleans(),
    fluctuating_members_wait=st.booleans(),
)


def states(answers, threshold, reading=Reading(), step=INTERVAL):  # noqa: B008 - it is frozen
    state, found = ProbeState(), []
    for position, answer in enumerate(answers):
        now = position * step
        state = after(state, answer, now, threshold=threshold, interval=INTERVAL, reading=reading)
        found.append(state)
    return found


@given(ANSWERS, THRESHOLDS)
def test_an_http_answer_decides_at_once_whatever_was_before(answers, threshold):
    assert states([*answers, Answer.GOOD], threshold)[-1].up
    assert not states([*answers, Answer.BAD], threshold)[-1].up


@given(ANSWERS, THRESHOLDS, READINGS)
def test_an_answer_that_is_not_200_is_down_under_every_reading(answers, threshold, reading):
    assert not states([*answers, Answer.BAD], threshold, reading)[-1].up


@given(ANSWERS, THRESHOLDS, st.integers(1, 20), READINGS)
def test_silence_takes_down_exactly_when_the_threshold_is_reached(answers, threshold, silent, reading):
    before = states([*answers, Answer.GOOD], threshold, reading)
    after_silence = states([*answers, Answer.GOOD, *[Answer.SILENCE] * silent], threshold, reading)[-1]
    assert after_silence.up == (before[-1].up and silent < threshold)


@given(THRESHOLDS, st.lists(st.sampled_from([Answer.GOOD, Answer.SILENCE]), max_size=60))
def test_silence_counts_only_in_a_row(threshold, answers):
    up, silent = False, 0
    for answer, state in zip(answers, states(answers, threshold), strict=True):
        silent = silent + 1 if answer is Answer.SILENCE else 0
        up = answer is Answer.GOOD or (up and silent < threshold)
        assert state.up == up


@given(ANSWERS, THRESHOLDS)
def test_a_reset_counts_as_an_answer_or_as_silence_as_it_is_read(answers, threshold):
    up = [*answers, Answer.GOOD, Answer.RESET]
    assert not states(up, threshold, Reading(reset_is_answer=True))[-1].up
    assert states(up, threshold, Reading(reset_is_answer=False))[-1].up == (threshold > 1)


@given(THRESHOLDS, st.integers(1, 20))
def test_as_many_200s_as_the_threshold_bring_a_member_back_when_one_does_not_suffice(threshold, good):
    reading = Reading(one_answer_suffices=False)
    answers = [Answer.GOOD] * threshold + [Answer.BAD] + [Answer.GOOD] * good
    assert states(answers, threshold, reading)[-1].up == (good >= threshold)


def test_a_fluctuating_member_comes_back_later_and_a_quiet_one_at_once():
    reading = Reading(fluctuating_members_wait=True)
    flapping = [Answer.GOOD, Answer.BAD, Answer.GOOD, Answer.BAD]
    assert [state.up for state in states(flapping, 1, reading)] == [True, False, True, False]
    back = states([*flapping, *[Answer.GOOD] * 3], 1, reading)[-3:]
    assert [state.up for state in back] == [False, False, True]
    quiet = states([*flapping, *[Answer.BAD] * 20, Answer.GOOD], 1, reading)
    assert quiet[-1].up


@given(ANSWERS, THRESHOLDS, READINGS)
def test_reason_and_state_agree(answers, threshold, reading):
    for state in [ProbeState(), *states(answers, threshold, reading)]:
        assert state.reason.startswith("Up_" if state.up else "Down_")
        assert state.tcp_reason.startswith("Up_" if state.up else "Down_")
        assert "Http" not in state.tcp_reason


@pytest.mark.parametrize(
    ("answers", "threshold", "reason"),
    [
        ([], 1, "Down_Probe_ApproachingHealthyThreshold"),
        ([Answer.GOOD], 2, "Up_Probe_Success"),
        ([Answer.GOOD, Answer.SILENCE], 2, "Up_Probe_ApproachingUnhealthyThreshold"),
        ([Answer.GOOD, Answer.SILENCE, Answer.SILENCE], 2, "Down_Probe_HttpNoResponse"),
        ([Answer.GOOD, Answer.BAD], 2, "Down_Probe_HttpStatusCodeError"),
        ([Answer.GOOD, Answer.RESET], 2, "Down_Probe_HttpEndpointUnreachable"),
    ],
)
def test_reasons_are_azures(answers, threshold, reason):
    assert [ProbeState(), *states(answers, threshold)][-1].reason == reason


def test_a_probe_waits_for_its_interval_and_never_longer_than_half_a_minute():
    assert [wait_for(seconds) for seconds in (5, 30, 31, 3600)] == [5, 30, 30, 30]

"""Conditions: times that mean something, whatever sequence of situations there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.controller.conditions import (
    MESSAGE_LIMIT,
    WANTED,
    Condition,
    ConditionStatus,
    ConditionType,
    merge,
)

STATUSES = st.sampled_from(list(ConditionStatus))
ONE_EACH = st.lists(STATUSES, min_size=len(ConditionType), max_size=len(ConditionType))
STEPS = st.lists(
    st.tuples(
        ONE_EACH,
        st.sampled_from(["One", "Two"]),
        st.text(max_size=5),
    )
)


@given(STEPS)
def test_last_transition_time_moves_with_status_and_with_nothing_else(steps):
    stored: list[dict[str, object]] = []
    since: dict[str, tuple[str, str]] = {}
    for number, (statuses, reason, message) in enumerate(steps):
        now = f"2026-01-01T00:00:{number:02}Z"
        wanted = [
            Condition(kind, status, reason, message)
            for kind, status in zip(ConditionType, statuses, strict=True)
        ]
        stored = merge(stored, wanted, generation=number, now=now)
        for condition in stored:
            kind, status = condition["type"], condition["status"]
            if since.get(kind, ("", ""))[0] != status:
                since[kind] = (status, now)
            assert condition["lastTransitionTime"] == since[kind][1]
            assert (condition["observedGeneration"], condition["reason"]) == (number, reason)


@given(ONE_EACH)
def test_the_same_again_changes_nothing(statuses):
    wanted = [Condition(kind, status, "R") for kind, status in zip(ConditionType, statuses, strict=True)]
    first = merge([], wanted, generation=1, now="2026-01-01T00:00:00Z")
    assert merge(first, wanted, generation=1, now="2026-06-01T00:00:00Z") == first


def test_a_message_is_bounded():
    long = Condition(ConditionType.READY, ConditionStatus.FALSE, "R", "x" * 100_000)
    (merged,) = merge([], [long], generation=1, now="now")
    assert len(merged["message"]) == MESSAGE_LIMIT
    assert merged["message"].endswith("...")


@pytest.mark.parametrize("kind", list(ConditionType))
def test_each_condition_has_a_status_that_is_wanted(kind):
    assert WANTED[kind] in {ConditionStatus.TRUE, ConditionStatus.FALSE}

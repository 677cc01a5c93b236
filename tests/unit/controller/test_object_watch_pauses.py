"""How long following a collection waits between two attempts."""

import pytest

from loadmaster_ha.controller.object_watch import FIRST_PAUSE, LONGEST_PAUSE, SHORTEST_PAUSE, _pause


def test_a_watch_that_ended_in_order_is_opened_again_at_once():
    assert _pause(0) == SHORTEST_PAUSE


@pytest.mark.parametrize("failures", [1, 2, 5, 50, 10**6])
def test_pauses_grow_up_to_a_limit(failures):
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 60))
    assert longest / 2 <= _pause(failures) <= longest

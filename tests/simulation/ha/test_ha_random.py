"""Random schedules: whatever befalls the pair, what `monitor.py` demands holds, and the pair settles.

HA_SCHEDULES says how many (2,000 in `make test`, 100,000 in a night), HA_FIRST_SEED where to begin. A failure
prints the seed, the schedule made small and what happens in it; `python -m tests.simulation.ha --seed N`
repeats it.
"""

import os

import pytest
from tests.simulation.ha.runs import explain, failure, random_schedule, run

CHUNK = 100
COUNT = int(os.environ.get("HA_SCHEDULES", "2000"))
FIRST = int(os.environ.get("HA_FIRST_SEED", "0"))


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, CHUNK))
def test_the_pair_keeps_its_promises_in_random_schedules(first):
    for seed in range(first, min(first + CHUNK, FIRST + COUNT)):
        schedule = random_schedule(seed)
        if failure(schedule) is not None:
            pytest.fail(explain(schedule))


@pytest.mark.parametrize("seed", [302843, 320340])
def test_what_went_wrong_once_does_not_again(seed):
    """A link that is cut one way in a fail-back; an answer that lay in a buffer while its reader stood."""
    schedule = random_schedule(seed)
    if failure(schedule) is not None:
        pytest.fail(explain(schedule))


def test_a_seed_is_always_the_same_run():
    first, second = (run(random_schedule(7), traced=True) for _ in range(2))
    assert first.lines == second.lines
    assert len(first.lines) > 5

"""The simulation proves its worth: it finds every bug of `mutants.py` within the schedules of `make test`."""

import pytest
from tests.simulation.ha.mutants import MUTANTS
from tests.simulation.ha.runs import failure, random_schedule

SCHEDULES = 2000


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_bug_is_found(mutant):
    with mutant.applied():
        found = next((seed for seed in range(SCHEDULES) if failure(random_schedule(seed)) is not None), None)
    assert found is not None, f"an engine that {mutant.name} passes {SCHEDULES} random schedules"

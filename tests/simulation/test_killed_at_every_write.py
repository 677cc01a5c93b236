"""The operator is killed (`kill -9`) at every write to ARM of a pair's life, and ends where it would have.

Three points per write: before ARM sees it, after ARM applied it with the response lost, and after the
response was read. The short test kills once at each write of one life, with the points in turn; the long
one lives a life for each point, with long-running operations that still run when the next process starts.
Each life is lived twice: with a balancer of its own, and as a guest on somebody else's.
"""

from collections import Counter
from itertools import cycle

import pytest
from tests.support.arm_proxy import Moment
from tests.support.life import Phase, Trouble, assert_ends_the_same, kill, live, words

pytestmark = [
    pytest.mark.timeout(590),
    pytest.mark.parametrize("shared_balancer", [False, True], ids=["own balancer", "shared balancer"]),
]

POINTS = [Moment.BEFORE, Moment.APPLIED, Moment.ANSWERED]


async def test_killed_once_at_each_write(stage, shared_balancer):
    reference = await live(stage, "reference", shared_balancer=shared_balancer)
    assert all(reference.writes[phase] for phase in Phase), "a phase of the reference run wrote nothing"
    points = cycle(POINTS[1:] + POINTS[:1] if shared_balancer else POINTS)
    turns = {phase: {key: next(points) for key in keys} for phase, keys in reference.writes.items()}
    troubles = [
        Trouble(
            point,
            {
                phase: Counter(key for key in keys if turns[phase][key] is point)
                for phase, keys in reference.writes.items()
            },
            kill,
            repeated=point is Moment.BEFORE,
        )
        for point in POINTS
    ]
    life = await live(stage, "killed", *troubles, shared_balancer=shared_balancer)
    assert_ends_the_same(life, reference, *troubles)
    struck = Counter(key for trouble in troubles for key in trouble.struck)
    assert struck == Counter((phase, key) for phase, keys in reference.writes.items() for key in keys), (
        "not each write of the reference run was struck exactly once"
    )


@pytest.mark.slow
@pytest.mark.parametrize("emulator_latency", [0.4], indirect=True)
@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_this_point_of_every_write(stage, shared_balancer, point):
    reference = await live(stage, "reference", shared_balancer=shared_balancer)
    trouble = Trouble(point, reference.writes, kill, repeated=point is Moment.BEFORE)
    life = await live(stage, "killed", trouble, shared_balancer=shared_balancer)
    assert_ends_the_same(life, reference, trouble)
    missing = list((Counter(reference.all_writes) - Counter(trouble.struck)).elements())
    assert not missing, f"no kill {point} {words(missing)}"

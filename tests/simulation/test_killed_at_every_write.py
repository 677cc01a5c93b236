"""The operator is killed (`kill -9`) at every write to ARM of a pair's life, and ends where it would have.

Three points per write: before ARM sees it, after ARM applied it with the response lost, and after the
response was read. The short test kills at every write within one life per point; the long one lives a life
for each single kill, with long-running operations that still run when the next process starts.
"""

import asyncio
from collections import Counter

import pytest
from tests.support.arm_proxy import Moment
from tests.support.life import Life, Phase, Trouble, assert_ends_the_same, kill, live

POINTS = [Moment.BEFORE, Moment.APPLIED, Moment.ANSWERED]
ABREAST = 3
"""Lives that go on at the same time."""


def killed(point: Moment, targets: dict[Phase, Counter[tuple[str, str]]]) -> Trouble:
    return Trouble(point, targets, kill, repeated=point is Moment.BEFORE)


@pytest.mark.timeout(590)
@pytest.mark.parametrize("shared_balancer", [False, True], ids=["own balancer", "shared balancer"])
async def test_killed_at_every_write_within_one_life(stage, shared_balancer):
    reference = await live(stage, "reference", shared_balancer=shared_balancer)
    assert all(reference.writes[phase] for phase in Phase), "a phase of the reference run wrote nothing"

    troubles = [killed(point, reference.writes) for point in POINTS]
    lives: list[Life] = await asyncio.gather(
        *(
            live(stage, f"killed-{trouble.point.lower()}", shared_balancer=shared_balancer, trouble=trouble)
            for trouble in troubles
        )
    )

    for trouble, life in zip(troubles, lives, strict=True):
        assert_ends_the_same(life, reference, trouble)
    reached = Counter(write for trouble in troubles for write in trouble.struck)
    assert reached == Counter({write: 3 * times for write, times in Counter(reference.all_writes).items()})


@pytest.mark.slow
@pytest.mark.timeout(590)
@pytest.mark.parametrize("emulator_latency", [0.4], indirect=True)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("phase", list(Phase))
async def test_killed_once_in_a_life(stage, phase, point):
    reference = await live(stage, "reference", shared_balancer=True)
    abreast = asyncio.Semaphore(ABREAST)
    phases = tuple(Phase)[: list(Phase).index(phase) + 1]

    async def one(number: int, key: tuple[str, str]) -> None:
        trouble = killed(point, {phase: Counter([key])})
        async with abreast:
            life = await live(stage, f"once-{number}", shared_balancer=True, trouble=trouble, phases=phases)
        assert_ends_the_same(life, reference, trouble)

    writes = sorted(reference.writes[phase])
    assert writes
    async with asyncio.TaskGroup() as group:
        for number, key in enumerate(writes):
            group.create_task(one(number, key))

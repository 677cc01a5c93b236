"""Turns: some milliseconds of all work that shares them in each round of the event loop."""

import asyncio
import contextvars
import itertools
import time

import pytest

from loadmaster_ha.controller.turns import BUDGET_SECONDS, MOST_STEPS, Turns, at_once, in_turns

NAME = contextvars.ContextVar("name", default="")


class Clock:
    """The loop's time, which stands still but for what steps are said to take."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)


async def steps_of_each_round(turns, clock, seconds, works=8, steps=20):
    """Run some works side by side, each step of which takes so long; how many steps each round had."""
    taken, rounds = [], [0]

    async def work(number):
        for step in range(steps):
            clock.now += seconds
            taken.append((number, step))
            await asyncio.sleep(0)
        return number

    async def count():
        while len(taken) < works * steps:
            rounds.append(len(taken))
            await asyncio.sleep(0)

    beside = asyncio.create_task(count())
    assert await asyncio.gather(*(turns.run(work(each)) for each in range(works))) == list(range(works))
    await beside
    first = [number for number, step in taken if step == 0]
    assert first == sorted(first), "first come, first served"
    return [after - before for before, after in itertools.pairwise(rounds)]


async def test_of_long_steps_each_round_has_one_and_others_have_room_between(monkeypatch):
    grown = await steps_of_each_round(Turns(), Clock(monkeypatch), BUDGET_SECONDS * 3)
    assert max(grown) == 1


async def test_of_short_steps_a_round_has_as_many_as_fit_into_its_share(monkeypatch):
    turns, clock = Turns(), Clock(monkeypatch)
    grown = await steps_of_each_round(turns, clock, BUDGET_SECONDS / 4.5, works=20, steps=20)
    assert 4 <= max(grown) <= 6
    grown = await steps_of_each_round(turns, clock, BUDGET_SECONDS * 2, works=20)
    assert grown[-20:] == [1] * 20, "once steps are long again, there are fewer"


async def test_steps_that_take_no_time_come_to_an_end_in_each_round_too(monkeypatch):
    grown = await steps_of_each_round(Turns(), Clock(monkeypatch), 0.0, works=3 * MOST_STEPS, steps=50)
    assert max(grown) == MOST_STEPS


async def test_what_a_visit_does_side_by_side_takes_turns_too(monkeypatch):
    turns, clock, taken = Turns(), Clock(monkeypatch), []

    async def part():
        for _ in range(10):
            clock.now += BUDGET_SECONDS
            taken.append(1)
            await asyncio.sleep(0)
        return "part"

    async def visit():
        return await asyncio.gather(in_turns(part()), in_turns(part()))

    rounds = []
    work = asyncio.create_task(turns.run(visit()))
    while not work.done():
        rounds.append(len(taken))
        await asyncio.sleep(0)
    assert await work == ["part", "part"]
    assert len(taken) == 20
    assert max(after - before for before, after in itertools.pairwise(rounds)) == 1


async def test_outside_of_a_visit_nothing_takes_turns():
    async def part():
        return "part"

    assert await in_turns(part()) == "part"


async def test_what_others_wait_for_does_not_wait_for_its_turn():
    turns, lock, steps, locked = Turns(), asyncio.Lock(), [], asyncio.Event()

    async def write():
        async with lock:
            locked.set()
            for _ in range(3):
                await asyncio.sleep(0)
        return "written"

    async def visit():
        return await at_once(write())

    async def others():
        for _ in range(200):
            time.sleep(BUDGET_SECONDS)  # noqa: ASYNC251 - it computes
            steps.append(1)
            await asyncio.sleep(0)

    crowd = [asyncio.create_task(turns.run(others())) for _ in range(5)]
    visiting = asyncio.create_task(turns.run(visit()))
    await locked.wait()
    before = len(steps)
    async with lock:
        assert len(steps) - before < 20
    for each in crowd:
        each.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    assert await visiting == "written"


async def test_who_is_cancelled_takes_along_what_was_done_at_once():
    ended = []

    async def write():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    task = asyncio.create_task(Turns().run(at_once(write())))
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_what_is_waited_for_holds_up_nobody_else():
    turns, release = Turns(), asyncio.Event()

    async def waits():
        await release.wait()
        return "waited"

    async def goes_on():
        await asyncio.sleep(0.01)
        release.set()
        return "went on"

    assert await asyncio.gather(turns.run(waits()), turns.run(goes_on())) == ["waited", "went on"]


async def test_an_error_comes_out_as_it_is():
    async def fails():
        await asyncio.sleep(0)
        raise LookupError("not there")

    with pytest.raises(LookupError, match="not there"):
        await Turns().run(fails())


@pytest.mark.parametrize("waits_for", ["something", "its turn"])
async def test_a_cancelled_one_cleans_up_and_the_others_go_on(waits_for):
    turns, cleaned, begun = Turns(), [], asyncio.Event()

    async def work():
        try:
            begun.set()
            if waits_for == "something":
                await asyncio.sleep(60)
            for _ in itertools.count():
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async def other():
        for _ in range(20):
            await asyncio.sleep(0)
        return "done"

    task = asyncio.create_task(turns.run(work()))
    beside = asyncio.create_task(turns.run(other()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]
    assert await beside == "done"


async def test_one_that_is_cancelled_before_its_first_turn_never_begins():
    began = []

    async def work():
        began.append(True)

    task = asyncio.create_task(Turns().run(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert began == []


async def test_time_limits_groups_and_context_work_within():
    async def part(number):
        await asyncio.sleep(0)
        return number + len(NAME.get())

    async def work():
        NAME.set("pair")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(part(number)) for number in range(3)]
        return [each.result() for each in parts]

    began = time.monotonic()
    assert await Turns().run(work()) == [4, 5, 6]
    assert time.monotonic() - began < 30
    assert NAME.get() == "pair", "the task's own context"

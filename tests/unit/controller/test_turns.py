"""Turns: one step of all work that shares them in each round of the event loop."""

import asyncio
import contextvars
import itertools
import time

import pytest

from loadmaster_ha.controller.turns import Turns

NAME = contextvars.ContextVar("name", default="")


async def test_in_each_round_only_one_of_many_goes_on_and_others_have_room_between():
    turns, steps, rounds = Turns(), [], []

    async def work(number):
        for step in range(5):
            steps.append((number, step, len(rounds)))
            await asyncio.sleep(0)
        return number

    async def urgent():
        while len(rounds) < 100:
            rounds.append(len(steps))
            await asyncio.sleep(0)

    beside = asyncio.create_task(urgent())
    assert await asyncio.gather(*(turns.run(work(each)) for each in range(8))) == list(range(8))
    await beside
    assert len(steps) == 40
    grown = [after - before for before, after in itertools.pairwise(rounds)]
    assert max(grown) == 1
    first = [number for number, step, _ in steps if step == 0]
    assert first == sorted(first), "first come, first served"


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

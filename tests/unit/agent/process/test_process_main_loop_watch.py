"""The watch over the main loop tells a loop that hangs, and never one that turns, whenever that answers."""

import asyncio

import pytest

from loadmaster_ha.agent.process.main_loop_watch import MainLoopWatch


class HungError(Exception):
    """The watch has called the loop stuck."""


def hung():
    raise HungError


async def looks(post, periods):
    """How it ends when the watch looks so often."""
    watch = MainLoopWatch(post, hung, period=0.0, patience=3)
    task = asyncio.create_task(watch.run())
    for _ in range(periods):
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return "watching"
    except HungError:
        return "hung"


async def test_a_loop_that_answers_before_the_question_is_out_is_not_stuck():
    # The other loop is another thread: its answer may come before `post` has returned.
    assert await looks(lambda answer: answer(), 50) == "watching"


@pytest.mark.parametrize("later", [1, 2, 3])
async def test_a_loop_that_answers_late_is_not_stuck(later):
    asked = []

    def post(answer):
        asked.append(answer)
        asyncio.get_running_loop().call_soon(soon, later, answer)

    def soon(turns, answer):
        if turns:
            asyncio.get_running_loop().call_soon(soon, turns - 1, answer)
        else:
            answer()

    assert await looks(post, 50) == "watching"
    assert len(asked) > 5  # asked again and again


async def test_a_loop_that_does_not_answer_is_stuck():
    assert await looks(lambda _: None, 50) == "hung"


async def test_a_loop_that_has_answered_for_long_and_then_hangs_is_stuck():
    answers = iter([True] * 10 + [False] * 100)
    assert await looks(lambda answer: next(answers) and answer(), 100) == "hung"

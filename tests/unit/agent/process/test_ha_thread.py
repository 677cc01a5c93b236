"""The thread of what must never wait: its loop turns while the other one is busy, and nothing is lost."""

import asyncio
import threading
import time

import pytest

from loadmaster_ha.agent.process.ha_thread import HaThread


@pytest.fixture
def thread():
    made = HaThread()
    made.start()
    yield made
    made.stop()


async def test_its_loop_turns_while_the_other_one_is_busy(thread):
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    task = asyncio.ensure_future(thread.run(turn()))
    await asyncio.sleep(0.05)
    before, end = turns, time.monotonic() + 1.0
    while time.monotonic() < end:
        sum(range(1000))  # busy in Python, as one who renders a thousand services is
    during = turns - before
    task.cancel()
    assert during >= 10


async def test_calls_come_in_their_order_and_on_its_thread(thread):
    seen = []
    for number in range(100):
        thread.call(lambda number=number: seen.append((number, threading.current_thread().name)))
    thread.do(lambda: None)
    assert seen == [(number, "high-availability") for number in range(100)]


async def test_a_call_of_its_own_thread_is_made_at_once(thread):
    seen = []

    def outer():
        thread.call(seen.append, "inner")
        seen.append("outer")

    thread.do(outer)
    assert seen == ["inner", "outer"]


async def test_doing_something_that_fails_does_not_hang(thread, caplog):
    def fail():
        raise ValueError("on purpose")

    began = time.monotonic()
    thread.do(fail)
    assert time.monotonic() - began < 1.5
    thread.do(lambda: None)  # what failed has been told by then
    assert "on purpose" in caplog.text  # told by the loop's own handler


async def test_results_and_failures_of_coroutines_come_back(thread):
    async def answer():
        return threading.current_thread().name

    async def fail():
        raise ValueError("on purpose")

    assert await thread.run(answer()) == "high-availability"
    with pytest.raises(ValueError, match="on purpose"):
        await thread.run(fail())


def test_after_its_end_calls_do_nothing():
    ended = HaThread()
    ended.start()
    ended.stop()
    seen = []
    ended.call(seen.append, 1)
    assert seen == []

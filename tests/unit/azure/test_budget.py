"""The request budget on a clock of the test's own."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadmaster_ha.azure.budget import AZURE_LIMITS, Budget, BudgetExhausted, Kind


class Clock:
    """Time that passes only when somebody sleeps or the test says so."""

    def __init__(self):
        self.now = 1000.0
        self._sleepers = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        wake = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, len(self._sleepers), wake))
        await wake

    async def run(self, task):
        """Let time pass until the task has ended."""
        while not task.done():
            for _ in range(20):
                await asyncio.sleep(0)
            if task.done() or not self._sleepers:
                break
            self._sleepers.sort(key=lambda sleeper: sleeper[:2])
            until, _, wake = self._sleepers.pop(0)
            self.now = max(self.now, until)
            if not wake.done():
                wake.set_result(None)
        return await task


@pytest.fixture
def clock():
    return Clock()


def budget(clock, share=1.0):
    return Budget(share, clock=clock, sleep=clock.sleep)


async def test_a_burst_up_to_the_capacity_goes_out_at_once(clock):
    of = budget(clock, share=0.5)
    for _ in range(125):
        await of.take(Kind.READ, patience=0)

    with pytest.raises(BudgetExhausted) as exhausted:
        await of.take(Kind.READ, patience=0)

    assert not exhausted.value.throttled
    assert exhausted.value.after == pytest.approx(1 / 12.5)
    assert of.ratio(Kind.READ) == 0
    assert of.ratio(Kind.WRITE) == 1


async def test_waiters_are_served_in_the_order_they_came(clock):
    of = budget(clock)
    for _ in range(250):
        await of.take(Kind.READ, patience=0)
    order = []

    async def wait(number):
        await of.take(Kind.READ, patience=60)
        order.append((number, round(clock.now - 1000, 3)))

    async def everybody():
        await asyncio.gather(*(wait(number) for number in range(5)))

    await clock.run(asyncio.create_task(everybody()))

    assert order == [(0, 0.04), (1, 0.08), (2, 0.12), (3, 0.16), (4, 0.2)]


async def test_a_closed_gate_lets_nothing_of_its_kind_out(clock):
    of = budget(clock)
    of.close_gate(Kind.WRITE, 60)

    with pytest.raises(BudgetExhausted) as exhausted:
        await of.take(Kind.WRITE, patience=5)

    assert exhausted.value.throttled
    assert 59 <= exhausted.value.after <= 61
    assert of.ratio(Kind.WRITE) == 0
    await of.take(Kind.READ, patience=0)
    await of.take(Kind.DELETE, patience=0)


async def test_after_the_gate_opens_there_is_no_burst(clock):
    of = budget(clock)
    of.close_gate(Kind.WRITE, 60)
    clock.now += 60
    await of.take(Kind.WRITE, patience=0)

    with pytest.raises(BudgetExhausted) as exhausted:
        await of.take(Kind.WRITE, patience=0)

    assert not exhausted.value.throttled


async def test_a_gate_that_closes_while_one_waits_holds_it(clock):
    of = budget(clock)
    for _ in range(200):
        await of.take(Kind.WRITE, patience=0)
    waiting = asyncio.create_task(of.take(Kind.WRITE, patience=100))
    await asyncio.sleep(0)
    of.close_gate(Kind.WRITE, 30)

    await clock.run(waiting)

    assert clock.now >= 1030


async def test_a_gate_that_closes_for_longer_than_one_may_wait_refuses_it(clock):
    of = budget(clock)
    for _ in range(200):
        await of.take(Kind.WRITE, patience=0)
    waiting = asyncio.create_task(of.take(Kind.WRITE, patience=5))
    await asyncio.sleep(0)
    of.close_gate(Kind.WRITE, 300)

    with pytest.raises(BudgetExhausted):
        await clock.run(waiting)


async def test_who_stops_waiting_gives_the_token_back(clock):
    of = budget(clock)
    for _ in range(250):
        await of.take(Kind.READ, patience=0)
    waiting = asyncio.create_task(of.take(Kind.READ, patience=60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    clock.now += 0.041  # a token every 0.04 s

    await of.take(Kind.READ, patience=0)


async def test_what_azure_says_is_left_is_believed(clock):
    of = budget(clock)
    of.believe(Kind.READ, 2)
    await of.take(Kind.READ, patience=0)
    await of.take(Kind.READ, patience=0)

    with pytest.raises(BudgetExhausted):
        await of.take(Kind.READ, patience=0)
    of.believe(Kind.WRITE, 11999)
    assert of.ratio(Kind.WRITE) == 1


@pytest.mark.parametrize("share", [0, -1, 1.01])
def test_a_share_that_makes_no_sense_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        Budget(share)


@settings(deadline=None, max_examples=50)
@given(
    share=st.floats(0.1, 1.0),
    pauses=st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=300),
    kind=st.sampled_from(list(Kind)),
)
def test_never_more_goes_out_than_azure_allows(share, pauses, kind):
    async def scenario():
        clock = Clock()
        of = budget(clock, share)
        capacity, refill = (limit * share for limit in AZURE_LIMITS[kind])
        began, taken = clock.now, 0
        for pause in pauses:
            clock.now += pause
            for _ in range(8):
                try:
                    await of.take(kind, patience=0)
                except BudgetExhausted:
                    break
                taken += 1
                assert taken <= capacity + (clock.now - began) * refill + 1e-6

    asyncio.run(scenario())

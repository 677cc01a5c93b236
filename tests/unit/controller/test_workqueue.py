"""The work queue: what it promises for every order of events, and how long it waits."""

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from loadmaster_ha.controller.workqueue import (
    Backoff,
    Next,
    Resync,
    Schedule,
    Visit,
    VisitOutcome,
    WorkQueue,
)

KEYS = st.sampled_from("abcd")


class ScheduleMachine(RuleBasedStateMachine):
    """Any order of wakes, timers, visits and farewells keeps the promises of `Schedule`."""

    def __init__(self):
        super().__init__()
        self.schedule = Schedule()
        self.now = 0.0
        self.running = set()
        self.owed = {}
        """Keys that were woken and have not been visited since, and when that was last."""

    @rule(key=KEYS)
    def wake(self, key):
        self.schedule.wake(key, self.now)
        self.owed[key] = self.now

    @rule(key=KEYS, delay=st.floats(0, 10))
    def later(self, key, delay):
        self.schedule.later(key, self.now + delay)

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def take(self):
        visit = self.schedule.take(self.now)
        if visit is not None:
            assert visit.key not in self.running, "visited twice at a time"
            assert visit.waited >= 0
            assert visit.woken == (visit.key in self.owed)
            self.running.add(visit.key)
            woken_at = self.owed.pop(visit.key, self.now)
            assert visit.woken_for == self.now - woken_at, "the last wake counts, not the first"

    @rule(data=st.data(), delay=st.one_of(st.none(), st.floats(0, 10)))
    def finish(self, data, delay):
        if self.running:
            key = data.draw(st.sampled_from(sorted(self.running)))
            self.running.discard(key)
            self.schedule.finish(key, self.now, None if delay is None else self.now + delay)

    @rule(key=KEYS)
    def forget(self, key):
        self.schedule.forget(key)
        self.owed.pop(key, None)
        assert key in self.running or key not in self.schedule

    @invariant()
    def no_wake_is_lost(self):
        waiting = self.owed.keys() - self.running
        assert self.schedule.depth >= len(waiting)
        assert all(key in self.schedule for key in self.owed)

    def teardown(self):
        for key in sorted(self.running):
            self.schedule.finish(key, self.now, None)
        visited = []
        while (visit := self.schedule.take(self.now)) is not None:
            visited.append(visit.key)
            self.schedule.finish(visit.key, self.now, None)
        assert self.owed.keys() <= set(visited)
        assert len(visited) == len(set(visited))


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_ready_keys_are_taken_first_come_first_served():
    schedule = Schedule()
    for key in "bca":
        schedule.wake(key, 0.0)
    schedule.wake("b", 1.0)  # once more does not change its place
    taken = [schedule.take(2.0) for _ in range(4)]
    assert [visit and visit.key for visit in taken] == ["b", "c", "a", None]


def test_a_key_that_is_due_at_once_goes_behind_the_others():
    schedule = Schedule()
    schedule.wake("busy", 0.0)
    schedule.wake("other", 0.0)
    schedule.take(0.0)
    schedule.finish("busy", 1.0, 1.0)
    assert [schedule.take(1.0).key, schedule.take(1.0).key] == ["other", "busy"]


def test_a_timer_is_superseded_by_a_wake_and_not_kept():
    schedule = Schedule()
    schedule.later("a", 10.0)
    schedule.wake("a", 1.0)
    visit = schedule.take(2.0)
    assert (visit.woken, visit.waited) == (True, 1.0)
    schedule.finish("a", 3.0, None)
    assert schedule.take(11.0) is None


def test_looking_again_in_time_is_no_wake():
    schedule = Schedule()
    schedule.later("a", 10.0)
    assert schedule.next_due() == 10.0
    assert schedule.take(9.9) is None
    assert schedule.take(10.0).woken is False


def test_backoff_doubles_up_to_its_cap_and_begins_anew_after_success():
    backoff = Backoff(base=2.0, cap=60.0, dice=lambda: 0.0)
    assert [backoff.after_failure("a") for _ in range(7)] == [2, 4, 8, 16, 32, 60, 60]
    assert backoff.after_failure("b") == 2
    backoff.reset("a")
    assert backoff.after_failure("a") == 2


@given(failures=st.integers(1, 3000), dice=st.floats(0, 1))
def test_backoff_stays_within_its_bounds_however_long_it_lasts(failures, dice):
    backoff = Backoff(base=2.0, cap=300.0, dice=lambda: dice)
    last = [backoff.after_failure("a") for _ in range(failures)][-1]
    assert 1.5 <= last <= 300.0


def test_backoff_keeps_nothing_of_keys_that_went_well():
    backoff = Backoff()
    for number in range(100):
        backoff.after_failure(number)
        backoff.reset(number)
    assert len(backoff) == 0


@given(dice=st.floats(0, 1))
def test_resync_is_spread_by_a_tenth(dice):
    assert 270 <= Resync(300, dice=lambda: dice).next() <= 330.0001


class Figures:
    def __init__(self):
        self.outcomes = []
        self.depths = []

    def on_queue(self, depth):
        self.depths.append(depth)

    def on_visit_started(self, waited):
        assert waited >= 0

    def on_visit_ended(self, outcome, seconds):
        assert seconds >= 0
        self.outcomes.append(outcome)


def queue(visit, **options):
    figures = Figures()
    made = WorkQueue(
        visit, observer=figures, resync=Resync(300), backoff=Backoff(base=0.01, cap=0.02), **options
    )
    return made, figures


async def running(made):
    task = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    return task


async def test_visits_of_one_key_never_overlap_and_of_all_never_exceed_the_limit():
    at_work, most, seen = set(), 0, []

    async def visit(visit: Visit[str]) -> Next:
        nonlocal most
        assert visit.key not in at_work
        at_work.add(visit.key)
        most = max(most, len(at_work))
        await asyncio.sleep(0.005)
        at_work.discard(visit.key)
        seen.append(visit.key)
        return Next(VisitOutcome.CHANGED, after=0 if seen.count(visit.key) < 3 else 1000)

    made, figures = queue(visit, concurrency=2)
    task = await running(made)
    for key in "abcde":
        made.wake(key)
    async with asyncio.timeout(30):
        while len(seen) < 15:  # noqa: ASYNC110 - the visits are what is tested
            await asyncio.sleep(0.01)
    task.cancel()
    assert most == 2
    assert sorted(seen) == sorted("abcde" * 3)
    assert seen[:5] == list("abcde"), "nobody waits while another is visited again"
    assert figures.outcomes == ["Changed"] * 15
    assert max(figures.depths) in {3, 4}, "one that has just ended may be ready again already"


async def test_a_visit_that_breaks_does_not_end_the_work():
    seen = []

    async def visit(visit: Visit[str]) -> Next:
        seen.append(visit.key)
        if len(seen) < 3:
            raise RuntimeError("a bug")
        return Next(VisitOutcome.NO_CHANGE)

    made, figures = queue(visit)
    task = await running(made)
    made.wake("a")
    async with asyncio.timeout(30):
        while len(figures.outcomes) < 3:  # noqa: ASYNC110 - the visits are what is tested
            await asyncio.sleep(0.01)
    task.cancel()
    assert figures.outcomes == ["Error", "Error", "NoChange"]


@pytest.mark.parametrize(("grace", "clean"), [(30.0, True), (0.05, False)])
async def test_stopping_waits_for_the_visits_under_way_but_not_for_ever(grace, clean):
    started, go_on = asyncio.Event(), asyncio.Event()

    async def visit(_: Visit[str]) -> Next:
        started.set()
        await go_on.wait()
        return Next(VisitOutcome.CHANGED)

    made, figures = queue(visit)
    task = await running(made)
    made.wake("a")
    await started.wait()
    task.cancel()
    made.wake("b")
    if clean:
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert await made.drain(grace) is clean
    assert figures.outcomes == (["Changed"] if clean else ["Error"]), "and none was begun"


async def test_a_key_that_is_gone_is_not_visited_again():
    seen = []

    async def visit(visit: Visit[str]) -> Next:
        seen.append(visit.key)
        return Next(VisitOutcome.NO_CHANGE, gone=True)

    made, _ = queue(visit)
    task = await running(made)
    made.wake("a")
    await asyncio.sleep(0.05)
    task.cancel()
    assert seen == ["a"]
    assert len(made._schedule) == 0


async def test_a_key_that_comes_back_while_a_visit_finds_it_gone_is_visited():
    seen = []

    async def visit(visit: Visit[str]) -> Next:
        seen.append(visit.key)
        if len(seen) == 1:
            made.wake("a")  # created anew: its event overtakes the end of this visit
            return Next(VisitOutcome.NO_CHANGE, gone=True)
        return Next(VisitOutcome.NO_CHANGE)

    made, figures = queue(visit)
    task = await running(made)
    made.wake("a")
    async with asyncio.timeout(30):
        while len(figures.outcomes) < 2:  # noqa: ASYNC110 - the visits are what is tested
            await asyncio.sleep(0.01)
    task.cancel()
    assert seen == ["a", "a"]


def delays(*visits: Next) -> list[float]:
    made = WorkQueue(
        None,
        observer=Figures(),
        resync=Resync(300, dice=lambda: 0.5),
        backoff=Backoff(base=2.0, cap=300.0, dice=lambda: 0.0),
    )
    return [made._delay("a", each) for each in visits]


ACCEPTED = Next(VisitOutcome.CHANGED, after=0.5)
FAILED = Next(VisitOutcome.WAITING)


def test_what_is_accepted_and_fails_later_is_repeated_with_growing_pauses():
    assert delays(*[ACCEPTED, FAILED] * 4)[1::2] == [2, 4, 8, 16]


def test_after_progress_backoff_begins_anew():
    done = Next(VisitOutcome.CHANGED, after=0, progress=True)
    assert delays(FAILED, FAILED, done, FAILED) == [2, 4, 0, 2]
    then_failed = Next(VisitOutcome.WAITING, progress=True)
    assert delays(FAILED, FAILED, then_failed, FAILED) == [2, 4, 2, 4]


def test_the_time_that_azure_names_is_kept_at_first_and_is_the_least_later():
    busy = Next(VisitOutcome.WAITING, after=5, grows=True)
    assert delays(*[busy] * 5) == [5, 5, 8, 16, 32]
    assert delays(*[Next(VisitOutcome.WAITING, after=60)] * 3) == [60, 60, 60]


async def begun(per_second, seconds, *, keys):
    """How many visits begin in so long when all are due at once."""
    visited = []

    async def visit(each):
        visited.append(each.key)
        return Next(VisitOutcome.NO_CHANGE)

    queue = WorkQueue(
        visit,
        observer=Figures(),
        resync=Resync(300),
        backoff=Backoff(),
        concurrency=4,
        per_second=per_second,
    )
    for key in range(keys):
        queue.wake(key)
    work = asyncio.create_task(queue.run())
    await asyncio.sleep(seconds)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return len(visited)


async def test_beyond_a_burst_visits_begin_at_the_pace_that_is_set():
    assert 4 <= await begun(20, 0.5, keys=100) <= 16


async def test_without_a_pace_they_begin_as_soon_as_there_is_room():
    assert await begun(math.inf, 0.5, keys=100) == 100

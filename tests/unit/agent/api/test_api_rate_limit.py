from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.api.rate_limit import LockOut, RateLimit


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_thirty_calls_pass_and_the_next_does_not():
    clock = Clock()
    limit = RateLimit(clock)

    assert [limit.allows("a") for _ in range(31)] == [True] * 30 + [False]


def test_after_three_seconds_one_may_call_again():
    clock = Clock()
    limit = RateLimit(clock)
    for _ in range(30):
        limit.allows("a")
    clock.now += 2.9
    assert not limit.allows("a")
    clock.now += 0.1

    assert limit.allows("a")


def test_one_client_does_not_spend_anothers_calls():
    limit = RateLimit(Clock())
    for _ in range(40):
        limit.allows("loud")

    assert limit.allows("quiet")


@given(steps=st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 1)), max_size=200))
def test_never_more_than_the_limit_in_any_window(steps):
    clock = Clock()
    limit = RateLimit(clock, calls=5, seconds=3.0)
    passed = {"a": [], "b": []}
    for client, pause in steps:
        clock.now += pause
        if limit.allows(client):
            passed[client].append(clock.now)

    for times in passed.values():
        assert all(times[at + 5] - times[at] >= 3.0 for at in range(len(times) - 5))


def test_a_flood_of_addresses_does_not_grow_without_end():
    limit = RateLimit(Clock(), clients=10)
    for number in range(1000):
        limit.allows(f"10.0.{number // 256}.{number % 256}")

    assert len(limit._times) == 10


def test_five_failures_are_free_and_each_further_one_costs_twice_as_long():
    clock = Clock()
    lockout = LockOut(clock)
    waits = []
    for _ in range(9):
        lockout.failed("a", "bal")
        waits.append(lockout.remaining("a", "bal"))

    assert waits == [0, 0, 0, 0, 0, 5, 10, 20, 40]


def test_the_wait_ends_and_has_a_longest():
    clock = Clock()
    lockout = LockOut(clock)
    for _ in range(100):
        lockout.failed("a", "bal")

    assert lockout.remaining("a", "bal") == 300
    clock.now += 300
    assert lockout.remaining("a", "bal") == 0


def test_neither_another_client_nor_another_user_is_kept_out():
    lockout = LockOut(Clock())
    for _ in range(10):
        lockout.failed("a", "bal")

    assert lockout.remaining("b", "bal") == 0
    assert lockout.remaining("a", "ann") == 0


def test_success_and_half_an_hour_wipe_the_slate():
    clock = Clock()
    lockout = LockOut(clock)
    for _ in range(5):
        lockout.failed("a", "bal")
    lockout.succeeded("a", "bal")
    assert lockout.failed("a", "bal") == 1
    clock.now += 1801

    assert lockout.failed("a", "bal") == 1


def test_a_flood_of_names_does_not_grow_without_end():
    lockout = LockOut(Clock(), clients=10)
    for number in range(1000):
        lockout.failed("a", str(number))

    assert len(lockout._failures) == 10

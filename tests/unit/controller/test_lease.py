"""The election: who may write, for every order in which two processes and the API server meet."""

# ruff: noqa: ARG002 - the stand-in has the signatures of the real one

import asyncio
import copy

import pytest

from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.lease import Lease, LeaseLost, Timing


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Server:
    """The API server's side of Leases: optimistic locking, and it can be away."""

    def __init__(self):
        self.lease = None
        self.away = False
        self.version = 0
        self.patience = []
        """Seconds that the requests of the leader would have waited for their answers."""

    def _check(self):
        if self.away:
            raise KubernetesError(0, "Unreachable", "no answer")

    async def get_lease(self, namespace, name, *, seconds):
        self.patience.append(seconds)
        self._check()
        return copy.deepcopy(self.lease)

    async def create_lease(self, namespace, lease, *, seconds):
        self._check()
        if self.lease is not None:
            raise KubernetesError(409, "AlreadyExists", "there is one")
        return self._store(lease)

    async def replace_lease(self, namespace, lease, *, seconds):
        self.patience.append(seconds)
        self._check()
        if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise KubernetesError(409, "Conflict", "it has changed")
        return self._store(lease)

    def _store(self, lease):
        self.version += 1
        self.lease = copy.deepcopy(lease)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    return Server()


def candidate(server, clock, identity="one"):
    return Lease(
        server, namespace="ns", name="operator", identity=identity, clock=clock, timing=Timing(15, 10, 2)
    )


async def test_one_request_that_hangs_does_not_cost_the_lease(server, clock):
    """There is time for another attempt before the deadline."""
    leader = candidate(server, clock)
    assert await leader._attempt()
    server.patience.clear()
    assert await leader._attempt()
    timing = Timing(15, 10, 2)
    hanging = max(server.patience)
    assert 0 < hanging + 2 * timing.retry_period < timing.renew_deadline - timing.retry_period


async def test_a_renewal_is_one_request(server, clock):
    """An operator that is busy, at an API server that is busy, has as little as can be to wait for."""
    leader = candidate(server, clock)
    assert await leader._attempt()
    server.patience.clear()
    clock.now += 2
    assert await leader._attempt()
    assert len(server.patience) == 1
    assert server.lease["spec"]["leaseTransitions"] == 0


async def test_a_lease_that_was_touched_by_hand_is_renewed_all_the_same(server, clock):
    leader = candidate(server, clock)
    assert await leader._attempt()
    server._store(server.lease)
    clock.now += 2
    assert await leader._attempt()
    assert leader.held


async def test_the_first_takes_it_and_the_second_does_not(server, clock):
    first, second = candidate(server, clock), candidate(server, clock, "two")
    assert await first._attempt()
    assert not await second._attempt()
    first.permit()
    with pytest.raises(LeaseLost, match="two does not hold"):
        second.permit()
    assert server.lease["spec"]["leaseTransitions"] == 0


async def test_permission_ends_without_renewal_before_anybody_else_can_take_it(server, clock):
    first, second = candidate(server, clock), candidate(server, clock, "two")
    await first._attempt()
    await second._attempt()
    clock.now += 9.9
    first.permit()
    clock.now += 0.2
    with pytest.raises(LeaseLost):
        first.permit()
    assert not await second._attempt(), "not before the Lease has run out"
    clock.now += 5
    assert await second._attempt()
    assert server.lease["spec"]["leaseTransitions"] == 1


async def test_a_holder_that_renews_is_never_taken_from(server, clock):
    first, second = candidate(server, clock), candidate(server, clock, "two")
    await first._attempt()
    for _ in range(30):
        clock.now += 2
        assert await first._attempt()
        assert not await second._attempt()


async def test_renewal_counts_from_before_the_request(server, clock):
    class Slow(Server):
        async def replace_lease(self, namespace, lease, *, seconds):
            stored = await super().replace_lease(namespace, lease, seconds=seconds)
            clock.now += 8  # the answer takes that long
            return stored

    slow = Slow()
    lease = candidate(slow, clock)
    await lease._attempt()
    await lease._attempt()
    lease.permit()
    clock.now += 2.1
    with pytest.raises(LeaseLost):
        lease.permit()


async def test_of_two_at_the_same_instant_one_wins(server, clock):
    first, second = candidate(server, clock), candidate(server, clock, "two")
    won = await asyncio.gather(first._attempt(), second._attempt())
    assert sorted(won) == [False, True]


async def test_an_api_server_that_is_away_for_a_moment_costs_nothing(server, clock):
    lease = candidate(server, clock)
    await lease._attempt()
    server.away = True
    clock.now += 6
    assert not await lease._attempt()
    lease.permit()
    server.away = False
    assert await lease._attempt()
    clock.now += 9
    lease.permit()


async def test_losing_it_is_noticed_at_the_next_renewal(server, clock):
    first, second = candidate(server, clock), candidate(server, clock, "two")
    await first._attempt()
    server.lease["spec"]["holderIdentity"] = ""  # by hand
    await second._attempt()
    assert not await first._attempt()
    with pytest.raises(LeaseLost):
        first.permit()


async def test_given_back_it_is_free_at_once_and_the_giver_may_not_write(server, clock):
    first, second = candidate(server, clock), candidate(server, clock, "two")
    await first._attempt()
    await first.release()
    with pytest.raises(LeaseLost):
        first.permit()
    assert server.lease["spec"] | {"renewTime": None, "acquireTime": None} == {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "leaseTransitions": 0,
        "renewTime": None,
        "acquireTime": None,
    }
    assert await second._attempt()


async def test_one_that_does_not_hold_it_gives_nothing_back(server, clock):
    first, second = candidate(server, clock), candidate(server, clock, "two")
    await first._attempt()
    await second.release()
    assert server.lease["spec"]["holderIdentity"] == "one"


async def test_keeping_ends_when_it_cannot_be_renewed(server, clock):
    lease = Lease(
        server, namespace="ns", name="operator", identity="one", clock=clock, timing=Timing(15, 10, 0.001)
    )
    await lease._attempt()
    server.away = True
    keeping = asyncio.create_task(lease.keep())
    await asyncio.sleep(0.02)
    assert not keeping.done()
    clock.now += 10
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(keeping, 10)

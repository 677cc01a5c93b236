"""Sharing of sessions between pairs, and one writer at a time."""

import asyncio

import pytest

from loadmaster_ha.azure.cloud import PUBLIC
from loadmaster_ha.azure.credentials import ClientSecret, OwnIdentity
from loadmaster_ha.azure.outcomes import Operation
from loadmaster_ha.azure.sessions import Sessions
from loadmaster_ha.azure.writers import FORGET, Writers
from loadmaster_ha.planning.arm import network

ONE, OTHER = ClientSecret("t", "c", "one"), ClientSecret("t", "c", "other")
BALANCER = network("s", "edge", "loadBalancers", "web")


class Wire:
    def __init__(self):
        self.closed = False

    async def send(self, _):
        raise AssertionError("nothing is sent here")

    async def close(self):
        self.closed = True


@pytest.fixture
def wires():
    return []


@pytest.fixture
async def sessions(wires):
    def connect(*_):
        wires.append(Wire())
        return wires[-1]

    return Sessions(PUBLIC, connect=connect)


async def test_pairs_with_the_same_subscription_and_credential_share(sessions, wires):
    first = await sessions.lease("a", "SUB", ONE)

    assert await sessions.lease("b", "sub", ClientSecret("t", "c", "one")) is first
    assert await sessions.lease("a", "sub", ONE) is first
    assert await sessions.lease("c", "sub", OTHER) is not first
    assert await sessions.lease("d", "sub2", ONE) is not first
    assert await sessions.lease("e", "sub", OwnIdentity()) is not first
    assert len(wires) == 4


async def test_a_session_is_closed_when_the_last_pair_leaves(sessions, wires):
    await sessions.lease("a", "sub", ONE)
    await sessions.lease("b", "sub", ONE)

    await sessions.release("a")
    await sessions.release("a")
    assert not wires[0].closed
    await sessions.release("b")
    assert wires[0].closed

    await sessions.lease("a", "sub", ONE)
    assert len(wires) == 2


async def test_a_changed_secret_changes_the_session(sessions, wires):
    await sessions.lease("a", "sub", ONE)
    await sessions.lease("a", "sub", OTHER)

    assert [wire.closed for wire in wires] == [True, False]


async def test_closing_closes_all(sessions, wires):
    await sessions.lease("a", "sub", ONE)
    await sessions.lease("b", "sub", OTHER)

    await sessions.close()

    assert all(wire.closed for wire in wires)


async def test_writers_of_one_balancer_take_turns_and_others_do_not_wait():
    writers = Writers()
    log = []
    go = asyncio.Event()

    async def write(name, resource):
        async with writers.turn(resource):
            log.append(f"{name} begins")
            await go.wait()
            log.append(f"{name} ends")

    tasks = [
        asyncio.create_task(write("a", BALANCER)),
        asyncio.create_task(write("b", BALANCER.child("inboundNatRules", "x"))),
        asyncio.create_task(write("c", network("s", "edge", "loadBalancers", "other"))),
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert log == ["a begins", "c begins"]
    go.set()
    await asyncio.gather(*tasks)

    assert log.index("a ends") < log.index("b begins")
    assert writers._writers == {}


def test_an_operation_that_nobody_looks_at_any_more_is_forgotten():
    now = 0.0
    writers = Writers(clock=lambda: now)
    operation = Operation(BALANCER, "PUT", "https://x", "AsyncOperation", "2026-11-20T10:00:00Z")
    writers.started(operation)

    assert writers.running(BALANCER.child("probes", "x")) == operation
    now = FORGET + 1
    assert writers.running(BALANCER) is None


def test_only_the_operation_itself_is_ended():
    writers = Writers()
    old = Operation(BALANCER, "PUT", "https://old", "AsyncOperation", "2026-11-20T10:00:00Z")
    new = Operation(BALANCER, "PUT", "https://new", "AsyncOperation", "2026-11-20T10:00:01Z")
    writers.started(new)

    writers.ended(old)
    assert writers.running(BALANCER) == new
    writers.ended(new)
    assert writers.running(BALANCER) is None

"""What a pair has in the operator's metrics goes with it: many are created and deleted, by a real operator.

None of these pairs gets as far as Azure or a unit, since none of its Secrets exists: it is their number that
counts here. tests/e2e/pair deletes one that serves, with every kind of series.
"""

import asyncio

import pytest
from tests.support.live_pairs import manifest
from tests.support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_A_TIME = 8
PATIENCE_SECONDS = 240
"""A safety limit: a thousand pairs take a minute where the machine has nothing else to do."""
MANY_OUTCOMES = 40
PER_PAIR = 80
"""Series that each has at least: its conditions, its fail-overs that can be counted, its reboots."""


def named(pairs, number):
    """A pair with interfaces and units of its own."""
    address = f"127.9.{number // 100}.{number % 100 * 2 + 1}"
    partner = f"127.9.{number // 100}.{number % 100 * 2 + 2}"
    return {
        "name": f"pair-{number}",
        "azure__credentialsSecretRef": {"name": "absent"},
        "master__address": address,
        "slave__address": partner,
        "master__networkInterfaces__0__resource": f"lm-{number}-0-nic",
        "slave__networkInterfaces__0__resource": f"lm-{number}-1-nic",
        "master__virtualMachine__name": f"lm-{number}-0",
        "slave__virtualMachine__name": f"lm-{number}-1",
        "master__management": {"credentialsSecretRef": {"name": "absent"}},
        "slave__management": {"credentialsSecretRef": {"name": "absent"}},
        "loadBalancer__name": f"web-{number}",
        "loadBalancer__frontend__privateIPAddress": f"127.8.{number // 100}.{number % 100 + 1}",
    }


async def of_each(number, work):
    """Do it for each pair, some at a time."""
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(each):
        async with turns:
            await work(each)

    await asyncio.gather(*(one(each) for each in range(number)))


def series(rig):
    return set(rig.operator.metrics())


async def until(rig, holds, what):
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not holds(found := await asyncio.to_thread(rig.operator.metrics)):
        assert asyncio.get_running_loop().time() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        await asyncio.sleep(0.5)
    return found


async def come_and_go(rig, number):
    """Create so many pairs, see that each has its series and is watched, and delete them; the most series."""
    world = World(rig.arm, "series")

    async def come(each):
        await rig.pairs.apply(manifest(world, rig.pairs.namespace, **named(rig.pairs, each)))

    def all_there(found):
        told = [
            name for name in found if name.startswith("loadmaster_condition_reason{") and "HASynced" in name
        ]
        return len(told) == number == found["loadmaster_watched_pairs"]

    await of_each(number, come)
    found = await until(rig, all_there, "all have their conditions and are watched")
    await of_each(number, lambda each: rig.pairs.delete(f"pair-{each}"))
    await until(rig, lambda found: not any("pair-" in name for name in found), "all series are gone")
    return len(found)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.slow)])
async def test_pairs_that_come_and_go_leave_the_series_that_were_there_before(rig, number):
    await come_and_go(rig, 1)  # what is counted for all of them together, by what happened
    before = series(rig)
    most = await come_and_go(rig, number)
    assert most > len(before) + PER_PAIR * number
    after = series(rig)
    assert before <= after
    # What can come of a look depends on how fast the machine is; it is counted for all pairs together.
    assert [each for each in after - before if 'outcome="' not in each] == []
    assert len(after - before) < MANY_OUTCOMES < number
    assert rig.operator.metrics()["loadmaster_watched_pairs"] == 0

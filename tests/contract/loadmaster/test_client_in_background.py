"""Those who only watch a unit share its client with those who work with it, and give way to them."""

import asyncio

from tests.support.literal_unit import LiteralUnit, json

from loadmaster_ha.loadmaster import observer
from loadmaster_ha.loadmaster.background import InBackground

OFFER = json('{"code":200,"commands":["listapi","get"],"version":"7.2.54.12.22642.RELEASE","status":"ok"}')
VALUE = json('{"code":200,"hastatus":"Active","status":"ok"}')


def asked_for(unit):
    """The parameters that the unit was asked for, in order."""
    bodies = (asked.body.decode() for asked in unit.asked)
    return [body.partition('"param": "')[2].partition('"')[0] for body in bodies if "listapi" not in body]


async def test_what_a_watcher_asks_comes_after_the_work_that_is_going_on(client_of):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: OFFER if b"listapi" in asked.body else VALUE
        client = await client_of(unit)
        await client.call("get", {"param": "version"})
        watching = asyncio.create_task(InBackground(client).call("get", {"param": "hastatus"}))
        await asyncio.sleep(0)
        for _ in range(3):
            await client.call("get", {"param": "boottime"})
            await asyncio.sleep(0.05)
        await watching

    assert asked_for(unit) == ["version", *["boottime"] * 3, "hastatus"]


async def test_a_watcher_gets_its_answer_while_the_work_does_not_end(client_of):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: OFFER if b"listapi" in asked.body else VALUE
        client = await client_of(unit)
        watching = asyncio.create_task(InBackground(client).watch_call("get", {"param": "hastatus"}))
        async with asyncio.timeout(30):
            while not watching.done():
                await client.call("get", {"param": "boottime"})
        assert (await watching).fields == {"hastatus": "Active"}


async def test_a_watcher_learns_all_that_the_client_knows(client_of):
    async with LiteralUnit() as unit:
        unit.answers = lambda asked: OFFER if b"listapi" in asked.body else VALUE
        client = await client_of(unit)
        watcher = InBackground(client)
        assert (await observer.state_of(watcher)).value == "Active"

        assert await watcher.offer() is await client.offer()
        assert watcher.certificate is client.certificate is not None
        assert len(unit.asked) == 2, "what the unit offers was asked for once"

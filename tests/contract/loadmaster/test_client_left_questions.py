"""A question that is left with a unit: no task waits for the answer, and all else is as with any call."""

import asyncio
import gc
import tracemalloc

import pytest
from tests.support import unit_certificates
from tests.support.literal_unit import Drop, Farewell, LiteralUnit, Silence, json

from loadmaster_ha.loadmaster.connections import Connections
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.trust import Pinned
from loadmaster_ha.loadmaster.values import Version

DONE = json('{"code":200,"status":"ok","revision":7}')
REFUSED = json('{"code":401,"message":"no","status":"fail"}', "401 Unauthorized")
PATIENCE = 30
QUESTIONS = 200
MOST = 4 * 1024
"""Bytes of this package for a question that waits; OpenSSL's own are not counted."""


async def settled(waiting):
    """Wait as nobody does who has two thousand of them."""
    told = asyncio.Event()
    waiting.whenever_settled(told.set)
    async with asyncio.timeout(PATIENCE):
        await told.wait()


async def test_the_answer_is_there_when_it_is_told(client_of, observer):
    async with LiteralUnit(answers=lambda _: DONE) as unit:
        client = await client_of(unit, version=Version.V2, observer=observer)
        for _ in range(2):
            waiting = await client.begin("agentwatch", {"since": 1})
            await settled(waiting)
            await settled(waiting)  # who asks late is told too
            assert ((await waiting.answer()).fields or {})["revision"] == 7
            await client.call("agentstatus")

        assert [asked.connection for asked in unit.asked] == [1] * 4
        assert observer.requests == [("agentwatch", "Ok"), ("agentstatus", "Ok")] * 2
        assert client.certificate is not None


@pytest.mark.parametrize("lost", [Drop(), Farewell(b"")])
async def test_a_question_that_got_no_answer_is_asked_a_second_time(client_of, lost):
    answers = [lost, DONE]
    async with LiteralUnit(answers=lambda _: answers.pop(0)) as unit:
        client = await client_of(unit, version=Version.V2)
        waiting = await client.begin("agentwatch", {"since": 1})
        await settled(waiting)

        assert (await waiting.answer()).ok
        assert len(unit.asked) == 2


async def test_who_never_answers_is_given_up_in_time(client_of):
    async with LiteralUnit(answers=lambda _: Silence()) as unit:
        client = await client_of(unit, version=Version.V2)
        waiting = await client.begin("agentwatch", {"since": 1}, seconds=0.5)
        await settled(waiting)
        with pytest.raises(UnitFault, match=r"did not answer within 0\.5 s") as raised:
            await waiting.answer()

        assert raised.value.reason is FaultReason.TIMED_OUT


async def test_a_unit_that_is_not_there_is_told_as_by_any_call(client_of):
    async with LiteralUnit() as unit:
        client = await client_of(unit, version=Version.V2)
    waiting = await client.begin("agentwatch", {"since": 1})
    await settled(waiting)
    with pytest.raises(UnitFault) as raised:
        await waiting.answer()
    assert raised.value.reason is FaultReason.REFUSED


async def test_nothing_is_left_with_somebody_who_is_not_trusted(client_of):
    trust = Pinned(unit_certificates.self_signed().fingerprint)
    async with LiteralUnit(answers=lambda _: DONE) as unit:
        client = await client_of(unit, version=Version.V2, trust=trust)
        waiting = await client.begin("agentwatch", {"since": 1})
        await settled(waiting)
        with pytest.raises(UnitFault) as raised:
            await waiting.answer()

        assert raised.value.reason is FaultReason.CERTIFICATE_NOT_TRUSTED
        assert not unit.asked


async def test_refused_credentials_are_not_used_again(client_of):
    async with LiteralUnit(answers=lambda _: REFUSED) as unit:
        client = await client_of(unit, version=Version.V2)
        waiting = await client.begin("agentwatch", {"since": 1})
        await settled(waiting)
        with pytest.raises(UnitFault):
            await waiting.answer()
        with pytest.raises(UnitFault) as raised:
            await client.begin("agentwatch", {"since": 1})

        assert raised.value.reason is FaultReason.UNAUTHORIZED
        assert len(unit.asked) == 1


async def test_a_question_that_is_given_up_ends_its_connection_and_is_counted(client_of, observer):
    async with LiteralUnit(answers=lambda _: Silence()) as unit:
        client = await client_of(unit, version=Version.V2, observer=observer)
        waiting = await client.begin("agentwatch", {"since": 1})
        waiting.give_up()
        assert observer.requests == [("agentwatch", "Cancelled")]

        unit.answers = lambda _: DONE
        await client.call("agentstatus")
        assert {asked.connection for asked in unit.asked if b"agentstatus" in asked.body} == {2}


async def test_a_question_that_waits_holds_no_task_and_little_memory(client_of):
    async with LiteralUnit(answers=lambda _: Silence()) as unit, Connections() as connections:

        async def ask():
            client = await client_of(unit, version=Version.V2, connections=connections)
            return await client.begin("agentwatch", {"since": 1, "seconds": 30})

        questions = [await ask()]  # with what is made once
        ours = {task for task in asyncio.all_tasks() if "LiteralUnit" not in repr(task)}
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(QUESTIONS):
                questions.append(await ask())  # noqa: PERF401 - one after another
            gc.collect()
            held = tracemalloc.take_snapshot().filter_traces(
                [tracemalloc.Filter(inclusive=True, filename_pattern="*/loadmaster_ha/loadmaster/*")]
            )
        finally:
            tracemalloc.stop()
        more = {task for task in asyncio.all_tasks() if "LiteralUnit" not in repr(task)} - ours
        for each in questions:
            each.give_up()

    assert sum(each.size for each in held.traces) / QUESTIONS < MOST
    assert not more

"""Whether HAProxy serves, from what a request through it shows and what the supervisor says."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

import pytest

from loadmaster_ha.agent.process.haproxy_health import HAProxyHealth

LIMIT = 20.0


@pytest.fixture
def path():
    with tempfile.TemporaryDirectory(prefix="lm-") as folder:  # paths of sockets have to be short
        yield Path(folder) / "health"


@contextlib.asynccontextmanager
async def answering(path):
    """Somebody at the socket who answers as HAProxy does."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield


@contextlib.asynccontextmanager
async def watched(path, *, expected=0.0):
    told = []
    health = HAProxyHealth(path, lambda healthy, detail: told.append((healthy, detail)))
    if expected:
        health.expect(expected)
    task = asyncio.create_task(health.run())
    try:
        yield health, told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - other threads and sockets change it
            await asyncio.sleep(0.01)


async def test_one_that_is_not_there_is_told(path):
    async with watched(path) as (_, told):
        await until(lambda: told)
    assert told[0][0] is False


async def test_one_that_is_expected_may_be_absent_until_it_answers(path):
    async with watched(path, expected=LIMIT) as (health, told):
        await until(lambda: health.watch.health.detail.endswith("nothing takes connections"))
        assert told == []
        async with answering(path):
            health.haproxy_told({"running": True, "starts": 1, "outcome": ""})
            await until(lambda: told)
    assert told[0] == (True, "HAProxy answers")
    assert health.starts == 1


async def test_its_end_is_told_at_once_and_well_is_only_what_a_later_request_shows(path):
    async with watched(path) as (health, told), answering(path):
        await until(lambda: told and told[-1][0])
        health.haproxy_told({"running": False, "starts": 1, "outcome": "ended by SIGKILL"})
        assert told[-1] == (False, "HAProxy has ended by SIGKILL")
        await asyncio.sleep(0.7)  # a former worker may go on answering for a while
        assert told[-1] == (False, "HAProxy has ended by SIGKILL")
        health.haproxy_told({"running": True, "starts": 2, "outcome": ""})
        await until(lambda: told[-1][0])
    assert health.starts == 2


async def test_one_that_cannot_be_started_is_expected_no_longer(path):
    async with watched(path, expected=LIMIT) as (health, told):
        health.cannot_start("HAProxy cannot be started: no binary")
    assert told == [(False, "HAProxy cannot be started: no binary")]

"""The end of the management API: who only keeps a connection is not waited for, who was asked answers."""

import asyncio

from tests.support.management import ADDRESS, served, trusting

SAFETY_SECONDS = 60
"""Far more than it takes, far less than the grace that the server has here."""

GRACE_SECONDS = 600.0


async def test_a_connection_without_a_request_is_not_waited_for(tmp_path):
    async with served(tmp_path) as api:
        reader, writer = await asyncio.open_connection(ADDRESS, api.port, ssl=trusting())
        credentials = api.basic()["Authorization"]
        request = f"GET /access/get?param=version HTTP/1.1\r\nHost: u\r\nAuthorization: {credentials}\r\n\r\n"
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"connection: close" not in head.lower(), "it is kept"
        async with asyncio.timeout(SAFETY_SECONDS):
            await api.server.stop(GRACE_SECONDS)
            assert (await reader.read()).endswith(b"</Response>\n"), "the answer, and then the end"
        writer.close()


async def test_a_request_under_way_gets_its_answer(tmp_path):
    async with served(tmp_path) as api:
        watching = asyncio.create_task(api.v2("agentwatch", since=api.unit.revision, seconds=50))
        while not api.unit.watched:  # noqa: ASYNC110 - the stand-in tells nobody
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(api.server.stop(GRACE_SECONDS))
        await asyncio.sleep(0)
        assert not stopping.done()
        api.unit.is_in(api.unit.current.state)
        async with asyncio.timeout(SAFETY_SECONDS):
            assert (await watching).status == 200
            await stopping

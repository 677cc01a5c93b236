"""Thousands of long polls at a time: what one connection holds."""

import asyncio
import asyncio.sslproto
import gc
import tracemalloc

from tests.support.literal_unit import LiteralUnit, Silence

from loadmaster_ha.loadmaster.connections import Connections
from loadmaster_ha.loadmaster.values import Version

POLLS = 20
MOST = 80 * 1024
"""Bytes of Python's for both ends of a connection, which are in this process; asyncio's own buffer for one of
them would be 256 KiB."""


async def test_a_long_poll_holds_little_memory(client_of, monkeypatch):
    monkeypatch.setattr(asyncio.sslproto.SSLProtocol, "max_size", 16 * 1024)  # the other end's
    async with LiteralUnit(answers=lambda _: Silence()) as unit, Connections() as connections:

        async def poll():
            client = await client_of(unit, version=Version.V2, connections=connections)
            await client.watch_call("agentwatch", {"since": 1})

        first = asyncio.create_task(poll())  # with what is made once
        async with asyncio.timeout(60):
            await unit.was_asked.wait()
        gc.collect()
        tracemalloc.start()
        try:
            polls = [asyncio.create_task(poll()) for _ in range(POLLS)]
            async with asyncio.timeout(60):
                while len(unit.asked) < 1 + POLLS:
                    unit.was_asked.clear()
                    await unit.was_asked.wait()
            gc.collect()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for each in (first, *polls):
            each.cancel()
        await asyncio.gather(first, *polls, return_exceptions=True)

    assert held / POLLS < MOST, held / POLLS

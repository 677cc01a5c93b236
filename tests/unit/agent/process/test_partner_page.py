"""Asking a health port: whatever is at the other end, there is an answer in time."""

import asyncio
import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.ha.model import Page
from loadmaster_ha.agent.process import partner_page

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\nMaster is active\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\n\r\nMaster is standby\n"


@contextlib.asynccontextmanager
async def answering(*parts, pause=0.0, keep_open=False):
    seen = []

    async def serve(reader, writer):
        seen.append((writer.get_extra_info("peername")[0], await reader.readuntil(b"\r\n\r\n")))
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        if keep_open:
            await asyncio.sleep(30)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()


async def ask(port, limit=5.0):
    return await partner_page.ask("127.0.0.1", port, source="127.0.8.8", limit=limit)


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ([OK], (Page.OK, "Master is active")),
        ([OK[:9], OK[9:30], OK[30:]], (Page.OK, "Master is active")),
        ([BUSY], (Page.UNAVAILABLE, "Master is standby")),
        ([b"HTTP/1.1 200\r\n\r\n"], (Page.OK, "")),
        ([b"SSH-2.0-OpenSSH\r\n"], (Page.UNAVAILABLE, "")),
        ([b"HTTP/1.1 2000 OK\r\n\r\nMaster is active"], (Page.UNAVAILABLE, "Master is active")),
        ([b""], (Page.SILENT, "")),
        ([b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000], (Page.OK, "x" * 200)),
    ],
)
async def test_what_comes_is_told_apart(parts, found):
    async with answering(*parts) as (port, _):
        assert await ask(port) == found


async def test_it_asks_from_the_units_own_address():
    async with answering(OK) as (port, seen):
        await ask(port)
        assert seen == [("127.0.8.8", f"GET / HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())]


async def test_nobody_there_is_refused():
    async with answering() as (port, _):
        pass
    assert await ask(port) == (Page.REFUSED, "")


async def test_who_never_ends_is_silent_in_time():
    began = time.monotonic()
    async with answering(b"HTTP/1.1 200 OK\r\n", keep_open=True) as (port, _):
        assert await ask(port, limit=0.2) == (Page.SILENT, "")
    assert time.monotonic() - began < 10


async def test_who_drips_is_silent_in_time():
    async with answering(*[b"x"] * 100, pause=0.05) as (port, _):
        assert await ask(port, limit=0.3) == (Page.SILENT, "")


@given(answer=st.binary(max_size=300))
def test_no_bytes_break_the_reading(answer):
    page, says = partner_page.read(answer)
    assert page in Page
    assert len(says) <= 200

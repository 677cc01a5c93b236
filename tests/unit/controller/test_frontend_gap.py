"""How long a switch-over was felt: what is told of answers and failures, and of real sockets."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.controller.units import frontend_gap
from loadmaster_ha.controller.units.frontend_gap import Attempt, Attempts, gap_of, watching

HOST = "127.61.3.9"


def attempts(text):
    """One attempt a second that takes half of one: `+` is answered, `-` is not."""
    return [Attempt(float(at), at + 0.5, mark == "+") for at, mark in enumerate(text)]


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("", None),
        ("---", None),
        ("+++", 0.0),
        ("+-+", 2.0),
        ("+--+-+", 3.0),
        ("--+", 2.5),
        ("+--", 2.0),
    ],
)
def test_the_gap_is_the_longest_time_between_two_answers_with_a_failure_in_it(text, gap):
    assert gap_of(attempts(text)) == gap


@given(st.text("+-", min_size=1))
def test_a_gap_is_told_exactly_when_something_failed_and_something_did_not(text):
    found = gap_of(attempts(text))
    assert (found is None) == ("+" not in text)
    assert bool(found) == ("+" in text and "-" in text)


def test_the_service_that_was_worst_off_counts_and_the_check_port_only_without_any():
    seen = Attempts({443: attempts("+++"), 80: attempts("+-+")}, attempts("+--+"))
    assert seen.gap() == 2.0
    assert Attempts({443: attempts("---")}, attempts("+--+")).gap() == 3.0
    assert Attempts().gap() is None


@contextlib.asynccontextmanager
async def listening(on_connect, port=0):
    server = await asyncio.start_server(on_connect, HOST, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def stays(reader, writer):
    with contextlib.suppress(OSError):
        await reader.read()
    writer.close()


async def hangs_up(_, writer):
    writer.close()


async def test_a_service_that_takes_connections_all_the_time_has_no_gap():
    async with listening(stays) as port:
        async with watching(HOST, [port], 1) as seen:
            await asyncio.sleep(1)
        assert len(seen.services[port]) >= 2
    assert seen.gap() == 0
    assert not any(each.answered for each in seen.check)


async def test_a_balancer_with_nobody_behind_it_is_no_answer():
    async with listening(hangs_up) as port:
        async with watching(HOST, [port], port) as seen:
            await asyncio.sleep(0.5)
        assert seen.services[port]
    assert seen.gap() is None


async def test_a_service_that_is_away_for_a_while_is_measured(monkeypatch):
    monkeypatch.setattr(frontend_gap, "PERIOD", 0.02)
    async with listening(stays) as port:
        pass
    async with watching(HOST, [port], 1) as seen:
        async with listening(stays, port):
            await asyncio.sleep(0.5)
        await asyncio.sleep(0.5)
        async with listening(stays, port):
            await asyncio.sleep(0.5)
    assert 0.3 < seen.gap() < 5


async def test_without_an_address_nothing_is_asked():
    async with watching("", [443], 8444) as seen:
        await asyncio.sleep(0.05)
    assert seen.gap() is None

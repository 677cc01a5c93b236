"""The partner's process is killed or frozen: a death is seen at once, silence after its time."""

import asyncio
import ctypes
import signal
import sys
import time
from pathlib import Path

import pytest
from tests.support import link_process
from tests.support.partner_links import Unit, free_port, loopback_pair, until

from loadmaster_ha.agent.ha.model import LinkEnd
from loadmaster_ha.agent.link.connection import SILENCE_SECONDS
from loadmaster_ha.agent.link.partner import LinkSettings


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@pytest.fixture
async def partner_process(tmp_path):
    """Give a unit that runs here, and its partner's process."""
    own, partner = loopback_pair()
    port = free_port(own, partner)
    unit = Unit(tmp_path / "own", LinkSettings(own, port, partner, link_process.SECRET))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # or our operator.py beside it would be taken for Python's
        str(Path(link_process.__file__)),
        str(tmp_path / "partner"),
        partner,
        str(port),
        own,
        stdout=asyncio.subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    try:
        async with unit.running():
            await until(lambda: unit.told.linked and bool(unit.told.messages))
            yield unit, process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_killed_process_is_seen_at_once(partner_process):
    unit, process = partner_process
    unit.told.downs.clear()
    before = time.monotonic()
    process.kill()
    await until(lambda: bool(unit.told.downs))
    took = time.monotonic() - before
    assert unit.told.downs[0] is LinkEnd.CLOSED
    assert took < SILENCE_SECONDS / 2, "it was the end of the connection that told, and not the silence"


async def test_a_frozen_process_is_seen_by_its_silence_and_comes_back_when_it_thaws(partner_process):
    unit, process = partner_process
    unit.told.downs.clear()
    process.send_signal(signal.SIGSTOP)
    await until(lambda: bool(unit.told.downs))
    assert unit.told.downs[0] is LinkEnd.TIMEOUT
    process.send_signal(signal.SIGCONT)
    await until(lambda: unit.told.linked)


async def test_a_frozen_partner_that_is_sent_a_lot_takes_bounded_memory_and_blocks_nobody(partner_process):
    unit, process = partner_process
    process.send_signal(signal.SIGSTOP)
    accepted = 0
    for _ in range(100):
        accepted += unit.link.send("sync", {"text": "x" * 500_000})
        await asyncio.sleep(0)
    assert accepted < 100
    assert unit.link.counters.dropped == 100 - accepted
    process.send_signal(signal.SIGCONT)
    unit.told.messages.clear()
    await until(lambda: bool(unit.told.messages))

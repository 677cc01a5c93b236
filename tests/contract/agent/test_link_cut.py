"""The partner link over a network that drops packets: two processes, each in a namespace of its own."""

import asyncio
import sys
from pathlib import Path

import pytest
from tests.support import link_process

from lab.namespaces import Cut, Fabric, why_unavailable
from lab.processes import Process

NO_NAMESPACES = why_unavailable()
pytestmark = pytest.mark.skipif(NO_NAMESPACES is not None, reason=str(NO_NAMESPACES))

ONE, OTHER, PORT = "10.0.2.4", "10.0.2.5", 6973


@pytest.fixture
async def linked(tmp_path):
    """Give the network and the logs of two linked processes."""
    with Fabric() as fabric:

        def unit(own, partner):
            return Process(
                own,
                sys.executable,
                "-P",
                str(Path(link_process.__file__)),
                str(tmp_path / own),
                own,
                str(PORT),
                partner,
                log=tmp_path / f"{own}.log",
                enter=fabric.add_host(own, own).enter_for_good,
            )

        async with unit(ONE, OTHER) as one, unit(OTHER, ONE) as other:
            await one.until(lambda text: "up\n" in text)
            await other.until(lambda text: "up\n" in text)
            yield fabric, one, other


def since(process):
    """What the process says from now on."""
    before = len(process.log.read_text())
    return lambda text: text[before:]


@pytest.mark.parametrize(
    "cut",
    [
        [Cut(ONE, None), Cut(None, ONE)],
        [Cut(ONE, OTHER, PORT), Cut(OTHER, ONE, PORT)],
        [Cut(ONE, OTHER, PORT)],
        [Cut(OTHER, ONE, PORT)],
    ],
    ids=["vanished", "port-blocked", "one-way", "other-way"],
)
async def test_a_cut_is_noticed_on_both_sides_as_silence_and_heals(linked, cut):
    fabric, one, other = linked
    new_of_one, new_of_other = since(one), since(other)
    heal = fabric.cut(*cut)
    await one.until(lambda text: "down" in new_of_one(text))
    await other.until(lambda text: "down" in new_of_other(text))
    await asyncio.sleep(2)
    for process, new in ((one, new_of_one), (other, new_of_other)):
        told = {line for line in new(process.log.read_text()).splitlines() if line.startswith("down")}
        assert told == {"down Timeout"}, "nobody may take silence for the end of a process"
    heal()
    await one.until(lambda text: "up\n" in new_of_one(text))
    await other.until(lambda text: "up\n" in new_of_other(text))


async def test_with_one_direction_of_dialling_blocked_the_other_one_links(linked):
    """A firewall that allows 6973 from one unit to the other only: SYNs of one side are dropped."""
    fabric, one, other = linked
    new_of_one, new_of_other = since(one), since(other)
    cut = fabric.cut(Cut(ONE, OTHER), Cut(OTHER, ONE))
    await one.until(lambda text: "down" in new_of_one(text))
    await other.until(lambda text: "down" in new_of_other(text))
    fabric.cut(Cut(ONE, OTHER, PORT, dialling=True))
    cut()
    await one.until(lambda text: "up\n" in new_of_one(text))
    await other.until(lambda text: "up\n" in new_of_other(text))

"""Two partner links over real TLS on loopback: they find each other, carry messages, and notice an end."""

import asyncio

import pytest
from tests.support.partner_links import pair_of_units, until

from loadmaster_ha.agent.ha.model import LinkEnd


@pytest.fixture
async def linked(tmp_path):
    one, other = pair_of_units(tmp_path)
    async with one.running(), other.running():
        await until(lambda: one.told.linked and other.told.linked)
        yield one, other


async def test_units_with_the_same_secret_link(linked):
    one, other = linked
    assert one.told.ups[-1].fingerprint == other.identity.fingerprint
    assert other.told.ups[-1].fingerprint == one.identity.fingerprint
    assert one.told.ups[-1].agent_version == "0.1.0"


async def test_messages_arrive_in_both_directions(linked):
    one, other = linked
    assert one.link.send("report", {"state": "Active"})
    assert other.link.send("sync", {"entities": ["é" * 40_000]})
    await until(lambda: bool(one.told.messages and other.told.messages))
    assert other.told.messages == [("report", {"state": "Active"})]
    assert one.told.messages == [("sync", {"entities": ["é" * 40_000]})]

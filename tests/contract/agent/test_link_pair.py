"""Two partner links over real TLS on loopback: they find each other, carry messages, and notice an end."""

import asyncio
import random

import pytest
from tests.support.partner_links import SECRET, Unit, pair_of_units, until

from loadmaster_ha.agent.ha.model import LinkEnd
from loadmaster_ha.agent.link.connection import authenticate
from loadmaster_ha.agent.link.dialling import dial
from loadmaster_ha.agent.link.framing import LONGEST_MESSAGE, MessageTooLong


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
    status = one.link.status()
    assert status.connected
    assert status.message == f"linked with {other.settings.address} (agent 0.1.0, protocol 1)"


async def test_messages_arrive_in_both_directions(linked):
    one, other = linked
    assert one.link.send("report", {"state": "Active"})
    assert other.link.send("sync", {"entities": ["é" * 40_000]})
    await until(lambda: bool(one.told.messages and other.told.messages))
    assert other.told.messages == [("report", {"state": "Active"})]
    assert one.told.messages == [("sync", {"entities": ["é" * 40_000]})]


async def test_messages_of_kinds_that_this_release_does_not_know_are_counted_and_ignored(linked):
    one, other = linked
    one.link.send("weather", {"rain": True})
    one.link.send("report", {})
    await until(lambda: bool(other.told.messages))
    await until(lambda: other.link.counters.unknown_kinds == 1)
    assert other.told.messages == [("report", {})]


async def test_a_message_that_is_too_long_is_refused_where_it_is_made_and_the_link_stays(linked):
    one, other = linked
    with pytest.raises(MessageTooLong):
        one.link.send("sync", {"text": "x" * LONGEST_MESSAGE})
    one.link.send("report", {"still": "here"})
    await until(lambda: bool(other.told.messages))


async def test_reports_overtake_a_bulk_of_settings(linked):
    one, other = linked
    for number in range(30):
        assert one.link.send("sync", {"number": number, "text": "x" * 200_000})
    one.link.send("report", {"state": "Active"})
    await until(lambda: len(other.told.messages) == 31)
    kinds = [kind for kind, _ in other.told.messages]
    assert kinds.index("report") <= 2, "a report waited behind more than what was on its way already"
    numbers = [body["number"] for kind, body in other.told.messages if kind == "sync"]
    assert numbers == list(range(30))


async def test_a_clean_stop_is_told_at_once_and_the_link_comes_back_with_the_unit(tmp_path):
    one, other = pair_of_units(tmp_path)
    async with one.running():
        async with other.running():
            await until(lambda: one.told.linked and other.told.linked)
        await until(lambda: not one.told.linked)
        assert one.told.downs[-1] in (LinkEnd.CLOSED, LinkEnd.REFUSED)
        assert LinkEnd.CLOSED in one.told.downs
        await until(lambda: one.told.downs[-1] is LinkEnd.REFUSED)
        assert "nothing listens on its TCP" in one.link.status().message
        again = Unit(tmp_path / "other", other.settings)
        async with again.running():
            await until(lambda: one.told.linked and again.told.linked)
        assert one.told.ups[0].instance != one.told.ups[-1].instance
        assert one.told.ups[0].fingerprint == one.told.ups[-1].fingerprint


async def test_an_idle_link_stays(linked):
    one, other = linked
    before = other.link.counters.received_bytes
    await until(lambda: other.link.counters.received_bytes > before)  # an idle frame
    assert one.told.downs.count(LinkEnd.TIMEOUT) == 0
    assert one.told.linked


async def test_both_units_that_dial_at_once_keep_the_same_one_connection(tmp_path):
    for turn in range(8):
        one, other = pair_of_units(tmp_path / str(turn))
        async with one.running():
            await asyncio.sleep(random.random() * 0.02)  # noqa: S311 - any order of events
            async with other.running():
                await until(lambda: one.told.linked and other.told.linked)  # noqa: B023
                await asyncio.sleep(0.3)
                sides = {one.link._current.side, other.link._current.side}
                assert len(sides) == 2, "each is on its own end of the same connection"
                assert LinkEnd.CLOSED not in one.told.downs + other.told.downs
                one.link.send("report", {"turn": turn})
                other.link.send("report", {"turn": turn})
                await until(lambda: bool(one.told.messages and other.told.messages))  # noqa: B023


async def test_a_dial_that_fails_is_no_news_once_the_partner_has_dialled(tmp_path, monkeypatch):
    one, other = pair_of_units(tmp_path)
    dialled = asyncio.Event()

    async def blocked_one_way(own, partner, port, context):
        if own == one.settings.address:
            dialled.set()
            await asyncio.sleep(0.5)
            raise TimeoutError
        return await dial(own, partner, port, context)

    monkeypatch.setattr("loadmaster_ha.agent.link.partner.dial", blocked_one_way)
    async with one.running():
        await dialled.wait()
        async with other.running():
            await until(lambda: one.told.linked and other.told.linked)
            downs = len(one.told.downs)
            await asyncio.sleep(1.5)
            assert len(one.told.downs) == downs
            assert one.told.linked


async def test_a_port_changed_on_both_units_takes_the_link_along(linked):
    one, other = linked
    port = one.settings.port + 1 if one.settings.port < 65_000 else one.settings.port - 1
    one.change(port=port)
    await until(lambda: not one.told.linked)
    other.change(port=port)
    await until(lambda: one.told.linked and other.told.linked)


async def test_a_secret_changed_on_one_unit_ends_the_link_until_the_other_has_it_too(linked):
    one, other = linked
    one.told.downs.clear()
    other.told.downs.clear()
    one.change(secret="another-long-secret")
    await until(lambda: not one.told.linked and not other.told.linked)
    assert one.told.downs[0] is other.told.downs[0] is LinkEnd.UNAUTHORISED, "a change is no death"
    other.change(secret="another-long-secret")
    await until(lambda: one.told.linked and other.told.linked)


async def test_a_secret_changed_during_the_handshake_counts(tmp_path, monkeypatch):
    one, other = pair_of_units(tmp_path)

    async def changed_meanwhile(*arguments):
        agreed = await authenticate(*arguments)
        if one.settings.secret == SECRET:
            one.change(secret="another-long-secret")
        return agreed

    monkeypatch.setattr("loadmaster_ha.agent.link.partner.authenticate", changed_meanwhile)
    async with one.running(), other.running():
        await until(lambda: LinkEnd.UNAUTHORISED in other.told.downs)
        assert not one.told.ups


async def test_without_a_partner_nothing_listens_and_nothing_is_sent(linked):
    one, other = linked
    one.change(partner=None)
    await until(lambda: not one.told.linked)
    assert one.link.status().message == "no partner is set"
    assert one.link.send("report", {}) is False
    assert one.link.counters.dropped == 1
    await until(lambda: other.told.downs[-1:] == [LinkEnd.REFUSED])


async def test_an_address_that_is_not_there_is_said_and_tried_again(tmp_path):
    one, other = pair_of_units(tmp_path)
    right = one.settings.address
    one.change(address="203.0.113.7")
    async with one.running():
        await until(lambda: "cannot listen on 203.0.113.7" in one.link.status().message)
        one.change(address=right)
        async with other.running():
            await until(lambda: one.told.linked and other.told.linked)
        assert "cannot listen" not in one.link.status().message


async def test_news_that_its_owner_chokes_on_does_not_end_the_link(linked, caplog):
    one, other = linked
    choke = ["once"]

    def message(kind, body):
        if choke:
            raise ValueError(choke.pop())
        other.told.messages.append((kind, body))

    other.told.message = message
    one.link.send("report", {"number": 1})
    await until(lambda: not choke)
    one.link.send("report", {"number": 2})
    await until(lambda: other.told.messages == [("report", {"number": 2})])
    assert "could not be dealt with" in caplog.text
    assert other.told.linked

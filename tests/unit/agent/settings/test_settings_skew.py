"""Two releases, one apart, synchronise: what only the newer one knows passes through the older one unharmed.

The newer release is this one with what a later one may add: a kind, a field, members of messages, a type of
message, a higher version of the protocol.
"""

import logging

import pytest
from tests.support.settings_pairs import Pair

from loadmaster_ha.agent.settings import wire
from loadmaster_ha.agent.settings.model import Delete, Kind, Put
from loadmaster_ha.agent.settings.replication import Replicator
from loadmaster_ha.agent.settings.versions import Version, created

NEW_KIND = "waf-rule"
WEB = "eth0:443/tcp"


class NextRelease(Replicator):
    """Speaks as a later release would."""

    def _hello(self, session):
        hello = super()._hello(session)
        return {**hello, "protocol": [1, 2], "colour": "blue", "capabilities": {"compression": True}}

    def _addressed(self, messages):
        with_more = [{**message, "trace": "12ab"} for message in messages]
        return super()._addressed([*with_more, {"t": "greeting-of-next-year", "n": 1}] if with_more else [])


class FirstRelease(Replicator):
    """Knows nothing of the births that an entity has buried, and hands none on."""

    def received(self, message, now):
        return super().received(without_births(message), now)

    def _addressed(self, messages):
        return [without_births(message) for message in super()._addressed(messages)]


def without_births(message):
    if "entities" not in message:
        return message
    known = [
        [kind, key, {name: part for name, part in parts.items() if name != "p"}]
        for kind, key, parts in message["entities"]
    ]
    return {**message, "entities": known}


@pytest.fixture
def old_and_new(tmp_path):
    pair = Pair(tmp_path)
    pair.b.replicator = NextRelease(pair.b.store)
    yield pair
    pair.close()


def add_new_kind(side, key, fields):
    """What only the next release's `commit` can: its `Kind` has one more."""
    side.store.clock += 1
    entity = created(fields, Version(side.store.clock, side.store.node))
    side.store.write({(NEW_KIND, key): entity}, side.store.identity)


def test_old_and_new_agree_on_what_both_know(old_and_new):
    pair = old_and_new
    pair.a.store.commit([Put(Kind.VIRTUAL_SERVICE, WEB, {"Index": 1})])
    pair.link()
    pair.commit("b", Put(Kind.VIRTUAL_SERVICE, WEB, {"Idletime": 5}))
    pair.commit("a", Put(Kind.USER, "alice", {"hash": "x"}))
    pair.compare()
    assert pair.a.contents() == pair.b.contents()
    for side in (pair.a, pair.b):
        status = side.replicator.status(pair.now)
        assert (status.protocol, status.problem, status.pending) == (wire.PROTOCOL, "", 0)


def test_a_kind_that_the_old_one_does_not_know_is_kept_and_handed_on_untouched(old_and_new):
    pair = old_and_new
    add_new_kind(pair.b, "sql", {"pattern": "select", "score": 5})
    pair.link()
    pair.compare()
    assert pair.a.contents()[NEW_KIND, "sql"] == {"pattern": "select", "score": 5}
    pair.cut()
    pair.a.restart()
    pair.replace("b", "replacement.db")
    pair.b.replicator = NextRelease(pair.b.store)

    pair.link()

    assert pair.b.contents()[NEW_KIND, "sql"] == {"pattern": "select", "score": 5}


def test_a_field_that_the_old_one_does_not_know_survives_its_changes(old_and_new):
    pair = old_and_new
    pair.link()
    pair.commit("b", Put(Kind.VIRTUAL_SERVICE, WEB, {"Index": 1, "FieldOfNextYear": {"deep": [1, 2]}}))
    pair.commit("a", Put(Kind.VIRTUAL_SERVICE, WEB, {"Idletime": 5}))
    expected = {"Index": 1, "FieldOfNextYear": {"deep": [1, 2]}, "Idletime": 5}
    assert pair.b.store.snapshot.get(Kind.VIRTUAL_SERVICE, WEB) == expected
    assert pair.a.store.snapshot.get(Kind.VIRTUAL_SERVICE, WEB) == expected


def test_births_that_the_first_release_does_not_know_are_no_difference_and_no_harm(tmp_path):
    pair = Pair(tmp_path)
    alice = (Kind.USER, "alice")
    pair.link()
    pair.compare()
    pair.commit("a", Put(*alice, {"hash": "first"}))  # and no comparison follows
    pair.cut()
    pair.replace("a", "of the first release.db")
    pair.a.replicator = FirstRelease(pair.a.store)
    pair.link()
    pair.compare()
    pair.commit("b", Delete(*alice), Put(*alice, {"hash": "anew"}))
    assert pair.b.store.entity(alice).buried
    pair.a.store.write({alice: pair.a.store.entity(alice).burying(())}, pair.a.store.identity)
    pair.compare()
    pair.said.clear()
    pair.compare()
    assert set(pair.types_said()) == {"compare", "compared"}

    pair.commit("a", Delete(*alice))
    pair.compare()

    assert pair.a.contents() == pair.b.contents() == {}
    for side in (pair.a, pair.b):
        status = side.replicator.status(pair.now)
        assert (status.problem, status.pending, status.differences) == ("", 0, 0)
    assert pair.b.store.entity(alice).buried, "this release remembers for both"
    pair.close()


def test_releases_further_apart_say_so_on_both_sides_and_exchange_nothing(tmp_path, caplog):
    class FarRelease(NextRelease):
        def _hello(self, session):
            return {**super()._hello(session), "protocol": [7, 8]}

    pair = Pair(tmp_path)
    pair.b.replicator = FarRelease(pair.b.store)
    pair.b.store.commit([Put(Kind.USER, "alice", {"hash": "x"})])
    with caplog.at_level(logging.ERROR):
        pair.link()

    assert pair.a.contents() == {}
    for side in (pair.a, pair.b):
        status = side.replicator.status(pair.now)
        assert not status.connected
        assert "releases next to each other" in status.problem
    assert "speaks versions [7, 8]" in pair.a.replicator.status(pair.now).problem
    assert len(caplog.records) == 2
    pair.close()

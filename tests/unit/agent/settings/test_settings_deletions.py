"""What was deleted stays deleted, whoever went away and comes back; and what is kept for that is bounded."""

import pytest

from loadmaster_ha.agent.settings import store as settings_store
from loadmaster_ha.agent.settings.model import Delete, Kind, Put
from loadmaster_ha.agent.settings.store import Store

ALICE = (Kind.USER, "alice")
DELETED = Delete(*ALICE)


def alice(value):
    return Put(*ALICE, {"hash": value})


def same(pair):
    assert pair.a.contents() == pair.b.contents()
    return pair.a.contents()


def heard_of_and_gone(pair, *changes):
    """B heard of these changes of A, and A was replaced before they compared again."""
    pair.link()
    pair.compare()
    pair.commit("a", *changes)
    pair.cut()
    pair.replace("a", "replacement.db")
    pair.link()
    pair.compare()


@pytest.mark.parametrize("created_anew", [0, 1, 2])
@pytest.mark.parametrize("stays", ["a", "b"])
def test_a_unit_that_went_away_in_haste_brings_nothing_back_whatever_lived_there_since(
    pair, stays, created_anew
):
    heard_of_and_gone(pair, alice("first"))
    pair.commit("b", DELETED)
    for life in range(created_anew):
        pair.commit("b", alice(f"anew {life}"))
        pair.commit("b", DELETED)
    pair.compare()
    pair.compare()
    pair.cut()

    back = "a" if stays == "b" else "b"
    pair.replace(back, "a.db")
    assert pair.side(back).contents() == {ALICE: {"hash": "first"}}
    pair.link()
    pair.compare()

    assert same(pair) == {}
    assert not pair.a.store.tombstones
    assert not pair.b.store.tombstones


def test_what_a_later_life_replaced_stays_replaced_after_a_restart(pair):
    heard_of_and_gone(pair, alice("first"))
    pair.commit("b", DELETED, alice("anew"))
    pair.compare()
    pair.cut()
    pair.b.restart()
    pair.b.store.commit([DELETED])
    pair.b.restart()

    pair.replace("a", "a.db")
    pair.link()
    pair.compare()

    assert same(pair) == {}


def test_what_a_new_unit_keeps_of_its_own_is_later_no_reason_to_forget_what_the_partner_deleted(pair):
    heard_of_and_gone(pair, alice("first"))
    pair.commit("b", DELETED)
    pair.cut()
    newcomer = pair.replace("a", "newcomer.db")
    newcomer.store.commit([alice("of the newcomer")])
    pair.link()
    pair.compare()
    assert same(pair) == {ALICE: {"hash": "of the newcomer"}}
    pair.commit("a", DELETED)
    pair.compare()
    pair.cut()

    pair.replace("a", "a.db")
    pair.link()
    pair.compare()

    assert same(pair) == {}


def test_births_are_remembered_no_longer_than_until_they_are_seen(pair):
    pair.link()
    pair.compare()
    pair.commit("a", alice("first"))
    pair.commit("b", DELETED, alice("anew"))
    assert len(pair.b.store.entity(ALICE).buried) == 1, "B heard of it, and has not compared since"
    assert not pair.a.store.entity(ALICE).buried, "A knows what it did itself"
    pair.compare()
    pair.said.clear()
    pair.compare()
    assert set(pair.types_said()) == {"compare", "compared"}, "it makes no difference between the two"
    pair.commit("b", alice("changed"))
    assert not pair.b.store.entity(ALICE).buried


# Copies of one unit's disk


@pytest.mark.parametrize("deleted", ["in the meantime", "before they start"])
@pytest.mark.parametrize("deletes", ["a", "b"])
def test_a_copy_of_a_unit_that_never_had_a_partner_brings_nothing_back(pair, deletes, deleted):
    pair.a.store.commit([alice("first"), Put(Kind.PARAMETER, "ntphost", {"value": "time"})])
    copied(pair)
    for _ in range(2):
        pair.side(deletes).store.commit([DELETED])
        if deleted == "before they start":
            pair.side(deletes).restart()
        pair.side(deletes).store.commit([alice("anew")])
    pair.side(deletes).store.commit([DELETED])

    pair.link()
    pair.compare()

    assert same(pair) == {(Kind.PARAMETER, "ntphost"): {"value": "time"}}
    assert pair.a.store.node != pair.b.store.node


def test_a_copy_of_a_unit_that_was_just_joining_brings_nothing_back(pair):
    """A joining unit has heard of settings, and has seen none: the full comparison is not over."""
    pair.a.store.commit([alice("first"), *(Put(Kind.USER, f"user{n}", {"hash": n}) for n in range(5))])
    greet_and_tell(pair, alice("second"))
    assert pair.b.contents() == {ALICE: {"hash": "second"}}
    assert not pair.b.store.identity.shared, "it has not joined yet"
    pair.a, pair.b = pair.b, pair.a
    copied(pair)
    pair.b.store.commit([DELETED])
    pair.b.store.commit([alice("anew")])
    pair.b.store.commit([DELETED])

    pair.link()
    pair.compare()

    assert same(pair) == {}


def copied(pair):
    """B becomes a copy of A's disk, as it is while A runs."""
    for source in pair.a.path.parent.glob(f"{pair.a.path.name}*"):
        (pair.folder / source.name.replace(pair.a.path.name, "copy.db")).write_bytes(source.read_bytes())
    pair.replace("b", "copy.db")
    assert pair.a.store.node == pair.b.store.node


def greet_and_tell(pair, change):
    """The two meet, A tells a change, and the link is cut before they have compared."""
    pair.linked = True
    for name in ("a", "b"):
        pair.say(name, pair.side(name).replicator.connected(pair.now))
    told = {"hello", "welcome", "ready"}
    while any(queue and queue[0]["t"] in told for queue in pair._queues.values()):
        name = next(name for name, queue in pair._queues.items() if queue and queue[0]["t"] in told)
        pair.say(name, pair.side(name).replicator.received(pair._queues[name].pop(0), pair.now))
    pair._queues = {"a": [], "b": []}
    pair.a.store.commit([change])
    for message in pair.a.replicator.changed(pair.now):
        pair.b.replicator.received(message, pair.now)
    pair.cut()


# Bounds


def test_deletions_kept_are_bounded_also_those_that_only_a_unit_that_is_gone_could_take(pair, monkeypatch):
    monkeypatch.setattr(settings_store, "TOMBSTONES_KEPT", 5)
    users = [(Kind.USER, f"user{number}") for number in range(12)]
    heard_of_and_gone(pair, *(Put(*user, {"hash": "x"}) for user in users))
    for user in users:
        pair.commit("b", Delete(*user))
    pair.compare()
    pair.compare()

    assert list(pair.b.store.tombstones) == users[-5:], "the latest"
    assert len(pair.a.store.tombstones) <= 5
    pair.b.restart()
    assert isinstance(pair.b.store, Store)
    assert set(pair.b.store.tombstones) == set(users[-5:])

"""Two stores synchronise: at once, completely, without anything going back or getting lost."""

import logging

import pytest

from loadmaster_ha.agent.settings.model import Delete, Kind, Put
from loadmaster_ha.agent.settings.replication import PATIENCE, WINDOW
from loadmaster_ha.agent.settings.store import Store

WEB = "eth0:443/tcp"


def service(fields, key=WEB):
    return Put(Kind.VIRTUAL_SERVICE, key, fields)


def without(key=WEB):
    return Delete(Kind.VIRTUAL_SERVICE, key)


def web(side):
    return side.store.snapshot.get(Kind.VIRTUAL_SERVICE, WEB)


def same(pair):
    assert pair.a.contents() == pair.b.contents()
    return pair.a.contents()


# At once


def test_a_change_is_there_at_once_and_acknowledged(pair):
    pair.link()
    pair.said.clear()

    pair.commit("a", service({"Index": 1, "Idletime": 660}))

    assert web(pair.b) == {"Index": 1, "Idletime": 660}
    assert pair.types_said() == ["change", "ack"]
    assert pair.a.replicator.status(pair.now).pending == 0


def test_it_goes_both_ways(pair):
    pair.link()
    pair.commit("a", service({"Index": 1, "Idletime": 660}))
    pair.commit("b", service({"Idletime": 30}))
    pair.commit("a", without())
    assert same(pair) == {}
    pair.commit("b", service({"Index": 2}))
    assert same(pair) == {(Kind.VIRTUAL_SERVICE, WEB): {"Index": 2}}


def test_the_partners_watchers_hear_of_it(pair):
    pair.link()
    told = []
    pair.b.store.subscribe(told.append)
    pair.commit("a", service({"Index": 1}), Put(Kind.USER, "alice", {"hash": "x"}))
    assert told == [frozenset({Kind.VIRTUAL_SERVICE, Kind.USER})]


def test_an_acknowledged_change_is_on_the_partners_disk(pair):
    pair.link()
    pair.commit("a", service({"Index": 1}))
    assert pair.types_said()[-1] == "ack"
    pair.cut()
    pair.b.restart()
    assert web(pair.b) == {"Index": 1}


def test_many_changes_go_in_messages_of_a_limited_size_and_few_at_a_time(pair):
    pair.link()
    pair.said.clear()
    big = "x" * 60_000
    changes = [Put(Kind.CERTIFICATE, f"name{number}", {"pem": big}) for number in range(40)]
    pair.a.store.commit(changes)
    first = pair.a.replicator.changed(pair.now)

    assert len(first) == WINDOW
    pair.say("a", first)
    pair.settle()
    assert len(pair.b.store.snapshot.entities(Kind.CERTIFICATE)) == 40
    assert max(len(str(message)) for _, message in pair.said) <= 256 * 1024


def test_a_change_that_got_no_answer_is_said_again(pair):
    pair.link()
    pair.a.store.commit([service({"Index": 1})])
    lost = pair.a.replicator.changed(pair.now)
    assert [message["t"] for message in lost] == ["change"]

    pair.now += PATIENCE / 2
    assert pair.a.replicator.tick(pair.now) == []
    pair.now += PATIENCE / 2
    pair.say("a", pair.a.replicator.tick(pair.now))
    pair.settle()

    assert web(pair.b) == {"Index": 1}
    status = pair.a.replicator.status(pair.now)
    assert (status.pending, status.operations["Sent", "Unanswered"]) == (0, 1)


# Comparing


def test_equal_stores_compare_in_a_few_hundred_bytes(pair):
    pair.a.store.commit([service({"Index": port}, f"eth0:{port}/tcp") for port in range(1, 301)])
    pair.a.store.commit(
        [Put(kind, "one", {"value": 1}) for kind in (Kind.USER, Kind.PARAMETER, Kind.GEO_FQDN)]
    )
    pair.link()
    pair.compare()
    pair.said.clear()

    pair.compare()

    assert set(pair.types_said()) == {"compare", "compared"}
    assert pair.bytes_said() < 1200, "both directions together"


def test_what_the_messages_lost_the_comparison_finds(pair):
    pair.link()
    pair.commit("a", service({"Index": 1, "Idletime": 1}), service({"Index": 2}, "eth0:80/tcp"))
    pair.a.store.commit([service({"Idletime": 5}), without("eth0:80/tcp")])  # and nobody sends it
    pair.b.store.commit([service({"NickName": "web"})])

    pair.compare()

    assert same(pair) == {(Kind.VIRTUAL_SERVICE, WEB): {"Index": 1, "Idletime": 5, "NickName": "web"}}


def test_one_difference_among_thousands_moves_little(pair):
    pair.a.store.commit(
        [service({"Index": port, "NickName": "x" * 400}, f"eth0:{port}/tcp") for port in range(1, 2001)]
    )
    pair.link()
    assert same(pair)
    pair.b.store.commit([service({"NickName": "other"}, "eth0:7/tcp")])
    pair.said.clear()

    pair.compare()

    assert same(pair)
    assert pair.bytes_said() < 30_000


def test_after_days_apart_everything_comes_together_and_nothing_is_destroyed(pair):
    pair.link()
    pair.commit("a", service({"Index": 1, "Idletime": 660}), Put(Kind.USER, "old", {"hash": "x"}))
    pair.cut()
    for number in range(200):
        pair.a.store.commit([Put(Kind.GEO_FQDN, f"a{number}.example.", {"FailTime": number})])
        pair.b.store.commit([Put(Kind.GEO_FQDN, f"b{number}.example.", {"FailTime": number})])
    pair.a.store.commit([Delete(Kind.USER, "old"), service({"Idletime": 10})])
    pair.b.store.commit([service({"NickName": "web"})])
    pair.a.restart()
    pair.now += 5 * 86400

    pair.link()

    assert len(same(pair)) == 401
    assert web(pair.a) == {"Index": 1, "Idletime": 10, "NickName": "web"}


# Deleting


def test_what_was_deleted_during_a_partition_does_not_come_back(pair):
    pair.link()
    pair.commit("a", service({"Index": 1}))
    pair.cut()
    pair.b.store.commit([without()])
    pair.b.restart()
    pair.link()
    assert same(pair) == {}
    pair.compare()
    assert same(pair) == {}


def test_a_deletion_wins_over_a_change_made_at_the_same_time_and_says_so(pair, caplog):
    pair.link()
    pair.commit("a", service({"Index": 1, "Idletime": 1}))
    pair.cut()
    pair.a.store.commit([without()])
    for value in range(5):
        pair.b.store.commit([service({"Idletime": value})])
    with caplog.at_level(logging.WARNING):
        pair.link()

    assert same(pair) == {}
    assert (
        "virtual-service eth0:443/tcp, field Idletime, changed on this unit; the partner deleted it"
        in caplog.text
    )


def test_created_anew_during_a_partition_it_has_nothing_of_the_former_life(pair):
    pair.link()
    pair.commit("a", service({"Index": 1, "StandbyAddr": "10.9.9.9"}))
    pair.cut()
    pair.b.store.commit([service({"StandbyAddr": "10.9.9.1", "ErrorUrl": "/sorry"})])
    pair.a.store.commit([without()])
    pair.a.store.commit([service({"Index": 2})])
    pair.link()
    assert same(pair) == {(Kind.VIRTUAL_SERVICE, WEB): {"Index": 2}}


def test_tombstones_are_kept_until_the_partner_has_them_and_no_longer(pair):
    pair.link()
    pair.commit("a", service({"Index": 1}))
    pair.compare()
    pair.cut()
    pair.a.store.commit([without()])
    pair.a.restart()
    assert list(pair.a.store.tombstones) == [(Kind.VIRTUAL_SERVICE, WEB)]

    pair.link()
    pair.compare()

    assert not pair.a.store.tombstones
    assert not pair.b.store.tombstones


def test_a_former_partner_that_comes_back_after_its_replacement_brings_nothing_back(pair):
    pair.link()
    pair.commit("a", service({"Index": 1}), Put(Kind.USER, "alice", {"hash": "x"}))
    pair.compare()
    pair.cut()
    pair.replace("b", "replacement.db")
    pair.link()
    pair.commit("a", without())
    pair.compare()
    assert not pair.a.store.tombstones, "the replacement has it: the tombstone is gone"
    pair.cut()

    pair.replace("b", "b.db")
    assert web(pair.b) == {"Index": 1}
    pair.link()

    assert same(pair) == {(Kind.USER, "alice"): {"hash": "x"}}


# Concurrent changes


def test_concurrent_changes_of_different_fields_both_survive(pair):
    pair.link()
    pair.commit("a", service({"Index": 1, "Idletime": 1}))
    pair.cut()
    pair.a.store.commit([service({"Idletime": 2})])
    pair.b.store.commit([service({"NickName": "web"})])
    pair.link()
    assert same(pair) == {(Kind.VIRTUAL_SERVICE, WEB): {"Index": 1, "Idletime": 2, "NickName": "web"}}


@pytest.mark.parametrize("more_on", ["a", "b"])
def test_of_concurrent_changes_of_a_field_one_wins_on_both_and_the_other_is_logged_without_its_value(
    pair, caplog, more_on
):
    pair.link()
    pair.commit("a", Put(Kind.USER, "alice", {"hash": "first"}))
    pair.cut()
    pair.side(more_on).store.commit([Put(Kind.PARAMETER, "other", {"value": 1})])
    pair.a.store.commit([Put(Kind.USER, "alice", {"hash": "secret of a"})])
    pair.b.store.commit([Put(Kind.USER, "alice", {"hash": "secret of b"})])
    with caplog.at_level(logging.WARNING):
        pair.link()

    assert same(pair)[Kind.USER, "alice"] == {"hash": f"secret of {more_on}"}
    told = [record for record in caplog.records if "concurrent" in record.getMessage()]
    assert {(record.kind, record.key, record.what, record.reason) for record in told} == {
        ("user", "alice", "field hash", "LostToConcurrent")
    }
    assert "secret of" not in caplog.text
    assert sum(pair.side(name).replicator.status(pair.now).lost for name in "ab") == len(told)


def test_a_later_change_is_no_concurrent_one(pair, caplog):
    pair.link()
    with caplog.at_level(logging.WARNING):
        for value in range(10):
            pair.commit("ab"[value % 2], service({"Index": 1, "Idletime": value}))
    assert web(pair.a)["Idletime"] == 9
    assert "concurrent" not in caplog.text


# Newcomers


def fill(side, count=50):
    side.store.commit([service({"Index": port}, f"eth0:{port}/tcp") for port in range(1, count + 1)])


@pytest.mark.parametrize("new", ["a", "b"])
def test_a_new_empty_unit_gets_everything_and_takes_nothing(pair, new):
    full = "b" if new == "a" else "a"
    fill(pair.side(full))
    before = pair.side(full).contents()
    pair.link()
    pair.compare()
    assert same(pair) == before


@pytest.mark.parametrize("met_before", [False, True])
def test_a_new_unit_with_settings_of_its_own_adds_them_and_overwrites_none(pair, met_before):
    fill(pair.a, 5)
    if met_before:
        pair.link()
        pair.compare()
        pair.cut()
        pair.replace("b", "replacement.db")
    for value in range(100):  # with many more changes than the one that has been running
        pair.b.store.commit(
            [service({"Index": 9, "NickName": f"new {value}"}, "eth0:1/tcp")]
            if met_before or not value
            else []
        )
    pair.b.store.commit([service({"Index": 7}, "eth0:99/tcp")])
    before = pair.a.contents()

    pair.link()
    pair.compare()

    assert same(pair) == {**before, (Kind.VIRTUAL_SERVICE, "eth0:99/tcp"): {"Index": 7}}


def test_a_newcomer_says_nothing_of_its_own_before_it_has_taken_everything_in(pair):
    fill(pair.a, 5)
    pair.b.store.commit([service({"Index": 7}, "eth0:99/tcp")])
    pair.link()
    from_newcomer = [message for name, message in pair.said if name == "b"]
    first_own = next(n for n, message in enumerate(from_newcomer) if "eth0:99/tcp" in str(message))
    assert "want" in [message["t"] for message in from_newcomer[:first_own]]
    assert sum(message["t"] == "hello" for message in from_newcomer[:first_own]) == 2, "with its new identity"


# Old images and copies


def image_of(pair, name, file):
    side = pair.side(name)
    side.store.close()
    image_of_a_running(pair, name, file)
    setattr(pair, name, type(side)(side.path))


def image_of_a_running(pair, name, file):
    path = pair.side(name).path
    for source in path.parent.glob(f"{path.name}*"):
        (pair.folder / source.name.replace(path.name, file)).write_bytes(source.read_bytes())


def test_a_unit_put_back_to_an_old_image_loses_nothing_and_brings_nothing_back(pair):
    pair.link()
    pair.commit("a", service({"Index": 1}), service({"Index": 2}, "eth0:80/tcp"))
    pair.compare()
    pair.cut()
    image_of(pair, "a", "image.db")
    pair.link()
    pair.commit("a", without(), service({"Index": 3}, "eth0:81/tcp"))
    pair.compare()
    pair.cut()
    old = pair.a.store.node
    pair.replace("a", "image.db")
    assert web(pair.a) == {"Index": 1}
    pair.a.store.commit([service({"Index": 4}, "eth0:82/tcp")])  # numbered as what the partner knows as :81

    pair.link()
    pair.compare()

    ports = {key.split(":")[1] for _, key in same(pair)}
    assert ports == {"80/tcp", "81/tcp", "82/tcp"}
    assert pair.a.store.node != old


def test_a_unit_put_back_is_found_by_any_change_that_its_partner_has_of_later(pair):
    pair.link()
    pair.commit("a", service({"Index": 1}))
    pair.compare()
    image_of_a_running(pair, "a", "image.db")
    pair.commit("a", service({"Index": 3}, "eth0:81/tcp"))  # no comparison, and no start, since the image
    pair.cut()
    old = pair.a.store.node
    pair.replace("a", "image.db")
    pair.a.store.commit([service({"Index": 4}, "eth0:82/tcp"), service({"Index": 5}, "eth0:83/tcp")])

    pair.link()
    pair.compare()

    ports = {key.split(":")[1] for _, key in same(pair)}
    assert ports == {"443/tcp", "81/tcp", "82/tcp", "83/tcp"}
    assert pair.a.store.node != old


def test_two_copies_of_one_image_become_two_units(pair):
    pair.a.store.commit([service({"Index": 1})])
    image_of(pair, "a", "copy.db")
    pair.replace("b", "copy.db")
    assert pair.a.store.node == pair.b.store.node
    pair.a.store.commit([service({"Idletime": 1}), service({"Index": 2}, "eth0:80/tcp")])
    pair.b.store.commit([service({"NickName": "b"}), service({"Index": 3}, "eth0:81/tcp")])

    pair.link()
    pair.compare()

    assert pair.a.store.node != pair.b.store.node
    assert same(pair)[Kind.VIRTUAL_SERVICE, WEB] == {"Index": 1, "Idletime": 1, "NickName": "b"}
    assert len(same(pair)) == 3


# Status, and what does not belong


def test_the_status_tells_lag_pending_and_last_success(pair):
    pair.link()
    pair.commit("a", service({"Index": 1}))
    pair.compare()
    in_sync = pair.a.replicator.status(pair.now)
    assert (in_sync.connected, in_sync.lag, in_sync.pending, in_sync.last_success) == (True, 0, 0, pair.now)
    pair.cut()
    pair.a.store.commit([service({"Idletime": 1})])
    pair.a.replicator.changed(pair.now)
    pair.now += 42
    behind = pair.a.replicator.status(pair.now)
    assert (behind.connected, behind.lag, behind.pending) == (False, 42, 1)
    assert behind.operations["Sent", "Acknowledged"] == 1


@pytest.mark.parametrize(
    "message",
    [
        {"t": "change", "n": 1, "entities": "all"},
        {"t": "change", "n": 1, "entities": [["user", "alice", {"b": [1], "f": {}}]]},
        {"t": "change", "n": 1, "entities": [["user", "alice", {"b": [2**60, "x"], "f": {}}]]},
        {"t": "change", "n": 1, "entities": [["user", "alice", {"b": [1, "x"], "f": [], "c": {}}]]},
        {
            "t": "change",
            "n": 1,
            "entities": [["user", "alice", {"b": [1, "x"], "f": {}, "c": {"y": [1, "x"]}}]],
        },
        {"t": "compare", "n": 1, "kinds": [], "seen": {}},
        {"t": "compare", "n": 1, "kinds": {}, "seen": {"x": "1"}},
        {"t": "list", "n": 1, "kinds": {"user": ["x"]}},
        {"t": "list", "n": 1, "kinds": {"user": [None]}},
        {"t": "want", "n": 1, "keys": [["user"]]},
        {"t": "want", "n": None, "keys": []},
        {"t": "hello"},
        {"t": "hello", "protocol": [1, 1], "mark": "x", "node": 5},
        {"t": "welcome", "lives": 1, "counter": 1, "retired": False},
    ],
)
def test_a_message_that_cannot_be_read_is_refused_counted_and_changes_nothing(pair, message):
    pair.link()
    pair.commit("a", service({"Index": 1}))
    before = pair.b.contents()

    mark = pair.b.replicator._session.mark
    assert pair.b.replicator.received({**message, "to": mark}, pair.now) == []

    assert pair.b.contents() == before
    status = pair.b.replicator.status(pair.now)
    assert status.operations["Received", "Malformed"] == 1
    assert "cannot be read" in status.problem
    pair.compare()
    assert pair.b.replicator.status(pair.now).problem == ""


def test_messages_of_a_former_connection_are_passed_over(pair):
    pair.link()
    pair.a.store.commit([service({"Index": 1})])
    late = pair.a.replicator.changed(pair.now)
    pair.cut()
    pair.a.store.commit([without()])
    pair.link()

    for message in late:
        assert pair.b.replicator.received(message, pair.now) == []
    assert web(pair.b) is None


def test_a_full_disk_of_the_partner_is_no_acknowledgement_and_heals(pair):
    pair.link()
    connection = pair.b.store._backend._connection
    connection.execute("PRAGMA max_page_count = 1")
    pair.commit("a", Put(Kind.CERTIFICATE, "www", {"pem": "x" * 50_000}))
    assert pair.a.replicator.status(pair.now).pending == 1
    assert "full" in pair.b.replicator.status(pair.now).problem
    assert pair.b.replicator.status(pair.now).operations["Received", "Failed"] == 1

    connection.execute("PRAGMA max_page_count = 100000")
    pair.now += PATIENCE
    pair.say("a", pair.a.replicator.tick(pair.now))
    pair.settle()

    assert same(pair)
    assert pair.a.replicator.status(pair.now).pending == 0


def test_a_store_that_was_opened_again_knows_what_it_still_has_to_tell(pair, tmp_path):
    pair.link()
    pair.commit("a", service({"Index": 1}))
    pair.compare()
    pair.cut()
    pair.a.store.commit([service({"Idletime": 1}), without("eth0:1/tcp")])
    pair.a.restart()
    assert isinstance(pair.a.store, Store)
    assert pair.a.replicator.status(pair.now).pending == 1
    pair.link()
    pair.compare()
    assert pair.a.replicator.status(pair.now).pending == 0

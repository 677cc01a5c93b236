"""Commits, snapshots and watchers of one store."""

import pytest

from loadmaster_ha.agent.settings.errors import SettingRefused
from loadmaster_ha.agent.settings.model import Delete, Kind, Put
from loadmaster_ha.agent.settings.store import ENTITY_LIMIT, Store

WEB = "eth0:443/tcp"


def put(fields, key=WEB):
    return Put(Kind.VIRTUAL_SERVICE, key, fields)


def test_what_was_committed_is_there_after_reopening(store, path):
    store.commit([put({"Index": 1, "CertFile": ["www"], "Enable": True, "Ratio": 1.5})])
    store.close()

    again = Store.open(path)

    assert again.snapshot.get(Kind.VIRTUAL_SERVICE, WEB) == {
        "Index": 1,
        "CertFile": ["www"],
        "Enable": True,
        "Ratio": 1.5,
    }
    assert again.node == store.node
    again.close()


def test_a_put_changes_only_its_fields_and_none_takes_one_away(store):
    store.commit([put({"Index": 1, "Idletime": 660, "NickName": "web"})])
    store.commit([put({"Idletime": 30, "NickName": None, "Never": None})])

    assert store.snapshot.get(Kind.VIRTUAL_SERVICE, WEB) == {"Index": 1, "Idletime": 30}


def test_created_anew_nothing_of_the_former_life_is_there(store):
    store.commit([put({"Index": 1, "Idletime": 660})])
    store.commit([Delete(Kind.VIRTUAL_SERVICE, WEB), put({"Index": 2})])

    assert store.snapshot.get(Kind.VIRTUAL_SERVICE, WEB) == {"Index": 2}


def test_changes_of_one_commit_are_made_in_their_order(store):
    store.commit([put({"Index": 1}), put({"Index": 2}), Delete(Kind.VIRTUAL_SERVICE, WEB), put({"Index": 3})])

    assert store.snapshot.get(Kind.VIRTUAL_SERVICE, WEB) == {"Index": 3}


def test_a_snapshot_never_changes(store):
    store.commit([put({"Index": 1})])
    before = store.snapshot
    entities = before.entities(Kind.VIRTUAL_SERVICE)

    store.commit([put({"Index": 9}), put({"Index": 2}, "eth0:80/tcp")])

    assert dict(entities) == {WEB: {"Index": 1}}
    assert before.get(Kind.VIRTUAL_SERVICE, WEB) == {"Index": 1}
    with pytest.raises(TypeError):
        entities[WEB]["Index"] = 5


def test_a_snapshot_shares_what_did_not_change(store):
    store.commit([put({"Index": 1}), Put(Kind.PARAMETER, "ntphost", {"value": "time"})])
    before = store.snapshot

    store.commit([put({"Index": 2}, "eth0:80/tcp")])

    assert store.snapshot.kinds[Kind.PARAMETER] is before.kinds[Kind.PARAMETER]
    assert store.snapshot.entity((Kind.VIRTUAL_SERVICE, WEB)) is before.entity((Kind.VIRTUAL_SERVICE, WEB))


def test_what_changes_nothing_is_no_change(store):
    store.commit([put({"Index": 1})])
    before, told = store.snapshot, []
    store.subscribe(told.append)

    store.commit([put({"Index": 1}), Delete(Kind.ROUTE, "10.0.0.0/8"), put({})])

    assert store.snapshot is before
    assert told == []


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (0, False), ("1", 1), ([], {}), ("", None)])
def test_values_of_other_types_are_other_values(store, one, other):
    store.commit([put({"Index": 1, "Value": one})])
    store.commit([put({"Value": other})])

    value = store.snapshot.get(Kind.VIRTUAL_SERVICE, WEB).get("Value")
    assert (type(value), value) == (type(other), other)


def test_watchers_are_told_the_kinds_until_they_end_it(store):
    told = []
    end = store.subscribe(told.append)

    store.commit([put({"Index": 1}), Put(Kind.USER, "alice", {"hash": "x"})])
    end()
    store.commit([put({"Index": 2})])

    assert told == [frozenset({Kind.VIRTUAL_SERVICE, Kind.USER})]


def test_a_seed_adds_what_is_not_there_and_changes_nothing_else(store):
    store.commit([Put(Kind.USER, "bal", {"hash": "of a person"}), Put(Kind.PARAMETER, "gone", {"value": 1})])
    store.commit([Put(Kind.USER, "bal", {"hash": "of the file", "permissions": ["root"]})], seed=True)

    assert store.snapshot.get(Kind.USER, "bal") == {"hash": "of a person", "permissions": ["root"]}


@pytest.mark.parametrize("key", ["", "x" * 513, "two\nlines", "zero\0"])
def test_a_key_that_cannot_be_told_is_refused(store, key):
    with pytest.raises(SettingRefused, match="key"):
        store.commit([Put(Kind.PARAMETER, "well", {"value": 1}), Put(Kind.PARAMETER, key, {"value": 1})])
    assert store.snapshot.get(Kind.PARAMETER, "well") is None


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes"])
def test_a_value_that_is_not_json_is_refused_with_its_place(store, value):
    with pytest.raises(SettingRefused, match="parameter ntphost"):
        store.commit([Put(Kind.PARAMETER, "ntphost", {"value": value})])
    assert store.snapshot.get(Kind.PARAMETER, "ntphost") is None


def test_a_list_that_its_giver_changes_afterwards_stays_as_it_was_committed(store):
    names = ["www"]
    store.commit([put({"CertFile": names})])
    names.append("other")
    assert store.snapshot.get(Kind.VIRTUAL_SERVICE, WEB) == {"CertFile": ["www"]}


def test_a_watcher_that_fails_does_not_make_the_commit_fail(store, caplog):
    told = []
    store.subscribe(lambda _: 1 / 0)
    store.subscribe(told.append)
    store.commit([put({"Index": 1})])
    assert told
    assert "ZeroDivisionError" in caplog.text


def test_an_entity_that_does_not_fit_a_message_is_refused_with_its_name(store):
    with pytest.raises(SettingRefused, match="certificate www is too long"):
        store.commit([Put(Kind.CERTIFICATE, "www", {"pem": "x" * (ENTITY_LIMIT + 1)})])
    assert not store.snapshot.entities(Kind.CERTIFICATE)


def test_a_unit_that_never_had_a_partner_keeps_no_tombstones(store, path):
    for number in range(50):
        store.commit([Put(Kind.USER, f"user{number}", {"hash": "x"})])
        store.commit([Delete(Kind.USER, f"user{number}")])

    assert not store.tombstones
    store.close()
    again = Store.open(path)
    assert not again.tombstones
    assert not again.snapshot.entities(Kind.USER)
    again.close()


def test_a_thousand_services_of_forty_fields_are_no_burden(store, path):
    fields = {f"Field{number}": f"value {number}" for number in range(40)}
    store.commit([put({**fields, "Index": port}, f"eth0:{port}/tcp") for port in range(1, 1001)])
    store.close()

    again = Store.open(path)

    assert len(again.snapshot.entities(Kind.VIRTUAL_SERVICE)) == 1000
    assert path.stat().st_size < 4 * 1024 * 1024
    again.close()

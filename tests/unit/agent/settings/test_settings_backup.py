"""A backup holds what it says, is checked whole, and puts back exactly the sections asked for."""

import json

import pytest

from loadmaster_ha.agent.settings import backup
from loadmaster_ha.agent.settings.backup import KINDS, LEFT_OUT, BackupRefused, Section
from loadmaster_ha.agent.settings.model import Delete, Kind, Put

OWN = {"eth0": "10.0.2.4"}
EVERYTHING = Section.BASE | Section.SERVICES | Section.GEO
WEB = "eth0:443/tcp"


@pytest.fixture
def full(store):
    """A store with one entity of each kind."""
    store.commit([Put(kind, f"{kind}-1", {"value": f"of {kind}", "number": 1}) for kind in Kind])
    return store


def made(store, own=OWN):
    return backup.make(store.snapshot, own_addresses=own, made="2026-01-02T03:04:05Z")


def restore(store, content, sections=EVERYTHING, own=OWN):
    store.commit(backup.changes(backup.read(content), sections, store.snapshot, own))


def keys(store):
    return {kind: set(store.snapshot.entities(kind)) for kind in Kind if store.snapshot.entities(kind)}


def test_every_kind_is_in_one_section_or_left_out_for_a_reason():
    listed = [kind for kinds in KINDS.values() for kind in kinds]
    assert len(listed) == len(set(listed))
    assert set(listed) | LEFT_OUT == set(Kind)
    assert not set(listed) & LEFT_OUT


def test_what_was_backed_up_comes_back_and_what_came_since_goes(full):
    content = made(full)
    before = {kind: dict(full.snapshot.entities(kind)) for kind in Kind}
    for kinds in KINDS.values():
        for kind in kinds:
            full.commit(
                [Put(kind, f"{kind}-1", {"value": "other", "more": 1}), Put(kind, "late", {"value": 1})]
            )
    full.commit([Delete(Kind.USER, "user-1")])

    restore(full, content)

    assert {kind: dict(full.snapshot.entities(kind)) for kind in Kind} == before


def test_no_private_key_no_partner_secret_and_no_role_is_in_it(full):
    text = made(full).decode()
    for kind in LEFT_OUT:
        assert f"of {kind}" not in text
    assert full.node not in text


def test_what_is_left_out_is_not_touched_by_a_restore(full):
    content = made(full)
    full.commit([Put(kind, "late", {"value": 1}) for kind in LEFT_OUT])
    restore(full, content)
    assert all("late" in full.snapshot.entities(kind) for kind in LEFT_OUT)


@pytest.mark.parametrize("section", Section)
def test_a_section_is_restored_alone(full, section):
    content = made(full)
    full.commit([Delete(kind, f"{kind}-1") for kinds in KINDS.values() for kind in kinds])
    restore(full, content, section)
    assert set(keys(full)) - LEFT_OUT == set(KINDS[section])


def test_local_settings_go_back_to_their_own_unit_only(full, pair):
    content = made(full)
    restore(pair.a.store, content, own={"eth0": "10.0.2.5"})
    assert Kind.ROUTE not in keys(pair.a.store)
    assert Kind.USER in keys(pair.a.store)
    restore(pair.b.store, content, own=OWN)
    assert Kind.ROUTE in keys(pair.b.store)


def test_a_restore_is_synchronised_like_any_change(pair):
    pair.link()
    pair.commit("a", Put(Kind.VIRTUAL_SERVICE, WEB, {"Index": 1}))
    content = made(pair.a.store)
    pair.commit(
        "b", Delete(Kind.VIRTUAL_SERVICE, WEB), Put(Kind.VIRTUAL_SERVICE, "eth0:80/tcp", {"Index": 2})
    )
    pair.commit("a", *backup.changes(backup.read(content), EVERYTHING, pair.a.store.snapshot, OWN))
    assert set(pair.b.store.snapshot.entities(Kind.VIRTUAL_SERVICE)) == {WEB}


def test_restoring_what_is_there_already_changes_nothing(full):
    before = full.snapshot
    restore(full, made(full))
    assert full.snapshot is before


def altered(content, change):
    """The backup with other contents and a checksum that fits them."""
    parts = json.loads(content.partition(b"\n")[2])
    change(parts)
    body = json.dumps(parts).encode()
    return f"{backup.FORMAT} 1 {backup.hashlib.sha256(body).hexdigest()}\n".encode() + body


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda _: b"", "no backup"),
        (lambda content: b"PK\x03\x04" + content, "no backup"),
        (lambda content: content[:-1], "checksum"),
        (lambda content: content.replace(b"of user", b"of usxr"), "checksum"),
        (lambda content: content.replace(b"backup 1 ", b"backup 2 ", 1), "later release"),
        (lambda content: altered(content, lambda parts: parts.pop("settings")), "cannot be read"),
        (lambda content: altered(content, lambda parts: parts["settings"].update(secret={})), "'secret'"),
        (lambda content: altered(content, lambda parts: parts["settings"].update(user=[])), "user"),
        (lambda content: altered(content, lambda parts: parts["settings"].update(user={"": {}})), "key"),
        (lambda content: altered(content, lambda parts: parts["settings"].update(user={"x": 1})), "user x"),
        (
            lambda content: altered(content, lambda parts: parts["settings"].update(user={"x": {"y": None}})),
            "user x",
        ),
    ],
)
def test_a_file_that_is_not_whole_is_refused_in_words(full, spoil, words):
    with pytest.raises(BackupRefused, match=words):
        backup.read(spoil(made(full)))

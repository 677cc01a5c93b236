"""The registry: which events are worth a visit, and who was first."""

import copy

from tests.support.pairs import short_pair

from loadmaster_ha.controller.registry import PairKey, Pairs


def body(name, created="2026-01-01T00:00:00Z", uid=None, **metadata):
    pair = short_pair(name)
    pair["metadata"] |= {
        "namespace": "edge",
        "uid": uid or f"uid-{name}",
        "creationTimestamp": created,
        "generation": 1,
        "resourceVersion": "1",
        **metadata,
    }
    return pair


def test_the_first_sight_and_each_change_of_the_wish_is_worth_a_visit():
    pairs = Pairs()
    pair = body("web")
    assert pairs.update(pair)
    assert not pairs.update(copy.deepcopy(pair)), "a repeated list tells nothing new"
    for change in (
        {"generation": 2},
        {"annotations": {"loadmaster.dev/suspend": "true"}},
        {"deletionTimestamp": "2026-02-02T00:00:00Z"},
        {"uid": "another"},
    ):
        pair["metadata"] |= change
        assert pairs.update(pair), change


def test_our_own_status_and_finalizer_cause_no_visit():
    pairs = Pairs()
    pair = body("web")
    pairs.update(pair)
    pair["status"] = {"observedGeneration": 1}
    pair["metadata"] |= {
        "resourceVersion": "2",
        "finalizers": ["loadmaster.dev/azure-cleanup"],
        "managedFields": [],
    }
    assert not pairs.update(pair)


def test_the_older_wins_and_of_the_same_second_the_smaller_uid():
    pairs = Pairs()
    pairs.update(body("second", "2026-01-02T00:00:00Z", uid="b"))
    pairs.update(body("first", "2026-01-01T00:00:00Z", uid="z"))
    pairs.update(body("also-second", "2026-01-02T00:00:00Z", uid="a"))

    def older(name):
        return [target.identity.name for target in pairs.older_than(PairKey("edge", name))]

    assert older("first") == []
    assert older("also-second") == ["first"]
    assert older("second") == ["first", "also-second"]
    assert older("unknown") == []


def test_pairs_that_want_nothing_of_each_other_are_no_rivals_and_change_with_their_manifests():
    pairs = Pairs()
    pairs.update(body("first", "2026-01-01T00:00:00Z"))
    second = body("second", "2026-01-02T00:00:00Z")
    second["spec"]["loadBalancer"]["name"] = "another"
    for role in ("master", "slave"):
        second["spec"][role]["networkInterfaces"][0]["resource"] = f"another-{role}"
    pairs.update(second)

    def older():
        return [target.identity.name for target in pairs.older_than(PairKey("edge", "second"))]

    assert older() == []
    wants_the_same = body("second", "2026-01-02T00:00:00Z")
    wants_the_same["metadata"]["generation"] = 2
    pairs.update(wants_the_same)
    assert older() == ["first"]
    pairs.remove(body("first", "2026-01-01T00:00:00Z"))
    assert older() == []
    pairs.remove(wants_the_same)
    assert pairs._claimants == {}


def test_who_was_held_up_is_told_when_a_pair_goes():
    pairs = Pairs()
    for name in ("one", "two", "three"):
        pairs.update(body(name))
    pairs.contest(PairKey("edge", "two"), contested=True)
    pairs.contest(PairKey("edge", "three"), contested=True)
    pairs.contest(PairKey("edge", "three"), contested=False)
    assert pairs.remove(body("one")) == (PairKey("edge", "two"),)
    assert pairs.remove(body("two")) == ()


def test_a_late_word_of_a_deletion_does_not_remove_the_pair_that_came_after_under_the_same_name():
    pairs = Pairs()
    pairs.update(body("web", uid="first"))
    pairs.update(body("web", "2026-01-02T00:00:00Z", uid="second"))
    assert pairs.remove(body("web", uid="first")) is None
    assert pairs.keys() == (PairKey("edge", "web"),)
    assert pairs.remove(body("web", uid="second")) == ()
    assert pairs.keys() == ()


def test_a_late_word_of_a_predecessor_changes_nothing_about_its_successor():
    pairs = Pairs()
    assert pairs.update(body("web", uid="second", resourceVersion="10"))
    dying = body("web", uid="first", resourceVersion="9", deletionTimestamp="2026-01-01T00:00:00Z")
    assert not pairs.update(dying)
    assert pairs.remove(body("web", uid="first")) is None
    assert pairs.keys() == (PairKey("edge", "web"),)
    assert pairs.update(body("web", uid="third", resourceVersion="11"))


def test_a_manifest_that_cannot_be_read_claims_nothing_and_is_still_visited():
    pairs = Pairs()
    broken = body("broken", "2020-01-01T00:00:00Z")
    broken["spec"] = {"what": "is this"}
    assert pairs.update(broken)
    pairs.update(body("web"))
    assert pairs.older_than(PairKey("edge", "web")) == ()

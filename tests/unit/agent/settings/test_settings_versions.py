"""Two states of an entity become one, and it is the same whoever merges them, in whatever order."""

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.settings.versions import BURIED_KEPT, Entity, Seen, Version, merged, same

versions = st.builds(Version, st.integers(0, 6), st.sampled_from(["node-a", "node-b"]))
names = st.sampled_from(["Idletime", "Schedule", "NickName"])


def value_of(name, version):
    """A version stands for one change, so it has one value."""
    return None if (version.counter + len(name)) % 5 == 0 else f"{name} of {version.counter}{version.node}"


@st.composite
def entities(draw, born=versions):
    birth = draw(born)
    buried = {version for version in draw(st.sets(versions, max_size=3)) if version < birth}
    if draw(st.booleans()) and draw(st.booleans()):
        return Entity.make(birth, {}, {}, draw(versions), buried)
    later = draw(st.dictionaries(names, versions))
    at_birth = draw(st.sets(names))
    changed = {name: version for name, version in later.items() if version > birth}
    fields = {name: value_of(name, changed.get(name, birth)) for name in at_birth | changed.keys()}
    return Entity.make(birth, fields, changed, buried=buried)


@given(entities(), entities())
def test_it_does_not_matter_which_comes_first(one, other):
    assert merged(one, other).body == merged(other, one).body


@given(entities(), entities(), entities())
def test_it_does_not_matter_in_which_order_three_meet(one, two, three):
    ends = {
        merged(merged(first, second), third).body for first, second, third in permutations((one, two, three))
    }
    assert len(ends) == 1


@given(entities(), entities())
def test_merging_again_changes_nothing(one, other):
    once = merged(one, other)
    assert merged(once, other).body == once.body
    assert merged(one, one) is one


@given(entities(), entities())
def test_the_later_birth_wins_whole_and_of_one_birth_deletion_wins(one, other):
    result = merged(one, other)
    assert result.born == max(one.born, other.born)
    if one.born != other.born:
        assert result.burying(()).body == max(one, other, key=lambda entity: entity.born).burying(()).body
    elif one.gone or other.gone:
        assert result.gone is not None
        assert not result.visible


@given(entities(), entities())
def test_no_birth_that_either_knew_is_forgotten_in_the_later_life(one, other):
    assert set(merged(one, other).births) == {*one.births, *other.births}


@given(entities(), st.dictionaries(names, st.text(max_size=3)), entities())
def test_a_change_by_somebody_who_knew_both_wins(one, fields, other):
    known = merged(one, other)
    if known.gone is None:
        changed = known.put(fields, Version(99, "node-a"))
        assert merged(changed, one).body == merged(changed, other).body == changed.body


@given(entities())
def test_what_is_written_is_what_is_read(entity):
    again = Entity.read(entity.body)
    assert again.body == entity.body
    assert dict(again.visible) == dict(entity.visible)
    assert again.births == entity.births
    assert again.digest(("user", "x")) == entity.digest(("user", "x")) != entity.digest(("user", "y"))


@given(entities())
def test_what_is_buried_makes_no_difference_between_two_units(entity):
    forgot = entity.burying(())
    assert "p" not in json.loads(forgot.body)
    assert forgot.digest(("user", "x")) == entity.digest(("user", "x"))


@given(entities(), st.dictionaries(st.sampled_from(["node-a", "node-b"]), st.integers(-1, 6)), names)
def test_what_is_buried_goes_with_every_later_state_until_it_is_seen(entity, counters, name):
    seen, later = Seen(counters), Version(99, "node-a")
    for state in (entity.put({name: "other"}, later), entity.deleted(later)):
        assert state.buried == entity.buried
        assert state.without(seen).births == (
            *(birth for birth in entity.buried if not seen.covers(birth)),
            entity.born,
        )


def test_an_entity_carries_only_the_latest_of_many_former_births():
    births = [Version(counter, "node-a") for counter in range(1000)]
    entity = Entity.make(Version(1000, "node-b"), {}, buried=births)
    assert entity.buried == tuple(births[-BURIED_KEPT:])


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"b":[1,"x"]}',
        '{"b":[-1,"x"],"f":{}}',
        '{"b":[true,"x"],"f":{}}',
        '{"b":[1,""],"f":{}}',
        '{"b":[9007199254740992,"x"],"f":{}}',
        '{"b":[1,"x"],"f":[]}',
        '{"b":[1,"x"],"f":{},"c":{"y":[1,"x"]}}',
        '{"b":[1,"x"],"f":{},"g":1}',
        '{"b":[1,"x"],"f":{},"p":1}',
        '{"b":[1,"x"],"f":{},"p":[1]}',
    ],
)
def test_what_is_no_entity_is_refused(body):
    with pytest.raises(ValueError, match=r"\w"):
        Entity.read(body)


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    st.sampled_from("abcd"),
    st.integers(0, 9),
)
def test_together_two_have_seen_what_either_has(one, other, node, counter):
    version = Version(counter, node)
    together = Seen(one).joined(Seen(other))
    assert together.covers(version) == (Seen(one).covers(version) or Seen(other).covers(version))
    assert Seen.read(together.to_json()) == together


def test_numbers_texts_and_switches_are_told_apart():
    assert not same(1, True)
    assert not same(1, 1.0)
    assert same([1, {"x": None}], [1, {"x": None}])

"""Two states of an entity become one, and it is the same whoever merges them, in whatever order."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.settings.versions import Entity, Seen, Version, merged, same

versions = st.builds(Version, st.integers(0, 6), st.sampled_from(["node-a", "node-b"]))
names = st.sampled_from(["Idletime", "Schedule", "NickName"])


def value_of(name, version):
    """A version stands for one change, so it has one value."""
    return None if (version.counter + len(name)) % 5 == 0 else f"{name} of {version.counter}{version.node}"


@st.composite
def entities(draw, born=versions):
    birth = draw(born)
    if draw(st.booleans()) and draw(st.booleans()):
        return Entity.make(birth, {}, {}, draw(versions))
    later = draw(st.dictionaries(names, versions))
    at_birth = draw(st.sets(names))
    changed = {name: version for name, version in later.items() if version > birth}
    fields = {name: value_of(name, changed.get(name, birth)) for name in at_birth | changed.keys()}
    return Entity.make(birth, fields, changed)


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
        assert result in (one, other)
    elif one.gone or other.gone:
        assert result.gone is not None
        assert not result.visible


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
    assert again.digest(("user", "x")) == entity.digest(("user", "x")) != entity.digest(("user", "y"))


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

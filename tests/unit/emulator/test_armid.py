"""Ids of resources: reading, writing, comparing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.emulator.armid import ArmId, key_of, parse_id

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
PAIRS = st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=3)


@given(NAMES, NAMES, NAMES, PAIRS)
def test_an_id_is_read_as_it_was_written(subscription, group, namespace, pairs):
    types, names = zip(*pairs, strict=True)
    written = ArmId(subscription, group, namespace, tuple(types), tuple(names))
    assert parse_id(str(written)) == written
    assert key_of(str(written).upper()) == key_of(written)


def test_a_childs_root_is_its_resource():
    text = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/lb/probes/p"
    found = parse_id(text)
    assert found is not None
    assert str(found.root) == "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/lb"
    assert (found.name, found.type) == ("p", "Microsoft.Network/loadBalancers/probes")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/subscriptions/s",
        "/subscriptions/s/resourceGroups/g",
        "/a/s/b/g/c/n/t/x",
        "/subscriptions/s/resourceGroups/g/providers/n/t",
    ],
)
def test_what_is_no_resource_is_none(text):
    assert parse_id(text) is None

"""ARM's template expressions."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.emulator.deployments.expressions import TemplateError, evaluate

FUNCTIONS = {
    "parameters": lambda name: {"name": "web", "list": [1, {"deep": "x"}], "size": 3}[name],
    "reference": lambda name: {"subnets": [{"id": f"/{name}/0"}]},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("[[literal]", "[literal]"),
        ("[parameters('name')]", "web"),
        ("[PARAMETERS('size')]", 3),
        ("[concat('a-', parameters('name'), '-', 7)]", "a-web-7"),
        ("[concat(createArray(1), createArray(2))]", [1, 2]),
        ("[parameters('list')[1].deep]", "x"),
        ("[reference('vnet').subnets[0].ID]", "/vnet/0"),
        ("['it''s']", "it's"),
        ("[format('{0}/{1}', 'a', parameters('size'))]", "a/3"),
        ("[if(equals(parameters('size'), 3), 'three', 'other')]", "three"),
        ("[ toUpper( 'x' ) ]", "X"),
        ("[union(createObject('a', 1), createObject('b', 2))]", {"a": 1, "b": 2}),
    ],
)
def test_values(text, value):
    assert evaluate(text, FUNCTIONS) == value


def test_expressions_deep_inside_are_evaluated():
    value = {"a": ["[parameters('name')]", {"b": "[parameters('size')]"}], "c": True}
    assert evaluate(value, FUNCTIONS) == {"a": ["web", {"b": 3}], "c": True}


@pytest.mark.parametrize(
    "text",
    [
        "[parameters('none')]",
        "[shout('x')]",
        "[parameters('name') x]",
        "[name]",
        "[]",
        "[.a]",
        "['open]",
    ],
)
def test_nonsense_is_refused(text):
    with pytest.raises(TemplateError):
        evaluate(text, FUNCTIONS)


@given(st.text(alphabet=st.characters(exclude_characters="\x00"), max_size=30))
def test_any_text_survives_as_a_literal(text):
    quoted = text.replace("'", "''")
    assert evaluate(f"[concat('{quoted}')]", {}) == text


@given(st.text(max_size=40))
def test_no_text_crashes_the_parser(text):
    with contextlib.suppress(TemplateError):
        evaluate(f"[{text}]", FUNCTIONS)

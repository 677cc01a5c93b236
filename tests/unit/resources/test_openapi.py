"""From models to structural schemas: what is carried over, and what is refused."""

from enum import StrEnum
from typing import Annotated

import pytest
from pydantic import ConfigDict, Field

from loadmaster_ha.resources import cel
from loadmaster_ha.resources.model import Model, Rule, immutable, keyed_by, rules
from loadmaster_ha.resources.openapi import NotStructuralError, structural


class Colour(StrEnum):
    RED = "Red"


class Part(Model):
    """A part."""

    model_config = ConfigDict(json_schema_extra=rules(Rule("self.size > 1", message="of the part")))

    size: Annotated[int, Field(ge=1, le=9)] = 3
    """How large."""


def test_a_part_is_inlined_with_its_default_and_the_rules_of_both():
    class Whole(Model):
        """All."""

        own_part: Part = Field(
            default=Part(), json_schema_extra=rules(Rule("self.size < 9", message="of the field"))
        )
        """Of the
        whole."""

    assert structural(Whole) == {
        "type": "object",
        "description": "All.",
        "properties": {
            "ownPart": {
                "type": "object",
                "description": "Of the whole.",
                "default": {"size": 3},
                "properties": {
                    "size": {
                        "type": "integer",
                        "format": "int32",
                        "description": "How large.",
                        "default": 3,
                        "minimum": 1,
                        "maximum": 9,
                    }
                },
                "x-kubernetes-validations": [
                    {"rule": "self.size > 1", "message": "of the part", "reason": "FieldValueInvalid"},
                    {"rule": "self.size < 9", "message": "of the field", "reason": "FieldValueInvalid"},
                ],
            }
        },
    }


def test_what_may_be_none_is_optional_without_a_default():
    class Whole(Model):
        name: Annotated[str, Field(max_length=5)] | None = None
        colour: Colour = Colour.RED
        parts: tuple[Part, ...] = Field(default=(), max_length=2, json_schema_extra=keyed_by("size"))
        notes: dict[str, Annotated[str, Field(max_length=7)]] = Field(default={}, max_length=3)
        needed: bool

    schema = structural(Whole)
    assert schema["required"] == ["needed"]
    assert schema["properties"]["name"] == {"type": "string", "maxLength": 5}
    assert schema["properties"]["colour"] == {"type": "string", "enum": ["Red"], "default": "Red"}
    parts = schema["properties"]["parts"]
    assert (parts["maxItems"], parts["x-kubernetes-list-map-keys"]) == (2, ["size"])
    assert "default" not in parts
    assert schema["properties"]["notes"] == {
        "type": "object",
        "maxProperties": 3,
        "additionalProperties": {"type": "string", "maxLength": 7},
    }


def test_a_fraction_is_a_double():
    class Whole(Model):
        gap_seconds: Annotated[float, Field(ge=0)] | None = None

    assert structural(Whole)["properties"]["gapSeconds"] == {
        "type": "number",
        "format": "double",
        "minimum": 0,
    }


def test_a_large_number_is_an_int64():
    class Whole(Model):
        generation: int

    assert structural(Whole)["properties"]["generation"] == {"type": "integer", "format": "int64"}


WithPattern = dict[Annotated[str, Field(pattern="a")], str]


@pytest.mark.parametrize("kind", [int | str, bytes | int, tuple[int, str], WithPattern])
def test_what_a_crd_cannot_say_is_an_error_that_names_the_field(kind):
    class Whole(Model):
        strange: kind

    with pytest.raises(NotStructuralError, match=r"Whole\.strange"):
        structural(Whole)


def test_the_text_of_a_message_may_have_quotes_and_backslashes():
    assert cel.text(r"the units' \ %s", "self.name") == r"'the units\' \\ %s'.format([self.name])"


def test_immutable_tells_both_values():
    rule = immutable("x.name", "make another").as_schema()
    assert rule["rule"] == "self == oldSelf"
    said = "'x.name cannot be changed from ' + oldSelf + ' to ' + self + '; make another'"
    assert rule["messageExpression"] == said

"""A Hypothesis strategy for what a structural schema accepts.

Only what structural schemas have: one type at each level, no references. Of CEL rules only one is looked at:
that a text matches an expression.
"""

import re
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]

_INT32 = 2**31 - 1
_BOUNDED = 4  # elements of lists and maps beyond the smallest number: enough to differ, and quick


def accepted(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that the schema accepts; optional fields are there or not."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = {
        "string": _strings,
        "integer": _integers,
        "number": _numbers,
        "boolean": _booleans,
        "array": _lists,
        "object": _objects,
    }
    return kinds[schema["type"]](schema)


def _booleans(_: Schema) -> st.SearchStrategy[bool]:
    return st.booleans()


def _integers(schema: Schema) -> st.SearchStrategy[int]:
    return st.integers(schema.get("minimum", -_INT32), schema.get("maximum", _INT32))


def _numbers(schema: Schema) -> st.SearchStrategy[float]:
    return st.floats(
        schema.get("minimum", -_INT32),
        schema.get("maximum", _INT32),
        allow_nan=False,
        allow_infinity=False,
    )


def _objects(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if "additionalProperties" in schema:
        smallest = schema.get("minProperties", 0)
        return st.dictionaries(
            st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20),
            accepted(schema["additionalProperties"]),
            min_size=smallest,
            max_size=min(schema.get("maxProperties", _INT32), smallest + _BOUNDED),
        )
    required = set(schema.get("required", ()))
    fields = {name: accepted(child) for name, child in schema.get("properties", {}).items()}
    return st.fixed_dictionaries(
        {name: values for name, values in fields.items() if name in required},
        optional={name: values for name, values in fields.items() if name not in required},
    )


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda moment: moment.strftime("%4Y-%m-%dT%H:%M:%SZ"))
    pattern = schema.get("pattern") or _matched(schema)
    if pattern:
        # `$` of Python also matches before a last line break; that of the API server does not.
        texts = st.from_regex(pattern.removesuffix("$") + r"\Z")
        return texts.filter(lambda text: shortest <= len(text) <= (longest or len(text)))
    return st.text(st.characters(codec="utf-8"), min_size=shortest, max_size=longest)


def _matched(schema: Schema) -> str:
    """The expression that a rule asks a text to match; empty: none does."""
    rules = (each["rule"] for each in schema.get("x-kubernetes-validations", ()))
    return next((found[1] for each in rules if (found := re.fullmatch(r"self\.matches\('(.*)'\)", each))), "")


def _lists(schema: Schema) -> st.SearchStrategy[list[Any]]:
    smallest = schema.get("minItems", 0)
    largest = min(schema.get("maxItems", _INT32), smallest + _BOUNDED)
    items = accepted(schema["items"])
    keys = schema.get("x-kubernetes-list-map-keys")
    if keys:
        return st.lists(
            items,
            min_size=smallest,
            max_size=largest,
            unique_by=lambda item: tuple(item.get(key) for key in keys),
        )
    unique = schema.get("x-kubernetes-list-type") == "set"
    return st.lists(items, min_size=smallest, max_size=largest, unique=unique)

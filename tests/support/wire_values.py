"""Hypothesis strategies for what goes over the management API's wire, made from the catalogue itself."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from loadmaster_ha.loadmaster import parameters
from loadmaster_ha.loadmaster.shapes import Command, Field, Parameter, Record, Rows, Texts
from loadmaster_ha.loadmaster.values import UNSET, Kind

_WRITABLE = st.characters(
    exclude_categories=["Cs"], exclude_characters=["\ufffe", "\uffff"], min_codepoint=32
) | st.sampled_from("\t\n\r")
TEXTS = (
    st.text(_WRITABLE, min_size=1, max_size=30).map(str.strip).filter(lambda text: text not in {"", UNSET})
)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1, max_size=8).filter(
    lambda word: word != UNSET and not any(each.isspace() for each in word)
)
ADDRESSES = st.ip_addresses().map(str)
NUMBERS = st.integers(-(10**15), 10**15)

_BY_KIND: Mapping[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: TEXTS,
    Kind.SECRET: TEXTS,
    Kind.ADDRESS: ADDRESSES,
    Kind.NUMBER: NUMBERS,
    Kind.DIGITS: NUMBERS,
    Kind.SWITCH: st.booleans(),
    Kind.FLAG: st.booleans(),
    Kind.LETTER: st.booleans(),
    Kind.BIT: st.booleans(),
    Kind.WORDS: st.lists(WORDS, min_size=1, max_size=3),
    Kind.ADDRESSES: st.lists(ADDRESSES, min_size=1, max_size=3),
    Kind.ANY: TEXTS,
}


def canonical(kind: Kind) -> st.SearchStrategy[Any]:
    """Values of a kind as programs have them."""
    return _BY_KIND[kind]


@st.composite
def records(draw: st.DrawFn, record: Record) -> dict[str, Any]:
    """What a reader of such a record gives: scalars may be missing, lists are always there."""
    found: dict[str, Any] = {}
    for member in record.members:
        if isinstance(member, Texts):
            found[member.name] = draw(st.lists(TEXTS, max_size=3))
        elif isinstance(member, Field):
            if draw(st.booleans()):
                found[member.name] = draw(canonical(member.kind))
        elif member.named_by:
            found[member.name] = draw(named_rows(member))
        elif member.many is not None:
            found[member.name] = draw(st.lists(records(member.record), max_size=2))
        elif draw(st.booleans()):
            found[member.name] = draw(records(member.record))
    if record.open and not record.members:
        for name in draw(st.sets(st.sampled_from(sorted(parameters.PARAMETERS)), max_size=4)):
            found[name] = draw(canonical(parameters.PARAMETERS[name].kind))
    return found


@st.composite
def named_rows(draw: st.DrawFn, rows: Rows) -> list[dict[str, Any]]:
    """Rows whose v1 element is named by one of their fields: each once, none without other fields."""
    kind = next(
        each.kind for each in rows.record.members if isinstance(each, Field) and each.name == rows.named_by
    )
    names = (
        st.integers(0, 64) if kind is Kind.NUMBER else st.from_regex(r"[a-z]{1,4}[0-9]{1,2}", fullmatch=True)
    )
    keys = draw(st.lists(names, max_size=2, unique=True))
    found = [{**draw(records(rows.record)), rows.named_by: key} for key in keys]
    return [row for row in found if len(row) > 1]


@st.composite
def requests(draw: st.DrawFn, command: Command) -> dict[str, Any]:
    """Parameters that the command takes: all mandatory ones, some others."""
    return {
        parameter.name: draw(_of(parameter))
        for parameter in command.parameters
        if parameter.required or draw(st.booleans())
    }


def _of(parameter: Parameter) -> st.SearchStrategy[Any]:
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    if parameter.pattern:
        return st.from_regex(parameter.pattern, fullmatch=True).filter(
            lambda text: (
                text.isascii() and text == text.strip() and text != UNSET and len(text) <= parameter.longest
            )
        )
    if parameter.kind in {Kind.NUMBER, Kind.DIGITS}:
        low = -(10**6) if parameter.minimum is None else parameter.minimum
        return st.integers(low, 10**6 if parameter.maximum is None else parameter.maximum)
    if parameter.kind in {Kind.TEXT, Kind.SECRET, Kind.ANY}:
        return TEXTS.filter(lambda text: len(text) <= parameter.longest)
    return canonical(parameter.kind)

"""One answer of the API, whatever the version: what `v1` and `v2` write and read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from loadmaster_ha.loadmaster import parameters
from loadmaster_ha.loadmaster.shapes import Field, Rows, Texts
from loadmaster_ha.loadmaster.values import Json, Kind

DONE: Final = "Command completed ok"
_REFUSED: Final = 422
MAXIMUM_ANSWER: Final = 32 * 1024 * 1024
"""Bytes of an answer that a client reads; the list of 1,000 services of an appliance has some 4 MiB."""
MAXIMUM_DEPTH: Final = 12
"""Levels of nesting; the deepest that the appliance writes has 7."""


class WireError(ValueError):
    """What arrived is not of this API; the message says what it is instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """At most one of text, fields and data is there; a refusal has a text."""

    code: int = 200
    text: str | None = None
    fields: Mapping[str, Json] | None = None
    """Canonical values."""
    data: bytes | None = None

    @property
    def ok(self) -> bool:
        """Whether it was done. Never judge by the text: its wording differs by command and firmware."""
        return self.code == 200


@dataclass(frozen=True, slots=True)
class Body:
    """An answer as it goes over the wire."""

    code: int
    content: bytes
    content_type: str


def stated_code(stated: Json, status: int, *, failed: bool) -> int:
    """What an answer says became of the command: 200 only if nothing in it says otherwise.

    Args:
        stated: its `code` or `stat`: a number or three digits; anything else counts as not stated.
        status: of HTTP.
        failed: whether it calls itself failed in words.
    """
    text = str(stated) if isinstance(stated, str | int) else ""
    code = int(text) if text.isascii() and text.isdigit() and len(text) == 3 else status
    if code == 200 and status >= 400:
        return status
    return _REFUSED if code == 200 and failed else code


def is_list(member: Field | Texts | Rows) -> bool:
    """Whether a record that was read has a list here, be it an empty one."""
    return isinstance(member, Texts) or (isinstance(member, Rows) and member.many is not None)


def kind_for(name: str, value: Json) -> Kind:
    """How a field that no record names is written."""
    known = parameters.kind_of(name)
    if known is not None:
        return known
    if isinstance(value, bool):
        return Kind.SWITCH
    if isinstance(value, int):
        return Kind.NUMBER
    return Kind.ADDRESSES if isinstance(value, list) else Kind.TEXT

"""The types of single values on the wire, in both versions and both directions.

Kemp's two API versions write the same value differently, and each family of commands has a habit of its own:
a switch is `yes` in `getall`, `Y` in a virtual service and `1` in `stats`; v2 makes `true` of the first two
and leaves GEO's `"Y"` a string ("RESTful API Interface Description", 2.7, 3.6, 3.7, 3.8; the v2 collection).
A `Kind` names such a habit. Between wire and program a value is *canonical*: bool, int, str, or a list of
str; None is "not set". `encode` and `decode` are inverse to each other for every kind, and `parse` reads
what a person or a client may send, which is more than the appliance itself writes.
"""

import re
from enum import StrEnum
from ipaddress import ip_address
from typing import Final, TypeAlias

Json: TypeAlias = str | int | float | bool | list["Json"] | dict[str, "Json"] | None

UNSET: Final = "unset"
"""What the appliance writes for some values that are not set; always read as None."""


class Version(StrEnum):
    """Of the API."""

    V1 = "v1"
    """XML under `/access/`."""
    V2 = "v2"
    """JSON under `/accessv2`."""


class Kind(StrEnum):
    """How a value is written. The comment tells v1 and v2."""

    TEXT = "text"  # text; text
    SECRET = "secret"  # noqa: S105 - a word. text; text. Never in a reply, a log or an error.
    ADDRESS = "address"  # text; text. IPv4 or IPv6.
    NUMBER = "number"  # 80; 80
    DIGITS = "digits"  # 80; "80"
    SWITCH = "switch"  # yes, no; true, false (parameters of `get` and `set`)
    FLAG = "flag"  # Y, N; true, false (virtual services, real servers)
    LETTER = "letter"  # Y, N; "Y", "N" (GEO)
    BIT = "bit"  # 1, 0; 1, 0 (`stats`, and parameters that are numbers by name: `haprefered`)
    WORDS = "words"  # separated by spaces; the same text
    ADDRESSES = "addresses"  # separated by commas; list
    ANY = "any"  # as fits the value; what JSON has for it (`value` of `set`)


class InvalidValueError(ValueError):
    """A value cannot be read. The message says why, without the value's name."""


_TRUE: Final = frozenset({"y", "yes", "1", "true", "on"})
_FALSE: Final = frozenset({"n", "no", "0", "false", "off"})
_BOOLEANS: Final[dict[Kind, tuple[str, str]]] = {
    Kind.SWITCH: ("yes", "no"),
    Kind.FLAG: ("Y", "N"),
    Kind.LETTER: ("Y", "N"),
    Kind.BIT: ("1", "0"),
}
_LONGEST_NUMBER: Final = 20
# What XML 1.0 has no way to write, and what no encoding has: a stored text must be able to leave again.
_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def encode(kind: Kind, value: Json, version: Version) -> Json:
    """The wire form of a canonical value: always a str in v1; in v2 what JSON has for it."""
    if value is None:
        return ""
    if kind is Kind.ANY:
        return _any_in_v1(value) if version is Version.V1 else value
    if isinstance(value, list):
        words = [str(each) for each in value]
        in_v1 = (" " if kind is Kind.WORDS else ",").join(words)
        return list[Json](words) if kind is Kind.ADDRESSES and version is Version.V2 else in_v1
    if kind in _BOOLEANS:
        return _encode_boolean(kind, value, version)
    as_number = kind is Kind.NUMBER and version is Version.V2
    return value if as_number else str(value)


def _any_in_v1(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(str(each) for each in value) if isinstance(value, list) else str(value)


def _encode_boolean(kind: Kind, value: object, version: Version) -> Json:
    if version is Version.V2 and kind in {Kind.SWITCH, Kind.FLAG}:
        return bool(value)
    if version is Version.V2 and kind is Kind.BIT:
        return int(bool(value))
    return _BOOLEANS[kind][0 if value else 1]


def decode(kind: Kind, raw: Json) -> Json:
    """The canonical value of what a *reply* says, of either version; tolerant: else it is left as it is.

    None, "" and `unset` are None, as the appliance uses all three for "not set" (text may be empty: None
    too).
    """
    try:
        return parse(kind, raw)
    except InvalidValueError:
        return raw


def parse(kind: Kind, raw: Json) -> Json:
    """The canonical value of what a *request* says, in either version's form; "" and `unset` are None.

    Raises:
        InvalidValueError: it is not of this kind.
    """
    if isinstance(raw, str):
        raw = raw.strip()
    if raw is None or raw in ("", UNSET):
        return None
    if kind is Kind.ANY and not isinstance(raw, str):
        return _parse_any(raw)
    if kind in {Kind.WORDS, Kind.ADDRESSES}:
        return _parse_list(kind, raw)
    if isinstance(raw, list | dict):
        raise InvalidValueError("is a list or an object where one value is expected")
    if kind in _BOOLEANS:
        return _parse_boolean(raw)
    if kind in {Kind.NUMBER, Kind.DIGITS}:
        return _parse_number(raw)
    text = _text(raw)
    return _address(text) if kind is Kind.ADDRESS else text


def _text(raw: Json) -> str:
    text = ("Y" if raw else "N") if isinstance(raw, bool) else str(raw)
    if _NOT_IN_XML.search(text):
        raise InvalidValueError("has characters in it that no answer can carry")
    return text


def _parse_boolean(raw: object) -> bool:
    word = str(raw).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise InvalidValueError("is neither yes nor no (Y, N, 1, 0, true and false will do)")


def _parse_number(raw: object) -> int:
    if isinstance(raw, bool):
        raise InvalidValueError("is not a whole number")
    if isinstance(raw, int):
        return raw
    text = str(raw)
    digits = text.removeprefix("-")
    if len(digits) > _LONGEST_NUMBER or not (digits.isascii() and digits.isdigit()):
        raise InvalidValueError("is not a whole number")
    return int(text)


def _parse_any(raw: Json) -> Json:
    if isinstance(raw, dict):
        raise InvalidValueError("is an object where a value is expected")
    if isinstance(raw, list):
        if any(isinstance(each, list | dict) for each in raw):
            raise InvalidValueError("is a list of other things than texts")
        return [_text(each) for each in raw]
    return raw


def _parse_list(kind: Kind, raw: Json) -> list[Json]:
    if isinstance(raw, dict):
        raise InvalidValueError("is an object where a list is expected")
    if not isinstance(raw, list):
        raw = [raw]
    words: list[str] = []
    for each in raw:
        if isinstance(each, list | dict):
            raise InvalidValueError("is a list of other things than texts")
        text = _text(each)
        # Both separators are read: the guide writes spaces, Kemp's PowerShell module sends commas.
        words += (text.replace(",", " ") if kind is Kind.ADDRESSES else text).split()
    return [_address(word) if kind is Kind.ADDRESSES else word for word in words]


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise InvalidValueError("is not an IP address") from None


def printable(text: str) -> str:
    """The text with `?` for what no answer can carry: for texts that were not read by `parse`."""
    return _NOT_IN_XML.sub("?", text)

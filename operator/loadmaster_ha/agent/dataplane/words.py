"""Text that may stand in HAProxy's configuration, and the only ways to it.

Everything that a person or the partner can set passes through here before the template sees it: a value can
neither add a line nor a word to the configuration (HAProxy's configuration manual, 2.2: quoting and
escaping). The template (`configuration`) refuses whatever is neither a plain word nor made here.
"""

import re
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:@/,+=\[\]-]*")


class Unprintable(ValueError):  # noqa: N818 - reads as what is the case
    """A value holds a character that no line of a configuration can."""


class Word(str):
    """Text that is fit for the configuration as it is."""

    __slots__ = ()


def quoted(text: str) -> Word:
    """One word with exactly this value: in strong quotes, where HAProxy interprets nothing.

    Raises:
        Unprintable: the text holds a line break or another control character.
    """
    if not text.isprintable():
        raise Unprintable(f"{text!r} holds a line break or a control character")
    return Word("'" + text.replace("'", "'\\''") + "'")


def literal_format(text: str) -> Word:
    """As `quoted`, for places where HAProxy expects a log-format string: `%` means itself."""
    return quoted(text.replace("%", "%%"))


def checked(value: object) -> str:
    """What the template prints for a value: numbers and plain words as they are, nothing else unquoted.

    Raises:
        Unprintable: the value needs quoting and was not quoted.
    """
    if isinstance(value, Word | int):
        return str(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    raise Unprintable(f"{value!r} is no plain word and was not quoted")

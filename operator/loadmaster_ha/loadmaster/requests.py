"""From the raw parameters of a request to checked, typed ones: the same for both versions of the API."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from loadmaster_ha.loadmaster import values
from loadmaster_ha.loadmaster.shapes import Command, Parameter
from loadmaster_ha.loadmaster.values import InvalidValueError, Json, Kind

_TYPE_WORDS: Final = {
    Kind.NUMBER: "Integer",
    Kind.DIGITS: "Integer",
    Kind.SWITCH: "Boolean",
    Kind.FLAG: "Boolean",
    Kind.LETTER: "Boolean",
    Kind.BIT: "Boolean",
    Kind.ADDRESS: "Address",
    Kind.ADDRESSES: "Address",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a request says it is from. Never printed."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    apikey: str = field(default="", repr=False)
    """Wins over user and password (v2 collection, introduction)."""


class ParameterError(Exception):
    """A parameter is missing or wrong; the message is the answer's text and names the parameter."""

    def __init__(self, text: str, *, missing: bool = False) -> None:
        super().__init__(text)
        self.missing = missing
        """Answered by 400 in v1 and 422 in v2, where a wrong value is 422 in both."""


def read(command: Command, raw: Mapping[str, Json]) -> dict[str, Json]:
    """The parameters of a command by their names in the catalogue; what it does not know is ignored.

    The appliance ignores unknown parameters too ("RESTful API Interface Description", 2.1). Upper and lower
    case of names are the same.

    Raises:
        ParameterError: one is missing, given twice, or cannot be what it is.
    """
    given: dict[str, Json] = {}
    for name, value in raw.items():
        parameter = command.by_name.get(name.lower())
        if parameter is None:
            continue
        if parameter.name in given:
            raise ParameterError(f"{parameter.name}: given twice")
        given[parameter.name] = _value(parameter, value)
    for parameter in command.parameters:
        if parameter.required and given.get(parameter.name) is None:
            if parameter.may_be_empty and parameter.name in given:
                continue
            word = _TYPE_WORDS.get(parameter.kind, "String")
            raise ParameterError(f"{parameter.name}: {word} Value missing", missing=True)
    return given


def _value(parameter: Parameter, raw: Json) -> Json:
    shown = "" if parameter.kind is Kind.SECRET else f" {_shown(raw)}"
    try:
        value = values.parse(parameter.kind, raw)
        if value is not None:
            return _checked(parameter, value)
    except InvalidValueError as error:
        raise ParameterError(f"{parameter.name}:{shown} {error}") from None
    return None


def _shown(raw: Json) -> str:
    text = raw if isinstance(raw, str) else repr(raw)
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def _checked(parameter: Parameter, value: Json) -> Json:
    if isinstance(value, int) and not isinstance(value, bool):
        low, high = parameter.minimum, parameter.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            raise InvalidValueError(f"is out of bounds: {_bounds(low, high)}")
    if isinstance(value, str | list):
        text = value if isinstance(value, str) else " ".join(str(each) for each in value)
        if len(text) > parameter.longest:
            raise InvalidValueError(f"is too long: {parameter.longest} characters at most")
        if parameter.pattern and not _pattern(parameter.pattern).fullmatch(text):
            raise InvalidValueError(f"does not fit. {parameter.documentation}".rstrip())
        if parameter.choices:
            return _choice(parameter.choices, text)
    return value


@lru_cache(maxsize=64)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _choice(choices: tuple[str, ...], text: str) -> str:
    for choice in choices:
        if choice.lower() == text.lower():
            return choice
    raise InvalidValueError(f"is none of {', '.join(choices)}")


def _bounds(low: int | None, high: int | None) -> str:
    if low is None or high is None:
        return f"at most {high}" if low is None else f"at least {low}"
    return f"{low} to {high}"

"""ARM's template expressions, `[concat('a', parameters('b').c[0])]`: parsing and evaluation.

Supported are literals, function calls, property access and indexing, and the functions in `FUNCTIONS` plus
those that need a template (`parameters`, `variables`, `resourceId`, `reference`, `resourceGroup`,
`subscription`), which the caller supplies. Anything else is refused with its name.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Function: TypeAlias = Callable[..., Any]
_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_][\w.]*?(?=\W|$))|(?P<sign>[()\[\],.]))"
)


class TemplateError(ValueError):
    """A template that cannot be understood; the text is for the client."""


class Pending:
    """The value of `reference()` before the resource is there: every property of it is pending too."""

    def __str__(self) -> str:
        return ""


@dataclass(slots=True)
class _Parser:
    """Evaluates while it reads: expressions have no loops, so there is nothing to keep."""

    text: str
    functions: Mapping[str, Function]
    position: int = 0

    def peek(self) -> re.Match[str] | None:
        return _TOKEN.match(self.text, self.position)

    def take(self, sign: str | None = None) -> re.Match[str]:
        found = self.peek()
        if found is None or (sign is not None and found["sign"] != sign):
            raise TemplateError(
                f"expected {sign or 'a value'} at position {self.position} of expression '{self.text}'"
            )
        self.position = found.end()
        return found

    def next_is(self, sign: str) -> bool:
        found = self.peek()
        return found is not None and found["sign"] == sign

    def value(self) -> Any:
        token = self.take()
        if token["string"] is not None:
            result: Any = token["string"][1:-1].replace("''", "'")
        elif token["number"] is not None:
            result = int(token["number"])
        elif token["name"] is not None:
            result = self.call(token["name"])
        else:
            raise TemplateError(f"unexpected '{token['sign']}' in expression '{self.text}'")
        while self.next_is(".") or self.next_is("["):
            result = self.member(result)
        return result

    def call(self, name: str) -> Any:
        if not self.next_is("("):
            if name.lower() in ("true", "false"):
                return name.lower() == "true"
            raise TemplateError(f"'{name}' in expression '{self.text}' is not a function call")
        self.take("(")
        arguments = []
        while not self.next_is(")"):
            arguments.append(self.value())
            if not self.next_is(")"):
                self.take(",")
        self.take(")")
        function = self.functions.get(name.lower())
        if function is None:
            raise TemplateError(f"the template function '{name}' is not supported by the emulator")
        try:
            return function(*arguments)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            if isinstance(error, TemplateError):
                raise
            raise TemplateError(f"the template function '{name}' cannot be evaluated: {error}") from None

    def member(self, owner: Any) -> Any:
        if self.next_is("."):
            self.take(".")
            token = self.take()
            key: Any = token["name"]
            if key is None:
                raise TemplateError(f"a property name is missing in expression '{self.text}'")
        else:
            self.take("[")
            key = self.value()
            self.take("]")
        if isinstance(owner, Pending):
            return owner
        try:
            return _lookup(owner, key)
        except (KeyError, IndexError, TypeError):
            raise TemplateError(f"there is no '{key}' in expression '{self.text}'") from None


def _lookup(owner: Any, key: Any) -> Any:
    if isinstance(owner, dict) and isinstance(key, str):
        return (
            next(value for name, value in owner.items() if name.lower() == key.lower())
            if _has(owner, key)
            else owner[key]
        )
    return owner[key]


def _has(owner: dict[str, Any], key: str) -> bool:
    return any(name.lower() == key.lower() for name in owner)


def evaluate(value: Any, functions: Mapping[str, Function]) -> Any:
    """Return a template value with every expression in it evaluated. `functions` are by lower-case name.

    Raises:
        TemplateError: An expression is malformed or uses what is not supported.
    """
    if isinstance(value, dict):
        return {key: evaluate(item, functions) for key, item in value.items()}
    if isinstance(value, list):
        return [evaluate(item, functions) for item in value]
    if not isinstance(value, str) or not value.startswith("[") or not value.endswith("]"):
        return value
    if value.startswith("[["):
        return value[1:]
    parser = _Parser(value[1:-1], {**FUNCTIONS, **functions})
    result = parser.value()
    if parser.text[parser.position :].strip():
        raise TemplateError(f"unexpected text at position {parser.position} of expression '{parser.text}'")
    return result


def unique_string(*parts: Any) -> str:
    """Return 13 letters and digits that depend on the arguments alone."""
    digest = hashlib.sha256("-".join(str(part) for part in parts).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:13]


def _concat(*parts: Any) -> Any:
    if parts and isinstance(parts[0], list):
        return [item for part in parts for item in part]
    return "".join(str(part) for part in parts)


def _format(pattern: str, *values: Any) -> str:
    return re.sub(r"\{(\d+)\}", lambda match: str(values[int(match[1])]), pattern)


def _union(*parts: Any) -> Any:
    if isinstance(parts[0], dict):
        return {key: value for part in parts for key, value in part.items()}
    return list(dict.fromkeys(item for part in parts for item in part))


FUNCTIONS: Mapping[str, Function] = {
    "concat": _concat,
    "format": _format,
    "union": _union,
    "tolower": lambda text: str(text).lower(),
    "toupper": lambda text: str(text).upper(),
    "string": str,
    "int": int,
    "bool": lambda value: str(value).lower() in ("true", "1"),
    "equals": lambda one, other: one == other,
    "not": lambda value: not value,
    "and": lambda *values: all(values),
    "or": lambda *values: any(values),
    "if": lambda condition, yes, no: yes if condition else no,
    "empty": lambda value: not value,
    "length": len,
    "first": lambda value: value[0],
    "last": lambda value: value[-1],
    "split": lambda text, separator: text.split(separator),
    "replace": lambda text, old, new: text.replace(old, new),
    "substring": lambda text, start, size=None: text[start : None if size is None else start + size],
    "createarray": lambda *values: list(values),
    "createobject": lambda *pairs: dict(zip(pairs[::2], pairs[1::2], strict=True)),
    "null": lambda: None,
    "true": lambda: True,
    "false": lambda: False,
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "uniquestring": unique_string,
}

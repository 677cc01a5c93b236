"""How like each other two JSON bodies are, once what differs from run to run is taken out.

Identifiers, etags, public addresses and instants are made anew by every Azure, so they are replaced by what
they are; all else (keys, values, order of lists, absence) has to be equal. Used by the replay of
recordings, with exact values, and by the run of Microsoft's examples, which are made up by hand, by shape
only.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d./])")
_DNS_SUFFIX = re.compile(r"^[0-9a-z]{26}\.bx\.internal\.cloudapp\.net$")
_MAC = re.compile(r"^[0-9A-F]{2}(-[0-9A-F]{2}){5}$")
# What the emulator gives out in their place: nobody's addresses (RFC 5737).
_STAND_INS = tuple(map(ipaddress.IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One place where two bodies differ; `where` has list positions replaced by `*`."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def neutral(value: Any) -> Any:
    """Replace what every Azure makes anew: GUIDs (etags hold them), instants, public and MAC addresses."""
    if isinstance(value, dict):
        return {key: neutral(item) for key, item in value.items()}
    if isinstance(value, list):
        return [neutral(item) for item in value]
    if isinstance(value, str):
        value = _GUID.sub("<guid>", value)
        value = _DNS_SUFFIX.sub("<label>.bx.internal.cloudapp.net", value)
        value = _INSTANT.sub("<instant>", value)
        value = _ADDRESS.sub(lambda found: "<public address>" if _is_public(found[0]) else found[0], value)
        return "<mac>" if _MAC.match(value) else value
    return value


def _is_public(text: str) -> bool:
    """Whether Azure may give it out as a public address, or the emulator in its place."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return address.is_global or any(address in network for network in _STAND_INS)


def exact(wanted: Any, got: Any) -> list[Difference]:
    """Differences of two bodies after `neutral`: keys, values and lengths all count."""
    return list(_walk(neutral(wanted), neutral(got), "", _compare_values))


def by_shape(wanted: Any, got: Any) -> list[Difference]:
    """Differences of keys and of types only; of lists, the items that both have are compared."""
    return list(_walk(wanted, got, "", _compare_types))


_Leaf = Callable[[Any, Any], str | None]


def _walk(wanted: Any, got: Any, where: str, leaf: _Leaf) -> Iterator[Difference]:
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in sorted(wanted.keys() | got.keys()):
            here = f"{where}/{key}"
            if key not in got:
                yield Difference(here, "missing")
            elif key not in wanted:
                yield Difference(here, "additional")
            else:
                yield from _walk(wanted[key], got[key], here, leaf)
    elif isinstance(wanted, list) and isinstance(got, list):
        if leaf is _compare_values and len(wanted) != len(got):
            yield Difference(where, f"{len(got)} items instead of {len(wanted)}")
        for left, right in zip(wanted, got, strict=False):
            yield from _walk(left, right, f"{where}/*", leaf)
    elif what := leaf(wanted, got):
        yield Difference(where or "/", what)


def _compare_values(wanted: Any, got: Any) -> str | None:
    return (
        None
        if wanted == got and isinstance(wanted, bool) == isinstance(got, bool)
        else f"{got!r} instead of {wanted!r}"
    )


def _compare_types(wanted: Any, got: Any) -> str | None:
    return None if type(wanted) is type(got) else f"{type(got).__name__} instead of {type(wanted).__name__}"

"""Versions of LoadMaster firmware, and the rules that depend on them.

Only the first four numbers count: the fifth part may be a build number or a hash. Feature detection is by
`listapi` wherever a command tells; versions decide only what no command tells.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

Version: TypeAlias = tuple[int, int, int, int]
"""Of `7.2.54.12.22642.RELEASE`: `(7, 2, 54, 12)`."""

_FOUR: Final = re.compile(r"\s*(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?:[.\-+ ]|$)", re.ASCII)

_LONG_TERM: Final = (7, 2, 54)
"""The long-term branch (LTSF) that gets fixes of its own; so did 7.2.48 before it."""
_OLDER_LONG_TERM: Final = (7, 2, 48)


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A published weakness of the management API and, where known, the versions that have it."""

    name: str
    what: str
    source: str
    """How sure the versions are, for people."""


COMMAND_INJECTION: Final = Vulnerability(
    "CVE-2024-1212",
    "anybody who reaches the management API can run commands on the unit",
    "fixed in 7.2.59.2, 7.2.54.8 and 7.2.48.10 according to public notices; check with the vendor's bulletin",
)
MEMORY_BUG: Final = Vulnerability(
    "CVE-2026-8037",
    "anybody who reaches the management API can run code as root on the unit",
    "GA up to 7.2.63.1 and LTSF up to 7.2.54.17 according to news pages, the vendor's bulletin was not read; "
    "check with the vendor",
)


def parse(firmware: str) -> Version | None:
    """The first four numbers (a missing fourth is 0); None for what is no version."""
    found = _FOUR.match(firmware)
    if found is None:
        return None
    first, second, third, fourth = (int(part or 0) for part in found.groups())
    return first, second, third, fourth


def text(version: Version) -> str:
    """As people write it: `7.2.54.12`."""
    return ".".join(str(part) for part in version)


def vulnerabilities(version: Version) -> tuple[Vulnerability, ...]:
    """Those that an appliance of this version has."""
    found = []
    if version < _fixed(version, long_term=8, older=10, general=(7, 2, 59, 2)):
        found.append(COMMAND_INJECTION)
    if version < _fixed(version, long_term=18, older=0, general=(7, 2, 63, 2)):
        found.append(MEMORY_BUG)
    return tuple(found)


def needs_shared_secret(version: Version) -> bool:
    """Whether the Partner Shared Secret is mandatory: from 7.2.54.10 (LTSF) and 7.2.59.4 (GA) on.

    Source: Kemp, "Set the Partner Shared Secret".
    """
    return version >= _fixed(version, long_term=10, older=0, general=(7, 2, 59, 4))


def _fixed(version: Version, *, long_term: int, older: int, general: Version) -> Version:
    """The version of the branch from which something holds; `older` 0: never in the branch 7.2.48."""
    branch = version[:3]
    if branch == _LONG_TERM:
        return (*_LONG_TERM, long_term)
    if branch == _OLDER_LONG_TERM and older:
        return (*_OLDER_LONG_TERM, older)
    return general

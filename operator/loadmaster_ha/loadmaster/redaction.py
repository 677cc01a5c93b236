"""Keeping secrets out of logs, errors and `getall`.

What is secret is told twice: by these names, which hold for every command of an appliance too, and by the
catalogue's parameters of kind `secret`.
"""

import re
from collections.abc import Mapping
from typing import Final

from loadmaster_ha.loadmaster.shapes import Command
from loadmaster_ha.loadmaster.values import Json, Kind

MASK: Final = "********"
"""What `getall` shows in place of a secret. Never to be written back."""

SECRET_NAMES: Final = frozenset(
    {"apikey", "apipass", "password", "passwd", "currpassword", "secret", "magic", "authorization", "key"},
)
_NAMES: Final = "|".join(sorted(SECRET_NAMES - {"authorization"}))
_IN_TEXT: Final = re.compile(rf"""(?i)\b({_NAMES})(["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^&\s"']+)""")
_AUTHORIZATION: Final = re.compile(
    r"""(?i)\b(authorization["']?\s*[:=]\s*).+|\b(basic|bearer)\s+[A-Za-z0-9+/=_.-]{4,}"""
)


def of_parameters(parameters: Mapping[str, Json], command: Command | None = None) -> dict[str, Json]:
    """The parameters with every secret masked."""
    secret = (
        {name for name, each in command.by_name.items() if each.kind is Kind.SECRET} if command else set()
    )
    return {
        name: MASK if name.lower() in SECRET_NAMES or name.lower() in secret else value
        for name, value in parameters.items()
    }


def of_text(text: str) -> str:
    """A query, a body or a header line with the values of secret names masked."""
    return _AUTHORIZATION.sub(_masked_header, _IN_TEXT.sub(rf"\1\2{MASK}", text))


def _masked_header(match: re.Match[str]) -> str:
    return f"{match.group(1) or f'{match.group(2)} '}{MASK}"

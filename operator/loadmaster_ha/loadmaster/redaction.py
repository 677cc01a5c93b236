"""Keeping secrets out of logs, errors and `getall`.

What is secret is told twice: by these names, which hold for every command of an appliance too, and by the
catalogue's parameters of kind `secret`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from loadmaster_ha.loadmaster.shapes import Command
from loadmaster_ha.loadmaster.values import Json, Kind

MASK: Final = "********"
"""What `getall` shows in place of a secret. Never to be written back."""
SHORTEST_SCRUBBED: Final = 4
"""Characters. A shorter secret would blot out ordinary words, and has no secrecy to lose."""

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
    return {name: MASK if _is_secret(name, command) else value for name, value in parameters.items()}


def secrets_in(parameters: Mapping[str, Json], command: Command) -> tuple[str, ...]:
    """The values that must not come back in what a unit says of a command. For `scrubbed`."""
    return tuple(str(value) for name, value in parameters.items() if value and _is_secret(name, command))


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text with the secrets themselves masked, wherever a unit may have repeated them."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SCRUBBED:
            text = text.replace(secret, MASK)
    return text


def of_text(text: str) -> str:
    """A query, a body or a header line with the values of secret names masked."""
    return _AUTHORIZATION.sub(_masked_header, _IN_TEXT.sub(rf"\1\2{MASK}", text))


def _is_secret(name: str, command: Command | None) -> bool:
    secret = (
        {known for known, each in command.by_name.items() if each.kind is Kind.SECRET} if command else set()
    )
    return name.lower() in SECRET_NAMES or name.lower() in secret


def _masked_header(match: re.Match[str]) -> str:
    return f"{match.group(1) or f'{match.group(2)} '}{MASK}"

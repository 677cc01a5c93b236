"""Which version of the management API to speak to a unit. Pure.

v2 keeps credentials and values out of URLs and has one type per value, so it is preferred wherever the unit
offers it; v1 works everywhere. What is offered is read from `listapi`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from loadmaster_ha.domain import firmware
from loadmaster_ha.loadmaster.commands import COMMANDS
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.loadmaster.values import Json, Version

V2_SINCE: Final = (7, 2, 52, 0)
"""General since then; 7.2.50 and 7.2.51 have it as a beta ("RESTful API Interface Description", 2.2)."""

EXTENSIONS: Final = frozenset(each.name for each in COMMANDS.values() if each.extension)
"""Commands that only node agents have."""
_NO_VERSION: Final = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Offer:
    """What `listapi` says."""

    firmware: str
    commands: frozenset[str]
    """In lower case."""

    @property
    def is_agent(self) -> bool:
        """Whether it is a node agent of ours."""
        return not EXTENSIONS.isdisjoint(self.commands)

    @property
    def version(self) -> Version:
        """The best version that the unit offers. Agents have both, whatever their version says."""
        v2 = self.is_agent or (firmware.parse(self.firmware) or _NO_VERSION) >= V2_SINCE
        return Version.V2 if v2 else Version.V1


def read_offer(fields: Mapping[str, Json]) -> Offer:
    """The offer in the fields of an answer to `listapi`."""
    commands = fields.get("commands")
    names = commands if isinstance(commands, list) else [commands] if commands else []
    told = fields.get("version")
    return _offer(
        told.strip() if isinstance(told, str) else "",
        frozenset(str(name).strip().lower() for name in names),
    )


@lru_cache(maxsize=64)
def _offer(firmware: str, commands: frozenset[str]) -> Offer:
    """One object for all units that offer the same: there are few kinds of them, and 200 commands each."""
    return Offer(firmware, commands)


def first_to_ask(credentials: UnitCredentials) -> Version:
    """The version in which `listapi` is asked of a unit that is not known.

    A key goes in the body of v2: v1 would put it into the URL, and with it into the unit's access log. User
    and password go by v1, whose Basic authentication works on every firmware: if v2 then refuses them, they
    are known to be right, and it is the unit's Session Management that does not let v2 in.
    """
    return Version.V2 if credentials.apikey else Version.V1

"""The catalogue of commands: every one that the node agent serves and the client uses, by name.

Each subject has a module in `catalogue`; the words they are written in are `shapes`. What `listapi` of a unit
names is the part of this that the unit really handles.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from loadmaster_ha.loadmaster.catalogue import (
    agent,
    certificates,
    geo,
    ha,
    network,
    services,
    statistics,
    system,
    users,
)
from loadmaster_ha.loadmaster.shapes import Command

SUBJECTS: Final[Mapping[str, tuple[Command, ...]]] = MappingProxyType(
    {
        "The unit": system.COMMANDS,
        "High availability": ha.COMMANDS,
        "What only the node agent has": agent.COMMANDS,
        "Virtual services and real servers": services.COMMANDS,
        "Statistics": statistics.COMMANDS,
        "Certificates": certificates.COMMANDS,
        "GEO": geo.COMMANDS,
        "Interfaces, addresses, routes and hosts": network.COMMANDS,
        "Users and API keys": users.COMMANDS,
    }
)
"""The commands by what they are about."""


def _gather() -> Mapping[str, Command]:
    gathered: dict[str, Command] = {}
    for command in (command for subject in SUBJECTS.values() for command in subject):
        if gathered.setdefault(command.name.lower(), command) is not command:
            raise ValueError(f"The command {command.name} is in the catalogue twice.")
    return MappingProxyType({command.name: command for command in gathered.values()})


COMMANDS: Final[Mapping[str, Command]] = _gather()
"""By the name that `listapi` gives."""

_BY_LOWER_NAME: Final = MappingProxyType({name.lower(): command for name, command in COMMANDS.items()})


def find(name: str) -> Command | None:
    """The command of this name; case does not count, and `logging/ping` is `logging.ping`."""
    return _BY_LOWER_NAME.get(name.strip("/").replace("/", ".").lower())

"""What decides who may sign in to a unit: commands that no program shall send which was only given a login.

An appliance keeps 16 API keys of a user and drops the oldest without a word when another one is made: who
makes one at each start has soon locked everybody else out.
"""

from typing import Final

from loadmaster_ha.loadmaster import commands
from loadmaster_ha.loadmaster.catalogue import users
from loadmaster_ha.loadmaster.shapes import Access

CHANGES: Final = frozenset(
    command.name.lower() for command in users.COMMANDS if command.access is not Access.READ
)
"""Commands of the catalogue that make, change or delete users, passwords and API keys."""


def changing(names: set[str]) -> set[str]:
    """Those of some commands (lower case) that are no mere reads; what is in no catalogue may be anything."""
    found = {name: commands.find(name) for name in names}
    return {name for name, command in found.items() if command is None or command.access is not Access.READ}

"""A unit's own addresses by the names of its interfaces, so that a setting means the same on both units.

A virtual service is on the unit's own address (guide, 1.1), and GEO addresses that are one unit's own become
the other's (guide, 1). So what is stored, and synchronised, names the interface; each unit reads its own
address out of it. All other addresses are stored as they are.

`own` is everywhere: interface name -> this unit's primary address on it.
"""

from collections.abc import Container, Mapping
from ipaddress import ip_address
from typing import Final

MARK: Final = "@"
"""Before an interface's name where an address would be: `@eth0`."""


def symbolic(address: str, own: Mapping[str, str]) -> str:
    """What is stored for an address: `@eth0` for this unit's own one, else the address itself."""
    wanted = _canonical(address)
    for interface, mine in own.items():
        if _canonical(mine) == wanted:
            return MARK + interface
    return address


def resolve(value: str, own: Mapping[str, str]) -> str:
    """The address that a stored value means on this unit.

    A name of an interface that this unit does not have stays as it is: nothing can be said for it.
    """
    if not value.startswith(MARK):
        return value
    return own.get(value.removeprefix(MARK), value)


def stored_key(address: str, own: Mapping[str, str], present: Container[str]) -> str:
    """The key under which an entity with this address is, or would be, stored.

    It may be there literally: a setting that named the partner's address before the units were a pair stays
    what it was. Then that entity is meant.

    Args:
        address: as a person names it.
        own: this unit's own addresses.
        present: the keys that there are.
    """
    symbol = symbolic(address, own)
    return address if address in present and symbol not in present else symbol


def _canonical(address: str) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        return address

"""Which addresses one host can have: asked wherever a person names a unit, a balancer or a real server."""

from ipaddress import IPv4Address, ip_address
from typing import Final

_BROADCAST: Final = IPv4Address("255.255.255.255")


def is_of_a_host(text: str) -> bool:
    """Whether it is an IP address, and not everybody's, many hosts', or (0.0.0.0, ::) nobody's."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_multicast or address == _BROADCAST)

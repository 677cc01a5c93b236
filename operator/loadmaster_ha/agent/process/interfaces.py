"""The unit's interfaces: `eth0`, `eth1` and so on, as a LoadMaster names them, and the address on each.

The system may call them otherwise (ens3); the settings name them by their place, so that the same setting
means the first interface on both units. What the configuration lists counts, else what the system has.
"""

import socket
from collections.abc import Sequence
from ipaddress import ip_interface
from pathlib import Path
from typing import Final

from loadmaster_ha.agent.api.machine import link
from loadmaster_ha.agent.configuration import InvalidConfiguration

_ROUTES: Final = Path("/proc/net/route")
_PASSED_OVER: Final = ("lo", "docker", "veth", "br-", "virbr", "cni", "flannel", "cali")


def own_addresses(configured: Sequence[str]) -> dict[str, str]:
    """Interface name -> this unit's address on it, the main interface first.

    Raises:
        InvalidConfiguration: an interface is not there, or has no address.
    """
    found = [_address(each) for each in configured] if configured else _discovered()
    if not found:
        raise InvalidConfiguration(
            "interfaces is not given, and this system has no interface with an IPv4 address but loopback: "
            "give devices or addresses"
        )
    return {f"eth{place}": address for place, address in enumerate(found)}


def _address(configured: str) -> str:
    if configured[0].isdigit() or ":" in configured:
        return str(ip_interface(configured).ip)
    devices = _devices()
    if configured not in devices:
        raise InvalidConfiguration(f"interfaces names {configured}, but this system has {', '.join(devices)}")
    network = link(configured).network
    if network is None:
        raise InvalidConfiguration(f"interfaces names {configured}, but it has no IPv4 address")
    return str(network.ip)


def _discovered() -> list[str]:
    first = _default_device()
    devices = [name for name in _devices() if not name.startswith(_PASSED_OVER)]
    networks = [link(name).network for name in sorted(devices, key=lambda name: name != first)]
    return [str(network.ip) for network in networks if network is not None]


def _devices() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _default_device() -> str:
    """The device of the default route; empty when there is none."""
    try:
        lines = _ROUTES.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return ""
    routes = [line.split() for line in lines]
    defaults = [(int(route[6]), route[0]) for route in routes if route[1] == "00000000"]
    return min(defaults)[1] if defaults else ""

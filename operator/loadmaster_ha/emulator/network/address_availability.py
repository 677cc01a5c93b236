"""Whether a private address of a virtual network can be had, and which others can.

That is Azure's `CheckIPAddressAvailability`; which subnet is meant follows from the address. Neighbour:
`addresses`, which gives addresses out by the same rules.
"""

from __future__ import annotations

import ipaddress
from itertools import islice
from typing import TYPE_CHECKING

from loadmaster_ha.emulator.cloud import Reply
from loadmaster_ha.emulator.errors import bad_request
from loadmaster_ha.emulator.json_types import objects
from loadmaster_ha.emulator.network.addresses import Address, Network, prefixes, reserved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadmaster_ha.emulator.armid import ArmId
    from loadmaster_ha.emulator.cloud import Call
    from loadmaster_ha.emulator.store import Resource

_OFFERED = 5
"""How many other addresses the answer offers (Microsoft's example of this operation has five)."""


def check_address(call: Call, network: Resource) -> Reply:
    """Answer `GET .../virtualNetworks/{name}/CheckIPAddressAvailability?ipAddress=...`.

    Raises:
        ArmError: `InvalidIPAddressFormat`, or `PrivateIPAddressNotInAnySubnet` (the code that Microsoft's
            SDKs expect; text assumed).
    """
    text = call.query.get("ipaddress", "")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise bad_request("InvalidIPAddressFormat", f"IP address {text} is not a valid address.") from None
    subnet, prefix = _subnet_of(network, address)
    used = call.cloud.store.holders(subnet)
    if reserved(address, prefix):
        taken = {"available": False, "isPlatformReserved": True}
    elif str(address) in used:
        taken = {"available": False, "isPlatformReserved": False}
    else:
        return Reply(200, {"available": True, "isPlatformReserved": False})
    return Reply(200, taken | {"availableIPAddresses": list(islice(_free(prefix, address, used), _OFFERED))})


def _subnet_of(network: Resource, address: Address) -> tuple[ArmId, Network]:
    for item in objects(network.properties.get("subnets")):
        for prefix in prefixes(item["properties"]):
            if address in prefix:
                return network.id.child("subnets", str(item["name"])), prefix
    raise bad_request(
        "PrivateIPAddressNotInAnySubnet",
        f"Private IP address {address} does not belong to the range of any subnet of virtual network "
        f"{network.id}.",
    )


def _free(prefix: Network, after: Address, used: dict[str, str]) -> Iterator[str]:
    """Free addresses of a subnet, from `after` upwards, then from its beginning."""
    start = int(after) - int(prefix.network_address)
    for offset in (*range(start, prefix.num_addresses), *range(start)):
        candidate = prefix[offset]
        if not reserved(candidate, prefix) and str(candidate) not in used:
            yield str(candidate)

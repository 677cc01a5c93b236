"""Private addresses: which are free in a subnet, and who may have which.

Azure keeps the first four addresses and the last of each subnet for itself and hands out the lowest free one,
from .4 upwards. Interfaces and internal frontends draw from the same subnets.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from loadmaster_ha.emulator.armid import ArmId, key_of, parse_id
from loadmaster_ha.emulator.errors import bad_request, dangling_reference
from loadmaster_ha.emulator.json_types import JsonObject, named, obj, objects, reference_id

if TYPE_CHECKING:
    from loadmaster_ha.emulator.store import Store

_RESERVED_HEAD = 4
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def subnet_networks(store: Store, subnet_id: str) -> list[Network]:
    """Return the address ranges of a subnet; empty when there is no such subnet."""
    parsed = parse_id(subnet_id)
    network = store.get(parsed.root) if parsed and len(parsed.names) == 2 else None
    subnet = named(objects(network.properties.get("subnets")), parsed.name) if network and parsed else None
    return prefixes(obj(subnet.get("properties"))) if subnet else []


def prefixes(properties: JsonObject) -> list[Network]:
    """Return the ranges in `addressPrefix` or `addressPrefixes` of a subnet's properties."""
    raw = properties.get("addressPrefixes") or [properties.get("addressPrefix")]
    return [ipaddress.ip_network(str(item)) for item in raw if item]


def assign(
    store: Store,
    properties: JsonObject,
    *,
    holder: ArmId,
    old: JsonObject | None,
    taken: dict[str, str],
) -> None:
    """Fill in the private address of an ipConfiguration or internal frontend, in place.

    Args:
        store: Knows the subnets and who holds which address.
        properties: With `subnet`, `privateIPAllocationMethod` and, when static, `privateIPAddress`.
        holder: The id of the ipConfiguration or frontend.
        old: Its stored properties: a dynamic address stays while the subnet does.
        taken: Addresses given out earlier in the same write, `subnet key/address` to holder; added to.

    Raises:
        ArmError: `InvalidResourceReference`, `PrivateIPAddressNotInSubnet`,
            `PrivateIPAddressInReservedRange`, `PrivateIPAddressIsAllocated` or `SubnetIsFull`.
    """
    subnet = reference_id(properties.get("subnet"))
    if subnet is None:
        return
    version = 6 if properties.get("privateIPAddressVersion") == "IPv6" else 4
    networks = [item for item in subnet_networks(store, subnet) if item.version == version]
    if not networks:
        raise dangling_reference(subnet, str(holder))
    used = {
        address: owner
        for address, owner in store.holders(subnet).items()
        if not _same_resource(owner, holder)
    }
    prefix = f"{key_of(subnet)}/"
    used |= {key.removeprefix(prefix): owner for key, owner in taken.items() if key.startswith(prefix)}
    if properties.get("privateIPAllocationMethod") == "Static":
        address = _static(properties.get("privateIPAddress"), networks, holder, used)
    else:
        properties["privateIPAllocationMethod"] = "Dynamic"
        address = _kept(properties, old, used) or _lowest_free(networks, subnet, used)
    properties["privateIPAddress"] = address
    taken[prefix + address] = str(holder)


def _same_resource(owner: str, holder: ArmId) -> bool:
    return key_of(owner).startswith(key_of(holder.root) + "/")


def _kept(properties: JsonObject, old: JsonObject | None, used: dict[str, str]) -> str | None:
    """The address a dynamic configuration already has: it does not change while the configuration lives."""
    before = reference_id(obj(old).get("subnet"))
    now = reference_id(properties.get("subnet"))
    address = obj(old).get("privateIPAddress")
    if before and now and key_of(before) == key_of(now) and isinstance(address, str) and address not in used:
        return address
    return None


def _static(wanted: object, networks: list[Network], holder: ArmId, used: dict[str, str]) -> str:
    try:
        address = ipaddress.ip_address(str(wanted))
    except ValueError:
        raise bad_request(
            "InvalidIPAddressFormat" if wanted else "StaticPrivateIPAddressMustHaveValue",
            f"Private static IP address {wanted or ''} of {holder} is not a valid address.",
        ) from None
    inside = next((item for item in networks if address in item), None)
    if inside is None:
        raise bad_request(
            "PrivateIPAddressNotInSubnet",
            f"Private static IP address {address} does not belong to the range of subnet prefix "
            f"{', '.join(map(str, networks))}.",
        )
    if reserved(address, inside):
        raise bad_request(
            "PrivateIPAddressInReservedRange",
            f"Private static IP address {address} falls within reserved IP range of subnet prefix {inside}.",
        )
    if str(address) in used:
        owner = parse_id(used[str(address)])
        raise bad_request(
            "PrivateIPAddressIsAllocated",
            f"IP configuration {holder} is using the private IP address {address} which is already allocated "
            "to "
            f"resource {owner.root if owner else used[str(address)]}.",
        )
    return str(address)


def reserved(address: Address, network: Network) -> bool:
    """Say whether Azure keeps an address of a subnet's range for itself."""
    first = int(network.network_address)
    return int(address) < first + _RESERVED_HEAD or int(address) == first + network.num_addresses - 1


def _lowest_free(networks: list[Network], subnet: str, used: dict[str, str]) -> str:
    for network in networks:
        first = int(network.network_address)
        for offset in range(_RESERVED_HEAD, network.num_addresses - 1):
            candidate = str(type(network.network_address)(first + offset))
            if candidate not in used:
                return candidate
    raise bad_request(
        "SubnetIsFull",
        f"Subnet {subnet} with address prefix {', '.join(map(str, networks))} does not have enough capacity "
        "for 1 IP "
        "addresses.",
    )

"""Where the frontend is: network, subnet, private address; or the public address."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.planning.balancer import FRONTENDS, our_frontend
from loadmaster_ha.planning.bodies import children, named, properties, reference_of, singular_or_plural
from loadmaster_ha.planning.observation import AddressQuestion
from loadmaster_ha.planning.prerequisites.context import Context
from loadmaster_ha.planning.public_address import creates_address
from loadmaster_ha.planning.reasons import Reason, finding

_ADDRESS = "spec.loadBalancer.frontend.privateIPAddress"
_PUBLIC = "spec.loadBalancer.frontend.publicIPAddress"
_RESERVED_AT_START = 4


def network_exists(context: Context) -> Iterator[Finding]:
    """The frontend's network and subnet are there."""
    network, subnet = context.layout.virtual_network, context.layout.subnet
    if network is None or subnet is None:
        return
    if context.observation.is_absent(network):
        what = f"Virtual network {network} does not exist"
        yield finding(
            Reason.VIRTUAL_NETWORK_NOT_FOUND, "spec.loadBalancer.frontend.subnet.virtualNetwork", what
        )
    elif context.observation.get(network) is not None and _subnet(context) is None:
        what = f"Virtual network {network} has no subnet {subnet.name!r}"
        yield finding(Reason.SUBNET_NOT_FOUND, "spec.loadBalancer.frontend.subnet.name", what)


def address_fits(context: Context) -> Iterator[Finding]:
    """The private address is in the subnet, and not one that Azure keeps."""
    text, subnet = context.layout.spec.load_balancer.frontend.private_ip_address, _subnet(context)
    if text is None or subnet is None:
        return
    address = ipaddress.ip_address(text)
    prefixes = singular_or_plural(properties(subnet), "addressPrefix", "addressPrefixes")
    home = next((found for found in map(ipaddress.ip_network, prefixes) if address in found), None)
    if home is None:
        what = f"{text} is not in subnet {context.layout.subnet} ({', '.join(prefixes)})"
        yield finding(Reason.ADDRESS_NOT_IN_SUBNET, _ADDRESS, what)
        return
    place = int(address) - int(home.network_address)
    if place < _RESERVED_AT_START or address == home.broadcast_address:
        yield finding(Reason.ADDRESS_RESERVED, _ADDRESS, f"{text} is kept by Azure in {home}")


def address_is_free(context: Context) -> Iterator[Finding]:
    """The private address is ours already, or nobody's."""
    text, network = (
        context.layout.spec.load_balancer.frontend.private_ip_address,
        context.layout.virtual_network,
    )
    if text is None or network is None:
        return
    held = properties(our_frontend(context.layout, context.balancer) or {}).get("privateIPAddress")
    reading = context.observation.addresses.get(AddressQuestion(network, text))
    if held != text and isinstance(reading, Present) and not reading.value:
        yield finding(Reason.ADDRESS_TAKEN, _ADDRESS, f"{text} is in use in {network}")


def frontend_stays(context: Context) -> Iterator[Finding]:
    """An existing frontend of ours is in the subnet that the manifest names."""
    found = reference_of(properties(our_frontend(context.layout, context.balancer) or {}).get("subnet"))
    if found is not None and context.layout.subnet is not None and found != context.layout.subnet:
        what = f"The frontend is in {found}, the manifest names {context.layout.subnet}"
        yield finding(Reason.SUBNET_MISMATCH, "spec.loadBalancer.frontend.subnet", what)


def public_address_fits(context: Context) -> Iterator[Finding]:
    """The public address is there or to be created, Standard, static, IPv4, and free."""
    wanted = context.layout.public_address
    if wanted is None:
        return
    address = context.observation.get(wanted)
    if address is None:
        if context.observation.is_absent(wanted) and not creates_address(context.layout):
            yield finding(Reason.PUBLIC_ADDRESS_NOT_FOUND, f"{_PUBLIC}.name", f"{wanted} does not exist")
        return
    sku = str((address.body.get("sku") or {}).get("name", "Basic"))
    method = str(address.properties.get("publicIPAllocationMethod", ""))
    if sku.lower() != "standard" or method.lower() == "dynamic":
        yield finding(Reason.BASIC_PUBLIC_ADDRESS, _PUBLIC, f"{wanted} is {sku}, {method or 'dynamic'}")
    if str(address.properties.get("publicIPAddressVersion") or "IPv4").lower() != "ipv4":
        yield finding(Reason.PUBLIC_ADDRESS_NOT_IPV4, _PUBLIC, f"{wanted} is an IPv6 address")
    user = reference_of(address.properties.get("ipConfiguration"))
    gateway = reference_of(address.properties.get("natGateway"))
    ours = context.layout.balancer.child(FRONTENDS, context.layout.names.frontend)
    if gateway is not None or user not in (None, ours):
        yield finding(Reason.PUBLIC_ADDRESS_IN_USE, _PUBLIC, f"{wanted} is used by {gateway or user}")


def _subnet(context: Context) -> Mapping[str, Any] | None:
    network, subnet = context.layout.virtual_network, context.layout.subnet
    if network is None or subnet is None:
        return None
    return named(children(context.observation.get(network), "subnets"), subnet.name)

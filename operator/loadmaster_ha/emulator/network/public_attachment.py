"""Rules for putting a public address on a frontend or an interface: one user each, and matching SKUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadmaster_ha.emulator.armid import key_of
from loadmaster_ha.emulator.errors import bad_request, dangling_reference
from loadmaster_ha.emulator.json_types import obj

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Cloud


def check_attachment(cloud: Cloud, public_id: str, holder: str, balancer_sku: str | None) -> None:
    """Refuse a public address that is missing, in use elsewhere, or of another SKU than the balancer.

    Raises:
        ArmError: `InvalidResourceReference`, `PublicIPAddressInUse` or
            `DifferentSkuLoadBalancersAndPublicIPAddressNotAllowed`.
    """
    address = cloud.store.get(public_id)
    if address is None:
        raise dangling_reference(public_id, holder)
    for user in cloud.store.referrers(public_id, "pip"):
        if key_of(user.source) != key_of(holder):
            raise bad_request(
                "PublicIPAddressInUse",
                f"Resource {holder} is referencing public IP address {public_id} that is already allocated "
                "to resource "
                f"{user.source}.",
            )
    sku = str(obj(address.body.get("sku")).get("name", "Basic"))
    if balancer_sku is not None and sku != balancer_sku:
        raise bad_request(
            "DifferentSkuLoadBalancersAndPublicIPAddressNotAllowed",
            f"Different sku load balancers and public IP addresses are not allowed. {balancer_sku} sku load "
            "balancer "
            f"cannot reference {sku} sku public IP address {public_id}.",
        )

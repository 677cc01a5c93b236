"""Bodies of requests for the emulator's tests, as Azure's clients send them."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.emulator import Emulator

HERE = {"location": "westeurope"}
STANDARD = {"name": "Standard", "tier": "Regional"}


def network_body(*subnets: tuple[str, str], space: str = "10.0.0.0/16") -> dict[str, Any]:
    items = [{"name": name, "properties": {"addressPrefix": prefix}} for name, prefix in subnets]
    return {**HERE, "properties": {"addressSpace": {"addressPrefixes": [space]}, "subnets": items}}


def public_body(**properties: Any) -> dict[str, Any]:
    return {**HERE, "sku": STANDARD, "properties": {"publicIPAllocationMethod": "Static", **properties}}


def rule_body(priority: int, **changes: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "protocol": "Tcp",
        "sourcePortRange": "*",
        "destinationPortRange": "8443",
        "sourceAddressPrefix": "10.0.0.0/8",
        "destinationAddressPrefix": "*",
        "access": "Allow",
        "priority": priority,
        "direction": "Inbound",
    }
    properties.update(changes)
    return {"properties": {key: value for key, value in properties.items() if value is not None}}


class Balancer:
    """A balancer as the guide has it, under construction: change `body`, then PUT it."""

    def __init__(self, azure: Emulator, name: str = "web-ilb", *, public: str | None = None) -> None:
        self.path = azure.network("loadBalancers", name)
        subnet = f"{azure.network('virtualNetworks', 'app', 'net')}/subnets/lb"
        where = {"publicIPAddress": {"id": public}} if public else {"subnet": {"id": subnet}}
        frontend = self.ref("frontendIPConfigurations", "frontend")
        self.properties: dict[str, Any] = {
            "frontendIPConfigurations": [{"name": "frontend", "properties": where}],
            "backendAddressPools": [{"name": "pool"}],
            "probes": [
                {
                    "name": "health",
                    "properties": {
                        "protocol": "Http",
                        "port": 8444,
                        "requestPath": "/",
                        "intervalInSeconds": 5,
                        "numberOfProbes": 2,
                        "probeThreshold": 2,
                    },
                }
            ],
            "loadBalancingRules": [self.rule("check", 8444)],
            "inboundNatRules": [
                {
                    "name": name,
                    "properties": {
                        "frontendIPConfiguration": frontend,
                        "protocol": "Tcp",
                        "frontendPort": front,
                        "backendPort": back,
                    },
                }
                for name, front, back in (
                    ("web-0", 8441, 8443),
                    ("web-1", 8442, 8443),
                    ("ssh-0", 221, 22),
                    ("ssh-1", 222, 22),
                )
            ],
        }

    @property
    def body(self) -> dict[str, Any]:
        return {**HERE, "sku": {"name": "Standard"}, "properties": deepcopy(self.properties)}

    def ref(self, collection: str, name: str) -> dict[str, str]:
        return {"id": f"{self.path}/{collection}/{name}"}

    def rule(self, name: str, port: int, **changes: Any) -> dict[str, Any]:
        properties = {
            "frontendIPConfiguration": self.ref("frontendIPConfigurations", "frontend"),
            "backendAddressPool": self.ref("backendAddressPools", "pool"),
            "probe": self.ref("probes", "health"),
            "protocol": "Tcp",
            "frontendPort": port,
            "backendPort": port,
        }
        return {"name": name, "properties": properties | changes}

    async def joined(self, azure: Emulator, index: int, nat: tuple[str, ...] = ()) -> dict[str, Any]:
        """The body of interface `index` as a member of the pool and of NAT rules."""
        body: dict[str, Any] = (
            await azure.arm("GET", azure.network("networkInterfaces", f"lm-{index}-nic"))
        ).body
        properties = body["properties"]["ipConfigurations"][0]["properties"]
        properties["loadBalancerBackendAddressPools"] = [self.ref("backendAddressPools", "pool")]
        properties["loadBalancerInboundNatRules"] = [self.ref("inboundNatRules", name) for name in nat]
        return body

"""The Azure side that the guide presupposes (sections 2 and 3): network, machines, security group.

Everything is put by a third party with an account of its own, as a network team would have done it before.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.support.world import LOCATION, SUBSCRIPTION, Arm

JSON = dict[str, Any]


@dataclass(frozen=True)
class Addresses:
    """Where the network is: the guide's example; on loopback something else."""

    space: str = "10.0.0.0/16"
    subnet: str = "10.0.0.0/18"
    units: tuple[str, ...] = ()
    """Of the machines, by number; for those beyond it, see `unit_address`."""

    def of_unit(self, unit: int) -> str:
        """The private address of a machine."""
        return self.units[unit] if unit < len(self.units) else unit_address(unit)


@dataclass(frozen=True)
class Site:
    """One resource group with machines, in a virtual network that belongs to another group.

    `units` names the pairs' machines by number: pair n has the machines 2n and 2n+1.
    """

    arm: Arm
    group: str = "edge"
    network_group: str = "net"
    addresses: Addresses = field(default_factory=Addresses)

    def id(self, provider_type: str, name: str, *, group: str | None = None) -> str:
        """The id of a resource, e.g. `id("Microsoft.Network/loadBalancers", "web-ilb")`."""
        within = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group or self.group}"
        return f"{within}/providers/{provider_type}/{name}"

    @property
    def virtual_network(self) -> str:
        """The id of the virtual network `app`."""
        return self.id("Microsoft.Network/virtualNetworks", "app", group=self.network_group)

    async def build(self, pairs: int = 1) -> None:
        """Make the network and the machines of so many pairs."""
        for group in {self.group, self.network_group}:
            resource = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
            await self.arm.request("PUT", resource, {"location": LOCATION})
        await self._put("Microsoft.Network/publicIPAddresses", "way-out-ip", _public_address())
        way_out = {"id": self.id("Microsoft.Network/publicIPAddresses", "way-out-ip")}
        gateway = {"sku": {"name": "Standard"}, "properties": {"publicIpAddresses": [way_out]}}
        await self._put("Microsoft.Network/natGateways", "way-out", gateway)
        await self.arm.put(self.virtual_network, self._virtual_network())
        for pair in range(pairs):
            await self.add_pair(pair)

    async def add_pair(self, number: int) -> None:
        """Two machines in an availability set of their own, with an interface each, and a security group."""
        await self._put("Microsoft.Network/networkSecurityGroups", security_group(number), _security_group())
        aligned = {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5}
        availability = {"sku": {"name": "Aligned"}, "properties": aligned}
        await self._put("Microsoft.Compute/availabilitySets", f"lm-set-{number}", availability)
        for unit in (2 * number, 2 * number + 1):
            await self._put(
                "Microsoft.Network/networkInterfaces", f"lm-{unit}-nic", self._interface(unit, number)
            )
            await self._put("Microsoft.Compute/virtualMachines", f"lm-{unit}", self._machine(unit, number))

    async def _put(self, provider_type: str, name: str, body: JSON) -> None:
        await self.arm.put(self.id(provider_type, name), {"location": LOCATION, **body})

    def _virtual_network(self) -> JSON:
        subnet = {
            "name": "lb",
            "properties": {
                "addressPrefix": self.addresses.subnet,
                "natGateway": {"id": self.id("Microsoft.Network/natGateways", "way-out")},
            },
        }
        return {
            "location": LOCATION,
            "properties": {"addressSpace": {"addressPrefixes": [self.addresses.space]}, "subnets": [subnet]},
        }

    def _interface(self, unit: int, pair: int) -> JSON:
        group = {"id": self.id("Microsoft.Network/networkSecurityGroups", security_group(pair))}
        configuration = {
            "privateIPAllocationMethod": "Static",
            "privateIPAddress": self.addresses.of_unit(unit),
            "subnet": {"id": f"{self.virtual_network}/subnets/lb"},
            "primary": True,
        }
        return {
            "properties": {
                "networkSecurityGroup": group,
                "ipConfigurations": [{"name": "ipconfig1", "properties": configuration}],
            }
        }

    def _machine(self, unit: int, pair: int) -> JSON:
        interface = {"id": self.id("Microsoft.Network/networkInterfaces", f"lm-{unit}-nic")}
        return {
            "properties": {
                "availabilitySet": {"id": self.id("Microsoft.Compute/availabilitySets", f"lm-set-{pair}")},
                "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
                "networkProfile": {"networkInterfaces": [interface]},
            }
        }


def security_group(pair: int) -> str:
    """The security group's name; that of the first pair is the examples'."""
    return "lm-nsg" if pair == 0 else f"lm-nsg-{pair}"


def unit_address(unit: int) -> str:
    """10.0.2.4 and up for machines; frontends are from 10.0.32.0 on, but for the examples' 10.0.2.100."""
    return f"10.0.{2 + unit // 64}.{4 + unit % 64}"


def _public_address() -> JSON:
    return {"sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}


def _security_group() -> JSON:
    monitoring = {
        "priority": 200,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourceAddressPrefix": "10.1.0.0/16",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "9100",
        "description": "Somebody else's",
    }
    return {"properties": {"securityRules": [{"name": "corp-monitoring", "properties": monitoring}]}}

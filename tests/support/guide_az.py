"""The guide's set-up as an administrator would type it: `az` commands, and one ARM template.

`prerequisites` is what the guide expects to be there (its sections 2 and 3), `balancer` is what it then has
built by hand (sections 4, 5, 6) and what the operator builds. Both are plain lists so that a test can run
them against the emulator and a benchmark can time them beside the operator. The template
`guide_template.json` builds the balancer's part in one deployment. Names and addresses are those of
`world`, so the two may be mixed.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPLATE_FILE = Path(__file__).with_name("guide_template.json")
MACHINE_API = "2024-07-01"
UNITS = (0, 1)


@dataclass(frozen=True, slots=True)
class GuideSetUp:
    """The guide's set-up in one resource group; every command is what follows the word `az`."""

    subscription: str = "11111111-2222-3333-4444-555555555555"
    group: str = "edge"
    location: str = "westeurope"
    network: str = "app"
    subnet: str = "lb"
    security_group: str = "lm-nsg"
    availability_set: str = "lm-set"
    balancer_name: str = "web-ilb"
    frontend_address: str = "10.0.2.100"

    def prerequisites(self) -> list[list[str]]:
        """Group, network, security group, availability set, interfaces and machines."""
        commands = [
            f"group create -n {self.group} -l {self.location}",
            f"network vnet create -g {self.group} -n {self.network} --address-prefixes 10.0.0.0/16",
            f"network nsg create -g {self.group} -n {self.security_group}",
            (
                f"network vnet subnet create -g {self.group} --vnet-name {self.network} -n {self.subnet}"
                f" --address-prefixes 10.0.2.0/24 --nsg {self.security_group}"
            ),
            f"vm availability-set create -g {self.group} -n {self.availability_set}",
        ]
        commands += [
            f"network nic create -g {self.group} -n {self.interface(unit)} --vnet-name {self.network}"
            f" --subnet {self.subnet} --private-ip-address 10.0.2.{4 + unit}"
            for unit in UNITS
        ]
        return [*map(shlex.split, commands), *map(self.machine_command, UNITS)]

    def balancer(self) -> list[list[str]]:
        """The balancer with probe and rules, the security rules, and the interfaces' memberships."""
        commands = [*self._security_rules(), *self._balancer(), *self._memberships()]
        return list(map(shlex.split, commands))

    def commands(self) -> list[list[str]]:
        """Everything, in an order that works."""
        return self.prerequisites() + self.balancer()

    def interface(self, unit: int) -> str:
        return f"lm-{unit}-nic"

    def machine(self, unit: int) -> str:
        return f"lm-{unit}"

    def machine_path(self, unit: int) -> str:
        """Id of a unit's machine."""
        return self._path("Microsoft.Compute", "virtualMachines", self.machine(unit))

    def balancer_path(self) -> str:
        """Id of the balancer."""
        return self._path("Microsoft.Network", "loadBalancers", self.balancer_name)

    def machine_command(self, unit: int) -> list[str]:
        """Make a machine with `az rest`: `az vm create` would ask for Azure's catalogue of images."""
        url = f"{self.machine_path(unit)}?api-version={MACHINE_API}"
        return ["rest", "--method", "put", "--url", url, "--body", json.dumps(self.machine_body(unit))]

    def machine_body(self, unit: int) -> dict[str, Any]:
        """A LoadMaster's machine, as far as the set-up of the balancer cares."""
        interface = self._path("Microsoft.Network", "networkInterfaces", self.interface(unit))
        return {
            "location": self.location,
            "properties": {
                "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
                "availabilitySet": {
                    "id": self._path("Microsoft.Compute", "availabilitySets", self.availability_set)
                },
                "networkProfile": {"networkInterfaces": [{"id": interface, "properties": {"primary": True}}]},
                "osProfile": {
                    "computerName": self.machine(unit),
                    "adminUsername": "bal",
                    "adminPassword": "Emulated-1234",
                },
                "storageProfile": {
                    "imageReference": {
                        "publisher": "kemptech",
                        "offer": "vlm-azure",
                        "sku": "basic-byol",
                        "version": "latest",
                    },
                    "osDisk": {"createOption": "FromImage", "name": f"{self.machine(unit)}-os"},
                },
            },
        }

    def template_parameters(self) -> dict[str, dict[str, str]]:
        """Parameters of `guide_template.json` in the form that a deployment takes."""
        values = {
            "location": self.location,
            "virtualNetwork": self.network,
            "subnet": self.subnet,
            "securityGroup": self.security_group,
            "balancer": self.balancer_name,
            "frontendAddress": self.frontend_address,
        }
        return {name: {"value": value} for name, value in values.items()}

    def _path(self, provider: str, kind: str, name: str) -> str:
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        return f"{group}/providers/{provider}/{kind}/{name}"

    def _security_rules(self) -> list[str]:
        rules = [  # name, priority, source, ports
            ("management", 1000, "10.0.0.0/8", "8443 22"),
            ("check", 1010, "AzureLoadBalancer", "8444"),
            ("check-units", 1020, "10.0.0.0/8", "8444"),
            ("https", 1030, "Internet", "443"),
            ("partner", 1040, "VirtualNetwork", "6973"),
        ]
        return [
            f"network nsg rule create -g {self.group} --nsg-name {self.security_group} -n {name}"
            f" --priority {priority} --direction Inbound --access Allow --protocol Tcp"
            f" --source-address-prefixes {source} --destination-port-ranges {ports}"
            for name, priority, source, ports in rules
        ]

    def _balancer(self) -> list[str]:
        where = f"-g {self.group} --lb-name {self.balancer_name}"
        frontend = "--protocol Tcp --frontend-ip-name frontend"
        commands = [
            (
                f"network lb create -g {self.group} -n {self.balancer_name} --sku Standard"
                f" --vnet-name {self.network} --subnet {self.subnet}"
                f" --private-ip-address {self.frontend_address} --frontend-ip-name frontend"
                " --backend-pool-name pool"
            ),
            (
                f"network lb probe create {where} -n health --protocol Http --port 8444 --path / --interval 5"
                " --threshold 2 --probe-threshold 2"
            ),
        ]
        commands += [
            f"network lb rule create {where} -n {name} {frontend}"
            f" --frontend-port {port} --backend-port {port}"
            " --backend-pool-name pool --probe-name health --idle-timeout 4"
            for name, port in (("check", 8444), ("https", 443))
        ]
        commands += [
            f"network lb inbound-nat-rule create {where} -n {name} {frontend} --frontend-port {port}"
            f" --backend-port {backend_port}"
            for name, port, backend_port in _NAT_RULES
        ]
        return commands

    def _memberships(self) -> list[str]:
        commands = []
        for unit in UNITS:
            add = "network nic ip-config {kind} add"
            where = (
                f"-g {self.group} --nic-name {self.interface(unit)} --ip-config-name ipconfig1"
                f" --lb-name {self.balancer_name}"
            )
            commands += [
                f"{add.format(kind='address-pool')} {where} --address-pool pool",
                f"{add.format(kind='inbound-nat-rule')} {where} --inbound-nat-rule web-{unit}",
                f"{add.format(kind='inbound-nat-rule')} {where} --inbound-nat-rule ssh-{unit}",
            ]
        return commands


_NAT_RULES = (
    ("web-0", 8441, 8443),
    ("web-1", 8442, 8443),
    ("ssh-0", 221, 22),
    ("ssh-1", 222, 22),
)


def template() -> dict[str, Any]:
    """The balancer's part of the set-up as one ARM template."""
    parsed: dict[str, Any] = json.loads(TEMPLATE_FILE.read_text(encoding="utf-8"))
    return parsed

"""Manifests of many pairs, for the network that `lab.network` builds."""

from typing import Any

from tests.support.world import LOCATION, SUBSCRIPTION

from lab.network import security_group, unit_address

JSON = dict[str, Any]


def manifest(number: int, namespace: str, secret: str) -> JSON:
    """The guide's set-up for the machines of pair `number`."""
    return {
        "apiVersion": "loadmaster.dev/v1alpha1",
        "kind": "LoadMasterPair",
        "metadata": {"name": f"web-{number}", "namespace": namespace},
        "spec": {
            "azure": {
                "subscriptionID": SUBSCRIPTION,
                "resourceGroup": "edge",
                "location": LOCATION,
                "credentialsSecretRef": {"name": secret},
            },
            "master": _unit(2 * number),
            "slave": _unit(2 * number + 1),
            "loadBalancer": {
                "name": f"web-ilb-{number}",
                "frontend": {
                    "subnet": {"virtualNetwork": "app", "name": "lb", "resourceGroup": "net"},
                    "privateIPAddress": f"10.0.{32 + number // 64}.{4 + number % 64}",
                },
            },
            "services": [{"name": "https", "port": 443}],
            "networkSecurity": {"securityGroups": [{"name": security_group(number)}]},
        },
    }


def _unit(unit: int) -> JSON:
    interface = {"name": "eth0", "resource": f"lm-{unit}-nic", "ipConfiguration": "ipconfig1"}
    return {
        "virtualMachine": {"name": f"lm-{unit}"},
        "networkInterfaces": [interface],
        "address": unit_address(unit),
    }

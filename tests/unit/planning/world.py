"""The guide's set-up as Azure has it before the operator comes: literal bodies, and manifests for it."""

import copy
from collections.abc import Mapping
from typing import Any

from tests.unit.planning.arm_model import COMPUTE, GROUP, NETWORK, SUBSCRIPTION, ArmModel

from loadmaster_ha.planning import pair
from loadmaster_ha.planning.changes import Plan
from loadmaster_ha.planning.observation import Observation
from loadmaster_ha.planning.target import PairIdentity, PairTarget
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec

UID = "6f1a2b3c-0000-4000-8000-000000000001"
IDENTITY = PairIdentity("edge", "web", UID)

BALANCER = f"{NETWORK}/loadBalancers/web-ilb"
MASTER_INTERFACE = f"{NETWORK}/networkInterfaces/lm-0-nic"
SLAVE_INTERFACE = f"{NETWORK}/networkInterfaces/lm-1-nic"
SECURITY_GROUP = f"{NETWORK}/networkSecurityGroups/lm-nsg"
VIRTUAL_NETWORK = f"{NETWORK}/virtualNetworks/app"
AVAILABILITY_SET = f"{COMPUTE}/availabilitySets/lm-as"
PUBLIC_ADDRESS = f"{NETWORK}/publicIPAddresses/web-pip"
MASTER_MACHINE = f"{COMPUTE}/virtualMachines/lm-0"
SLAVE_MACHINE = f"{COMPUTE}/virtualMachines/lm-1"


def interface(unit: int, *, arm: int = 0) -> dict[str, Any]:
    return {
        "location": "westeurope",
        "kind": "Regular",
        "tags": {"team": "edge"},
        "properties": {
            "virtualMachine": {"id": f"{COMPUTE}/virtualMachines/lm-{unit}"},
            "macAddress": f"00-0D-3A-00-00-0{unit}",
            "primary": arm == 0,
            "enableAcceleratedNetworking": False,
            "allowPort25Out": True,
            "dnsSettings": {"dnsServers": ["10.0.0.53"], "appliedDnsServers": ["10.0.0.53"]},
            "ipConfigurations": [
                {
                    "name": "primary",
                    "properties": {
                        "privateIPAddress": f"10.0.{2 + arm}.{4 + unit}",
                        "privateIPAllocationMethod": "Static",
                        "privateIPAddressVersion": "IPv4",
                        "primary": True,
                        "subnet": {"id": f"{VIRTUAL_NETWORK}/subnets/units{arm or ''}"},
                    },
                }
            ],
        },
    }


def machine(unit: int, **more: Any) -> dict[str, Any]:
    nic = f"{NETWORK}/networkInterfaces/lm-{unit}-nic"
    return {
        "location": "westeurope",
        "properties": {
            "availabilitySet": {"id": AVAILABILITY_SET.upper()},
            "networkProfile": {"networkInterfaces": [{"id": nic}]},
            **more,
        },
    }


def subnet(name: str, prefix: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "id": f"{VIRTUAL_NETWORK}/subnets/{name}",
        "properties": {"addressPrefix": prefix, **more},
    }


def rule(name: str, **more: Any) -> dict[str, Any]:
    """A security rule of somebody else's: denies everything unless told otherwise."""
    body = {
        "protocol": "*",
        "sourcePortRange": "*",
        "destinationPortRange": "*",
        "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*",
        "access": "Deny",
        "priority": 200,
        "direction": "Inbound",
    }
    return {"name": name, "properties": {**body, **more}}


def guide_bodies() -> dict[str, dict[str, Any]]:
    attached = {
        "networkSecurityGroup": {"id": SECURITY_GROUP},
        "natGateway": {"id": f"{NETWORK}/natGateways/out"},
    }
    subnets = [
        subnet("lb", "10.0.1.0/24"),
        subnet("units", "10.0.2.0/24", **attached),
        subnet("units1", "10.0.3.0/24", **attached),
    ]
    return {
        GROUP: {"location": "westeurope"},
        MASTER_INTERFACE: interface(0),
        SLAVE_INTERFACE: interface(1),
        f"{NETWORK}/networkInterfaces/lm-0-nic1": interface(0, arm=1),
        f"{NETWORK}/networkInterfaces/lm-1-nic1": interface(1, arm=1),
        MASTER_MACHINE: machine(0),
        SLAVE_MACHINE: machine(1),
        AVAILABILITY_SET: {"location": "westeurope", "sku": {"name": "Aligned"}, "properties": {}},
        SECURITY_GROUP: {"location": "westeurope", "properties": {"securityRules": []}},
        VIRTUAL_NETWORK: {
            "location": "westeurope",
            "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets},
        },
    }


def guide_spec() -> dict[str, Any]:
    return {
        "azure": {"subscriptionID": SUBSCRIPTION, "resourceGroup": "edge"},
        "master": {"networkInterfaces": [{"name": "eth0", "resource": "lm-0-nic"}]},
        "slave": {"networkInterfaces": [{"name": "eth0", "resource": "lm-1-nic"}]},
        "loadBalancer": {
            "name": "web-ilb",
            "type": "Internal",
            "frontend": {"subnet": {"virtualNetwork": "app", "name": "lb"}, "privateIPAddress": "10.0.1.100"},
        },
        "services": [{"name": "https", "port": 443}],
        "networkSecurity": {"securityGroups": [{"name": "lm-nsg"}], "managementSources": ["10.0.0.0/8"]},
    }


def public_spec() -> dict[str, Any]:
    spec = guide_spec()
    spec["loadBalancer"] = {
        "name": "web-ilb",
        "type": "Public",
        "frontend": {"publicIPAddress": {"name": "web-pip", "create": True, "dnsLabel": "web-edge"}},
    }
    return spec


def changed(spec: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A manifest's spec with one field set, e.g. `healthCheck.port`."""
    found = copy.deepcopy(dict(spec))
    *parents, last = path.split(".")
    node = found
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = value
    return found


def target(spec: Mapping[str, Any] | None = None, identity: PairIdentity = IDENTITY) -> PairTarget:
    return PairTarget(identity, LoadMasterPairSpec.model_validate(spec or guide_spec()))


def look(arm: ArmModel, wanted: PairTarget) -> Observation:
    return arm.observe(pair.needs, wanted)


def plan(arm: ArmModel, wanted: PairTarget) -> Plan:
    return pair.plan(wanted, look(arm, wanted))


def converge(arm: ArmModel, wanted: PairTarget, *, deleting: bool = False) -> list[Any]:
    """What the controller does: apply the first change, observe, plan again; gives the changes made."""
    made = []
    decide = pair.plan_deletion if deleting else pair.plan
    for _ in range(80):
        found = decide(wanted, look(arm, wanted))
        if not found.changes:
            assert found.converged, [str(finding) for finding in found.findings]
            return made
        arm.apply(found.changes[0])
        made.append(found.changes[0])
    raise AssertionError("never ends")

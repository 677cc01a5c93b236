"""Each prerequisite that is not met is told by a condition before the first write, and Azure stays as it was.

The cases are the reasons of docs/azure.md that block. Each has a world (resource group) of its own with one
thing wrong; all share one operator. Azure is compared etag by etag: not even a write without effect may
happen.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.live_pairs import REMOVE, condition, manifest
from tests.support.world import JSON, LEAVE_OUT, World, assert_same, security_rule

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Case:
    """One thing wrong: in the manifest (`fields`), in what the world is made of, or done to it afterwards.

    `says` are words that the message must hold: the place, and the remedy.
    """

    reason: str
    says: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)
    change: dict[str, Callable[[JSON], object]] = field(default_factory=dict)
    then: Callable[[World], Awaitable[object]] | None = None


def set_property(*path: str, value: Any) -> Callable[[JSON], None]:
    """A change that sets one field of a body."""

    def change(body: JSON) -> None:
        target = body
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value

    return change


def drop_property(*path: str) -> Callable[[JSON], None]:
    def change(body: JSON) -> None:
        target = body
        for step in path[:-1]:
            target = target[step]
        del target[path[-1]]

    return change


def configuration_of(interface: JSON) -> JSON:
    properties: JSON = interface["properties"]["ipConfigurations"][0]["properties"]
    return properties


def internal_balancer(world: World, name: str, **properties: Any) -> JSON:
    """Somebody else's internal balancer with one pool, `corp-pool`."""
    frontend = {"name": "corp-frontend", "properties": {"subnet": {"id": world.subnet}}}
    return {
        "location": "westeurope",
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {
            "frontendIPConfigurations": [frontend],
            "backendAddressPools": [{"name": "corp-pool"}],
            **properties,
        },
    }


async def join(world: World, index: int, balancer: str, collection: str, entry: str) -> None:
    """Make an interface a member of a pool, or the target of a NAT rule."""
    field_name = {"backendAddressPools": "loadBalancerBackendAddressPools"}.get(
        collection, "loadBalancerInboundNatRules"
    )

    def change(interface: JSON) -> None:
        configuration_of(interface).setdefault(field_name, []).append(
            {"id": f"{balancer}/{collection}/{entry}"}
        )

    await world.arm.edit(world.interface(index), change)


async def in_another_internal_balancer(world: World) -> None:
    other = world.network("loadBalancers", "corp-internal")
    await world.arm.put(other, internal_balancer(world, "corp-internal"))
    await join(world, 0, other, "backendAddressPools", "corp-pool")


async def neighbour_in_another_internal_balancer(world: World) -> None:
    other = world.network("loadBalancers", "corp-internal")
    await world.arm.put(other, internal_balancer(world, "corp-internal"))
    interface = world.interface_body(2, foreign=False)
    configuration_of(interface).update(
        privateIPAddress="10.0.2.60",
        loadBalancerBackendAddressPools=[{"id": f"{other}/backendAddressPools/corp-pool"}],
    )
    await world.arm.put(world.interface(2), interface)
    await world.arm.put(world.machine(2), world.machine_body(2))


async def with_other_network(world: World) -> None:
    """Attach the slave's machine to an interface in another virtual network."""
    other = await World(world.arm, f"{world.group}-other").build(
        foreign=False, change=dict.fromkeys(("lm-0-nic", "lm-0", "lm-1-nic", "lm-1"), LEAVE_OUT)
    )
    interface = world.interface_body(1, foreign=False)
    configuration_of(interface)["subnet"]["id"] = other.subnet
    await world.arm.put(world.interface(1), interface)


async def with_machine_in_other_group(world: World) -> None:
    other = World(world.arm, f"{world.group}-other")
    await world.arm.request("PUT", other.group_id, {"location": "westeurope"})
    machine = world.machine_body(1)
    del machine["properties"]["availabilitySet"]
    await world.arm.put(other.machine(1), machine)


async def address_taken(world: World) -> None:
    interface = world.interface_body(2, foreign=False)
    configuration_of(interface)["privateIPAddress"] = "10.0.2.100"
    await world.arm.put(world.interface(2), interface)


async def diagnostics_extension(world: World) -> None:
    """The portal's "Enable OS guest diagnostics": a virtual machine's extensions stand in its body."""
    machine = await world.arm.get(world.machine(0))
    assert machine
    machine["resources"] = [
        {
            "name": "LinuxDiagnostic",
            "id": f"{world.machine(0)}/extensions/LinuxDiagnostic",
            "properties": {"publisher": "Microsoft.Azure.Diagnostics", "type": "LinuxDiagnostic"},
        }
    ]
    await world.arm.plant(world.machine(0), machine)


async def owned_by_another(world: World) -> None:
    body = internal_balancer(world, "web-ilb") | {
        "tags": {
            "loadmaster.dev-owner": "00000000-aaaa-bbbb-cccc-000000000000",
            "loadmaster.dev-pair": "else/where",
        }
    }
    await world.arm.put(world.balancer, body)


async def existing_balancer(world: World) -> None:
    await world.arm.put(world.balancer, internal_balancer(world, "web-ilb"))


async def public_balancer_of_this_name(world: World) -> None:
    body = internal_balancer(world, "web-ilb")
    await world.arm.put(
        world.network("publicIPAddresses", "other-ip"),
        {
            "location": "westeurope",
            "sku": {"name": "Standard"},
            "properties": {"publicIPAllocationMethod": "Static"},
        },
    )
    address = {"id": world.network("publicIPAddresses", "other-ip")}
    body["properties"]["frontendIPConfigurations"][0]["properties"] = {"publicIPAddress": address}
    await world.arm.put(world.balancer, body)


async def foreign_translation_to_8443(world: World) -> None:
    """Somebody made a NAT rule to the web user interface by hand; Kemp 360 Central wants to balance it."""
    rule = {
        "protocol": "Tcp",
        "frontendPort": 9443,
        "backendPort": 8443,
        "frontendIPConfiguration": {"id": f"{world.balancer}/frontendIPConfigurations/corp-frontend"},
    }
    rules = [{"name": "corp-web", "properties": rule}]
    await world.arm.put(world.balancer, internal_balancer(world, "web-ilb", inboundNatRules=rules))
    await join(world, 0, world.balancer, "inboundNatRules", "corp-web")


async def basic_balancer(world: World) -> None:
    await world.arm.plant(world.balancer, internal_balancer(world, "web-ilb") | {"sku": {"name": "Basic"}})


async def ipv6_address(world: World) -> None:
    await world.arm.put(
        world.network("publicIPAddresses", "six-ip"),
        {
            "location": "westeurope",
            "sku": {"name": "Standard"},
            "properties": {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv6"},
        },
    )


async def basic_address(world: World) -> None:
    address = {"location": "westeurope", "sku": {"name": "Basic"}}
    await world.arm.plant(
        world.network("publicIPAddresses", "basic-ip"),
        address | {"properties": {"publicIPAllocationMethod": "Dynamic"}},
    )


async def rule_on_the_frontend(world: World) -> None:
    """Somebody added a rule by hand to the frontend that an earlier pair of this name left behind."""
    own = world.balancer
    frontend = f"lm_{world.group}_frontend"
    rule = {
        "protocol": "Tcp",
        "frontendPort": 443,
        "backendPort": 4443,
        "frontendIPConfiguration": {"id": f"{own}/frontendIPConfigurations/{frontend}"},
        "backendAddressPool": {"id": f"{own}/backendAddressPools/corp-pool"},
    }
    body = internal_balancer(
        world, "web-ilb", loadBalancingRules=[{"name": "corp-https", "properties": rule}]
    )
    ours = {
        "subnet": {"id": world.subnet},
        "privateIPAddress": "10.0.2.100",
        "privateIPAllocationMethod": "Static",
    }
    body["properties"]["frontendIPConfigurations"].append({"name": frontend, "properties": ours})
    await world.arm.put(own, body)


async def too_many_rules(world: World) -> None:
    own = world.balancer
    rules = [
        {
            "name": f"corp-{port}",
            "properties": {
                "protocol": "Tcp",
                "frontendPort": port,
                "backendPort": port,
                "frontendIPConfiguration": {"id": f"{own}/frontendIPConfigurations/corp-frontend"},
                "backendAddressPool": {"id": f"{own}/backendAddressPools/corp-pool"},
            },
        }
        for port in range(20000, 20298)
    ]
    await world.arm.put(own, internal_balancer(world, "web-ilb", loadBalancingRules=rules))
    await join(world, 0, own, "backendAddressPools", "corp-pool")


async def all_priorities_taken(world: World) -> None:
    group = await world.arm.get(world.security_group)
    assert group
    group["properties"]["securityRules"] = [
        security_rule(f"corp-{priority}", priority=priority, destinationPortRange="9")
        for priority in range(1000, 4097)
    ]
    await world.arm.plant(world.security_group, group)


async def high_availability_ports(world: World) -> None:
    own = world.balancer
    rule = {
        "protocol": "All",
        "frontendPort": 0,
        "backendPort": 0,
        "frontendIPConfiguration": {"id": f"{own}/frontendIPConfigurations/corp-frontend"},
        "backendAddressPool": {"id": f"{own}/backendAddressPools/corp-pool"},
    }
    rules = [{"name": "corp-all", "properties": rule}]
    await world.arm.put(own, internal_balancer(world, "web-ilb", loadBalancingRules=rules))
    await join(world, 0, own, "backendAddressPools", "corp-pool")


def deny(name: str, priority: int, source: str, port: str) -> Callable[[World], Awaitable[object]]:
    """A rule of the security team, with precedence over ours."""

    async def then(world: World) -> None:
        rule = security_rule(
            name, priority=priority, access="Deny", sourceAddressPrefix=source, destinationPortRange=port
        )
        await world.arm.edit(
            world.security_group, lambda group: group["properties"]["securityRules"].append(rule)
        )

    return then


async def failed_security_group(world: World) -> None:
    await world.arm.add_fault(
        verb="PUT",
        path=f"/resourceGroups/{world.group}/.*/virtualNetworks/app",
        count=1,
        operation="Failed",
    )
    await world.arm.edit(world.virtual_network, lambda network: network.update(tags={"touched": "yes"}))


def _in_no_pool(interface: JSON) -> None:
    del configuration_of(interface)["loadBalancerBackendAddressPools"]


ON_NO_BALANCER = {"lm-0-nic": _in_no_pool, "lm-1-nic": _in_no_pool}
"""The interfaces without the corporate public balancer, which would exclude a public pair."""

MASTER_INTERFACE = "master__networkInterfaces__0__resource"

CASES = {
    "resource group": Case(
        "ResourceGroupNotFound", ("nowhere", "resourceGroup"), {"azure__resourceGroup": "nowhere"}
    ),
    "virtual network": Case(
        "VirtualNetworkNotFound",
        ("virtualNetworks/nope",),
        {"loadBalancer__frontend__subnet__virtualNetwork": "nope"},
    ),
    "subnet": Case("SubnetNotFound", ("nope",), {"loadBalancer__frontend__subnet__name": "nope"}),
    "interface": Case("InterfaceNotFound", ("networkInterfaces/lm-9-nic",), {MASTER_INTERFACE: "lm-9-nic"}),
    "ip configuration": Case(
        "IpConfigurationNotFound",
        ("secondary",),
        {"master__networkInterfaces__0__ipConfiguration": "secondary"},
    ),
    "virtual machine": Case(
        "VirtualMachineNotFound", ("virtualMachines/lm-9",), {"slave__virtualMachine__name": "lm-9"}
    ),
    "interface in another network": Case(
        "InterfaceNotInVirtualNetwork",
        ("lm-1-nic",),
        {"slave__virtualMachine": REMOVE},
        change={"lm-1-nic": LEAVE_OUT, "lm-1": LEAVE_OUT},
        then=with_other_network,
    ),
    "master and slave exchanged": Case(
        "InterfaceNotAttachedToVirtualMachine",
        ("lm-0-nic", "lm-1"),
        {"master__virtualMachine__name": "lm-1", "slave__virtualMachine__name": "lm-0"},
    ),
    "machines in two resource groups": Case(
        "VirtualMachinesInDifferentResourceGroups",
        ("-other",),
        {"slave__virtualMachine": REMOVE},
        change={"lm-1": LEAVE_OUT},
        then=with_machine_in_other_group,
    ),
    "availability required": Case(
        "NoAvailability",
        ("availability",),
        {"policy__availability": "Require"},
        change={
            "lm-0": drop_property("properties", "availabilitySet"),
            "lm-1": drop_property("properties", "availabilitySet"),
        },
    ),
    "guest diagnostics": Case("GuestDiagnosticsEnabled", ("lm-0", "diagnostics"), then=diagnostics_extension),
    "interface in another internal balancer": Case(
        "AnotherBalancerOfSameKind", ("corp-internal", "lm-0-nic"), then=in_another_internal_balancer
    ),
    "neighbour in another internal balancer": Case(
        "AnotherBalancerOfSameKind", ("corp-internal", "lm-2"), then=neighbour_in_another_internal_balancer
    ),
    "address outside of the subnet": Case(
        "FrontendAddressNotInSubnet",
        ("10.0.3.100",),
        {"loadBalancer__frontend__privateIPAddress": "10.0.3.100"},
    ),
    "address reserved by Azure": Case(
        "FrontendAddressReserved", ("10.0.2.3",), {"loadBalancer__frontend__privateIPAddress": "10.0.2.3"}
    ),
    "address in use": Case("FrontendAddressTaken", ("10.0.2.100",), then=address_taken),
    "public address": Case(
        "PublicAddressNotFound",
        ("publicIPAddresses/missing-ip", "create"),
        {
            "loadBalancer__type": "Public",
            "loadBalancer__frontend": {"publicIPAddress": {"name": "missing-ip"}},
        },
        change=ON_NO_BALANCER,
    ),
    "public address in use": Case(
        "PublicAddressInUse",
        ("publicIPAddresses/corp-ip",),
        {"loadBalancer__type": "Public", "loadBalancer__frontend": {"publicIPAddress": {"name": "corp-ip"}}},
        change=ON_NO_BALANCER,
    ),
    "basic public address": Case(
        "BasicPublicAddress",
        ("publicIPAddresses/basic-ip", "Standard"),
        {"loadBalancer__type": "Public", "loadBalancer__frontend": {"publicIPAddress": {"name": "basic-ip"}}},
        change=ON_NO_BALANCER,
        then=basic_address,
    ),
    "IPv6 public address": Case(
        "PublicAddressNotIPv4",
        ("publicIPAddresses/six-ip", "IPv4"),
        {"loadBalancer__type": "Public", "loadBalancer__frontend": {"publicIPAddress": {"name": "six-ip"}}},
        change=ON_NO_BALANCER,
        then=ipv6_address,
    ),
    "basic balancer": Case(
        "BasicLoadBalancer", ("web-ilb", "AzureBasicLoadBalancerUpgrade"), then=basic_balancer
    ),
    "port of the frontend taken": Case("FrontendPortTaken", ("corp-https", "443"), then=rule_on_the_frontend),
    "too many rules": Case("RulesLimit", ("lm-0-nic", "300"), then=too_many_rules),
    "no free priority": Case("NoFreePriority", ("lm-nsg",), then=all_priorities_taken),
    "balancer of the other kind": Case(
        "LoadBalancerTypeMismatch", ("web-ilb",), then=public_balancer_of_this_name
    ),
    "another region": Case(
        "LocationMismatch", ("northeurope", "westeurope"), {"azure__location": "northeurope"}
    ),
    "NAT rule beside Kemp 360 Central": Case(
        "PortTriangle",
        ("corp-web", "8443"),
        {"loadBalancer__managementAccess": {"kemp360Central": True}},
        then=foreign_translation_to_8443,
    ),
    "high-availability ports": Case("HighAvailabilityPortsRule", ("corp-all",), then=high_availability_ports),
    "balancer of another pair": Case("OwnedByOther", ("else/where", "adoption"), then=owned_by_another),
    "adoption forbidden": Case(
        "NotOwned", ("web-ilb", "adoption"), {"policy__adoption": "Never"}, then=existing_balancer
    ),
    "security group": Case(
        "SecurityGroupNotFound",
        ("networkSecurityGroups/nope",),
        {"networkSecurity__securityGroups": [{"name": "nope"}]},
    ),
    "probe blocked": Case(
        "ProbeBlocked", ("corp-no-probe",), then=deny("corp-no-probe", 110, "AzureLoadBalancer", "8444")
    ),
    "everything blocked": Case("ProbeBlocked", ("corp-lockdown",), then=deny("corp-lockdown", 110, "*", "*")),
    "synchronisation blocked": Case(
        "SynchronisationBlocked",
        ("corp-no-6973", "6973"),
        then=deny("corp-no-6973", 110, "10.0.2.0/24", "6973"),
    ),
    "network in state Failed": Case(
        "ProvisioningFailed", ("virtualNetworks/app",), then=failed_security_group
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_an_unmet_prerequisite_is_told_before_the_first_write(rig, name):
    case = CASES[name]
    world = await World(rig.arm, f"bad-{list(CASES).index(name)}").build(change=case.change)
    if case.then:
        await case.then(world)
    before = await world.snapshot(exact=True)
    pair = f"bad-{list(CASES).index(name)}"

    await rig.pairs.apply(manifest(world, rig.pairs.namespace, pair, **case.fields))
    stalled = await rig.pairs.condition("Stalled", "True", case.reason, pair)

    for words in case.says:
        assert words in stalled["message"], stalled["message"]
    ready = condition(await rig.pairs.get(pair), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", case.reason)
    assert_same(before, await world.snapshot(exact=True), "Azure was written to")
    # There is nothing to clean up, so the pair goes at once.
    await rig.pairs.delete(pair)
    await rig.pairs.gone(pair)
    assert_same(before, await world.snapshot(exact=True), "the deletion wrote to Azure")


async def test_the_cases_are_all_reasons_that_block():
    reasons = pytest.importorskip("loadmaster_ha.planning.reasons")
    blocking = {
        reason.value for reason, told in reasons.CATALOGUE.items() if told.severity.value == "Blocking"
    }
    elsewhere = {
        "SameInterface",  # refused by CEL: test_reasons_without_the_schema.py
        "ServiceInterfaceNotFound",  # as well
        "ManagementPortsDiffer",  # as well
        "SubnetMismatch",  # test_reasons_of_azure.py
        "ConflictingPair",  # test_bad_input_conflicts.py
        "AuthorizationFailed",  # test_bad_input_refusals.py
    }
    provoked = {case.reason for case in CASES.values()}
    await asyncio.sleep(0)
    assert blocking - provoked - elsewhere == set()

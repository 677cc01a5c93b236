"""What Azure's side has against a pair that no person has to resolve: risks, and what passes by itself.

Risks are told with their remedy in the message of AzureSynced; while something is in the way, its reason.

What stops a pair is in test_bad_input_prerequisites.py. Each case has a resource group of its own; all share
one operator. What the reasons mean stands in docs/azure.md.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.live_pairs import condition, manifest
from tests.support.world import JSON, World, assert_same, security_rule

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Case:
    """One thing that is not as it should be. `says` must be in the message.

    Args:
        shown: status and reason of AzureSynced.
        foreign: with other people's entries around.
        then: done to the world before the manifest is applied.
    """

    reason: str
    says: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)
    change: dict[str, Callable[[JSON], object]] = field(default_factory=dict)
    then: Callable[[World], Awaitable[object]] | None = None
    shown: tuple[str, str] = ("True", "Synced")
    foreign: bool = True


def configuration_of(interface: JSON) -> JSON:
    properties: JSON = interface["properties"]["ipConfigurations"][0]["properties"]
    return properties


def dynamic(interface: JSON) -> None:
    configuration_of(interface)["privateIPAllocationMethod"] = "Dynamic"


def without_way_out(network: JSON) -> None:
    del network["properties"]["subnets"][0]["properties"]["natGateway"]


async def another_group(world: World) -> None:
    """A group that is on nothing."""
    await world.arm.put(world.network("networkSecurityGroups", "spare"), {"location": "westeurope"})


def deny(name: str, port: str, direction: str = "Inbound") -> Callable[[World], Awaitable[object]]:
    async def then(world: World) -> None:
        rule = security_rule(
            name,
            priority=110,
            access="Deny",
            direction=direction,
            destinationPortRange=port,
        )
        await world.arm.edit(
            world.security_group, lambda group: group["properties"]["securityRules"].append(rule)
        )

    return then


PUBLIC = {
    "loadBalancer__type": "Public",
    "loadBalancer__frontend": {"publicIPAddress": {"name": "web-ip", "create": True}},
}


def without_group(network: JSON) -> None:
    del network["properties"]["subnets"][0]["properties"]["networkSecurityGroup"]


async def group_on_the_slave(world: World) -> None:
    """An empty group, which the manifest does not name, on the slave's interface."""
    group = world.network("networkSecurityGroups", "forgotten")
    await world.arm.put(group, {"location": "westeurope"})

    def attach(interface: JSON) -> None:
        interface["properties"]["networkSecurityGroup"] = {"id": group}

    await world.arm.edit(world.interface(1), attach)


async def third_interface_out_of_sight(world: World) -> None:
    """A machine in the units' availability set has an interface in a group that the operator may not read."""
    others = World(world.arm, f"{world.group}-others")
    await world.arm.request("PUT", others.group_id, {"location": "westeurope"})
    interface = others.network("networkInterfaces", "jump-nic")
    await world.arm.put(interface, world.interface_body(2, foreign=False))
    machine = world.machine_body(2)
    machine["properties"]["networkProfile"] = {"networkInterfaces": [{"id": interface}]}
    await world.arm.put(world.compute("virtualMachines", "jump"), machine)
    await world.arm.add_fault(
        verb="GET",
        path=f"(?i)/resourceGroups/{others.group}/",
        count=0,
        status=403,
        code="AuthorizationFailed",
        message="The client does not have authorization to perform action "
        "'Microsoft.Network/networkInterfaces/read'.",
    )


async def unreadable_network(world: World) -> None:
    await world.arm.add_fault(
        verb="GET",
        path=f"(?i){world.group}/.*/virtualNetworks/app",
        count=0,
        status=500,
        code="InternalServerError",
        message="An error occurred.",
    )


async def network_being_updated(world: World) -> None:
    """Somebody changes the network, and Azure is not done with it."""
    body = await world.arm.get(world.virtual_network)
    assert body
    body["properties"]["provisioningState"] = "Updating"
    await world.arm.plant(world.virtual_network, body)


async def refused_writes(world: World) -> None:
    """Whenever we write the balancer, somebody else has just done so."""
    await world.arm.add_fault(
        verb="PUT",
        path=f"(?i){world.group}/.*/loadBalancers/",
        count=0,
        status=412,
        code="PreconditionFailed",
        message="The condition specified using HTTP conditional header(s) is not met.",
    )


async def pool_that_others_use(world: World) -> None:
    """A pool that an earlier pair of this name has left, and somebody's rule that leads to it."""
    await world.build_shared_balancer()
    left = f"lm_{world.group}_pool_eth1"

    def take(balancer: JSON) -> None:
        balancer["properties"]["backendAddressPools"].append({"name": left})
        rule = balancer["properties"]["loadBalancingRules"][0]["properties"]
        rule["backendAddressPool"] = {"id": f"{world.balancer}/backendAddressPools/{left}"}

    await world.arm.edit(world.balancer, take)


async def frontend_elsewhere(world: World) -> None:
    """The frontend that an earlier pair of this name has left, in another subnet than is wanted now."""

    def add(network: JSON) -> None:
        other = {"name": "dmz", "properties": {"addressPrefix": "10.0.7.0/24"}}
        network["properties"]["subnets"].append(other)

    await world.arm.edit(world.virtual_network, add)
    subnet = {"id": f"{world.virtual_network}/subnets/dmz"}
    frontend = {"subnet": subnet, "privateIPAllocationMethod": "Dynamic"}
    await world.arm.put(
        world.balancer,
        {
            "location": "westeurope",
            "sku": {"name": "Standard"},
            "properties": {
                "frontendIPConfigurations": [{"name": f"lm_{world.group}_frontend", "properties": frontend}]
            },
        },
    )


CASES = {
    "dynamic address": Case(
        "DynamicUnitAddress", ("lm-0-nic", "is dynamic", "static"), change={"lm-0-nic": dynamic}
    ),
    "other address": Case(
        "UnitAddressMismatch",
        ("master's interfaces have 10.0.2.4, not 10.0.2.77",),
        {"master__address": "10.0.2.77"},
    ),
    "no way out": Case("NoExplicitOutbound", ("lm-0-nic", "NAT gateway"), change={"app": without_way_out}),
    "group not attached": Case(
        "SecurityGroupNotAttached",
        ("networkSecurityGroups/spare", "Attach the group"),
        {"networkSecurity__securityGroups": [{"name": "lm-nsg"}, {"name": "spare"}]},
        then=another_group,
    ),
    "foreign deny": Case(
        "ForeignDenyRule",
        ("'corp-no-https'", "lm-nsg", "priority 110"),
        then=deny("corp-no-https", "443"),
    ),
    "no group": Case(
        "NoSecurityGroup",
        ("lm-0-nic", "subnets/lb", "Attach a security group"),
        PUBLIC | {"networkSecurity__securityGroups": []},
        change={"app": without_group},
        foreign=False,
    ),
    "unnamed group": Case(
        "NotLetInBySecurityGroup",
        ("DenyAllInBound", "networkSecurityGroups/forgotten", "Tcp 443 from Internet to 10.0.2.5"),
        PUBLIC,
        then=group_on_the_slave,
        foreign=False,
    ),
    "neighbour out of sight": Case(
        "PrerequisiteNotChecked",
        ("networkInterfaces/jump-nic", "Let the operator read", "web-ilb: to be created"),
        {"policy": {"mode": "Observe"}},
        then=third_interface_out_of_sight,
        shown=("False", "Drift"),
    ),
    "pool in use": Case(
        "EntryInUseByOthers",
        ("_pool_eth1]", "web-ilb", "Remove or change the rule"),
        then=pool_that_others_use,
    ),
    # what stands in the way and may pass
    "unreadable": Case(
        "CouldNotRead",
        ("virtualNetworks/app", "InternalServerError"),
        then=unreadable_network,
        shown=("Unknown", "CouldNotRead"),
    ),
    "updating": Case(
        "ReferencedResourceUpdating",
        ("virtualNetworks/app is in provisioning state Updating", "passes by itself"),
        then=network_being_updated,
        shown=("Unknown", "ReferencedResourceUpdating"),
    ),
    "changed meanwhile": Case(
        "ChangedMeanwhile",
        ("loadBalancers/web-ilb: to be created",),
        then=refused_writes,
        shown=("False", "ChangedMeanwhile"),
    ),
    # what needs a person, whatever else there is to do
    "frontend elsewhere": Case(
        "SubnetMismatch",
        ("subnet: dmz, should be lb",),
        then=frontend_elsewhere,
        shown=("False", "SubnetMismatch"),
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_risk_in_azure_is_told_with_its_place_and_remedy(rig, name):
    case = CASES[name]
    pair = f"risk-{list(CASES).index(name)}"
    world = await World(rig.arm, pair).build(change=case.change, foreign=case.foreign)
    if case.then:
        await case.then(world)
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, pair, **case.fields))

    def tells(found: JSON | None) -> bool:
        synced = condition(found, "AzureSynced")
        if (synced.get("status"), synced.get("reason")) != case.shown:
            return False
        return case.reason == synced["reason"] or f"{case.reason}:" in synced["message"]

    found = await rig.pairs.until(tells, f"AzureSynced tells of {case.reason}", pair)

    synced = condition(found, "AzureSynced")
    for words in case.says:
        assert words in synced["message"], synced["message"]


async def test_an_answer_that_azures_own_description_forbids_is_told_stops_writing_and_passes(rig):
    """What the planner takes for granted: it is the nearest to a bug of ours that the outside can bring."""
    name = "risk-forbidden"
    world = await World(rig.arm, name).build()
    sound = await world.arm.get(world.security_group)
    broken = await world.arm.get(world.security_group)
    assert sound
    assert broken
    broken["properties"]["securityRules"][0]["properties"]["priority"] = "after lunch"  # an integer
    await world.arm.plant(world.security_group, broken)
    before = await world.snapshot(exact=True)
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, name))
    told = await rig.pairs.condition("AzureSynced", "Unknown", "InternalError", name)
    for words in ("The operator has a bug (ValueError)", "its log has the details", "tries again"):
        assert words in told["message"]
    assert_same(before, await world.snapshot(exact=True), "something was written to Azure")
    log = await asyncio.to_thread(rig.operator.log)
    assert any("after lunch" in str(line) for line in log), "with a traceback"
    assert not rig.operator.ended

    await world.arm.plant(world.security_group, sound)
    await rig.pairs.ready(name)


async def test_an_admin_state_that_overrides_the_probe_is_told(rig):
    world = await World(rig.arm, "risk-afterwards").build()
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "risk-afterwards"))
    await rig.pairs.ready("risk-afterwards")

    def drain(balancer: JSON) -> None:
        pool = next(
            each for each in balancer["properties"]["backendAddressPools"] if each["name"].startswith("lm_")
        )
        for member in pool["properties"]["loadBalancerBackendAddresses"]:
            member["properties"]["adminState"] = "Down"

    body = await world.arm.get(world.balancer)
    assert body
    drain(body)
    await world.arm.plant(world.balancer, body)
    await rig.pairs.annotate("risk-afterwards", look="now")
    found = await rig.pairs.until(
        lambda found: "AdminStateOverride:" in condition(found, "AzureSynced").get("message", ""),
        "AzureSynced tells of AdminStateOverride",
        "risk-afterwards",
    )
    message = condition(found, "AzureSynced")["message"]
    assert "has admin state Down" in message
    assert "Set the member's admin state to None" in message

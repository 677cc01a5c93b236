"""What Azure's side has against a pair without stopping it: told in the message of AzureSynced, with remedy.

What stops it is in test_bad_input_prerequisites.py. Each case has a resource group of its own; all share one
operator. What the reasons mean stands in docs/azure.md.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.live_pairs import condition, manifest
from tests.support.world import JSON, World, security_rule

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Case:
    """One thing that is not as it should be. `says` must be in the message."""

    reason: str
    says: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)
    change: dict[str, Callable[[JSON], object]] = field(default_factory=dict)
    then: Callable[[World], Awaitable[object]] | None = None


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
}


@pytest.mark.parametrize("name", CASES)
async def test_a_risk_in_azure_is_told_with_its_place_and_remedy(rig, name):
    case = CASES[name]
    pair = f"risk-{list(CASES).index(name)}"
    world = await World(rig.arm, pair).build(change=case.change)
    if case.then:
        await case.then(world)
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, pair, **case.fields))

    found = await rig.pairs.until(
        lambda found: f"{case.reason}:" in condition(found, "AzureSynced").get("message", ""),
        f"AzureSynced tells of {case.reason}",
        pair,
    )

    synced = condition(found, "AzureSynced")
    assert (synced["status"], synced["reason"]) == ("True", "Synced")
    for words in case.says:
        assert words in synced["message"], synced["message"]


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

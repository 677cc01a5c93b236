"""What belongs to others survives: before, between, and at the same moment as the operator's writes."""

import asyncio
from typing import Any

import pytest
from tests.support.arm_proxy import Exchange, Moment
from tests.support.live_pairs import changed, condition, manifest
from tests.support.world import JSON, World, assert_same, child, security_rule

pytestmark = pytest.mark.asyncio(loop_scope="module")

BALANCER_LISTS = (
    "frontendIPConfigurations",
    "backendAddressPools",
    "probes",
    "loadBalancingRules",
    "inboundNatRules",
    "outboundRules",
)


def foreign_part(snapshot: JSON) -> JSON:
    """A snapshot without everything that is ours: entries and tags by their names, and references to them."""
    part: JSON = _without_ours(snapshot)
    return part


def _without_ours(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_ours(item)
            for key, item in value.items()
            if not key.startswith("loadmaster.dev-") and not _is_ours(item)
        }
    if isinstance(value, list):
        return [_without_ours(item) for item in value if not _is_ours(item)]
    return value


def _is_ours(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    return str(item.get("name", "")).startswith("lm_") or "/lm_" in str(item.get("id", ""))


def _tidy(value: Any) -> Any:
    """Empty lists and absent ones mean the same to Azure."""
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items() if item not in ([], {}, None)}
    return [_tidy(item) for item in value] if isinstance(value, list) else value


def assert_foreign_untouched(before: JSON, after: JSON, when: str) -> None:
    assert_same(_tidy(foreign_part(before)), _tidy(foreign_part(after)), f"foreign content {when}")


async def decorate(world: World) -> None:
    """Everything that others may have put on a shared balancer, also what our api-version does not know."""

    def balancer(body: JSON) -> None:
        properties = body["properties"]
        child(body, "probes", "corp-probe")["properties"]["futureProbeSetting"] = {"mode": "Adaptive"}
        child(body, "loadBalancingRules", "corp-rule")["properties"]["futureRuleSetting"] = "kept"
        child(body, "frontendIPConfigurations", "corp-frontend")["properties"]["gatewayLoadBalancer"] = {
            "id": f"{world.corporate_balancer}/frontendIPConfigurations/corp-frontend"
        }
        addresses = child(body, "backendAddressPools", "corp-addresses")["properties"]
        addresses["loadBalancerBackendAddresses"][0]["properties"]["adminState"] = "Down"
        properties["futureBalancerSetting"] = [1, 2, 3]
        body["tags"]["corp-ticket"] = "4711"

    await world.arm.edit(world.balancer, balancer)

    def interface(body: JSON) -> None:
        body["properties"]["futureInterfaceSetting"] = "kept"
        configuration = body["properties"]["ipConfigurations"][0]["properties"]
        configuration["futureConfigurationSetting"] = {"a": 1}

    await world.arm.edit(world.interface(0), interface)
    rule = security_rule("corp-future", priority=300, destinationPortRange="1234", futureRuleSetting="kept")
    await world.arm.edit(world.security_group, lambda body: body["properties"]["securityRules"].append(rule))


async def test_all_foreign_content_survives_create_change_and_delete(rig):
    world = await World(rig.arm, "foreign").build()
    await world.build_shared_balancer()
    await decorate(world)
    before = await world.snapshot()
    assert "futureProbeSetting" in str(before), (
        "the emulator does not keep unknown properties: nothing is tested"
    )

    pair = manifest(world, rig.pairs.namespace, "foreign")
    await rig.pairs.apply(pair)
    await rig.pairs.ready("foreign")
    assert_foreign_untouched(before, await world.snapshot(), "after the pair was created")

    await rig.pairs.apply(
        changed(
            pair,
            healthCheck__intervalSeconds=15,
            services=[{"name": "http", "port": 80, "backendPort": 8080}],
        )
    )
    await rig.pairs.ready("foreign")
    assert_foreign_untouched(before, await world.snapshot(), "after the pair was changed")

    await rig.pairs.delete("foreign")
    await rig.pairs.gone("foreign")
    after = await world.snapshot()
    assert_same(
        _tidy(before), _tidy(after), "after the pair was deleted nothing but the foreign content is there"
    )


class Interruption:
    """Holds the first write to a resource until `during` has written to Azure in between."""

    def __init__(self, rig, resource: str, during) -> None:
        self.held: list[Exchange] = []

        async def hold(write: Exchange) -> None:
            self.held.append(write)
            await during()

        def chosen(write: Exchange) -> bool:
            return write.method == "PUT" and write.path.lower().startswith(resource.lower())

        rig.proxy.at(Moment.BEFORE, chosen, hold)


async def test_entries_added_to_the_balancer_between_get_and_put_survive(rig):
    world = await World(rig.arm, "between").build()
    await world.build_shared_balancer()

    async def meanwhile() -> None:
        probe = {
            "name": "corp-late",
            "properties": {"protocol": "Tcp", "port": 9999, "intervalInSeconds": 15},
        }
        await rig.arm.edit(world.balancer, lambda body: body["properties"]["probes"].append(probe))

    interruption = Interruption(rig, world.balancer, meanwhile)
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "between"))
    await rig.pairs.ready("between")

    assert [write.status for write in interruption.held] == [412], (
        "the held write was planned on an old balancer"
    )
    balancer = await rig.arm.get(world.balancer)
    assert child(balancer, "probes", "corp-late")
    assert child(balancer, "probes", "lm_between_health")
    assert child(balancer, "loadBalancingRules", "corp-rule")


async def test_a_balancer_made_by_others_between_get_and_put_is_not_overwritten(rig):
    world = await World(rig.arm, "raced").build()
    interruption = Interruption(rig, world.balancer, world.build_shared_balancer)
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "raced"))
    await rig.pairs.ready("raced")
    assert [write.status for write in interruption.held] == [412]
    balancer = await rig.arm.get(world.balancer)
    assert {"corp-frontend", "lm_raced_frontend"} <= {
        item["name"] for item in balancer["properties"]["frontendIPConfigurations"]
    }
    assert balancer["tags"]["corp-owner"] == "network-team"


async def test_an_interface_changed_between_get_and_put_keeps_both_changes(rig):
    world = await World(rig.arm, "between-nic").build()

    async def meanwhile() -> None:
        def change(body: JSON) -> None:
            body["tags"]["corp-late"] = "yes"
            body["properties"]["enableIPForwarding"] = True

        await rig.arm.edit(world.interface(0), change)

    interruption = Interruption(rig, world.interface(0), meanwhile)
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "between-nic"))
    await rig.pairs.ready("between-nic")
    assert [write.status for write in interruption.held] == [412]
    interface = await rig.arm.get(world.interface(0))
    assert interface["tags"]["corp-late"] == "yes"
    assert interface["properties"]["enableIPForwarding"] is True
    pools = interface["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"]
    assert {pool["id"].rsplit("/", 1)[1] for pool in pools} == {"corp-pool", "lm_between-nic_pool"}


async def test_a_priority_taken_between_get_and_put_is_given_way_to(rig):
    world = await World(rig.arm, "between-nsg").build()
    taken: list[int] = []

    async def meanwhile() -> None:
        # Whatever priority the operator is about to use: take all of them nearby.
        rules = [
            security_rule(f"corp-late-{priority}", priority=priority, destinationPortRange=str(priority))
            for priority in range(1000, 1040)
        ]
        taken.extend(rule["properties"]["priority"] for rule in rules)
        await rig.arm.edit(
            world.security_group, lambda body: body["properties"]["securityRules"].extend(rules)
        )

    Interruption(rig, world.security_group, meanwhile)
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "between-nsg"))
    await rig.pairs.ready("between-nsg")
    group = await rig.arm.get(world.security_group)
    rules = {rule["name"]: rule["properties"]["priority"] for rule in group["properties"]["securityRules"]}
    assert {f"corp-late-{priority}" for priority in taken} <= rules.keys()
    ours = {name: priority for name, priority in rules.items() if name.startswith("lm_between-nsg_")}
    assert ours
    assert not set(ours.values()) & set(taken)


async def test_another_operation_on_the_balancer_is_waited_for(rig):
    """A 429 that is a lock, not throttling: the message tells the wait."""
    world = await World(rig.arm, "locked").build()
    await rig.arm.add_fault(
        verb="PUT",
        path="(?i)/resourceGroups/locked/.*/networkInterfaces/lm-0-nic",
        count=2,
        status=429,
        code="RetryableError",
        message="A retryable error occurred. The call can be retried in 1 seconds.",
    )
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "locked"))
    ready = await rig.pairs.ready("locked")
    assert condition(ready, "AzureSynced")["status"] == "True"
    await asyncio.sleep(0)


async def test_drift_of_ours_is_repaired_and_foreign_drift_left_alone(rig):
    world = await World(rig.arm, "drift").build()
    await world.build_shared_balancer()
    pair = manifest(world, rig.pairs.namespace, "drift")
    await rig.pairs.apply(pair)
    await rig.pairs.ready("drift")

    def drift(body: JSON) -> None:
        rules = body["properties"]["loadBalancingRules"]
        body["properties"]["loadBalancingRules"] = [
            rule for rule in rules if "service_https" not in rule["name"]
        ]
        child(body, "probes", "corp-probe")["properties"]["intervalInSeconds"] = 20

    await rig.arm.edit(world.balancer, drift)
    await rig.pairs.annotate("drift", look="now")  # instead of waiting for the resync
    async with asyncio.timeout(60):
        while True:
            balancer = await rig.arm.get(world.balancer)
            if child(balancer, "loadBalancingRules", "lm_drift_service_https"):
                break
            await asyncio.sleep(0.1)
    assert child(balancer, "probes", "corp-probe")["properties"]["intervalInSeconds"] == 20

"""A pair's whole life with the real operator, API server and ARM: what is written, and what is told of it."""

import asyncio

import pytest
from tests.support.kstatus import Status, kstatus
from tests.support.live_pairs import changed, condition, is_ready, manifest
from tests.support.world import World, assert_same

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINALIZER = "loadmaster.dev/azure-cleanup"
TYPES = ["Ready", "Reconciling", "Stalled", "Paused", "Deleting", "AzureSynced"]
EXPECTED_FAILOVER = {
    "processDiedSeconds": {"min": 0, "max": 5},
    "silentSeconds": {"min": 10, "max": 15},
}


async def converged(rig, name, **fields):
    """A world with a pair of this name that is ready."""
    world = await World(rig.arm, name).build()
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, name, **fields))
    return world, await rig.pairs.ready(name)


async def look(rig, name, why):
    """Touch the pair and wait until a visit caused by that has ended."""
    before = visits(rig)
    await rig.pairs.annotate(name, look=why)
    async with asyncio.timeout(60):
        while visits(rig) == before:  # noqa: ASYNC110 - the operator is another process
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)  # a wrong second visit would come at once


def visits(rig) -> float:
    samples = rig.operator.metrics()
    return sum(value for name, value in samples.items() if name.startswith("loadmaster_reconcile_total{"))


def remove_rule(name):
    def change(body):
        rules = body["properties"]["loadBalancingRules"]
        body["properties"]["loadBalancingRules"] = [rule for rule in rules if name not in rule["name"]]
        assert len(body["properties"]["loadBalancingRules"]) < len(rules)

    return change


async def rule_names(world):
    balancer = await world.arm.get(world.balancer)
    return [rule["name"] for rule in balancer["properties"]["loadBalancingRules"]]


async def test_a_pair_converges_and_says_so(rig):
    _, pair = await converged(rig, "converges")
    status = pair["status"]
    assert [each["type"] for each in status["conditions"]] == TYPES
    generation = pair["metadata"]["generation"]
    assert status["observedGeneration"] == generation
    assert {each["observedGeneration"] for each in status["conditions"]} == {generation}
    assert all(each["reason"] for each in status["conditions"])
    assert kstatus(pair) is Status.CURRENT
    assert status["frontend"] == {"address": "10.0.2.100"}
    assert status["expectedFailover"] == EXPECTED_FAILOVER
    assert "azure" not in status
    assert "pending" not in status
    assert pair["metadata"]["finalizers"] == [FINALIZER]
    reasons = [event["reason"] for event in await rig.pairs.events("converges")]
    assert reasons.count("Synced") == 1
    assert {"Created", "Updated"} <= set(reasons)
    writes = [write for write in rig.proxy.writes if "/converges/" in write.path]
    assert len(writes) == len({write.key for write in writes}), "something was written twice"


async def test_all_conditions_are_there_from_the_first_visit(rig):
    world = await World(rig.arm, "first").build()
    pair = manifest(world, rig.pairs.namespace, "first", azure__credentialsSecretRef={"name": "missing"})
    await rig.pairs.apply(pair)
    await rig.pairs.condition("Stalled", "True", "SecretNotFound", "first")
    stored = await rig.pairs.get("first")
    assert [each["type"] for each in stored["status"]["conditions"]] == TYPES
    assert condition(stored, "AzureSynced")["status"] == "Unknown"
    assert kstatus(stored) is Status.FAILED
    assert "finalizers" not in stored["metadata"], "nothing of ours is in Azure yet"


async def test_looking_again_without_cause_writes_nothing_anywhere(rig):
    world, _ = await converged(rig, "idle")
    azure = await world.snapshot(exact=True)
    events = len(await rig.pairs.events("idle"))
    writes = len(rig.proxy.writes)
    managed = status_times(await rig.pairs.get("idle"))
    for number in range(3):
        await look(rig, "idle", str(number))
    assert len(rig.proxy.writes) == writes
    assert_same(azure, await world.snapshot(exact=True), "Azure was written to")
    assert len(await rig.pairs.events("idle")) == events
    assert status_times(await rig.pairs.get("idle")) == managed, "status was patched"


def status_times(pair):
    """When the operator last wrote what."""
    fields = pair["metadata"]["managedFields"]
    return [
        (each["time"], each["fieldsV1"]) for each in fields if each["manager"] == "loadmaster-operator"
    ] + [pair["status"]]


async def test_drift_is_repaired_told_and_counted(rig):
    world, pair = await converged(rig, "drift")
    before = await world.snapshot()
    await world.arm.edit(world.balancer, remove_rule("https"))
    await look(rig, "drift", "at the drift")
    await rig.pairs.told("DriftRepaired", name="drift")
    await rig.pairs.until(
        lambda found: is_ready(found) and condition(found, "Reconciling")["status"] == "False",
        "repaired",
        "drift",
    )
    assert_same(before, await world.snapshot(), "Azure after the repair")
    told = [event for event in await rig.pairs.events("drift") if event["reason"] == "DriftRepaired"]
    assert len(told) == 1
    assert told[0]["type"] == "Warning"
    assert "loadBalancers/web-ilb" in told[0]["note"]
    labels = f'kind="LoadMasterPair",name="drift",namespace="{rig.pairs.namespace}",section="LoadBalancer"'
    assert rig.operator.metrics()[f"loadmaster_drift_total{{{labels}}}"] == 1
    after = await rig.pairs.get("drift")
    assert after["metadata"]["generation"] == pair["metadata"]["generation"]


async def test_a_change_of_the_manifest_is_no_drift(rig):
    world, _ = await converged(rig, "changes")
    await rig.pairs.apply(
        manifest(world, rig.pairs.namespace, "changes", services=[{"name": "http", "port": 80}])
    )
    await rig.pairs.ready("changes")
    rules = await rule_names(world)
    assert any("_http" in name for name in rules)
    assert not any("_https" in name for name in rules)
    assert "DriftRepaired" not in [event["reason"] for event in await rig.pairs.events("changes")]


async def test_deleting_removes_exactly_what_was_ours(rig):
    world = await World(rig.arm, "deletes").build()
    before = await world.snapshot()
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "deletes"))
    await rig.pairs.ready("deletes")
    assert any('name="deletes"' in name for name in rig.operator.metrics())
    await rig.pairs.delete("deletes")
    await rig.pairs.gone("deletes")
    assert_same(before, await world.snapshot(), "Azure after the deletion")
    events = await rig.pairs.events("deletes")
    assert [event["reason"] for event in events].count("CleanedUp") == 1
    async with asyncio.timeout(30):
        while any('"deletes"' in name for name in rig.operator.metrics()):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)


async def test_an_orphan_leaves_everything_and_says_what(rig):
    world, _ = await converged(rig, "orphan", policy={"deletion": "Orphan"})
    stored = await rig.pairs.get("orphan")
    assert "finalizers" not in stored["metadata"], "there is nothing to clean up"
    azure = await world.snapshot(exact=True)
    await rig.pairs.delete("orphan")
    await rig.pairs.gone("orphan")
    await asyncio.sleep(1)
    assert_same(azure, await world.snapshot(exact=True), "Azure was written to")


async def test_turned_into_an_orphan_it_is_let_go_with_a_list(rig):
    world, _ = await converged(rig, "turned")
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "turned", policy={"deletion": "Orphan"}))
    await rig.pairs.ready("turned")
    azure = await world.snapshot(exact=True)
    await rig.pairs.delete("turned")
    await rig.pairs.gone("turned")
    assert_same(azure, await world.snapshot(exact=True), "Azure was written to")
    left = [event for event in await rig.pairs.events("turned") if event["reason"] == "Orphaned"]
    assert len(left) == 1
    assert "loadBalancers/web-ilb" in left[0]["note"]


@pytest.mark.parametrize("how", ["field", "annotation"])
async def test_suspended_nothing_is_written_and_differences_are_told(rig, how):
    name = f"suspend-{how}"
    world, _ = await converged(rig, name)
    if how == "field":
        await rig.pairs.apply(manifest(world, rig.pairs.namespace, name, suspend=True))
    else:
        await rig.pairs.annotate(name, suspend="true")
    paused = await rig.pairs.condition("Paused", "True", "Suspended", name)
    assert how in paused["message"] or "spec.suspend" in paused["message"]
    stored = await rig.pairs.get(name)
    assert condition(stored, "Ready")["status"] == "True", "suspended, but as wanted"
    await world.arm.edit(world.balancer, remove_rule("https"))
    azure = await world.snapshot(exact=True)
    await look(rig, name, "at the drift")
    synced = await rig.pairs.condition("AzureSynced", "False", "Drift", name)
    assert "loadBalancingRules[" in synced["message"]
    stored = await rig.pairs.get(name)
    assert condition(stored, "Reconciling")["status"] == "False"
    assert len(stored["status"]["pending"]) == 1
    assert "loadBalancers/web-ilb" in stored["status"]["pending"][0]
    assert "loadBalancingRules[" in stored["status"]["azure"]["differences"][0]["difference"]
    assert kstatus(stored) is Status.IN_PROGRESS
    assert_same(azure, await world.snapshot(exact=True), "Azure was written to while suspended")
    if how == "field":
        await rig.pairs.apply(manifest(world, rig.pairs.namespace, name, suspend=False))
    else:
        await rig.pairs.annotate(name, suspend=None)
    ready = await rig.pairs.ready(name)
    assert "pending" not in ready["status"]
    assert any("https" in rule for rule in await rule_names(world))
    reasons = [event["reason"] for event in await rig.pairs.events(name)]
    assert reasons.count("Suspended") == 1
    assert reasons.count("Unsuspended") == 1
    assert reasons.count("DriftFound") == 1


async def test_observing_reports_field_by_field_and_writes_nothing(rig):
    world = await World(rig.arm, "observes").build()
    azure = await world.snapshot(exact=True)
    pair = manifest(world, rig.pairs.namespace, "observes", policy={"mode": "Observe"})
    await rig.pairs.apply(pair)
    synced = await rig.pairs.condition("AzureSynced", "False", "Drift", "observes")
    assert "web-ilb" in synced["message"]
    stored = await rig.pairs.get("observes")
    assert condition(stored, "Paused")["status"] == "False"
    assert condition(stored, "Reconciling")["reason"] == "ObserveMode"
    assert any("loadBalancers/web-ilb" in line for line in stored["status"]["pending"])
    assert "finalizers" not in stored["metadata"]
    await look(rig, "observes", "again")
    assert_same(azure, await world.snapshot(exact=True), "Azure was written to")
    await rig.pairs.apply(changed(pair, policy__mode="Enforce"))
    await rig.pairs.ready("observes")


async def test_observing_holds_a_deletion_up_until_it_is_decided(rig):
    world, _ = await converged(rig, "held")
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "held", policy={"mode": "Observe"}))
    await rig.pairs.ready("held")
    azure = await world.snapshot(exact=True)
    await rig.pairs.delete("held")
    waiting = await rig.pairs.condition("Deleting", "True", "ObserveMode", "held")
    assert "Orphan" in waiting["message"]
    assert kstatus(await rig.pairs.get("held")) is Status.TERMINATING
    assert_same(azure, await world.snapshot(exact=True), "Azure was written to")
    await rig.pairs.apply(
        manifest(world, rig.pairs.namespace, "held", policy={"mode": "Observe", "deletion": "Orphan"})
    )
    await rig.pairs.gone("held")
    assert_same(azure, await world.snapshot(exact=True), "Azure was written to")


async def test_force_lets_a_pair_go_whose_azure_is_out_of_reach(rig):
    world, _ = await converged(rig, "forced")
    azure = await world.snapshot(exact=True)
    rig.proxy.outage = True
    try:
        await rig.pairs.delete("forced")
        waiting = await rig.pairs.condition("Deleting", "True", "AzureUnreachable", "forced")
        assert "loadmaster.dev/force-delete" in waiting["message"]
        assert await rig.pairs.get("forced"), "not before it is asked for"
        await rig.pairs.annotate("forced", force_delete="true")
        await rig.pairs.gone("forced")
    finally:
        rig.proxy.outage = False
    told = [event for event in await rig.pairs.events("forced") if event["reason"] == "ForceDeleted"]
    assert len(told) == 1
    assert "web-ilb" in told[0]["note"]
    assert_same(azure, await world.snapshot(exact=True), "Azure was written to")


async def test_force_does_not_skip_a_clean_up_that_works(rig):
    world = await World(rig.arm, "needless").build()
    before = await world.snapshot()
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "needless"))
    await rig.pairs.ready("needless")
    await rig.pairs.annotate("needless", force_delete="true")
    await rig.pairs.delete("needless")
    await rig.pairs.gone("needless")
    assert_same(before, await world.snapshot(), "Azure after the deletion")


async def test_the_secret_may_go_before_the_clean_up(rig):
    world = await World(rig.arm, "bare").build()
    before = await world.snapshot()
    await rig.pairs.put_secret("bare")
    await rig.pairs.apply(
        manifest(world, rig.pairs.namespace, "bare", azure__credentialsSecretRef={"name": "bare"})
    )
    await rig.pairs.ready("bare")
    await rig.pairs.remove_secret("bare")  # as the deletion of a namespace does it
    await rig.pairs.delete("bare")
    await rig.pairs.gone("bare")
    assert_same(before, await world.snapshot(), "Azure after the deletion")


async def test_a_condition_of_somebody_else_survives(rig):
    _, pair = await converged(rig, "shared-status")
    theirs = {
        "type": "Audited",
        "status": "True",
        "reason": "Yes",
        "message": "by hand",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    body = {
        "apiVersion": pair["apiVersion"],
        "kind": pair["kind"],
        "metadata": {"name": "shared-status"},
        "status": {"conditions": [theirs]},
    }
    path = f"{rig.pairs._path('shared-status')}/status?fieldManager=auditor"
    await rig.pairs.request("PATCH", path, body, "application/apply-patch+yaml")
    await rig.pairs.apply(
        manifest(await_world(rig, "shared-status"), rig.pairs.namespace, "shared-status", suspend=True)
    )
    await rig.pairs.condition("Paused", "True", "Suspended", "shared-status")
    found = (await rig.pairs.get("shared-status"))["status"]["conditions"]
    assert [each for each in found if each["type"] == "Audited"] == [theirs]
    assert {each["type"] for each in found} == {*TYPES, "Audited"}


def await_world(rig, group):
    return World(rig.arm, group)


async def test_a_pair_held_up_by_an_older_one_goes_on_when_that_is_gone(rig):
    world, _ = await converged(rig, "older")
    await rig.pairs.apply(manifest(world, rig.pairs.namespace, "younger"))
    await rig.pairs.condition("Stalled", "True", "ConflictingPair", "younger")
    await rig.pairs.delete("older")
    await rig.pairs.gone("older")
    await rig.pairs.ready("younger")
    reasons = [event["reason"] for event in await rig.pairs.events("younger")]
    assert reasons.count("Stalled") == 1
    assert reasons.count("Resumed") == 1

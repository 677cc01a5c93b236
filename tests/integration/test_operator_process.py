"""The operator as a process: replicas and their Lease, freezing, stopping, restarting, probes, exit codes."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from tests.support.arm_proxy import ArmProxy, Moment
from tests.support.live_pairs import changed, condition, manifest
from tests.support.operator import OperatorProcess
from tests.support.rig import rigged
from tests.support.world import World, assert_same

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEASE_SECONDS = 15
QUICK_LEASE = {
    "lease_duration_seconds": 4,
    "lease_renew_deadline_seconds": 3,
    "lease_retry_seconds": 0.5,
}
LEADS = "This replica leads"


def leads(line):
    return line.get("message") == LEADS


def says(words):
    return lambda line: words in line.get("message", "")


@contextlib.asynccontextmanager
async def replica(stage, rig, name, *, proxy=None, flags=None):
    """A further operator beside that of the rig, with a proxy of its own."""
    directory = stage.directory / rig.pairs.namespace / name
    async with contextlib.AsyncExitStack() as stack:
        if proxy is None:
            proxy = await stack.enter_async_context(
                ArmProxy(stage.emulator.url, stage.emulator.ca_file, directory)
            )
        operator = OperatorProcess(
            stage.plane, rig.pairs.namespace, proxy.url, proxy.ca_file, directory, flags=flags
        )
        try:
            await asyncio.to_thread(operator.start)
            yield operator, proxy
        finally:
            await asyncio.to_thread(operator.kill)


async def until_probed(operator, path):
    """Wait until a probe succeeds."""
    async with asyncio.timeout(60):
        while operator.get("health", path) != (200, "ok\n"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def lease(rig):
    path = f"/apis/coordination.k8s.io/v1/namespaces/{rig.pairs.namespace}/leases/loadmaster-operator"
    return (await rig.pairs.request("GET", path))["spec"]


async def test_of_two_replicas_exactly_one_writes_and_the_other_takes_over(stage):
    async with rigged(stage, "replicas") as rig:
        await asyncio.to_thread(rig.operator.wait_for_log, leads, LEADS)
        async with replica(stage, rig, "standby") as (standby, proxy):
            world = await World(rig.arm, "replicas").build()
            pair = manifest(world, rig.pairs.namespace)
            await rig.pairs.apply(pair)
            await rig.pairs.ready()
            assert rig.operator.metrics()["loadmaster_leader"] == 1
            assert standby.metrics()["loadmaster_leader"] == 0
            assert proxy.exchanges == [], "the standby talked to Azure"
            assert not any('name="web"' in name for name in standby.metrics()), "pairs belong to the leader"
            await until_probed(standby, "/readyz")  # it can take over
            holder = (await lease(rig))["holderIdentity"]

            # A clean end gives the Lease back: the successor need not wait for it to run out.
            assert await asyncio.to_thread(rig.operator.stop) == 0
            await asyncio.to_thread(standby.wait_for_log, leads, LEADS)
            spec = await lease(rig)
            assert spec["holderIdentity"] not in {"", holder}
            assert spec["leaseTransitions"] == 1

            azure = await world.snapshot(exact=True)
            await rig.pairs.apply(changed(pair, healthCheck__intervalSeconds=15))
            await rig.pairs.ready()
            assert azure != await world.snapshot(exact=True)
            assert [write.path.rsplit("/", 1)[1] for write in proxy.writes] == ["web-ilb"]


async def test_a_killed_leader_is_succeeded_when_its_lease_has_run_out(stage):
    async with rigged(stage, "killed") as rig:
        await rig.kill_operator()
        async with (
            replica(stage, rig, "first", flags=QUICK_LEASE) as (first, _),
            replica(stage, rig, "second", flags=QUICK_LEASE) as (second, __),
        ):
            await asyncio.to_thread(first.wait_for_log, leads, LEADS)
            await asyncio.to_thread(first.kill)
            await asyncio.to_thread(second.wait_for_log, leads, LEADS)
            assert (await lease(rig))["leaseTransitions"] >= 1


async def test_the_late_write_of_a_frozen_leader_fails_and_nothing_follows(stage):
    async with rigged(stage, "frozen") as rig:
        world = await World(rig.arm, "frozen").build()
        pair = manifest(world, rig.pairs.namespace)
        await rig.pairs.apply(pair)
        await rig.pairs.ready()
        arrived, go_on = asyncio.Event(), asyncio.Event()

        async def hold(_):
            rig.operator.freeze()
            arrived.set()
            await go_on.wait()

        # The leader has checked its Lease and sent the write; from here to Azure it takes very long.
        rig.proxy.at(Moment.BEFORE, lambda write: write.path.endswith("/web-ilb"), hold)
        await rig.pairs.apply(changed(pair, healthCheck__intervalSeconds=15))
        await asyncio.wait_for(arrived.wait(), 60)
        async with replica(stage, rig, "successor") as (successor, _):
            await asyncio.to_thread(successor.wait_for_log, leads, LEADS)
            await rig.pairs.apply(changed(pair, healthCheck__intervalSeconds=20))
            await rig.pairs.ready()
            await asyncio.sleep(LEASE_SECONDS)  # thirty seconds and more since it was frozen
            azure = await world.snapshot(exact=True)
            status = (await rig.pairs.get())["status"]
            late = rig.proxy.writes[-1]
            go_on.set()
            rig.operator.thaw()
            assert await asyncio.to_thread(rig.operator.wait) == 1, "a leader that lost its Lease ends"
            async with asyncio.timeout(60):
                while late.status is None:  # noqa: ASYNC110 - answered to a process that has ended by now
                    await asyncio.sleep(0.05)
            assert late.status == 412
            assert rig.proxy.writes[-1] is late, "something followed the late write"
            assert_same(azure, await world.snapshot(exact=True), "Azure was written to by the former leader")
            assert (await rig.pairs.get())["status"] == status, "status was written by the former leader"
            assert not successor.ended


async def test_a_running_operation_is_gone_on_with_after_a_restart(stage):
    async with rigged(stage, "resumes") as rig:
        world = await World(rig.arm, "resumes").build()
        await rig.arm.add_fault(
            verb="PUT", path="(?i)/resourceGroups/resumes/.*/securityRules/", operationLatency=8, count=1
        )
        await rig.pairs.apply(manifest(world, rig.pairs.namespace))
        running = await rig.pairs.until(
            lambda found: (found or {}).get("status", {}).get("azure", {}).get("operations"),
            "the operation stands in status",
        )
        operation = running["status"]["azure"]["operations"][0]
        assert operation["verb"] == "PUT"
        assert operation["resource"].lower() == rig.proxy.writes[-1].path.lower()
        assert condition(running, "Reconciling")["reason"] == "OperationRunning"
        writes = len(rig.proxy.writes)
        polls = sum(operation["url"].endswith(exchange.path) for exchange in rig.proxy.exchanges)
        await rig.kill_operator()
        await rig.restart_operator()
        ready = await rig.pairs.ready()
        assert "azure" not in ready["status"]
        again = [write.key for write in rig.proxy.writes[writes:]]
        assert rig.proxy.writes[writes - 1].key not in again, "the write was made a second time"
        path = re.sub(r"^https://[^/]+|\?.*$", "", operation["url"])
        assert sum(exchange.path == path for exchange in rig.proxy.exchanges) > polls, (
            "it was never looked at"
        )


async def test_probes_and_metrics_tell_the_truth(stage):
    async with rigged(stage, "probes") as rig:
        await asyncio.to_thread(rig.operator.wait_for_log, leads, LEADS)
        await until_probed(rig.operator, "/readyz")
        await until_probed(rig.operator, "/healthz")
        # A leader is ready before its watch has been answered.
        async with asyncio.timeout(60):
            while not rig.operator.metrics()["loadmaster_watch_last_event_timestamp_seconds"]:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        samples = rig.operator.metrics()
        assert samples["loadmaster_leader"] == 1
        assert any(name.startswith("loadmaster_build_info{") for name in samples)
        world = await World(rig.arm, "probes").build()
        await rig.pairs.apply(manifest(world, rig.pairs.namespace))
        await rig.pairs.ready()
        samples = rig.operator.metrics()
        pair = f'kind="LoadMasterPair",name="web",namespace="{rig.pairs.namespace}"'
        assert samples[f'loadmaster_condition{{{pair},status="True",type="Ready"}}'] == 1
        assert samples[f'loadmaster_condition{{{pair},status="False",type="Ready"}}'] == 0
        assert not any(name.startswith("loadmaster_condition_reason{") for name in samples)
        puts = [
            name for name in samples if name.startswith("loadmaster_azure_requests_total{") and "PUT" in name
        ]
        assert sum(samples[name] for name in puts) == len(rig.proxy.writes)
        bound = f'bound="Max",failure="Silent",namespace="{rig.pairs.namespace}",pair="web"'
        assert samples[f"loadmaster_failover_expected_seconds{{{bound}}}"] == 15
        assert samples['loadmaster_reconcile_total{kind="LoadMasterPair",outcome="Changed"}'] > 0


async def test_drift_is_found_without_any_event(stage):
    async with rigged(stage, "resync") as rig:
        await rig.kill_operator()
        async with replica(stage, rig, "resyncing", flags={**QUICK_LEASE, "resync_seconds": 30}) as (
            _,
            proxy,
        ):
            world = await World(rig.arm, "resync").build()
            await rig.pairs.apply(manifest(world, rig.pairs.namespace))
            await rig.pairs.ready()
            before, writes = await world.snapshot(), len(proxy.writes)
            await rig.arm.delete(f"{world.security_group}/securityRules/lm_web_probe")
            async with asyncio.timeout(90):
                while len(proxy.writes) == writes:  # noqa: ASYNC110 - the operator is another process
                    await asyncio.sleep(0.2)
            await rig.pairs.condition("Reconciling", "False")
            assert_same(before, await world.snapshot(), "Azure after the repair")
            assert "DriftRepaired" in [event["reason"] for event in await rig.pairs.events()]


async def test_a_hang_up_has_the_leader_look_at_all_pairs_again(stage):
    async with rigged(stage, "hangup") as rig, replica(stage, rig, "waiting") as (standby, _):
        world = await World(rig.arm, "hangup").build()
        await rig.pairs.apply(manifest(world, rig.pairs.namespace))
        await rig.pairs.ready()
        await rig.pairs.condition("Reconciling", "False")
        before, writes = await world.snapshot(), len(rig.proxy.writes)
        await rig.arm.delete(f"{world.security_group}/securityRules/lm_web_probe")

        os.kill(standby.pid, signal.SIGHUP)
        await asyncio.to_thread(standby.wait_for_log, says("this one does not"), "it is not the leader's")
        assert len(rig.proxy.writes) == writes, "it is not time yet: five minutes"

        os.kill(rig.operator.pid, signal.SIGHUP)
        async with asyncio.timeout(60):
            while len(rig.proxy.writes) == writes:  # noqa: ASYNC110 - the operator is another process
                await asyncio.sleep(0.2)
        await rig.pairs.condition("Reconciling", "False")
        assert_same(before, await world.snapshot(), "Azure after the repair")


async def test_it_ends_cleanly_while_an_operation_runs(stage):
    async with rigged(stage, "ends") as rig:
        world = await World(rig.arm, "ends").build()
        await rig.arm.add_fault(
            verb="PUT", path="(?i)/resourceGroups/ends/.*/securityRules/", operationLatency=30, count=1
        )
        await rig.pairs.apply(manifest(world, rig.pairs.namespace))
        await rig.pairs.until(
            lambda found: (found or {}).get("status", {}).get("azure", {}).get("operations"),
            "an operation runs",
        )
        assert await asyncio.to_thread(rig.operator.stop) == 0
        assert (await lease(rig))["holderIdentity"] == ""


async def test_no_secret_gets_into_log_status_or_events(stage):
    async with rigged(stage, "secretive") as rig:
        world = await World(rig.arm, "secretive").build()
        await rig.pairs.put_secret(
            tenantID="99999999-8888-7777-6666-555555555555",
            clientID="00000000-0000-0000-0000-0000000000aa",
            clientSecret="an-unguessable-secret-4712",
        )
        await rig.pairs.apply(manifest(world, rig.pairs.namespace))
        pair = await rig.pairs.ready()
        told = json.dumps([pair, await rig.pairs.events()]) + rig.operator.output()
        assert "an-unguessable-secret-4712" not in told
        assert "Bearer " not in told
        lines = [line for line in rig.operator.output().splitlines() if line.strip()]
        assert all(json.loads(line)["message"] for line in lines), "each line is one JSON object"


@pytest.mark.parametrize(
    ("flags", "environment", "says"),
    [
        (["--resync-seconds=10"], {}, "--resync-seconds"),
        (["--azure-cloud=Custom"], {}, "--azure-resource-manager-url"),
        ([], {"LOADMASTER_AZURE_CLOUD": "Moon"}, "LOADMASTER_AZURE_CLOUD"),
        ([], {"LOADMASTER_CONCURRENCY": "many"}, "LOADMASTER_CONCURRENCY"),
        (["--kubeconfig=/nowhere/at/all"], {}, "/nowhere/at/all"),
        (["--metrics-listen=9090"], {}, "HOST:PORT"),
        (["--azure-cloud=Custom", "--azure-resource-manager-url=http://plain"], {}, "https"),
        (["--no-such-flag"], {}, "--no-such-flag"),
    ],
)
async def test_a_wrong_configuration_is_named_and_ends_with_2(stage, flags, environment, says):
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("LOADMASTER_", "KUBE"))
    }
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "loadmaster_ha.cli.operator", "run", *flags],
        env={**clean, "KUBECONFIG": str(stage.plane.kubeconfig), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr

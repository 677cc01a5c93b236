"""How many requests to Azure, and how much time, the guide's set-up costs.

Beside each other, against one emulator with one latency: the operator from `apply` to `Ready=True`, cold and
with everything there already; the same balancer built by the real `az`, command by command; and by one ARM
template deployment. What the guide presupposes (network, machines) is there before, for all of them.
"""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.armclient import ArmClient
from tests.support.az import Az
from tests.support.guide_az import GuideSetUp
from tests.support.guide_world import Builder
from tests.support.world import SUBSCRIPTION

import azcli
from bench.report import publish, table
from bench.requests import by_kind
from lab.cluster import is_ready
from lab.stage import CREDENTIALS, Stage, open_stage

LATENCY_SECONDS = 1.0
# Without this header, which Azure does not always send, az asks for an operation's state every 30 seconds.
RETRY_AFTER_SECONDS = 1
NAMESPACE = "economy"
JSON = dict[str, Any]


@dataclass
class Measured:
    """One way of building the set-up."""

    seconds: float
    requests: dict[str, int]


async def run(*, latency: float = LATENCY_SECONDS, with_az: bool = True) -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory(prefix="loadmaster-bench-") as folder:
        async with (
            open_stage(Path(folder), latency=latency, retry_after=RETRY_AFTER_SECONDS, pairs=0) as stage,
            ArmClient(stage.emulator.url, stage.emulator.ca_file) as arm,
        ):
            results = {"operator, cold": await _operator(stage, arm)}
            results["operator, all there"] = await _adopted(stage)
            results["template deployment"] = await _template(stage, arm)
            if with_az:
                results["az"] = await _az(stage, arm, Path(folder))
    _publish(results, latency)


async def _operator(stage: Stage, arm: ArmClient) -> Measured:
    await Builder(arm, SUBSCRIPTION, GuideSetUp(group="edge-operator")).prerequisites()
    await stage.cluster.ensure_namespace(NAMESPACE)
    await stage.cluster.put_secret(NAMESPACE, "azure", CREDENTIALS)
    async with stage.operator("cold"):
        return await _apply(stage)


async def _adopted(stage: Stage) -> Measured:
    """What `_operator` built, as if somebody else had: no tags, no marks; and a new custom resource."""
    await stage.cluster.patch_pair(NAMESPACE, "web", {"spec": {"policy": {"deletion": "Orphan"}}})
    async with stage.operator("orphaning"):
        await stage.cluster.delete_pair(NAMESPACE, "web")
        await stage.cluster.until(NAMESPACE, "web", lambda pair: pair is None)
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/edge-operator/providers/Microsoft.Network"
    await stage.emulator.arm.edit(f"{group}/loadBalancers/web-ilb", lambda body: body.pop("tags", None))
    await stage.emulator.arm.edit(f"{group}/networkSecurityGroups/lm-nsg", _forget_descriptions)
    async with stage.operator("adopting"):
        return await _apply(stage)


def _forget_descriptions(body: JSON) -> None:
    for rule in body["properties"]["securityRules"]:
        rule["properties"].pop("description", None)


async def _apply(stage: Stage) -> Measured:
    await stage.emulator.reset_requests()
    began = time.monotonic()
    await stage.cluster.apply_pair(_manifest("edge-operator"))
    await stage.cluster.until(NAMESPACE, "web", is_ready, poll=0.02)
    seconds = time.monotonic() - began
    return Measured(seconds, by_kind(await stage.emulator.requests()))


async def _template(stage: Stage, arm: ArmClient) -> Measured:
    builder = Builder(arm, SUBSCRIPTION, GuideSetUp(group="edge-template"))
    await builder.prerequisites()
    await stage.emulator.reset_requests()
    began = time.monotonic()
    await builder.deploy_template()
    seconds = time.monotonic() - began
    return Measured(seconds, by_kind(await stage.emulator.requests()))


async def _az(stage: Stage, arm: ArmClient, folder: Path) -> Measured:
    guide = GuideSetUp(group="edge-az")
    await Builder(arm, SUBSCRIPTION, guide).prerequisites()
    home = folder / "az"
    home.mkdir()
    az = Az(azcli.python(), home, stage.emulator.url, stage.emulator.ca_file)
    await asyncio.to_thread(az.sign_in)
    await stage.emulator.reset_requests()
    began = time.monotonic()
    for command in guide.balancer():
        await asyncio.to_thread(az.run, *command)
    seconds = time.monotonic() - began
    return Measured(seconds, by_kind(await stage.emulator.requests()))


def _manifest(group: str) -> JSON:
    return {
        "apiVersion": "loadmaster.dev/v1alpha1",
        "kind": "LoadMasterPair",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {
            "azure": {
                "subscriptionID": SUBSCRIPTION,
                "resourceGroup": group,
                "location": "westeurope",
                "credentialsSecretRef": {"name": "azure"},
            },
            "master": _unit(0),
            "slave": _unit(1),
            "loadBalancer": {
                "name": "web-ilb",
                "frontend": {
                    "subnet": {"virtualNetwork": "app", "name": "lb"},
                    "privateIPAddress": "10.0.2.100",
                },
            },
            "services": [{"name": "https", "port": 443}],
            "networkSecurity": {
                "securityGroups": [{"name": "lm-nsg"}],
                "managementSources": ["10.0.0.0/8"],
            },
        },
    }


def _unit(number: int) -> JSON:
    interface = {"name": "eth0", "resource": f"lm-{number}-nic", "ipConfiguration": "ipconfig1"}
    return {"virtualMachine": {"name": f"lm-{number}"}, "networkInterfaces": [interface]}


def _publish(results: dict[str, Measured], latency: float) -> None:
    base = results["operator, cold"].seconds
    shown = table(
        f"The guide's set-up, Azure's operations taking {latency} s",
        "built by", "seconds", "times the operator", "writes", "reads", "polls", "requests",
    )  # fmt: skip
    for name, measured in results.items():
        counts = measured.requests
        shown.add_row(
            name,
            f"{measured.seconds:.1f}",
            f"{measured.seconds / base:.1f}",
            *(str(counts[kind]) for kind in ("writes", "reads", "polls", "all")),
        )
    publish(
        "azure_economy",
        {
            "latencySeconds": latency,
            "results": {
                name: {
                    "seconds": measured.seconds,
                    "ratioToOperator": measured.seconds / base,
                    **measured.requests,
                }
                for name, measured in results.items()
            },
        },
        shown,
    )

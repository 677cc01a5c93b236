"""How long from `apply` to the first write to Azure, and from looking at a drift to its repair.

Azure's operations take no time here: what is measured is ours. A drift that nobody points at is found at
the next resync (5 minutes unless configured); the second figure begins when the operator is told to look.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from bench.pairs import manifest
from bench.report import distribution, publish, table
from lab.cluster import is_ready
from lab.stage import CREDENTIALS, Stage, open_stage

NAMESPACE = "latency"
SAMPLES = 30
SAFETY_SECONDS = 60


async def run(*, samples: int = SAMPLES) -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory(prefix="loadmaster-bench-") as folder:
        async with open_stage(Path(folder), pairs=samples) as stage:
            await stage.cluster.ensure_namespace(NAMESPACE)
            await stage.cluster.put_secret(NAMESPACE, "azure", CREDENTIALS)
            async with stage.operator():
                first_write = [await _first_write(stage, number) for number in range(samples)]
                repair = [await _repair(stage, number) for number in range(samples)]
    results = {
        "apply to first write": distribution(first_write),
        "look to repaired": distribution(repair),
    }
    shown = table("Latency of the operator, seconds", "from", "p50", "p95", "p99", "max", "n")
    for name, figures in results.items():
        shown.add_row(
            name, *(f"{figures[key]:.3f}" for key in ("p50", "p95", "p99", "max")), str(figures["n"])
        )
    publish("latency", {"secondsByStep": results}, shown)


async def _first_write(stage: Stage, number: int) -> float:
    await stage.emulator.reset_requests()
    began = time.time()
    await stage.cluster.apply_pair(manifest(number, NAMESPACE, "azure"))
    await stage.cluster.until(NAMESPACE, f"web-{number}", is_ready)
    return await _write_after(stage, began) - began


async def _repair(stage: Stage, number: int) -> float:
    balancer = stage.site.id("Microsoft.Network/loadBalancers", f"web-ilb-{number}")
    await stage.emulator.arm.edit(balancer, lambda body: body["properties"].update(loadBalancingRules=[]))
    await asyncio.sleep(0.2)  # the edit itself is over
    await stage.emulator.reset_requests()
    began = time.time()
    look = {"metadata": {"annotations": {"example.com/look": str(began)}}}
    await stage.cluster.patch_pair(NAMESPACE, f"web-{number}", look)
    return await _write_after(stage, began) - began


async def _write_after(stage: Stage, began: float) -> float:
    async with asyncio.timeout(SAFETY_SECONDS):
        while True:
            writes = (await stage.emulator.requests())["writes"]
            times: list[float] = [
                write["time"] for write in writes if write["time"] >= began and write["method"] == "PUT"
            ]
            if times:
                return min(times)
            await asyncio.sleep(0.05)

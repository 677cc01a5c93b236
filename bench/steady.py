"""What a converged operator costs: requests, CPU and memory of 100 pairs in one subscription.

First the pairs are brought up, then nothing happens for five minutes but the operator's own looking, then
1,000 changes of a spec are made. The emulator throttles as Azure does.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.pairs import manifest
from bench.report import publish, table
from bench.requests import by_kind
from lab.cluster import is_ready
from lab.stage import CREDENTIALS, Operator, Stage, open_stage

NAMESPACE = "steady"
PAIRS = 100
MINUTES = 5.0
CHANGES = 1000
READS_PER_SECOND = 25.0
MIB = 1024 * 1024
BRING_UP_SECONDS = 1200

_IMPORTS = """
import loadmaster_ha.cli.operator, loadmaster_ha.controller.process
print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')))
"""


async def run(*, pairs: int = PAIRS, minutes: float = MINUTES, changes: int = CHANGES) -> None:
    """Measure and publish."""
    result: dict[str, Any] = {"pairs": pairs, "minutes": minutes, "changes": changes}
    result["importsMiB"] = imports_mib()
    with tempfile.TemporaryDirectory(prefix="loadmaster-bench-") as folder:
        async with open_stage(Path(folder), pairs=pairs) as stage:
            await stage.cluster.ensure_namespace(NAMESPACE)
            await stage.cluster.put_secret(NAMESPACE, "azure", CREDENTIALS)
            await stage.emulator.throttle_as_azure()
            async with stage.operator() as operator:
                result["bringUpSeconds"] = await _bring_up(stage, pairs)
                result |= await _idle(stage, operator, minutes)
                await _change(stage, pairs, changes)
                result["rssAfterChangesMiB"] = operator.resident_bytes() / MIB
    shown = table(f"{pairs} pairs, {minutes:g} minutes in which nothing happens", "what", "figure")
    for name, value in result.items():
        shown.add_row(name, f"{value:.1f}" if isinstance(value, float) else str(value))
    publish("steady", result, shown)


async def _bring_up(stage: Stage, pairs: int) -> float:
    began = time.monotonic()
    for number in range(pairs):
        await stage.cluster.apply_pair(manifest(number, NAMESPACE, "azure"))
    await _until_all_ready(stage, pairs)
    return time.monotonic() - began


async def _until_all_ready(stage: Stage, pairs: int) -> None:
    async with asyncio.timeout(BRING_UP_SECONDS):
        while True:
            found = await stage.cluster.pairs(NAMESPACE)
            if len(found) == pairs and all(map(is_ready, found)):
                return
            await asyncio.sleep(1)


async def _idle(stage: Stage, operator: Operator, minutes: float) -> dict[str, Any]:
    await asyncio.sleep(5)
    before = _versions(await stage.cluster.pairs(NAMESPACE))
    events = len(await stage.cluster.events(NAMESPACE))
    await stage.emulator.reset_requests()
    cpu = operator.cpu_seconds()
    await asyncio.sleep(minutes * 60)
    cpu = operator.cpu_seconds() - cpu
    counts = by_kind(await stage.emulator.requests())
    after = await stage.cluster.pairs(NAMESPACE)
    patched = [name for name, version in _versions(after).items() if version != before[name]]
    reads = counts["reads"] / minutes
    return {
        "armWrites": counts["writes"],
        "objectsPatched": len(patched),
        "events": len(await stage.cluster.events(NAMESPACE)) - events,
        "armReadsPerMinute": reads,
        "shareOfReadRefill": reads / 60 / READS_PER_SECOND,
        "cpuSecondsPerMinute": cpu / minutes,
        "rssIdleMiB": operator.resident_bytes() / MIB,
    }


def _versions(pairs: list[dict[str, Any]]) -> dict[str, str]:
    return {pair["metadata"]["name"]: pair["metadata"]["resourceVersion"] for pair in pairs}


async def _change(stage: Stage, pairs: int, changes: int) -> None:
    for number in range(changes):
        interval = 5 + (number // pairs) % 2 + 1
        patch = {"spec": {"healthCheck": {"intervalSeconds": interval}}}
        await stage.cluster.patch_pair(NAMESPACE, f"web-{number % pairs}", patch)
    await _until_all_ready(stage, pairs)


def imports_mib() -> float:
    """What a process holds when it has imported all of the operator, in MiB."""
    done = subprocess.run([sys.executable, "-c", _IMPORTS], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024

"""What watching costs and how soon a change of who is active is told: 1,000 pairs, 2,000 stand-ins for units.

The operator is the real one, on a real API server; the units are light stand-ins in one process of their own
(health ports, frontends, management with long poll over TLS). Azure is the emulated one, where everything is
as the planner wants it before the operator starts: Azure's share of the work is `steady`'s. A change is a
stand-in that turns active while its partner yields; the clock runs from that instant to the condition and
`status.active` as a watching client gets them, to the Event, and to the metric as it is scraped.

All pairs are looked at again at once because the operator is told so (SIGHUP), and once more as soon as all
visits have had their turn: its queues hold a thousand each then. That is the resync. Harder than that is a
thousand pairs touched: an annotation of each is patched, by eight at a time, as fast as the API server takes
them, again 15 s after the last one. The API server works hardest then; how long such a patch itself takes to
the same watching client is measured as well: nothing of that is the operator's.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, Self

import aiohttp
from tests.support.light_units import API_KEY, fingerprint_of, frontend_address, unit_address
from tests.support.pem import self_signed
from tests.support.world import LOCATION, SUBSCRIPTION

from bench.report import distribution, publish, table
from bench.steady import MIB, imports_mib
from bench.watching_client import LOOK, NAMESPACE, Observer
from lab.network import Addresses
from lab.processes import ProcessFailed
from lab.stage import CREDENTIALS, ROOT, Operator, Stage, open_stage
from loadmaster_ha.controller.registry import target_of
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.planning import pair
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.bodies import thaw
from loadmaster_ha.planning.changes import Put
from loadmaster_ha.planning.observation import Observation, Resource
from loadmaster_ha.planning.target import PairTarget

PAIRS = 1000
PAIRS_PER_GROUP = 20
"""Pairs in one resource group. All in one would measure its lists, which each look at Azure needs."""
IDLE_SECONDS = 120.0
CHANGES = 300
CHANGES_PER_SECOND = 4.0
TOUCH_SECONDS = 15.0
"""Between the end of one burst of patches and the next."""
TOUCHED_AT_A_TIME = 8
METRIC_EVERY = 10
"""The metric is scraped for every so manyth change: a page of 1,000 pairs has megabytes."""

NETWORK = Addresses(space="127.16.0.0/15", subnet="127.16.0.0/15")
"""Units and frontends of the stand-ins are in it."""
LOOPBACK = ("--allow-loopback-networks",)

JSON = dict[str, Any]


async def run(
    *,
    pairs: int = PAIRS,
    idle: float = IDLE_SECONDS,
    changes: int = CHANGES,
    rate: float = CHANGES_PER_SECOND,
) -> None:
    """Measure and publish."""
    _take_precedence()
    result: JSON = {"pairs": pairs, "units": 2 * pairs, "importsMiB": imports_mib()}
    with tempfile.TemporaryDirectory(prefix="loadmaster-bench-") as name:
        folder = Path(name)
        async with (
            open_stage(folder, pairs=0, addresses=NETWORK, emulator_flags=LOOPBACK) as stage,
            Units.serve(folder, pairs) as units,
        ):
            await _set_up(stage, units, pairs)
            began = time.monotonic()
            async with stage.operator() as operator, Observer.follow(stage) as observer:
                await observer.all_healthy(pairs)
                result["startToAllHealthySeconds"] = time.monotonic() - began
                await observer.at_rest()
                result["startCpuSeconds"] = operator.cpu_seconds()
                result |= await _idle(stage, operator, units, idle)
                latencies = {"steady": await _change(operator, units, observer, pairs, changes, rate)}
                rounds: list[float] = []
                async with _meanwhile(_resync(operator, rounds)):
                    latencies["while all pairs resync"] = await _change(
                        operator, units, observer, pairs, changes, rate
                    )
                result["secondsOfResyncs"] = " ".join(f"{each:.1f}" for each in rounds)
                await observer.at_rest()
                async with _meanwhile(_touch(stage, pairs)):
                    latencies["while all pairs are touched"] = await _change(
                        operator, units, observer, pairs, changes, rate
                    )
                result["secondsOfTouch"] = distribution(observer.look_seconds)
                result["loadAverage"] = os.getloadavg()[0]
                result["rssAfterMiB"] = operator.resident_bytes() / MIB
    result["secondsFromChange"] = latencies
    _publish(result)


def _take_precedence() -> None:
    """Let this and what it starts run before other work of the machine, if that is allowed."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)


def _publish(result: JSON) -> None:
    shown = table(f"{result['pairs']} pairs under watch", "what", "figure")
    for name, value in result.items():
        if not isinstance(value, dict):
            shown.add_row(name, f"{value:.2f}" if isinstance(value, float) else str(value))
    for when, kinds in result["secondsFromChange"].items():
        for kind, figures in kinds.items():
            shown.add_row(f"change to {kind}, s, {when}", _in_words(figures))
    shown.add_row("patch that touches a pair to the client, s", _in_words(result["secondsOfTouch"]))
    publish("watch", result, shown)


def _in_words(figures: JSON) -> str:
    told = "  ".join(f"{key} {figures[key]:.3f}" for key in ("p50", "p95", "p99", "max"))
    return f"{told}  n {figures['n']}"


# The units


class Units:
    """The process of the stand-ins."""

    def __init__(self, process: asyncio.subprocess.Process, certificate: str) -> None:
        self._process = process
        self._lock = asyncio.Lock()
        self.fingerprint = fingerprint_of(certificate)
        self.health_port = self.management_port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls, folder: Path, pairs: int) -> AsyncIterator[Self]:
        """Run it."""
        certificate = self_signed("loadmaster.test")
        path = folder / "unit.pem"
        path.write_text(certificate)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.support.light_units", str(pairs), str(path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        units = cls(process, certificate)
        try:
            ports = await units._read()
            units.health_port, units.management_port = ports["health"], ports["management"]
            yield units
        finally:
            process.kill()
            await process.wait()

    async def say(self, command: str) -> JSON:
        """Give a command; the answer."""
        assert self._process.stdin is not None
        async with self._lock:
            self._process.stdin.write(command.encode() + b"\n")
            return await self._read()

    async def _read(self) -> JSON:
        assert self._process.stdout is not None
        found: JSON = json.loads(await self._process.stdout.readline())
        return found


async def _set_up(stage: Stage, units: Units, pairs: int) -> None:
    await stage.cluster.ensure_namespace(NAMESPACE)
    await stage.cluster.put_secret(NAMESPACE, "azure", CREDENTIALS)
    await stage.cluster.put_secret(NAMESPACE, "login", {"apikey": API_KEY})
    slots = asyncio.Semaphore(8)
    for group in sorted({_group(number) for number in range(pairs)}):
        path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
        await stage.emulator.arm.request("PUT", path, {"location": LOCATION})

    async def one(number: int) -> None:
        async with slots:
            balancer = _id(number, f"loadBalancers/web-ilb-{number}")
            await stage.emulator.arm.request("PUT", f"/_emulator/resources{balancer}", _balancer(number))
            for index in (2 * number, 2 * number + 1):
                interface = _id(number, f"networkInterfaces/lm-{index}-nic")
                body = _interface(stage, index)
                await stage.emulator.arm.request("PUT", f"/_emulator/resources{interface}", body)
            await stage.cluster.apply_pair(_manifest(number, units))

    await asyncio.gather(*(one(number) for number in range(pairs)))
    network = await _read(stage, ResourceID.parse(stage.site.virtual_network))

    async def build(body: JSON) -> None:
        async with slots:
            await _build(stage, target_of(body), network)

    await asyncio.gather(*(build(body) for body in await stage.cluster.pairs(NAMESPACE)))


async def _build(stage: Stage, target: PairTarget, network: Resource) -> None:
    """Put into Azure what the planner wants of it, without the way that the operator would take there."""
    observation = Observation({network.id: Present(network)})
    for need in pair.needs(target, observation):
        if isinstance(need, ResourceID) and not observation.knows(need):
            found = await _read(stage, need)
            observation = Observation({**observation.resources, need: Present(found)})
    for change in pair.plan(target, observation).changes:
        assert isinstance(change, Put)
        await stage.emulator.arm.request("PUT", f"/_emulator/resources{change.resource}", thaw(change.body))


async def _read(stage: Stage, resource: ResourceID) -> Resource:
    body = await stage.emulator.arm.get(str(resource))
    assert body is not None, resource
    return Resource(resource, body, body.get("etag"))


def _group(number: int) -> str:
    return f"edge-{number // PAIRS_PER_GROUP}"


def _id(number: int, name: str) -> str:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{_group(number)}"
    return f"{group}/providers/Microsoft.Network/{name}"


def _interface(stage: Stage, index: int) -> JSON:
    configuration = {
        "privateIPAddress": unit_address(index // 2, "Slave" if index % 2 else "Master"),
        "privateIPAllocationMethod": "Static",
        "subnet": {"id": f"{stage.site.virtual_network}/subnets/lb"},
        "primary": True,
    }
    return {
        "location": LOCATION,
        "properties": {"ipConfigurations": [{"name": "ipconfig1", "properties": configuration}]},
    }


def _balancer(number: int) -> JSON:
    frontend = {"privateIPAddress": frontend_address(number), "privateIPAllocationMethod": "Static"}
    frontends = [{"name": f"lm_web-{number}_frontend", "properties": frontend}]
    return {
        "location": LOCATION,
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {"frontendIPConfigurations": frontends},
    }


def _manifest(number: int, units: Units) -> JSON:
    return {
        "apiVersion": "loadmaster.dev/v1alpha1",
        "kind": "LoadMasterPair",
        "metadata": {"name": f"web-{number}", "namespace": NAMESPACE},
        "spec": {
            "azure": {
                "subscriptionID": SUBSCRIPTION,
                "resourceGroup": _group(number),
                "location": LOCATION,
                "credentialsSecretRef": {"name": "azure"},
            },
            "master": _unit(number, "Master", units),
            "slave": _unit(number, "Slave", units),
            "loadBalancer": {
                "name": f"web-ilb-{number}",
                "frontend": {
                    "subnet": {"virtualNetwork": "app", "name": "lb", "resourceGroup": "net"},
                    "privateIPAddress": frontend_address(number),
                },
            },
            "healthCheck": {"port": units.health_port},
            "highAvailability": {"preferredHost": "None"},
            "policy": {"mode": "Observe"},
        },
    }


def _unit(number: int, role: str, units: Units) -> JSON:
    index = 2 * number + (role == "Slave")
    return {
        "networkInterfaces": [{"name": "eth0", "resource": f"lm-{index}-nic"}],
        "address": unit_address(number, role),
        "management": {
            "port": units.management_port,
            "credentialsSecretRef": {"name": "login"},
            "tls": {"fingerprintSHA256": units.fingerprint},
        },
    }


# The measurements


async def _idle(stage: Stage, operator: Operator, units: Units, seconds: float) -> JSON:
    versions = {
        each["metadata"]["name"]: each["metadata"]["resourceVersion"]
        for each in await stage.cluster.pairs(NAMESPACE)
    }
    counts, cpu, began = await units.say("counts"), operator.cpu_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    cpu, passed = operator.cpu_seconds() - cpu, time.monotonic() - began
    after = await units.say("counts")
    found = await stage.cluster.pairs(NAMESPACE)
    patched = [
        each for each in found if versions[each["metadata"]["name"]] != each["metadata"]["resourceVersion"]
    ]
    return {
        "coresSteady": cpu / passed,
        "rssSteadyMiB": operator.resident_bytes() / MIB,
        "pairsPatchedWhileIdle": len(patched),
        **{f"{kind}RequestsPerSecond": (after[kind] - counts[kind]) / passed for kind in counts},
    }


async def _change(  # noqa: PLR0917 - the scene
    operator: Operator, units: Units, observer: Observer, pairs: int, changes: int, rate: float
) -> JSON:
    """Change who is active in random pairs, one after another; how long it took to be told."""
    began: list[tuple[str, str, float]] = []
    metrics: list[asyncio.Task[float]] = []
    chosen = random.sample(range(pairs), min(changes, pairs))
    metrics_url = await _metrics_url(operator)
    for count, number in enumerate(chosen):
        name = f"web-{number}"
        for role in ("Master", "Slave"):
            observer.active.pop((name, role), None)
            observer.events.pop((name, role), None)
        said = await units.say(f"change {number}")
        began.append((name, said["active"], said["time"]))
        if count % METRIC_EVERY == 0:
            metrics.append(asyncio.create_task(_metric(metrics_url, name, said)))
        await asyncio.sleep(random.expovariate(rate))
    missing = began
    for _ in range(600):
        missing = [
            (name, role, at)
            for name, role, at in began
            if (name, role) not in observer.active or (name, role) not in observer.events
        ]
        if not missing:
            break
        await asyncio.sleep(0.1)
    if missing:
        raise ProcessFailed(f"never told: {missing}; the operator's log ends:\n{operator.process.tail()}")
    return {
        "condition": distribution([observer.active[name, role] - at for name, role, at in began]),
        "Event": distribution([observer.events[name, role] - at for name, role, at in began]),
        "metric": distribution(await asyncio.gather(*metrics)),
    }


async def _metrics_url(operator: Operator) -> str:
    said = await operator.process.until(lambda text: '"serving": "metrics"' in text)
    line = next(line for line in said.splitlines() if '"serving": "metrics"' in line)
    return f"http://127.0.0.1:{json.loads(line)['port']}/metrics"


async def _metric(url: str, name: str, said: JSON) -> float:
    """From the change to the first scrape, of one a second, that shows it; the page's own time included."""
    wanted = re.compile(
        rf'^loadmaster_pair_active{{[^}}]*pair="{name}",unit="{said["active"]}"}} 1', re.MULTILINE
    )
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            async with session.get(url, params={"name[]": "loadmaster_pair_active"}) as response:
                if wanted.search(await response.text()):
                    return time.time() - said["time"]
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that goes on without an end; one that ended had a problem, and then nothing was measured."""
    task = asyncio.create_task(work)
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _resync(operator: Operator, rounds: list[float]) -> None:
    """Have every pair looked at by all lanes at once, again as soon as all had their turn; notes how long."""
    url = await _metrics_url(operator)
    waiting = re.compile(r"^loadmaster_queue_depth{[^}]*} ([0-9.]+)", re.MULTILINE)
    async with aiohttp.ClientSession() as session:
        while True:
            began = time.monotonic()
            os.kill(operator.pid, signal.SIGHUP)
            depths = [1.0]
            while any(depths):
                await asyncio.sleep(0.5)
                async with session.get(url, params={"name[]": "loadmaster_queue_depth"}) as response:
                    depths = [float(each) for each in waiting.findall(await response.text())]
            rounds.append(time.monotonic() - began)


async def _touch(stage: Stage, pairs: int) -> None:
    """Patch an annotation of every pair, again and again."""
    slots = asyncio.Semaphore(TOUCHED_AT_A_TIME)

    async def one(number: int) -> None:
        async with slots:
            look = {"metadata": {"annotations": {LOOK: str(time.time())}}}
            await stage.cluster.patch_pair(NAMESPACE, f"web-{number}", look)

    while True:
        await asyncio.gather(*(one(number) for number in range(pairs)))
        await asyncio.sleep(TOUCH_SECONDS)

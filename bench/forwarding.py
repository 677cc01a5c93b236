"""What the emulated balancer's data plane carries, beside direct connections in the same run.

Connections per second (a request on each), bits per second on one connection, the time that a connection
takes longer than a direct one, and by how much a probe was late meanwhile. Clients, members and the data
plane share the machine's cores. The goal is only that the emulator is not what other benchmarks measure:
1,000 new connections and 300 Mbit a second.
"""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing.process import BaseProcess
from typing import Any

from tests.support.backends import running_backends
from tests.support.emulator import running_emulator
from tests.support.loopback_site import LoopbackSite

from bench import traffic
from bench.report import distribution, publish, table

PORT = 9000
CLIENTS = 2
PROBE_INTERVAL = 0.5
SECONDS = 10.0
ROUNDS = 5


async def run(*, seconds: float = SECONDS, rounds: int = ROUNDS) -> None:
    """Measure and publish."""
    context = multiprocessing.get_context("spawn")
    flags = ("--data-plane", "--allow-loopback-networks", "--probe-interval", str(PROBE_INTERVAL))
    async with running_emulator(*flags) as emulator:
        site = LoopbackSite(emulator)
        site.balancer.properties["loadBalancingRules"].append(site.balancer.rule("bench", PORT))
        async with running_backends(*site.members):
            await site.build()
            await site.until_up(True, True)
            with ExitStack() as stack:
                for address in site.members:
                    server = context.Process(target=traffic.serve, args=(address, PORT), daemon=True)
                    server.start()
                    stack.callback(_end, server)
                await asyncio.sleep(1)
                pool = stack.enter_context(ProcessPoolExecutor(CLIENTS, mp_context=context))
                found = await _measure(site, pool, seconds / rounds, rounds)
            late = max(traffic.slowest_probe(item["log"], PROBE_INTERVAL) for item in await site.probes())
    _report(found, late)


async def _measure(
    site: LoopbackSite, pool: ProcessPoolExecutor, seconds: float, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Direct and balanced by turns, so that whatever else the machine does hits both alike."""
    loop = asyncio.get_running_loop()
    targets = {"direct": (site.members[0], PORT), "balanced": (site.frontend, PORT)}
    found: dict[str, dict[str, list[float]]] = {
        name: {"rates": [], "times": [], "megabits": []} for name in targets
    }
    for _ in range(rounds):
        for name, target in targets.items():
            clients = [
                loop.run_in_executor(pool, traffic.connections_per_second, target, site.client, seconds)
                for _ in range(CLIENTS)
            ]
            results = await asyncio.gather(*clients)
            found[name]["rates"].append(sum(rate for rate, _ in results))
            found[name]["times"] += [time for _, times in results for time in times]
            megabits = loop.run_in_executor(pool, traffic.megabits_per_second, target, site.client, seconds)
            found[name]["megabits"].append(await megabits)
    return found


def _report(found: dict[str, dict[str, list[float]]], late: float) -> None:
    direct, balanced = found["direct"], found["balanced"]
    results: dict[str, Any] = {
        "clients": CLIENTS,
        "connectionsPerSecond": {name: distribution(item["rates"]) for name, item in found.items()},
        "megabitsPerSecond": {name: distribution(item["megabits"]) for name, item in found.items()},
        "secondsPerConnection": {name: distribution(item["times"]) for name, item in found.items()},
        "latestProbeSeconds": late,
    }
    added = {
        key: results["secondsPerConnection"]["balanced"][key] - results["secondsPerConnection"]["direct"][key]
        for key in ("p50", "p95", "p99", "max")
    }
    results["addedSecondsPerConnection"] = added
    shown = table("Forwarding of the emulated balancer", "figure", "direct", "balanced", "ratio", "n")
    for name, key in (("new connections/s", "rates"), ("Mbit/s on one connection", "megabits")):
        first, second = distribution(direct[key])["p50"], distribution(balanced[key])["p50"]
        results[f"{key}Ratio"] = second / first
        shown.add_row(
            name,
            f"{first:,.0f}",
            f"{second:,.0f}",
            f"{second / first:.2f}",
            str(len(direct[key])),
        )
    for key in ("p50", "p95", "p99", "max"):
        first, second = (results["secondsPerConnection"][name][key] * 1000 for name in ("direct", "balanced"))
        shown.add_row(
            f"ms per connection, {key}",
            f"{first:.2f}",
            f"{second:.2f}",
            f"{second - first:+.2f} ms",
            str(len(balanced["times"])),
        )
    shown.add_row("latest probe, ms", "", f"{late * 1000:.1f}", "", "")
    publish("forwarding", results, shown)


def _end(server: BaseProcess) -> None:
    server.terminate()
    server.join(10)

"""From apply to the first good answer through the frontend: two fresh agents, real HAProxy, real client.

Each trial has units, API server, Azure and operator of its own. Azure's probe interval of 5 s is not
shortened; its operations take no time (in Azure each takes seconds, which are not ours either). A client
opens a connection to the published service every 20 ms. Of that time, this is not the operator's to save:

* *rebooting*: from a unit's being told to reboot to its management API's listening again, of either unit (an
  agent node takes seconds, an appliance minutes; it answers only some tenths of a second later);
* *probing*: from a unit's being back, its health port answering, to the balancer's finding somebody up, by
  the prober's own log.

Where they overlap they count once, and what the operator does meanwhile costs nobody anything. *Ours* is the
rest: looking, planning, writing to Azure and units, also what both take to carry that out. Once the balancer
has found a unit up, the first answer waits for nothing but the operator: that the other unit still reboots
then does not count. (It did in earlier measurements: *idle* is what was ours by that, while no unit
rebooted either.)

The whole laboratory shares one machine: with other work beside it, units and operator are slow by that. The
load before each trial is kept, and the table says when it was more than the machine has cores.
"""

import asyncio
import contextlib
import json
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.report import distribution, publish, table
from lab.balancer import CHECK_PORT, PROBE_READING
from lab.first_pair import FirstPair, open_first_pair
from lab.unit import MANAGEMENT_PORT, Unit

TRIALS: Final = 12
PERIOD: Final = 0.02
PATIENCE_SECONDS: Final = 180.0
INTERVAL: Final = 5
FIGURES: Final = ("total", "rebooting", "probing", "ours", "share", "idle", "idle_share", "ready")

CORES: Final = os.cpu_count() or 1

Span = tuple[float, float]
"""From and to, seconds of the machine's monotonic clock."""


async def run(*, trials: int = TRIALS) -> None:
    """Measure and publish."""
    found = []
    load = []
    for number in range(trials):
        load.append(os.getloadavg()[0])
        with tempfile.TemporaryDirectory(prefix="loadmaster-bench-") as folder:
            result = await _trial(Path(folder))
        found.append(result)
        figures = ", ".join(f"{name} {result[name]:.2f}" for name in FIGURES)
        print(f"trial {number + 1} of {trials}: {figures}; load {load[-1]:.1f}", flush=True)
    shown = table(
        f"seconds from apply to the first good answer; probe interval {INTERVAL} s; two node agents",
        "what", "p50", "p95", "p99", "max", "n",
    )  # fmt: skip
    distributions = {name: distribution([each[name] for each in found]) for name in FIGURES}
    for name, spread in distributions.items():
        shown.add_row(name, *(f"{spread[key]:.2f}" for key in ("p50", "p95", "p99", "max")), str(spread["n"]))
    shown.caption = (
        "share: ours of total; idle: ours while no unit rebooted; ready: apply to the condition Ready. "
        f"{_in_words(load)}"
    )
    publish(
        "build",
        {
            "interval": INTERVAL,
            "disputed": PROBE_READING,
            "cores": CORES,
            "load": load,
            "busy": _is_busy(load),
            "distributions": distributions,
            "trials": found,
        },
        shown,
    )


def _is_busy(load: list[float]) -> bool:
    return max(load) > CORES


def _in_words(load: list[float]) -> str:
    said = f"Load before the trials {min(load):.1f} to {max(load):.1f} on {CORES} cores"
    return f"{said}: a busy machine, of which these figures tell as well." if _is_busy(load) else f"{said}."


async def _trial(folder: Path) -> dict[str, float]:
    async with open_first_pair(folder, configuration={"log": {"format": "json"}}) as first:
        await first.start_units()
        await first.prepare()
        await first.start_operator()
        # The prober's clock started with the balancer's probe: nothing may favour one moment of its interval.
        await asyncio.sleep(random.uniform(0, 1))  # noqa: S311 - no secret
        async with _watching_ports(first) as opened:
            began = time.monotonic()
            await first.apply()
            ended = await _first_answer(first)
            await first.until_ready(PATIENCE_SECONDS)
            ready = time.monotonic()
        rebooting = [_reboot(unit, opened[unit.number]) for unit in first.units]
        probing = [await _until_probed(first, rebooting, opened)]
    whole = ended - began
    up = min(ended, probing[0][1])
    ours = whole - _covered([*rebooting, *probing], began, up)
    idle = whole - _covered([*rebooting, *probing], began, ended)
    return {
        "total": whole,
        "rebooting": _covered(rebooting, began, up),
        "probing": _covered(probing, began, up),
        "ours": ours,
        "share": ours / whole,
        "idle": idle,
        "idle_share": idle / whole,
        "ready": ready - began,
    }


async def _first_answer(first: FirstPair) -> float:
    client = first.client()
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with client.steady(PERIOD) as log:
            while not any(request.ok for request in log.requests):
                await asyncio.sleep(PERIOD)
        return min(request.ended for request in log.requests if request.ok)


@dataclass
class _Ports:
    """When the ports of one unit were found open after they had been closed."""

    management: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)


@contextlib.asynccontextmanager
async def _watching_ports(first: FirstPair) -> AsyncIterator[tuple[_Ports, _Ports]]:
    opened = (_Ports(), _Ports())
    tasks = [
        asyncio.create_task(_watch_port(unit.address, port, into))
        for unit, ports in zip(first.units, opened, strict=True)
        for port, into in ((MANAGEMENT_PORT, ports.management), (CHECK_PORT, ports.health))
    ]
    try:
        yield opened
    finally:
        for task in tasks:
            task.cancel()


async def _watch_port(address: str, port: int, opened: list[float]) -> None:
    was_open = True
    while True:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError:
            was_open = False
        else:
            writer.transport.abort()
            if not was_open:
                opened.append(time.monotonic())
            was_open = True
        await asyncio.sleep(PERIOD)


def _reboot(unit: Unit, opened: _Ports) -> Span:
    """From the command, by the unit's log, to the first time that its API listened again."""
    shift = time.time() - time.monotonic()
    for text in unit.log.read_text(encoding="utf-8").splitlines():
        line: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
        if str(line.get("message", "")).startswith("reboot by "):
            told = datetime.fromisoformat(line["time"]).timestamp() - shift
            return told, next(at for at in opened.management if at > told)
    raise LookupError(f"{unit.log} tells of no reboot")


async def _until_probed(first: FirstPair, reboots: Iterable[Span], opened: tuple[_Ports, _Ports]) -> Span:
    """From the first unit's being back to the balancer's finding somebody up."""
    first_told = min(span[0] for span in reboots)
    back = min(at for ports in opened for at in ports.health if at > first_told)
    changes = [
        entry["monotonic"]
        for member in await first.lab.balancer.probes()
        for entry in member["log"]
        if entry["changed"] and entry["up"] and entry["monotonic"] > back
    ]
    return back, min(changes)


def _covered(spans: Iterable[Span], began: float, ended: float) -> float:
    """Seconds between `began` and `ended` that any of the spans covers."""
    covered, reached = 0.0, began
    for start, end in sorted(spans):
        start, end = max(start, reached), min(end, ended)  # noqa: PLW2901 - clipped
        if end > start:
            covered += end - start
            reached = end
    return covered

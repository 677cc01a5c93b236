"""What a node agent costs: memory of all its processes, processor time at rest, certificates, health answers.

Memory is that of the agent's two processes (supervisor with health responder, node process), with 1 and with
1,000 virtual services, the latter after certificates were read and backed up; HAProxy is told beside it.
Resident sets count shared pages for each process (RSS); proportional ones divide them (PSS). At rest means: a
linked pair, probed every 5 s, no clients, no changes.
"""

import asyncio
import base64
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.many_services import FIRST_PORT, multiplied
from bench.report import distribution, publish, table
from lab.nodes import Lab, Unit, open_lab
from lab.unit_processes import command_line, memory_of
from loadmaster_ha.agent.certificate_work.pairs import make_self_signed

MANY: Final = 1000
REST_SECONDS: Final = 120.0
ASK_SECONDS: Final = 60.0
ASK_PERIOD: Final = 0.01
CALLS: Final = 40
CALL_PERIOD: Final = 0.15
"""The API takes 30 calls in 3 s."""
MIB: Final = 1024 * 1024


async def run(*, many: int = MANY, rest: float = REST_SECONDS, ask: float = ASK_SECONDS) -> None:
    """Measure and publish."""
    result: dict[str, Any] = {"services": many}
    with tempfile.TemporaryDirectory(prefix="loadmaster-bench-") as folder:
        async with open_lab(Path(folder), namespaces=True) as lab:
            await lab.start()
            await lab.publish()
            result |= _memory(lab.units[0], "1 service")
            result |= await _rest(lab, rest)
            calls = await _certificates(lab.units[0])
            few = str((await lab.units[0].call("backup"))["data"])
            await lab.units[0].call("restore", type=2, data=multiplied(few, many))
            for unit in lab.units:
                while not (await unit.serves(port=FIRST_PORT + many - 1)).ok:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(35)  # former workers of HAProxy have ended
            for unit in lab.units:
                result |= _memory(unit, f"{many} services, {unit.role.lower()}")
            answers = await _ask(lab, ask)
    shown = table("node agent", "what", "figure")
    for name, value in result.items():
        shown.add_row(name, f"{value:.2f}" if isinstance(value, float) else str(value))
    spreads = {name: distribution(times) for name, times in {**calls, "health answer": answers}.items()}
    for name, spread in spreads.items():
        shown.add_row(
            f"{name}, s (p50 p95 p99 max n)",
            " ".join(f"{spread[key]:.4f}" for key in ("p50", "p95", "p99", "max")) + f" {spread['n']}",
        )
    publish("agent", {**result, "seconds": spreads}, shown)


async def _certificates(unit: Unit) -> dict[str, list[float]]:
    """Times of the commands of certificates, one call after the other, by command."""
    data = base64.b64encode(make_self_signed(["www.example.com"]).to_pem()).decode()
    commands: dict[str, dict[str, str]] = {
        "addcert": {"cert": "bench", "data": data, "replace": "1"},
        "listcert": {},
        "backupcert": {"password": "passphrase"},
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for name, parameters in commands.items():
        for _ in range(CALLS):
            began = time.monotonic()
            await unit.call(name, **parameters)
            times[name].append(time.monotonic() - began)
            await asyncio.sleep(CALL_PERIOD)
    return times


def _memory(unit: Unit, when: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for pid in unit.processes.pids():
        words = command_line(pid)
        who = "HAProxy" if words and Path(words[0]).name == "haproxy" else "agent"
        for kind, size in zip(("RSS", "PSS"), memory_of(pid), strict=True):
            name = f"{who}, {when}: {kind} MiB"
            found[name] = found.get(name, 0.0) + size / MIB
    return found


async def _rest(lab: Lab, seconds: float) -> dict[str, float]:
    await asyncio.sleep(5)
    agents = [
        [pid for pid in unit.processes.pids() if Path(command_line(pid)[0]).name != "haproxy"]
        for unit in lab.units
    ]
    before = [unit.processes.cpu_seconds(pids) for unit, pids in zip(lab.units, agents, strict=True)]
    await asyncio.sleep(seconds)
    return {
        f"processor at rest, {unit.role.lower()}, %": 100
        * (unit.processes.cpu_seconds(pids) - used)
        / seconds
        for unit, pids, used in zip(lab.units, agents, before, strict=True)
    }


async def _ask(lab: Lab, seconds: float) -> list[float]:
    """Times of health answers while 100 clients a second are served and services come and go."""
    times: list[float] = []
    end = time.monotonic() + seconds
    changing = asyncio.create_task(_change(lab))
    async with lab.client.steady():
        while time.monotonic() < end:
            began = time.monotonic()
            await lab.units[0].page()
            times.append(time.monotonic() - began)
            await asyncio.sleep(ASK_PERIOD)
    changing.cancel()
    await asyncio.gather(changing, return_exceptions=True)
    return times


async def _change(lab: Lab) -> None:
    service = {"vs": lab.units[0].address, "port": 9000, "prot": "tcp"}
    while True:
        await lab.units[0].call("addvs", **service)
        await asyncio.sleep(1)
        await lab.units[0].call("delvs", **service)
        await asyncio.sleep(1)

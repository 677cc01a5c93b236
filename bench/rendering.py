"""What it costs to bring 1,000 virtual services to HAProxy: rendering, checking, reloading, one server.

Each step is measured alone and together, from the wish (`DataPlane.apply`) until it is brought about; for the
whole also until a client is served by a service that was not there before. The ratio is to HAProxy's own
share of the same change (`haproxy -c` and the reload), below which no agent can go.
"""

import asyncio
import dataclasses
import gc
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.haproxy import Backend, Rig, backend, running_rig, server_of

from bench.report import distribution, publish, table
from loadmaster_ha.agent.dataplane.applier import RELOAD_PAUSE, Done
from loadmaster_ha.agent.dataplane.configuration import Renderer
from loadmaster_ha.domain.virtual_services import (
    CheckType,
    HealthCheck,
    Schedule,
    ServiceType,
    VirtualService,
)

SERVICES = 1000
SERVERS = 2
ROUNDS = 30
FIRST_PORT = 10_000
CHECK = HealthCheck(type=CheckType.NONE)
"""The checks of 2,000 servers would be measured, not the changes."""


async def run(*, services: int = SERVICES, rounds: int = ROUNDS) -> None:
    """Measure and publish."""
    found: dict[str, list[float]] = {
        name: [] for name in ("render all", "render one", "check", "commands", "reload", "added", "first")
    }
    async with running_rig() as rig, backend() as server:
        before = _resident_mebibytes()
        wanted = [_service(rig, server, number) for number in range(services)]
        began = time.perf_counter()
        await rig.serve(*wanted)
        found["first"].append(time.perf_counter() - began)
        for number in range(rounds):
            await _round(rig, server, wanted, number, found)
            print(".", end="", flush=True)
        gc.collect()
        memory = {"agent": _resident_mebibytes() - before, "worker": _resident_mebibytes(await rig.worker())}
    _report(found, memory, services)


async def _round(
    rig: Rig, server: Backend, wanted: list[VirtualService], number: int, found: dict[str, list[float]]
) -> None:
    began = time.perf_counter()
    renderer = Renderer()
    made = renderer.render(wanted, rig.node, {})
    found["render all"].append(time.perf_counter() - began)

    wanted[number] = _with_limit(wanted[number], 100 + number)
    began = time.perf_counter()
    renderer.render(wanted, rig.node, {})
    found["render one"].append(time.perf_counter() - began)

    began = time.perf_counter()
    await rig.plane._trial.check(made)  # noqa: SLF001 - the step alone
    found["check"].append(time.perf_counter() - began)

    began = time.perf_counter()
    outcome = await rig.plane.apply(wanted, {})
    found["commands"].append(time.perf_counter() - began)
    assert outcome.done is Done.COMMANDS, outcome

    await asyncio.sleep(RELOAD_PAUSE)
    began = time.perf_counter()
    await rig.plane._applier.master.reload()  # noqa: SLF001 - the step alone
    found["reload"].append(time.perf_counter() - began)

    await asyncio.sleep(RELOAD_PAUSE)
    port = FIRST_PORT + len(wanted)
    wanted.append(_service(rig, server, len(wanted)))
    began = time.perf_counter()
    outcome = await rig.plane.apply(wanted, {})
    assert await server_of(rig.address, port) == server.name
    found["added"].append(time.perf_counter() - began)
    assert outcome.done is Done.RELOAD, outcome


def _service(rig: Rig, server: Backend, number: int) -> VirtualService:
    servers = tuple(server.real_server(number * SERVERS + place + 1) for place in range(SERVERS))
    return rig.service(
        FIRST_PORT + number,
        *servers,
        type=ServiceType.HTTP,
        schedule=Schedule.WEIGHTED_ROUND_ROBIN,
        check=CHECK,
        nickname=f"service-{number}",
    )


def _with_limit(service: VirtualService, limit: int) -> VirtualService:
    first, *others = service.real_servers
    return dataclasses.replace(service, real_servers=(dataclasses.replace(first, limit=limit), *others))


def _resident_mebibytes(pid: int | str = "self") -> float:
    fields = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(fields.partition("VmRSS:")[2].split()[0]) / 1024


WORDS = {
    "first": "HAProxy started with all of them",
    "render all": "all rendered",
    "render one": "one changed, all put together",
    "check": "`haproxy -c`",
    "reload": "reload, from the command until a new worker serves",
    "commands": "a server changed: wish until done",
    "added": "a service added: wish until a client is served",
}


def _report(found: dict[str, list[float]], memory: dict[str, float], services: int) -> None:
    distributions = {name: distribution(found[name]) for name in WORDS}
    own = distributions["check"]["p50"] + distributions["reload"]["p50"]
    results: dict[str, Any] = {
        "services": services,
        "realServers": services * SERVERS,
        "seconds": distributions,
        "timesHAProxysOwnShare": distributions["added"]["p50"] / own,
        "mebibytes": memory,
    }
    shown = table(f"rendering: {services} virtual services", "step", "p50 ms", "p95", "p99", "max", "n")
    for name, words in WORDS.items():
        shown.add_row(words, *_milliseconds(distributions[name]))
    shown.add_row("a service added, in units of check + reload", f"{results['timesHAProxysOwnShare']:.2f}")
    for name, size in memory.items():
        shown.add_row(f"memory, {name}: MiB", f"{size:.0f}")
    publish("rendering", results, shown)


def _milliseconds(measured: dict[str, float]) -> Sequence[str]:
    return [*(f"{measured[name] * 1000:.0f}" for name in ("p50", "p95", "p99", "max")), str(measured["n"])]

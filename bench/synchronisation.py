"""Until the partner's HAProxy serves what was set on the active unit, and what that costs those connected.

One virtual service with two real servers is made and deleted again and again; a thousand come and go in one
`restore`. Times begin when the active unit has acknowledged the last call, and when it was sent; they end
when the partner's HAProxy answers a request for the (last) service. Meanwhile a client opens a connection
every 10 ms through the frontend to a service that does not change, and another one keeps one open: none of
their requests may fail. Health answers are asked for all the time, at both units.

The ratio is to the time that the active unit itself needs to serve the same.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from bench.many_services import FIRST_PORT, multiplied
from bench.report import distribution, publish, table
from lab.nodes import Lab, open_lab

MANY: Final = 1000
SINGLES: Final = 30
ROUNDS: Final = 10
SINGLE_PORT: Final = 9000
POLL_SECONDS: Final = 0.02
HEALTH_POLL_SECONDS: Final = 0.05
PATIENCE_SECONDS: Final = 60.0


async def run(*, many: int = MANY, singles: int = SINGLES, rounds: int = ROUNDS) -> None:
    """Measure and publish."""
    found: dict[str, list[float]] = {}

    def note(what: str, seconds: float) -> None:
        found.setdefault(what, []).append(seconds)

    with tempfile.TemporaryDirectory(prefix="loadmaster-bench-") as folder:
        async with open_lab(Path(folder), namespaces=True) as lab:
            await lab.start()
            await lab.publish()
            few = str((await lab.units[0].call("backup"))["data"])
            all_of_them = multiplied(few, many)
            async with _clients(lab, found) as failed:
                for _ in range(singles):
                    await _single(lab, note)
                for _ in range(rounds):
                    await _restore(lab, all_of_them, FIRST_PORT + many - 1, f"{many} services", note)
                    await lab.units[0].call("restore", type=2, data=few)
                    await _gone(lab, FIRST_PORT + many - 1)
            states = [await unit.state_now() for unit in lab.units]
    _report(found, failed, states, many)


async def _single(lab: Lab, note: Any) -> None:
    active, partner = lab.units
    service = {"vs": active.address, "port": SINGLE_PORT, "prot": "tcp"}
    address, _, port = lab.web[0].rpartition(":")
    await active.call("addvs", **service)
    sent = time.monotonic()
    await active.call("addrs", **service, rs=address, rsport=int(port))
    acknowledged = time.monotonic()
    await _until_both(lab, SINGLE_PORT, "1 service", note, sent=sent, acknowledged=acknowledged)
    await active.call("delvs", **service)
    await _gone(lab, SINGLE_PORT)
    assert partner.running


async def _restore(lab: Lab, data: str, port: int, what: str, note: Any) -> None:
    sent = time.monotonic()
    await lab.units[0].call("restore", type=2, data=data)
    await _until_both(lab, port, what, note, sent=sent, acknowledged=time.monotonic())


async def _until_both(lab: Lab, port: int, what: str, note: Any, *, sent: float, acknowledged: float) -> None:
    own, other = await asyncio.gather(*(_served(lab, number, port) for number in (0, 1)))
    note(f"{what}: acknowledged to served by the partner", other - acknowledged)
    note(f"{what}: sent to served by the partner", other - sent)
    note(f"{what}: sent to served by the active unit", own - sent)


async def _served(lab: Lab, number: int, port: int) -> float:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await lab.units[number].serves(port=port)).ok:
            await asyncio.sleep(POLL_SECONDS)
    return time.monotonic()


async def _gone(lab: Lab, port: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        for unit in lab.units:
            while (await unit.serves(port=port)).outcome != "refused":
                await asyncio.sleep(POLL_SECONDS)


@contextlib.asynccontextmanager
async def _clients(lab: Lab, found: dict[str, list[float]]) -> AsyncIterator[dict[str, int]]:
    """Meanwhile, keep clients and probers going; afterwards tells how many requests failed."""
    failed: dict[str, int] = {}
    asking = [asyncio.create_task(_ask_health(lab, number, found, failed)) for number in (0, 1)]
    async with lab.client.steady() as new, lab.client.kept_alive(0.02) as kept:
        yield failed
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    for name, log in (("new connections", new), ("kept alive", kept)):
        failed[f"{name}: {len(log.requests)} requests, failed"] = len(log.failures())


async def _ask_health(lab: Lab, number: int, found: dict[str, list[float]], failed: dict[str, int]) -> None:
    unit, expected = lab.units[number], (200, 503)[number]
    times = found.setdefault(f"health answer of the {unit.role.lower()}", [])
    wrong = f"health answers of the {unit.role.lower()} other than {expected}"
    failed[wrong] = 0
    while True:
        began = time.monotonic()
        code, _ = await unit.page()
        times.append(time.monotonic() - began)
        failed[wrong] += code != expected
        await asyncio.sleep(HEALTH_POLL_SECONDS)


def _report(found: dict[str, list[float]], failed: dict[str, int], states: list[str], many: int) -> None:
    spreads = {what: distribution(samples) for what, samples in found.items()}
    shown = table("seconds", "what", "p50", "p95", "p99", "max", "n", "ratio")
    for what, spread in spreads.items():
        figures = [f"{spread[key]:.3f}" for key in ("p50", "p95", "p99", "max")]
        kind, _, rest = what.partition(": ")
        own = spreads.get(f"{kind}: sent to served by the active unit")
        ratio = f"{spread['p50'] / own['p50']:.1f}" if own is not None and rest.startswith("sent") else ""
        shown.add_row(what, *figures, str(spread["n"]), ratio)
    for what, count in failed.items():
        shown.add_row(what, str(count), "", "", "", "", "")
    shown.add_row(f"states at the end: {', '.join(states)}", "", "", "", "", "", "")
    publish("synchronisation", {"services": many, "seconds": spreads, "failed": failed}, shown)

"""One laboratory of `bench.failover`: fails the active unit again and again, and prints a JSON line a trial.

No Preferred Host, so that nothing moves back by itself between two trials.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "hack"))

from lab.nodes import Lab, open_lab
from lab.traffic import Log

PERIOD: Final = 0.01
"""Seconds between two connections of the client."""
PLANNED_PERIOD: Final = 0.005
"""The same in a planned switch-over, where nobody may notice anything: 200 requests a second."""
KEPT_ALIVE: Final = 5
"""Clients that send a request every 20 ms on a connection that they keep, in a planned switch-over."""
DOWNLOAD: Final = "/slow/150"
"""15 seconds long; one begins every half second, in a planned switch-over."""
BEFORE_SECONDS: Final = 0.5
AFTER_SECONDS: Final = 1.0
READY_POLL_SECONDS: Final = 0.005

SILENT: Final = ("node-frozen", "link-dead")
"""Failures after which the unit answers nothing."""

Members = list[dict[str, Any]]
Recover = Callable[[], Awaitable[None]]


def main() -> int:
    """Run the trials that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("failures", nargs="+", metavar="FAILURE=TRIALS")
    parser.add_argument("--threshold", type=int, required=True)
    parser.add_argument("--interval", type=int, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loadmaster-bench-") as folder:
        asyncio.run(_laboratory(Path(folder), options))
    return 0


async def _laboratory(folder: Path, options: argparse.Namespace) -> None:
    async with open_lab(
        folder,
        namespaces=True,
        interval=options.interval,
        threshold=options.threshold,
        preferred_host="None",
        configuration={"failover": {"finishSeconds": 5}},
    ) as lab:
        for unit in lab.units:
            await unit.start()
        active = await lab.until_at_rest()  # nobody is preferred: whoever is found first
        await lab.publish(on=active)
        for failure in _by_turns(options.failures):
            # At a random phase of the probes, or the figures would be those of one phase.
            await asyncio.sleep(random.uniform(0, options.interval))  # noqa: S311 - not for secrets
            trial = await _trial(lab, active, failure)
            before, active = active, await lab.until_at_rest()
            trial |= {"threshold": options.threshold, "returned": active == before}
            print(json.dumps(trial), flush=True)


def _by_turns(wanted: Sequence[str]) -> Iterator[str]:
    """The failures one after the other, round by round: a run that is cut short has some of each.

    Args:
        wanted: `FAILURE=TRIALS` each.
    """
    left = {name: int(count) for name, _, count in (each.partition("=") for each in wanted)}
    for number in range(max(left.values())):
        yield from (name for name, count in left.items() if number < count)


async def _trial(lab: Lab, active: int, failure: str) -> dict[str, Any]:
    other = 1 - active
    async with contextlib.AsyncExitStack() as clients:
        log, others = await _clients(lab, clients, failure)
        await asyncio.sleep(BEFORE_SECONDS)
        ready = asyncio.create_task(_first_ready(lab, other))
        struck = time.monotonic()
        recover = await _strike(lab, active, failure)
        await lab.until_serving(other)
        await asyncio.sleep(AFTER_SECONDS)
    ready_at = await ready
    members = await lab.balancer.probes()
    allowed = _allowed(members, struck)
    ideal = _ideal(members, active, struck, silent=failure in SILENT)
    await recover()
    failures = [request for request in log.failures() if request.began >= struck - PERIOD]
    gap = max((request.began for request in failures), default=struck) - struck
    return {
        "failure": failure,
        "gap": max(0.0, gap),
        "allowed": allowed - struck,
        "excess": gap - (allowed - struck) if failures else 0.0,
        "ideal": ideal - struck,
        "cost": max(0.0, gap - (ideal - struck)) if failures else 0.0,
        "ready": ready_at - struck,
        "late": _lateness(log),
        "failed": sum(len(each.failures()) for each in (log, *others)),
        "requests": sum(len(each.requests) for each in (log, *others)),
    }


async def _clients(lab: Lab, clients: contextlib.AsyncExitStack, failure: str) -> tuple[Log, list[Log]]:
    """Begin: new connections, and where nobody may notice also kept ones and long downloads."""
    if failure != "planned":
        return await clients.enter_async_context(lab.client.steady(PERIOD)), []
    others = [await clients.enter_async_context(lab.client.kept_alive(0.02)) for _ in range(KEPT_ALIVE)]
    others.append(await clients.enter_async_context(lab.client.steady(0.5, DOWNLOAD)))
    return await clients.enter_async_context(lab.client.steady(PLANNED_PERIOD)), others


async def _strike(lab: Lab, active: int, failure: str) -> Recover:
    """Break it; the result mends it again."""
    unit = lab.units[active]

    async def nothing() -> None:
        pass

    async def thaw() -> None:
        unit.thaw()

    match failure:
        case "processes-killed":
            unit.kill()
            return unit.start
        case "haproxy-killed":
            unit.kill("haproxy")
            return nothing
        case "haproxy-stuck":
            unit.freeze("haproxy")
            return thaw
        case "node-frozen":
            unit.freeze()
            return thaw
        case "link-dead":
            heal = lab.isolate(active)

            async def mend() -> None:
                heal()

            return mend
        case "planned":
            await unit.call("agentswitchover")
            return nothing
    raise ValueError(f"no such failure: {failure}")


async def _first_ready(lab: Lab, number: int) -> float:
    """The instant at which the unit's health port first says that it is active."""
    while (await lab.units[number].page(0.5))[0] != 200:
        await asyncio.sleep(READY_POLL_SECONDS)
    return time.monotonic()


def _allowed(members: Members, struck: float) -> float:
    """The instant from which the balancer's prober held the right unit up and the other one down."""
    changes = [
        entry["monotonic"]
        for member in members
        for entry in member["log"]
        if entry["changed"] and entry["monotonic"] >= struck
    ]
    return max(changes, default=struck)


def _ideal(members: Members, active: int, struck: float, *, silent: bool) -> float:
    """The instant at which it would have done so, had both units answered rightly from the failure on.

    One probe of each suffices then, but for a unit that is silent: there the threshold is the balancer's own.
    """

    def first_answer(number: int) -> float:
        found = [entry["monotonic"] for entry in members[number]["log"] if entry["sent"] >= struck]
        return min(found, default=struck)

    given_up = [
        entry["monotonic"]
        for entry in members[active]["log"]
        if entry["changed"] and entry["monotonic"] >= struck
    ]
    seen_down = min(given_up, default=struck) if silent else first_answer(active)
    return max(first_answer(1 - active), seen_down)


def _lateness(log: Log) -> float:
    """By how much the client was late with a connection at worst: the machine's share, not the pair's."""
    began = sorted(request.began for request in log.requests)
    return max(later - earlier for earlier, later in itertools.pairwise(began)) - PERIOD


if __name__ == "__main__":
    sys.exit(main())

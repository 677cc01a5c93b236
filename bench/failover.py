"""How long clients get no answer when a unit fails: real HAProxy, agents and clients, an emulated balancer.

A client opens a connection through the frontend every 10 ms and never retries. Most of a gap is the
balancer's own: Azure probes every 5 s, and that interval is not shortened here. So each trial also says what
is left when the balancer's part is taken away, from its own probe log:

* *gap*: from the failure to the end of the last request that failed (0: none did);
* *allowed*: from the failure to the instant at which the prober had decided on both units;
* *excess*: gap less allowed: what HAProxy and forwarding add (below 0: nobody failed any more before);
* *ideal*: from the failure to the instant at which it would have decided, had both units answered rightly at
  once: a probe that finds the other unit not ready yet costs one interval more;
* *cost*: gap less ideal, the agents' share;
* *ready*: from the failure to the other unit's health port saying that it is active;
* *late*: by how much the client was late with a connection at worst, the machine's share.

Laboratories run side by side, each in network namespaces and processes of its own (`bench.failover_worker`),
half of them for each threshold; the first failure is repeated in one laboratory alone, to show that they do
not disturb each other. Each trial is kept as soon as it is over, so that a run of hours that was interrupted
can go on (`--resume`). The time until the other unit is in charge is measured for keepalived too, in the
same namespaces (`bench.takeover`).
"""

import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.report import RESULTS, distribution, publish, table
from lab.balancer import PROBE_READING

ROOT: Final = Path(__file__).resolve().parent.parent
FAILURES: Final = (
    "processes-killed",
    "haproxy-killed",
    "haproxy-stuck",
    "node-frozen",
    "link-dead",
    "planned",
)
"""Every process of the unit by SIGKILL; HAProxy by SIGKILL; HAProxy by SIGSTOP; every process of the unit by
SIGSTOP; every packet from and to the unit dropped; a planned switch-over, with 200 connections a second,
clients that keep theirs, and long downloads."""
THRESHOLDS: Final = (1, 2)
SIDE_BY_SIDE: Final = 6
TRIALS: Final = 204
ALONE: Final = 5
INTERVAL: Final = 5
KEPT: Final = RESULTS / "failover.trials.jsonl"
"""The trials of this run, one a line."""

Trial = dict[str, Any]


async def run(
    *,
    trials: int = TRIALS,
    alone: int = ALONE,
    side_by_side: int = SIDE_BY_SIDE,
    failures: Sequence[str] = FAILURES,
    resume: bool = False,
) -> None:
    """Measure and publish; `trials` for each failure and threshold, `side_by_side` laboratories at once.

    Raises:
        RuntimeError: a laboratory failed; what the others measured is published and kept (`resume`).
    """
    kept = _kept() if resume else []
    if not resume:
        KEPT.unlink(missing_ok=True)
    done = Counter((trial["failure"], trial["threshold"], trial["alone"]) for trial in kept)
    laboratories = [
        _laboratory(f"{threshold}-{number}", threshold, share)
        for threshold in THRESHOLDS
        for number, share in enumerate(
            _shares(
                {failure: trials - done[failure, threshold, False] for failure in failures},
                max(1, side_by_side // len(THRESHOLDS)),
            )
        )
    ]
    outcomes = await asyncio.gather(*laboratories, return_exceptions=True)
    for threshold in THRESHOLDS:
        missing = alone - done[failures[0], threshold, True]
        if missing > 0:
            await _laboratory(f"{threshold}-alone", threshold, {failures[0]: missing}, alone=True)
    _report(_kept(), side_by_side)
    troubles = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if troubles:
        raise RuntimeError("; ".join(map(str, troubles)))


def _kept() -> list[Trial]:
    if not KEPT.exists():
        return []
    return [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]


def _shares(wanted: Mapping[str, int], laboratories: int) -> list[dict[str, int]]:
    """How many trials of each failure each laboratory makes; those without any are left out."""
    shares = [
        {failure: count for failure, each in wanted.items() if (count := (each + number) // laboratories) > 0}
        for number in range(laboratories)
    ]
    return [share for share in shares if share]


async def _laboratory(name: str, threshold: int, share: Mapping[str, int], *, alone: bool = False) -> None:
    """Keep the trials of one laboratory, as its process prints them."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.failover_worker",
        "--threshold",
        str(threshold),
        "--interval",
        str(INTERVAL),
        *(f"{failure}={count}" for failure, count in share.items()),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    RESULTS.mkdir(exist_ok=True)
    async for line in process.stdout:
        trial = json.loads(line) | {"alone": alone}
        with KEPT.open("a", encoding="utf-8") as file:
            file.write(json.dumps(trial) + "\n")
        print(f"{name}: {line.decode().strip()}", flush=True)
    if await process.wait() != 0:
        raise RuntimeError(f"laboratory {name} failed; its last words are above")


def _report(found: Sequence[Trial], beside: int) -> None:
    groups: dict[tuple[str, int], list[Trial]] = defaultdict(list)
    for trial in found:
        groups[trial["failure"] + " (alone)" * trial["alone"], trial["threshold"]].append(trial)
    shown = table(
        f"seconds; interval {INTERVAL} s; {beside} laboratories side by side",
        "failure", "threshold", "what", "p50", "p95", "p99", "max", "n",
    )  # fmt: skip
    result: dict[str, Any] = {
        "interval": INTERVAL,
        "sideBySide": beside,
        "disputed": PROBE_READING,
        "trials": list(found),
    }
    for (failure, threshold), trials in sorted(groups.items()):
        for what in ("gap", "allowed", "excess", "ideal", "cost", "ready", "late"):
            samples = [trial[what] for trial in trials if trial[what] is not None]
            if not samples:
                continue
            spread = distribution(samples)
            result.setdefault("distributions", {})[f"{failure} T={threshold} {what}"] = spread
            figures = [f"{spread[key]:.3f}" for key in ("p50", "p95", "p99", "max")]
            shown.add_row(failure, str(threshold), what, *figures, str(spread["n"]))
        failed = sum(trial["failed"] for trial in trials)
        sent = sum(trial["requests"] for trial in trials)
        shown.add_row(failure, str(threshold), f"{failed} of {sent} requests failed", "", "", "", "", "")
    shown.caption = "disputed points of the probe: " + ", ".join(
        f"{name} {'yes' if value else 'no'}" for name, value in PROBE_READING.items()
    )
    publish("failover", result, shown)

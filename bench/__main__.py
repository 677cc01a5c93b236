"""Run benchmarks by name, or all of them: `python -m bench [NAME...] [--quick]`; `--help` lists them."""

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "hack"))

from bench import (
    agent,
    azure_economy,
    build,
    failover,
    forwarding,
    latency,
    rendering,
    steady,
    synchronisation,
    takeover,
)

NAMES = (
    "azure_economy",
    "latency",
    "steady",
    "forwarding",
    "rendering",
    "failover",
    "takeover",
    "synchronisation",
    "agent",
    "build",
)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(NAMES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="small samples, to see that it works")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in options.names or NAMES:
        asyncio.run(_run(name, quick=options.quick))
    return 0


async def _run(name: str, *, quick: bool) -> None:
    match name:
        case "azure_economy":
            await azure_economy.run(with_az=not quick)
        case "latency":
            await latency.run(samples=3 if quick else latency.SAMPLES)
        case "rendering":
            await (rendering.run(services=100, rounds=2) if quick else rendering.run())
        case "forwarding":
            await (forwarding.run(seconds=2, rounds=2) if quick else forwarding.run())
        case "failover":
            await (failover.run(trials=20, alone=0, side_by_side=2) if quick else failover.run())
        case "takeover":
            await takeover.run(trials=3 if quick else takeover.TRIALS)
        case "synchronisation":
            await (synchronisation.run(many=100, singles=3, rounds=2) if quick else synchronisation.run())
        case "build":
            await build.run(trials=3 if quick else build.TRIALS)
        case "agent":
            await (agent.run(many=100, rest=10, ask=10) if quick else agent.run())
        case _:
            await (steady.run(pairs=5, minutes=0.5, changes=20) if quick else steady.run())


if __name__ == "__main__":
    sys.exit(main())

"""Run benchmarks by name, or all of them: `python -m bench [NAME...] [--quick]`; `--help` lists them."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

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
    watch,
)

_BENCHMARKS: dict[str, tuple[Callable[..., Coroutine[Any, Any, None]], dict[str, Any]]] = {
    "azure_economy": (azure_economy.run, {"with_az": False}),
    "latency": (latency.run, {"samples": 3}),
    "steady": (steady.run, {"pairs": 5, "minutes": 0.5, "changes": 20}),
    "forwarding": (forwarding.run, {"seconds": 2, "rounds": 2}),
    "rendering": (rendering.run, {"services": 100, "rounds": 2}),
    "failover": (failover.run, {"trials": 20, "alone": 0, "side_by_side": 2}),
    "takeover": (takeover.run, {"trials": 3}),
    "synchronisation": (synchronisation.run, {"many": 100, "singles": 3, "rounds": 2}),
    "agent": (agent.run, {"many": 100, "rest": 10, "ask": 10}),
    "build": (build.run, {"trials": 3}),
    "watch": (watch.run, {"pairs": 20, "idle": 10, "changes": 10}),
}
"""By name: what runs it, and with what when it is only to be seen that it works."""
NAMES = tuple(_BENCHMARKS)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(NAMES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="small samples, to see that it works")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run (failover)")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if options.resume and options.names != ["failover"]:
        parser.error("only failover can be resumed")
    for name in options.names or NAMES:
        run, sparing = _BENCHMARKS[name]
        arguments = dict(sparing) if options.quick else {}
        asyncio.run(run(**arguments, **({"resume": True} if options.resume else {})))
    return 0


if __name__ == "__main__":
    sys.exit(main())

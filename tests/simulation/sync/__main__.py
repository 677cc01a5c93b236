"""Run random schedules: `python -m tests.simulation.sync --count 100000`, or one again: `--seed N`."""

import argparse
import logging
import sys
import time
from multiprocessing import Pool

from tests.simulation.sync.history import Violation
from tests.simulation.sync.world import explore


def one(seed: int) -> str | None:
    """What goes wrong with this seed."""
    logging.disable(logging.CRITICAL)
    try:
        explore(seed)
    except Violation as violation:
        return str(violation)
    return None


def tell(line: str) -> None:
    """To whoever waits for it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, with all that happened")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        wrong = one(arguments.seed)
        tell(wrong or "nothing wrong")
        return 1 if wrong else 0
    begun, failed = time.monotonic(), 0
    with Pool(arguments.workers) as pool:
        seeds = range(arguments.first, arguments.first + arguments.count)
        for wrong in pool.imap_unordered(one, seeds, 20):
            if wrong is not None:
                failed += 1
                tell(wrong.splitlines()[0])
    tell(f"{arguments.count} schedules, {failed} failed, {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

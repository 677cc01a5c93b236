"""Run random schedules: `python -m tests.simulation.ha --count 100000`, or one again: `--seed N`."""

# ruff: noqa: T201 - a command line prints
import argparse
import sys
import time
from multiprocessing import Pool

from tests.simulation.ha.runs import explain, failure, random_schedule, run


def one(seed: int) -> tuple[int, str | None]:
    """The seed and what goes wrong with it."""
    return seed, failure(random_schedule(seed))


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, with its trace")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        schedule = random_schedule(arguments.seed)
        if failure(schedule) is not None:
            print(explain(schedule))
            return 1
        world = run(schedule, traced=True)
        print(schedule, *world.lines, "nothing wrong", sep="\n")
        return 0
    begun, failed = time.monotonic(), []
    with Pool(arguments.workers) as pool:
        for seed, wrong in pool.imap_unordered(
            one, range(arguments.first, arguments.first + arguments.count), 20
        ):
            if wrong is not None:
                failed.append(seed)
                print(wrong.splitlines()[0], f"[seed {seed}]", flush=True)
    print(f"{arguments.count} schedules, {len(failed)} failed, {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

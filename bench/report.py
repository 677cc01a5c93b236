"""How results are shown and kept: a table for people, JSON for comparison, always with the sample size."""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"


def distribution(samples: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99, max and n of samples, by the nearest-rank method."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("a distribution of nothing")

    def rank(share: float) -> float:
        return ordered[math.ceil(share * len(ordered)) - 1]

    return {"p50": rank(0.5), "p95": rank(0.95), "p99": rank(0.99), "max": ordered[-1], "n": len(ordered)}


def publish(name: str, result: Mapping[str, Any], table: Table) -> None:
    """Print the table and write `bench/results/NAME.json`."""
    kept = {
        "benchmark": name,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        **result,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    Console().print(table)


def table(title: str, *columns: str) -> Table:
    """Make an empty table."""
    made = Table(title=title, title_justify="left")
    for column in columns:
        made.add_column(column, justify="left" if column == columns[0] else "right")
    return made

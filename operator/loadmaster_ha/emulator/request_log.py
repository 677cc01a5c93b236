"""What clients asked for: counts by method and resource type, and a numbered journal of the writes.

Benchmarks read the counts; tests that kill a process at every write read the journal. Neither holds bodies or
tokens.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

_WRITES = frozenset({"PUT", "PATCH", "DELETE", "POST"})
_READING_POSTS = ("/health", "/validate")


class RequestLog:
    """Counts since the start or the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start counting anew."""
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._writes: list[dict[str, Any]] = []
        self._since = time.time()

    def arrived(self, method: str, path: str, kind: str, if_match: str | None) -> dict[str, Any] | None:
        """Note a write when it arrives, so that it has its number even if it is never answered."""
        if method not in _WRITES or kind.endswith(_READING_POSTS):
            return None
        entry = {
            "number": len(self._writes) + 1,
            "time": time.time(),
            "method": method,
            "path": path,
            "resourceType": kind,
            "ifMatch": if_match,
            "status": None,
        }
        self._writes.append(entry)
        return entry

    def answered(self, method: str, kind: str, status: int, entry: dict[str, Any] | None) -> None:
        """Count an answered request."""
        self._counts[method, kind, status] += 1
        if entry is not None:
            entry["status"] = status

    def view(self) -> dict[str, Any]:
        """Return counts and journal."""
        by_method: Counter[str] = Counter()
        by_type: dict[str, Counter[str]] = {}
        for (method, kind, _), number in self._counts.items():
            by_method[method] += number
            by_type.setdefault(kind, Counter())[method] += number
        return {
            "since": self._since,
            "total": sum(by_method.values()),
            "byMethod": dict(by_method),
            "byResourceType": {kind: dict(counts) for kind, counts in sorted(by_type.items())},
            "counts": [
                {"method": method, "resourceType": kind, "status": status, "count": number}
                for (method, kind, status), number in sorted(self._counts.items())
            ],
            "writes": list(self._writes),
        }

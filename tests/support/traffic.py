"""HTTP exchanges with ARM, as plain values that tests can compare, validate and read from a log.

The emulator writes them with `--traffic-log FILE` (one JSON object a line); `swagger` validates them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. Bodies are parsed JSON, `None` when empty; header names are lower case."""

    method: str
    url: str
    """Path and query; a scheme and host in front are ignored."""
    status: int
    request_body: Any = None
    request_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: Any = None
    response_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def api_version(self) -> str:
        query = {key.lower(): values for key, values in parse_qs(urlsplit(self.url).query).items()}
        return query.get("api-version", [""])[0]


def read_log(path: Path) -> Iterator[Exchange]:
    """Read the emulator's traffic log; a last line that is still being written is left out."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        entry = json.loads(line)
        yield Exchange(
            method=entry["method"],
            url=entry["url"],
            status=entry["status"],
            request_body=entry["requestBody"],
            request_headers=entry["requestHeaders"],
            response_body=entry["responseBody"],
            response_headers=entry["responseHeaders"],
        )

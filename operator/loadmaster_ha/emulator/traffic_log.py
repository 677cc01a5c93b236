"""A file with every ARM request and its answer, one JSON object a line, for tests and for looking at clients.

Bearer tokens are left out, and sign-in is not recorded at all; bodies are as they were sent, so a file may
hold what a client wrote into a machine's profile. Neighbour: `request_log`, which only counts.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LEFT_OUT = frozenset({"authorization", "x-ms-authorization-auxiliary", "cookie"})


class TrafficLog:
    """Appends to one file; each line is written at once, so that a reader sees whole exchanges.

    Raises:
        OSError: If the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")

    def record(
        self,
        method: str,
        url: str,
        request: tuple[Mapping[str, str], bytes],
        status: int,
        answer: tuple[Mapping[str, str], Any],
    ) -> None:
        """Note one exchange; `request` and `answer` are headers and body, the answer's body as JSON value."""
        line = {
            "method": method,
            "url": url,
            "status": status,
            "requestHeaders": _headers(request[0]),
            "requestBody": _parsed(request[1]),
            "responseHeaders": _headers(answer[0]),
            "responseBody": answer[1],
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() not in _LEFT_OUT}


def _parsed(raw: bytes) -> Any:
    """The body as JSON value, or as text when it is none (such a request is refused)."""
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode(errors="replace")

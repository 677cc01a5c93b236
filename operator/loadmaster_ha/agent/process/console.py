"""Log lines of the supervisor, in the two forms of `telemetry.logs`, without the memory of `logging`."""

from __future__ import annotations

import json
import sys
import time

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from typing import Final

_LEVELS: Final = ("debug", "info", "warning", "error")


class Console:
    """Writes lines to stderr: JSON objects, or text for people (`style` is `json` or `text`)."""

    def __init__(self, *, style: str, level: str) -> None:
        self._text = style == "text"
        self._least = _LEVELS.index(level)

    def debug(self, message: str, **fields: object) -> None:
        """What only helps to find a mistake."""
        self._write("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """What goes as it should."""
        self._write("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """What a person should look at."""
        self._write("warning", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """What a person has to look at."""
        self._write("error", message, fields)

    def _write(self, level: str, message: str, fields: dict[str, object]) -> None:
        if _LEVELS.index(level) < self._least:
            return
        now = time.time()
        if self._text:
            shown = " ".join(f"{name}={value}" for name, value in fields.items())
            line = f"{time.strftime('%H:%M:%S', time.localtime(now))} {level.upper():7} {message}"
            line += f" [{shown}]" if shown else ""
        else:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}+00:00"
            entry = {"time": stamp, "level": level, "logger": "supervisor", "message": message, **fields}
            line = json.dumps(entry, default=str, ensure_ascii=False)
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

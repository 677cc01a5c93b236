"""Logs of the process: one JSON object a line on stderr, or text for people.

`about` binds namespace and name to everything logged within a visit, also by libraries. Secrets never get
here: they are typed so that they cannot be printed (`azure.credentials`); chatty libraries that log
requests are silenced.
"""

import contextlib
import contextvars
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, TextIO

_about: contextvars.ContextVar[tuple[tuple[str, str], ...]] = contextvars.ContextVar("about", default=())

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}

_QUIET: Final = {
    "azure": logging.ERROR,  # says what our own outcomes say, at length and in several lines
    "msal": logging.ERROR,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
    "kopf": logging.WARNING,
    "kubernetes": logging.WARNING,
    "urllib3": logging.WARNING,
}
"""From which level on libraries are heard: below it they drown ours, or repeat headers of requests."""


@contextlib.contextmanager
def about(**fields: str) -> Iterator[None]:
    """Everything logged inside carries these fields."""
    token = _about.set((*_about.get(), *fields.items()))
    try:
        yield
    finally:
        _about.reset(token)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = dict(_about.get())
    fields.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
    return fields


class JSONFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, the context; `error` is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """For people: time, level, what it is about, message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        fields = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        line = super().format(record)
        return f"{line} [{fields}]" if fields else line


def configure(*, style: str, level: str, stream: TextIO | None = None) -> None:
    """Set logging up for the process. `style` is `json` or `text`; `level` a name such as `info`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(TextFormatter() if style == "text" else JSONFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, threshold in _QUIET.items():
        logging.getLogger(name).setLevel(threshold)

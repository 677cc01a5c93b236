"""Whether HAProxy serves, found out by a request *through* it, as a client's would go.

A process id says nothing about a worker that is stuck. So a request goes in at a frontend, through a backend
and is answered by a second frontend, all of them sections of the node's own (`haproxy.cfg.j2`). Workers that
a reload replaced do not listen there any more and thus do not count.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

INTERVAL: Final = 0.5
"""Seconds from one request to the next."""
TIME_LIMIT: Final = 1.3
"""Seconds for an answer: with the interval, a stuck HAProxy is told after 1.8 s at the latest."""
_LATE: Final = 0.2
"""Seconds by which this process may notice the end of a limit late and still trust what it saw."""

_REQUEST: Final = b"GET /health HTTP/1.1\r\nHost: haproxy\r\nConnection: close\r\n\r\n"
_LONGEST_STATUS_LINE: Final = 200


class Condition(StrEnum):
    """How HAProxy is."""

    UNKNOWN = "Unknown"
    """It has not been asked yet."""

    WELL = "Well"
    DEAD = "Dead"
    """Nothing listens: it does not run."""

    STUCK = "Stuck"
    """It listens and does not answer."""

    FAULTY = "Faulty"
    """It answers otherwise than it should."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the last request showed."""

    condition: Condition
    detail: str = ""

    @property
    def healthy(self) -> bool:
        """Whether clients can be served."""
        return self.condition is Condition.WELL


async def request(path: Path, limit: float = TIME_LIMIT) -> Health:
    """Ask once.

    Args:
        path: the health frontend's socket.
        limit: seconds for connection and answer together.
    """
    try:
        async with asyncio.timeout(limit):
            status = await _status_line(path)
    except TimeoutError:
        return Health(Condition.STUCK, f"HAProxy is stuck: it does not answer a request within {limit:g} s")
    except (ConnectionRefusedError, FileNotFoundError):
        return Health(Condition.DEAD, "HAProxy does not run: nothing takes connections")
    except OSError as error:
        return Health(Condition.FAULTY, f"HAProxy broke a request off: {error.strerror or error}")
    if " 200 " in f"{status} ":
        return Health(Condition.WELL, "HAProxy answers")
    return Health(Condition.FAULTY, f"HAProxy answers a request with {status!r}")


async def _status_line(path: Path) -> str:
    reader, writer = await asyncio.open_unix_connection(str(path), limit=_LONGEST_STATUS_LINE * 10)
    try:
        writer.write(_REQUEST)
        line = await reader.readline()
        return line[:_LONGEST_STATUS_LINE].decode(errors="replace").strip()
    except ValueError:
        return "a line without an end"
    finally:
        writer.close()


class HealthWatch:
    """Asks again and again, and tells every change."""

    def __init__(
        self,
        path: Path,
        changed: Callable[[Health], None],
        *,
        interval: float = INTERVAL,
        limit: float = TIME_LIMIT,
    ) -> None:
        self._path = path
        self._changed = changed
        self._interval = interval
        self._limit = limit
        self.health = Health(Condition.UNKNOWN, "HAProxy has not been asked yet")

    async def run(self) -> None:
        """Go on until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            began = loop.time()
            health = await request(self._path, self._limit)
            if health.condition is Condition.STUCK and loop.time() - began > self._limit + _LATE:
                # It was this process that was busy: the answer may have been there all the time.
                health = await request(self._path, self._limit)
            self._learn(health)
            due = max(due + self._interval, loop.time())
            await asyncio.sleep(due - loop.time())

    def _learn(self, health: Health) -> None:
        former, self.health = self.health, health
        if former.condition is not health.condition:
            # Before its first start it cannot run: no news. A start that fails is told by who starts it.
            starting = former.condition is Condition.UNKNOWN and health.condition is Condition.DEAD
            level = logging.DEBUG if starting else logging.INFO if health.healthy else logging.ERROR
            log.log(level, "%s", health.detail)
            self._changed(health)

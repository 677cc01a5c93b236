"""The node's end of the socket to its supervisor: what the health port is to say, and what it was asked.

The words are `messages`. The word on what to answer is renewed four times a second, with the time of the
engine's last step: an engine that is stuck renews nothing, however well the rest of this process is.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from loadmaster_ha.agent.configuration import LEASE_SECONDS
from loadmaster_ha.agent.ha.model import Answer
from loadmaster_ha.agent.process import messages
from loadmaster_ha.agent.process.responder import BALANCER, OTHER, PARTNER

log = logging.getLogger(__name__)

BEAT: Final = 0.25


@dataclass(frozen=True, slots=True)
class Hello:
    """What the supervisor tells a node process that begins."""

    boot_time: float
    """Unix time."""
    configuration: Mapping[str, Any]
    kept: Mapping[str, Any]
    restarts: int
    haproxy: Mapping[str, Any]
    counts: Sequence[Sequence[Any]]
    last_probe: float | None


@dataclass(slots=True)
class Saying:
    """What is to be said."""

    answer: Answer
    stepped: float
    """When the engine last made a step, monotonic seconds."""
    listen: Sequence[tuple[str, int]]
    sources: Mapping[str, str]
    status: str
    """For people who look at the service."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Whom the supervisor's news go to."""

    probed: Callable[[int, int, int], None]
    """The balancer asked: port, code, how many times since the last call."""
    haproxy: Callable[[Mapping[str, Any]], None]
    terminate: Callable[[], None]
    lost: Callable[[str], None]
    """The supervisor has gone, or makes no sense: there is nothing left to do but end."""


@dataclass(slots=True)
class Counts:
    """Answers of the health port since the supervisor's start."""

    totals: dict[tuple[str, int, int], int] = field(default_factory=dict)
    """By source, port and code."""
    last_probe: float | None = None
    """Unix time."""


class Supervision:
    """The conversation with the supervisor."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._saying: Callable[[], Saying | None] = lambda: None
        self.counts = Counts()
        self.failed_listeners: dict[tuple[str, int], str] = {}
        """Where the health port cannot listen, and why."""

    async def begin(self) -> Hello:
        """Wait for the first message."""
        self._reader, self._writer = await asyncio.open_connection(sock=self._end, limit=messages.LONGEST)
        hello = messages.decode(await self._reader.readline())
        hello.pop("kind")
        told = Hello(**hello)
        self._count(told.counts, told.last_probe)
        return told

    async def run(self, saying: Callable[[], Saying | None], callbacks: Callbacks) -> None:
        """Speak and listen until cancelled, or until the supervisor has gone."""
        self._saying = saying
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._listen(callbacks))

    def say(self) -> None:
        """Say now what is to be said."""
        saying = self._saying()
        if saying is None:
            return
        to_balancer, to_others = saying.answer.to_balancer, saying.answer.to_others
        self._send(
            messages.SAY,
            at=saying.stepped,
            lease=LEASE_SECONDS,
            answers={
                BALANCER: [to_balancer.code, to_balancer.text],
                OTHER: [to_others.code, to_others.text],
            },
            listen=[list(each) for each in saying.listen],
            sources=dict(saying.sources),
            status=saying.status,
        )

    def run_haproxy(self, command: Sequence[str]) -> None:
        """HAProxy is to run with this command line."""
        self._send(messages.HAPROXY, command=list(command))

    def keep(self, values: Mapping[str, Any]) -> None:
        """Have this given back to the next node process of the same boot."""
        self._send(messages.KEEP, values=dict(values))

    async def stopped(self, *, reboot: bool) -> None:
        """Tell that the clean stop is over; returns when it is on its way."""
        self._send(messages.REBOOT if reboot else messages.STOPPED)
        with contextlib.suppress(OSError):
            await self._writer.drain()

    def _send(self, kind: str, **fields: Any) -> None:
        self._writer.write(messages.encode(kind, **fields))

    async def _beat(self) -> None:
        while True:
            self.say()
            await asyncio.sleep(BEAT)

    async def _listen(self, callbacks: Callbacks) -> None:
        try:
            while line := await self._reader.readline():
                self._take(messages.decode(line), callbacks)
        except (messages.Malformed, KeyError, ValueError, OSError) as problem:
            callbacks.lost(f"the supervisor makes no sense: {problem}")
        else:
            callbacks.lost("the supervisor has gone")

    def _take(self, message: messages.Message, callbacks: Callbacks) -> None:
        kind = message.pop("kind")
        if kind == messages.PROBES:
            for (source, port, code), count in self._count(message["counts"], message["last"]).items():
                if source == BALANCER:
                    callbacks.probed(port, code, count)
        elif kind == messages.HAPROXY:
            callbacks.haproxy(message)
        elif kind == messages.LISTENING:
            failed = {(host, port): reason for host, port, reason in message["failed"]}
            for (host, port), reason in failed.items():
                if (host, port) not in self.failed_listeners:
                    log.error("The health port cannot listen on %s:%d: %s", host, port, reason)
            self.failed_listeners = failed
        elif kind == messages.TERMINATE:
            callbacks.terminate()

    def _count(self, counts: Sequence[Sequence[Any]], last: float | None) -> dict[tuple[str, int, int], int]:
        """Take the totals over; what has come since the last time."""
        totals = {(str(source), int(port), int(code)): int(count) for source, port, code, count in counts}
        grown = {key: count - self.counts.totals.get(key, 0) for key, count in totals.items()}
        self.counts.totals = totals
        self.counts.last_probe = last
        return {key: count for key, count in grown.items() if count > 0}


def sources(probe_source: str, partner: str | None) -> dict[str, str]:
    """Whom the health port tells apart; the balancer counts where both have one address (on loopback)."""
    return ({partner: PARTNER} if partner else {}) | {probe_source: BALANCER}

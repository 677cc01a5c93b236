"""For how long new clients of the frontend got no answer while something was done: a planned switch-over.

Asked is what clients ask: a new connection to the published services, several times a second. The check port
would not do: a unit that has handed over says there at once that it is the standby, and goes on serving whom
the balancer still sends. Nothing is sent; who accepts and does not hang up at once counts as an answer.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.resources.services import Protocol

PERIOD: Final = 0.1
"""Seconds between two attempts at one port."""

CONNECT_SECONDS: Final = 1.0
"""How long a connection may take; a lost SYN is sent again after one second, as a client's would be."""

HANG_UP_SECONDS: Final = 0.1
"""Who hangs up sooner has not answered: a balancer, or a proxy, without anybody behind it."""

MOST_PORTS: Final = 3
SETTLED_AT_MOST: Final = 30.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection; monotonic seconds."""

    began: float
    ended: float
    answered: bool


@dataclass(slots=True)
class Attempts:
    """What was seen so far, by port of the frontend."""

    services: dict[int, list[Attempt]] = field(default_factory=dict)
    check: list[Attempt] = field(default_factory=list)
    """At the check port: it counts where no service answers the operator at all."""

    def gap(self) -> float | None:
        """Seconds without an answer, of the service that was worst off; 0 with none, None: cannot be told."""
        found = [gap for each in self.services.values() if (gap := gap_of(each)) is not None]
        return max(found) if found else gap_of(self.check)


def gap_of(attempts: Sequence[Attempt]) -> float | None:
    """The longest time between two answers in which an attempt failed; None: there was no answer at all."""
    if not any(each.answered for each in attempts):
        return None
    longest, last, failed = 0.0, attempts[0].began, False
    for each in attempts:
        if each.answered:
            longest = max(longest, each.ended - last) if failed else longest
            last, failed = each.ended, False
        else:
            failed = True
    return max(longest, attempts[-1].ended - last) if failed else longest


def ports_of(target: PairTarget) -> tuple[int, ...]:
    """The frontend's ports that are asked."""
    services = target.spec.services
    return tuple(each.port for each in services if each.protocol is Protocol.TCP)[:MOST_PORTS]


def settling(target: PairTarget) -> float:
    """How long after a switch-over the balancer may still send somebody to the unit that has handed over."""
    check = target.spec.health_check
    return min(SETTLED_AT_MOST, float(check.interval_seconds * check.threshold))


@contextlib.asynccontextmanager
async def watching(address: str, ports: Iterable[int], check_port: int) -> AsyncIterator[Attempts]:
    """Ask the frontend while the block runs; without an address nothing is seen."""
    attempts = Attempts({port: [] for port in ports})
    tasks: list[asyncio.Task[None]] = []
    if address:
        rows = [*attempts.services.items(), (check_port, attempts.check)]
        tasks = [asyncio.create_task(_ask_again(address, port, into)) for port, into in rows]
    try:
        yield attempts
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask_again(address: str, port: int, into: list[Attempt]) -> None:
    while True:
        began = time.monotonic()
        answered = await _is_answered(address, port)
        into.append(Attempt(began, time.monotonic(), answered))
        await asyncio.sleep(PERIOD)


async def _is_answered(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
    except OSError:  # a TimeoutError is one
        return False
    try:
        async with asyncio.timeout(HANG_UP_SECONDS):
            return bool(await reader.read(1))
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        writer.transport.abort()

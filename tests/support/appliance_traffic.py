"""Scripted appliances that carry traffic: what listens at their addresses, beside their management API.

    async with open_to_traffic(pair, service=8080) as poll:
        ...

The check port is where the unit was told to have it, and nowhere else: it listens on one port only, so a new
one is a new listener (guide, 7). The emulated Azure, with its data plane, probes there and forwards; its
first probe of a unit ends that unit's being Passive. The operator asks the same port from another address.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.appliance_pairs import AppliancePair
    from tests.support.scripted_appliance import ScriptedAppliance

PROBE_SOURCE: Final = "127.63.129.16"
PERIOD: Final = 0.01
"""How soon a unit listens where it was told to."""


@contextlib.asynccontextmanager
async def open_to_traffic(pair: AppliancePair, service: int) -> AsyncIterator[None]:
    """Have both units listen at their check port and at one service's port."""
    async with contextlib.AsyncExitStack() as stack:
        for unit in pair.units:
            served = await asyncio.start_server(_answering(unit, lambda _: 200), unit.own_address, service)
            stack.callback(served.close)
            following = asyncio.create_task(_listen_where_told(unit))
            stack.push_async_callback(_ended, following)
        yield


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _listen_where_told(unit: ScriptedAppliance) -> None:
    """Move the listener of the health page with the setting."""
    port, server = 0, None
    try:
        while True:
            if unit.check_port != port:
                if server is not None:
                    server.close()
                port = unit.check_port
                server = await asyncio.start_server(_answering(unit, _health), unit.own_address, port)
            await asyncio.sleep(PERIOD)
    finally:
        if server is not None:
            server.close()


def _health(unit: ScriptedAppliance) -> int:
    return 200 if unit.serves else 503


def _answering(
    unit: ScriptedAppliance, status: Callable[[ScriptedAppliance], int]
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]:
    """One request per connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if writer.get_extra_info("peername")[0] == PROBE_SOURCE:
                unit.balancer_polls()
            head = f"HTTP/1.1 {status(unit)} Answer\r\nContent-Length: {len(unit.mode)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n{unit.mode}".encode())
            await writer.drain()
        writer.close()

    return answer

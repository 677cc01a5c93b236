"""An emulator in this process, over real TLS, with a clock that tests can put forward."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.emulator import Emulator

from loadmaster_ha.emulator import server
from loadmaster_ha.emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HERE = {"location": "westeurope"}


class Clock:
    """The time of day, as the emulator sees it."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


@asynccontextmanager
async def serving(clock: Callable[[], float], **settings: Any) -> AsyncIterator[Emulator]:
    async with server.Emulator(Settings(port=0, **settings), clock) as running:
        client = Emulator(running.state_dir, url=running.url)
        client.connect()
        try:
            yield client
        finally:
            await client.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def serve(clock) -> AsyncIterator[Callable[..., Any]]:
    """Give a function that starts an emulator with the given settings."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Emulator:
            return await stack.enter_async_context(serving(clock, **settings))

        yield start


@pytest.fixture
async def azure(serve) -> Emulator:
    """Give an emulator whose operations are done at once, with the group `edge`."""
    found: Emulator = await serve()
    await found.arm("PUT", found.group("edge"), HERE)
    return found


@pytest.fixture
async def slow(serve) -> Emulator:
    """Give an emulator whose operations take ten seconds of `clock`, with the group `edge`."""
    found: Emulator = await serve(latency=10.0)
    await found.arm("PUT", found.group("edge"), HERE)
    return found

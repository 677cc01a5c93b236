"""An emulator in this process, over real TLS, with a clock that tests can put forward."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.backends import running_backends
from tests.support.emulator import Emulator
from tests.support.loopback_site import LoopbackSite

from loadmaster_ha.emulator import server
from loadmaster_ha.emulator.settings import LOOPBACK_PROBE_SOURCE, Settings

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


@pytest.fixture
async def start_site(serve) -> AsyncIterator[Callable[..., Any]]:
    """Give a function that starts an emulator with data plane, and a pair's members: (site, backends).

    Nothing is built yet. Probes go out every 0.2 s unless the settings say otherwise.
    """
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> tuple[LoopbackSite, list[Any]]:
            usual = {
                "data_plane": True,
                "allow_loopback_networks": True,
                "probe_source": LOOPBACK_PROBE_SOURCE,
                "probe_interval": 0.2,
            }
            site = LoopbackSite(await serve(**(usual | settings)))
            return site, await stack.enter_async_context(running_backends(*site.members))

        yield start


@pytest.fixture
async def pair_of(start_site) -> Callable[..., Any]:
    """Give a function that starts a site, builds it and waits until both members are up."""

    async def start(**settings: Any) -> tuple[LoopbackSite, list[Any]]:
        site, backends = await start_site(**settings)
        await site.build()
        await site.until_up(True, True)
        return site, backends

    return start

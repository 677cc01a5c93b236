"""Two partner links on loopback, each in a task of its own, and what they have been told."""

import asyncio
import contextlib
import dataclasses
import itertools
import os
import random
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from loadmaster_ha.agent.ha.model import LinkEnd
from loadmaster_ha.agent.link.connection import Peer
from loadmaster_ha.agent.link.partner import LinkSettings, PartnerLink
from loadmaster_ha.agent.link.tls import link_identity

SECRET = "correct-horse-battery"
PATIENCE_SECONDS = 30.0
_networks = itertools.count(random.Random(os.getpid()).randrange(1, 200))  # noqa: S311


def loopback_pair() -> tuple[str, str]:
    """Two addresses inside 127.0.0.0/8 that other tests of this run hardly use."""
    third = next(_networks) % 250 + 2
    return f"127.{os.getpid() % 200 + 20}.{third}.4", f"127.{os.getpid() % 200 + 20}.{third}.5"


def free_port(*addresses: str) -> int:
    """A port that is free on all of these addresses."""
    while True:
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in addresses]
            sockets[0].bind((addresses[0], 0))
            port: int = sockets[0].getsockname()[1]
            try:
                for each, address in zip(sockets[1:], addresses[1:], strict=True):
                    each.bind((address, port))
            except OSError:
                continue
            return port


class Recorder:
    """Handlers that remember."""

    def __init__(self) -> None:
        self.ups: list[Peer] = []
        self.downs: list[LinkEnd] = []
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.linked = False

    def up(self, peer: Peer) -> None:
        self.ups.append(peer)
        self.linked = True

    def down(self, end: LinkEnd) -> None:
        self.downs.append(end)
        self.linked = False

    def message(self, kind: str, body: dict[str, Any]) -> None:
        self.messages.append((kind, body))


class Unit:
    """One unit's link and what it was told."""

    def __init__(self, directory: Path, settings: LinkSettings) -> None:
        self.settings = settings
        self.told = Recorder()
        self.identity = link_identity(directory)
        self.link = PartnerLink(self.identity, lambda: self.settings, self.told, agent_version="0.1.0")

    def change(self, **fields: Any) -> None:
        """Other settings from now on."""
        self.settings = dataclasses.replace(self.settings, **fields)
        self.link.refresh()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Unit"]:
        """Run the link meanwhile."""
        task = asyncio.create_task(self.link.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def pair_of_units(folder: Path, *, secrets: tuple[str | None, str | None] = (SECRET, SECRET)) -> list[Unit]:
    """Two units that name each other as partner; not running yet."""
    one, other = loopback_pair()
    port = free_port(one, other)
    return [
        Unit(folder / "one", LinkSettings(one, port, other, secrets[0])),
        Unit(folder / "other", LinkSettings(other, port, one, secrets[1])),
    ]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; give up after half a minute."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - the tests look at it from outside
            await asyncio.sleep(0.01)

"""The listening side of the link: takes connections of the partner's address and no other."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from loadmaster_ha.agent.link.connection import Stream, prepare
from loadmaster_ha.agent.link.counters import Counters, Unauthorised
from loadmaster_ha.agent.link.dialling import SHUTDOWN_SECONDS, plain
from loadmaster_ha.agent.link.framing import Decoder

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
"""How often listening is tried again while the address is not there yet, or the port is in use."""

UNPROVED_LIMIT: Final = 4
"""Connections that may be in their handshake at the same time; more are closed."""

_BACKLOG = 16


class Where(Protocol):
    """The settings that matter here (`partner.LinkSettings`)."""

    @property
    def address(self) -> str:
        """This unit's own address."""

    @property
    def port(self) -> int:
        """The port to listen on."""

    @property
    def partner(self) -> str | None:
        """Address of the only one who may connect."""


class Listener:
    """Listens where the settings say, for as long as they name a partner.

    Args:
        context: TLS of the listening side.
        settings: asked at each change and each connection.
        arrived: takes a connection of the partner's address after TLS's handshake.
        unauthorised: told about all others.
        counters: where to count.
        patience: seconds that TLS's handshake may take.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        settings: Callable[[], Where],
        arrived: Callable[[Stream, str], Awaitable[None]],
        *,
        unauthorised: Unauthorised,
        counters: Counters,
        clock: Callable[[], float],
        patience: float,
    ) -> None:
        self.problem = ""
        """Why this unit cannot listen, in words."""
        self._context = context
        self._settings = settings
        self._arrived = arrived
        self._unauthorised = unauthorised
        self._counters = counters
        self._clock = clock
        self._patience = patience
        self._changed = asyncio.Event()
        self._unproved: set[asyncio.Task[None]] = set()

    def refresh(self) -> None:
        """The settings have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            while True:
                self._changed.clear()
                where = self._settings()
                if where.partner is None:
                    self.problem = ""
                    await self._changed.wait()
                else:
                    await self._listen(where.address, where.port)
        finally:
            for task in self._unproved:
                task.cancel()
            await asyncio.gather(*self._unproved, return_exceptions=True)

    async def _listen(self, address: str, port: int) -> None:
        """Listen there until the settings name another place."""
        try:
            listening = _bound(address, port)
        except OSError as error:
            problem = f"this unit cannot listen on {address} TCP {port}: {error.strerror or error}"
            if problem != self.problem:
                log.warning("%s; it goes on trying", problem)
            self.problem = problem
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS):
                    await self._changed.wait()
            return
        self.problem = ""
        log.info("Listening for the partner on %s TCP %d", address, port)
        with listening:
            accepting = asyncio.create_task(self._accept(listening))
            try:
                while self._is_still(address, port):
                    await self._changed.wait()
                    self._changed.clear()
            finally:
                accepting.cancel()
                await asyncio.gather(accepting, return_exceptions=True)

    def _is_still(self, address: str, port: int) -> bool:
        where = self._settings()
        return where.partner is not None and (where.address, where.port) == (address, port)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, source = await loop.sock_accept(listening)
            except OSError as error:  # no file descriptors left, or it went away before it was accepted
                log.warning("A connection of the partner could not be accepted: %s", error.strerror)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            address = plain(str(source[0])) or str(source[0])
            task = loop.create_task(self._take(accepted, address))
            self._unproved.add(task)
            task.add_done_callback(self._unproved.discard)

    async def _take(self, accepted: socket.socket, address: str) -> None:
        stream = None
        try:
            if self._is_partner(address):
                stream = await self._tls(accepted)
        except OSError as error:  # TLS's errors are among them
            self._counters.refused["tls"] += isinstance(error, ssl.SSLError)
            log.debug("A connection from %s came to nothing: %s", address, error)
        finally:
            if stream is None:
                accepted.close()
        if stream is not None:
            await self._arrived(stream, address)

    def _is_partner(self, address: str) -> bool:
        partner = self._settings().partner
        if partner is None or address != plain(partner):
            self._counters.strangers += 1
            self._unauthorised.connection_from(address, f"it is not the partner ({partner or 'none is set'})")
            return False
        self._counters.arrived += 1
        self._counters.last_arrival = self._clock()
        if len(self._unproved) > UNPROVED_LIMIT:
            self._counters.refused["busy"] += 1
            return False
        return True

    async def _tls(self, accepted: socket.socket) -> Stream:
        loop = asyncio.get_running_loop()
        prepare(accepted)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            accepted,
            ssl=self._context,
            ssl_handshake_timeout=self._patience,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )
        return Stream(reader, asyncio.StreamWriter(transport, protocol, reader, loop), Decoder())


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening

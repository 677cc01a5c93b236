"""How connections come in to the management API: bounded in number from the first packet on.

asyncio's own server begins TLS's handshake for whoever connects, and holds a quarter of a megabyte for each;
strangers that never go on would cost the unit its memory. Here only so many are in their handshake at a time:
a further one displaces the one that has taken longest, so that whoever goes on gets in. What is said inside
is `server`.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_BACKLOG: Final = 64
_PAUSE_SECONDS: Final = 0.2
"""After a connection could not be accepted: most likely there are no file descriptors left."""
_SHUTDOWN_SECONDS: Final = 5.0


class Entrance:
    """Listens, and leads connections through TLS's handshake.

    Args:
        context: of TLS.
        protocol: for one more connection; None when there is no room for it, then it is closed at once.
        handshakes: at a time.
        handshake_seconds: for each.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        protocol: Callable[[], asyncio.Protocol | None],
        *,
        handshakes: int,
        handshake_seconds: float,
    ) -> None:
        self._context = context
        self._protocol = protocol
        self._most = handshakes
        self._seconds = handshake_seconds
        self._shaking: dict[asyncio.Task[None], None] = {}
        """In the order in which they came."""
        self._accepting: asyncio.Task[None] | None = None

    def open(self, address: str, port: int) -> int:
        """Listen; the port, which the system chooses for 0.

        Raises:
            OSError: the address or the port cannot be had.
        """
        listening = _bound(address, port)
        self._accepting = asyncio.get_running_loop().create_task(self._accept(listening))
        bound: int = listening.getsockname()[1]
        return bound

    async def close(self) -> None:
        """Listen no more, and end the handshakes that are under way."""
        tasks = [*self._shaking, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    accepted, _ = await loop.sock_accept(listening)
                except OSError as problem:  # it has gone already, or there are no file descriptors left
                    _LOG.warning("A connection could not be accepted: %s", problem.strerror or problem)
                    self._displace()
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                if len(self._shaking) >= self._most:
                    self._displace()
                task = loop.create_task(self._shake(accepted))
                self._shaking[task] = None
                task.add_done_callback(lambda done: self._shaking.pop(done, None))

    def _displace(self) -> None:
        for oldest in self._shaking:
            del self._shaking[oldest]
            oldest.cancel()
            return

    async def _shake(self, accepted: socket.socket) -> None:
        protocol = self._protocol()
        if protocol is None:
            accepted.close()
            return
        try:
            with contextlib.suppress(OSError):  # what goes wrong in the handshake is the client's affair
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: protocol,
                    accepted,
                    ssl=self._context,
                    ssl_handshake_timeout=self._seconds,
                    ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
                )
        except asyncio.CancelledError:
            accepted.close()  # if it was displaced before it began
            raise


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening

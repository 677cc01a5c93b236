"""One TCP connection between the units: proving who is there, then messages both ways until it ends.

`authenticate` runs the pure `handshake` over a stream; `Connection` carries messages afterwards. Which of
several connections is *the* link is for `partner` to say.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadmaster_ha.agent.ha.model import LinkEnd
from loadmaster_ha.agent.link.counters import Counters
from loadmaster_ha.agent.link.framing import Decoder, FrameType, FramingError, Message, encode, frame
from loadmaster_ha.agent.link.handshake import Agreed, Handshake, HandshakeFailed, Own, Refusal, Side
from loadmaster_ha.agent.link.outbox import Outbox

IDLE_SECONDS: Final = 1.0
"""After so long without a message an `IDLE` frame is sent."""

SILENCE_SECONDS: Final = 5.0
"""After so long without a frame, or without an acknowledgement by the other kernel, the link is lost."""

_READ = 64 * 1024
_TRANSPORT_BUFFER = 32 * 1024
_IDLE = frame(FrameType.IDLE)


@dataclass(frozen=True, slots=True)
class Peer:
    """The partner at the other end of an established link."""

    address: str
    fingerprint: bytes
    """SHA-256 of its certificate: the same after a restart, another after a new installation."""
    instance: str
    """New with every start of its process."""
    agent_version: str
    protocol: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a connection ended; `surplus`: because another one took its place."""

    end: LinkEnd
    detail: str
    surplus: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """A TLS connection, and what has been read from it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    decoder: Decoder

    @property
    def tls(self) -> ssl.SSLObject:
        """TLS's side of it."""
        found: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        return found

    async def close(self, farewell: bytes = b"") -> None:
        """Close it, after a last word if the other side takes it at once."""
        with contextlib.suppress(OSError, TimeoutError):
            if farewell:
                self.writer.write(farewell)
            self.writer.close()
            async with asyncio.timeout(1.0):
                await self.writer.wait_closed()
        self.abort()

    def abort(self) -> None:
        """End it at once."""
        # Debian 12's Python (3.11.2) forgets what it would abort when a TLS transport is closed twice.
        with contextlib.suppress(AttributeError):
            self.writer.transport.abort()


def prepare(connected: socket.socket) -> None:
    """Have the kernel notice a vanished partner in SILENCE_SECONDS, and keep little that is not sent yet."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, int(SILENCE_SECONDS) - 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SILENCE_SECONDS * 1000))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _TRANSPORT_BUFFER)


async def authenticate(stream: Stream, side: Side, own: Own, peer: bytes, key: bytes | None) -> Agreed:
    """Run the handshake; the caller bounds its time.

    Raises:
        HandshakeFailed: no link; the other side has been told why.
        OSError: the connection ended.
    """
    handshake = Handshake(side, own, peer, key)
    stream.writer.write(handshake.start())
    try:
        while True:
            step = handshake.receive(await _message(stream))
            if step.send:
                stream.writer.write(step.send)
                await stream.writer.drain()
            if step.agreed is not None:
                stream.decoder.trust()
                return step.agreed
    except FramingError as error:
        raise HandshakeFailed(Refusal.PROTOCOL, f"it sent {error}") from error


async def _message(stream: Stream) -> Message:
    while (message := stream.decoder.next_message()) is None:
        data = await stream.reader.read(_READ)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "it closed the connection during the handshake")
        stream.decoder.add(data)
    return message


class Connection:
    """An authenticated connection.

    Args:
        stream: the connection after its handshake.
        peer: who is there.
        side: which side this unit is on.
        counters: where to count.
        receive: called with this connection and each message.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        stream: Stream,
        peer: Peer,
        side: Side,
        *,
        counters: Counters,
        receive: Callable[["Connection", Message], None],
        clock: Callable[[], float],
    ) -> None:
        self.peer = peer
        self.side = side
        self.since = clock()
        self._stream = stream
        self._counters = counters
        self._receive = receive
        self._clock = clock
        self._outbox = Outbox()
        self._wake = asyncio.Event()
        self._closing = False
        stream.writer.transport.set_write_buffer_limits(high=_TRANSPORT_BUFFER)

    def send(self, kind: str, body: Mapping[str, Any]) -> bool:
        """Have a message sent; False: there is no room, because the partner does not read fast enough.

        Raises:
            MessageTooLong: whoever made it must divide it.
        """
        dropped = self._outbox.dropped
        accepted = self._outbox.put(kind, body)
        self._counters.dropped += self._outbox.dropped - dropped
        self._counters.sent_messages += accepted
        self._wake.set()
        return accepted

    def close(self, why: str) -> None:
        """End it soon, telling the partner why: `surplus`, `reconfigured` or `stopping`."""
        self._outbox.put("bye", {"reason": why})
        self._closing = True
        self._wake.set()

    async def run(self) -> Ended:
        """Carry messages until the connection ends; how it ended."""
        tasks = (asyncio.create_task(self._read()), asyncio.create_task(self._write()))
        farewell = b""
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ended = next(iter(done)).result()
            if ended.end is LinkEnd.TIMEOUT:  # if only one direction is cut, the partner must not see a death
                farewell = frame(FrameType.WHOLE, encode("bye", {"reason": "silence"}))
            return ended
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stream.close(farewell)

    async def _read(self) -> Ended:
        stream = self._stream
        try:
            while True:
                while (message := stream.decoder.next_message()) is not None:
                    self._counters.received_messages += 1
                    if message.kind == "bye":
                        return _farewell(message.body.get("reason"))
                    self._receive(self, message)
                async with asyncio.timeout(SILENCE_SECONDS):
                    data = await stream.reader.read(_READ)
                if not data:
                    return Ended(LinkEnd.CLOSED, "the partner's side ended the connection")
                self._counters.received_bytes += len(data)
                self._counters.last_received = self._clock()
                stream.decoder.add(data)
        except FramingError as error:
            return Ended(LinkEnd.INCOMPATIBLE, f"the partner sent {error}")
        except OSError as error:
            return ended_by(error)

    async def _write(self) -> Ended:
        writer = self._stream.writer
        try:
            while not self._closing or self._outbox.has_urgent:
                found = self._outbox.next_frame() or await self._idle()
                self._counters.sent_bytes += len(found)
                writer.write(found)
                await writer.drain()
        except OSError as error:
            return ended_by(error)
        return Ended(LinkEnd.UNAUTHORISED, "the partner's address, port or secret was changed on this unit")

    async def _idle(self) -> bytes:
        self._wake.clear()
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return _IDLE
        return self._outbox.next_frame() or b""


def ended_by(error: OSError) -> Ended:
    """What an error of the network says about the partner.

    A reset is the other kernel's word that the process is gone; silence may be anything.
    """
    if isinstance(error, TimeoutError):  # ETIMEDOUT of the kernel is one too
        return Ended(LinkEnd.TIMEOUT, f"nothing was heard from the partner for {SILENCE_SECONDS:.0f} s")
    if isinstance(error, ConnectionRefusedError):
        return Ended(LinkEnd.REFUSED, "nothing listens there")
    if isinstance(error, ConnectionError):
        return Ended(LinkEnd.CLOSED, "the partner's side reset the connection")
    if isinstance(error, ssl.SSLError):
        return Ended(LinkEnd.UNAUTHORISED, f"TLS failed: {error.reason or error}")
    return Ended(LinkEnd.TIMEOUT, error.strerror or str(error))  # no route, network unreachable ...


def _farewell(reason: object) -> Ended:
    if reason == "surplus":
        return Ended(LinkEnd.CLOSED, "both units dialled at once; the other connection stays", surplus=True)
    if reason == "silence":
        return Ended(LinkEnd.TIMEOUT, "the partner hears nothing of this unit")
    if reason == "reconfigured":
        return Ended(LinkEnd.UNAUTHORISED, "the partner's address, port or secret was changed on its side")
    return Ended(LinkEnd.CLOSED, "the partner's agent stops")

"""TLS connections that mostly wait: small enough that an operator can keep two thousand of them.

A long poll keeps a connection for good. aiohttp and asyncio's TLS hold some 60 KiB for each (buffers, parser,
request, answer), of which OpenSSL needs a third. A `Line` holds the OpenSSL connection and next to nothing
else: what reads an answer (aiohttp's own parser) is there only while one is being read. `connections` decides
what goes over a line; trust, limits and the meaning of failures are the same on both ways.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParser, RawResponseMessage

from loadmaster_ha.loadmaster import trust as trusts
from loadmaster_ha.loadmaster.http_messages import HttpReply, HttpRequest
from loadmaster_ha.loadmaster.trust import Pinned, SeenCertificate, Trust

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

LONGEST_HEADER: Final = 16 * 1024
"""Bytes of one line of the head of an answer."""

_PIECE: Final = 16 * 1024
"""Bytes that are decrypted at a time: one TLS record at most."""


class AnswerTooLarge(Exception):  # noqa: N818 - reads as what is the case
    """There is more of the answer than may be."""


class AnswerCompressed(Exception):  # noqa: N818 - reads as what is the case
    """The answer is compressed, which was not asked for; the argument is how."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a line leads to."""

    address: str
    port: int
    trust: Trust


class _Answer:
    """One answer, as it comes in."""

    __slots__ = ("_limit", "_message", "_parser", "_payload", "content")

    def __init__(self, limit: int) -> None:
        loop = asyncio.get_running_loop()
        self._limit = limit
        self._parser = HttpResponseParser(
            BaseProtocol(loop),
            loop,
            limit,  # nothing pauses below it: what comes is taken out at once
            payload_exception=aiohttp.ClientPayloadError,
            response_with_body=True,
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        )
        self._message: RawResponseMessage | None = None
        self._payload: StreamReader | None = None
        self.content = bytearray()

    def feed(self, data: bytes) -> HttpReply | None:
        """Take bytes in; the reply once it is complete.

        Raises:
            AnswerTooLarge, AnswerCompressed: see there.
            HttpProcessingError: this is no HTTP.
        """
        messages, _, tail = self._parser.feed_data(data)
        for message, payload in messages:
            if self._message is not None or message.code < 200:
                raise HttpProcessingError(message="more than one answer")
            self._message, self._payload = message, payload
            self._check(message)
        if tail:
            raise HttpProcessingError(message="more than the answer")
        return self._so_far()

    def end(self) -> HttpReply | None:
        """The connection has ended; the reply if that was its end."""
        if self._message is not None:
            self._parser.feed_eof()
        return self._so_far()

    @property
    def keeps(self) -> bool:
        """Whether the connection can be used again."""
        return self._message is not None and not self._message.should_close

    def _check(self, message: RawResponseMessage) -> None:
        encoding = message.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise AnswerCompressed(encoding[:20])
        length = message.headers.get("Content-Length", "0")
        if length.isdigit() and int(length) > self._limit:
            raise AnswerTooLarge

    def _so_far(self) -> HttpReply | None:
        message, payload = self._message, self._payload
        if message is None or payload is None:
            return None
        if (problem := payload.exception()) is not None:
            raise problem
        self.content += payload.read_nowait()
        if len(self.content) > self._limit:
            raise AnswerTooLarge
        if not payload.is_eof():
            return None
        kind = message.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return HttpReply(message.code, kind, bytes(self.content))


class Line(asyncio.Protocol):
    """One TLS connection; at most one question at a time. `connect` makes one."""

    __slots__ = (
        "_answer",
        "_incoming",
        "_limit",
        "_outgoing",
        "_tls",
        "_transport",
        "_waiter",
        "certificate",
        "received",
    )

    def __init__(self, context: ssl.SSLContext, name: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[HttpReply | None] | None = asyncio.get_running_loop().create_future()
        self._answer: _Answer | None = None
        self._limit = 0
        self.certificate: SeenCertificate | None = None
        """Of the other side; None: not connected yet."""
        self.received = 0
        """Bytes of the content that came of the last answer, however it ended."""

    @property
    def is_open(self) -> bool:
        """Whether something can be asked."""
        return self._transport is not None and self._waiter is None

    async def greet(self, trust: Trust) -> None:
        """Wait for the handshake, and make sure of who answers.

        Raises:
            OSError: it failed (also `ssl.SSLError`).
            aiohttp.ServerFingerprintMismatch: it is somebody else.
        """
        assert self._waiter is not None  # noqa: S101 - not connected yet
        await self._waiter
        self._waiter = None
        der = self._tls.getpeercert(binary_form=True)
        if not der:
            raise ssl.SSLError("no certificate is shown")
        seen = trusts.seen(der)
        if isinstance(trust, Pinned) and seen.fingerprint != trust.fingerprint:
            wanted, got = bytes.fromhex(trust.fingerprint), bytes.fromhex(seen.fingerprint)
            raise aiohttp.ServerFingerprintMismatch(wanted, got, "", 0)  # whoever catches it knows where
        self.certificate = seen

    async def ask(self, request: bytes, limit: int) -> HttpReply:
        """Send a request and wait for the whole answer, of at most `limit` bytes.

        Raises:
            AnswerTooLarge, AnswerCompressed: see there.
            aiohttp.ServerDisconnectedError: the connection ended without an answer.
            aiohttp.ClientPayloadError: it ended within the answer.
            ValueError: what came is no HTTP.
            OSError: the connection was lost.
        """
        if self._transport is None:
            raise aiohttp.ServerDisconnectedError
        self._waiter, self._limit = asyncio.get_running_loop().create_future(), limit
        try:
            self._tls.write(request)
            self._flush()
            reply = await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            answer, self._answer, self._waiter = self._answer, None, None
            self.received = len(answer.content) if answer is not None else 0
        assert reply is not None  # noqa: S101 - only a handshake ends with nothing
        if answer is None or not answer.keeps:
            self.close()
        return reply

    def close(self) -> None:
        """End the connection at once."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP
        self._transport = transport
        self._move()

    def data_received(self, data: bytes) -> None:
        """Take encrypted bytes in."""
        self._incoming.write(data)
        self._move()

    def eof_received(self) -> bool:
        """The other side says nothing more."""
        self._incoming.write_eof()
        self._move()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        self._transport = None
        self._ended(exc)

    def _ended(self, exc: Exception | None) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._answer is None:
            shaking = self.certificate is None
            silent = ConnectionResetError() if shaking else aiohttp.ServerDisconnectedError()
            waiter.set_exception(exc or silent)
            return
        try:
            reply = self._answer.end()
        except (HttpProcessingError, aiohttp.ClientError):
            reply = None
        if reply is not None:
            waiter.set_result(reply)
        else:
            waiter.set_exception(aiohttp.ClientPayloadError("the connection ended"))

    # TLS

    def _move(self) -> None:
        """Do what the bytes that have come allow."""
        try:
            if self.certificate is None and self._waiter is not None and not self._waiter.done():
                self._tls.do_handshake()
                self._waiter.set_result(None)
            while piece := self._tls.read(_PIECE):
                self._take(piece)
            self._farewell(None)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError) as problem:
            self._farewell(problem if self.certificate is None else None)
        except (
            OSError,
            AnswerTooLarge,
            AnswerCompressed,
            HttpProcessingError,
            aiohttp.ClientError,
        ) as problem:
            self._fail(problem)
        self._flush()

    def _farewell(self, problem: Exception | None) -> None:
        """The other side says nothing more, and may wait for us to say the same."""
        self._ended(problem)
        self.close()

    def _take(self, piece: bytes) -> None:
        if self._waiter is None or self._waiter.done():  # something that nobody asked for
            self.close()
            return
        if self._answer is None:
            self._answer = _Answer(self._limit)
        if (reply := self._answer.feed(piece)) is not None:
            self._waiter.set_result(reply)

    def _fail(self, problem: Exception) -> None:
        self._flush()  # an alert, perhaps
        if isinstance(problem, HttpProcessingError):
            problem = ValueError(problem.message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(problem)
        self.close()

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing.pending:
            self._transport.write(self._outgoing.read())


async def connect(peer: Peer) -> Line:
    """A new line, made sure of who answers; nothing else was sent.

    Raises:
        OSError: there is no connection (also `ssl.SSLError`, and `ssl.SSLCertVerificationError` where the
            certificate is not of a given authority).
        aiohttp.ServerFingerprintMismatch: it is somebody else.
    """
    loop = asyncio.get_running_loop()
    context = trusts.context(peer.trust)
    name = None if isinstance(peer.trust, Pinned) else trusts.name_to_verify(peer.trust) or peer.address
    _, line = await loop.create_connection(lambda: Line(context, name), peer.address, peer.port)
    try:
        await line.greet(peer.trust)
    except BaseException:
        line.close()
        raise
    return line


class Lines:
    """The lines that wait for the next question, one for each peer at most.

    Args:
        seconds: how long they are kept.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._idle: dict[Peer, tuple[Line, asyncio.TimerHandle]] = {}

    def take(self, peer: Peer) -> Line | None:
        """The idle line to somebody, to be given back; None: there is none."""
        line, timer = self._idle.pop(peer, (None, None))
        if timer is not None:
            timer.cancel()
        if line is not None and not line.is_open:
            line.close()
            return None
        return line

    def give(self, peer: Peer, line: Line) -> None:
        """Keep a line for a while, if it can be used again."""
        if not line.is_open or peer in self._idle:
            line.close()
            return
        timer = asyncio.get_running_loop().call_later(self._seconds, self._expire, peer)
        self._idle[peer] = (line, timer)

    def _expire(self, peer: Peer) -> None:
        line, _ = self._idle.pop(peer)
        line.close()

    def close(self) -> None:
        """Close all that are idle."""
        for peer in list(self._idle):
            if (line := self.take(peer)) is not None:
                line.close()


def as_bytes(request: HttpRequest, host: str, user_agent: str) -> bytes:
    """The request as it goes over a line."""
    head = [
        f"{request.method} {request.target} HTTP/1.1",
        f"Host: {host}",
        f"User-Agent: {user_agent}",
        "Accept: */*",
        "Accept-Encoding: identity",
        *(f"{name}: {value}" for name, value in request.headers.items()),
    ]
    if request.body is not None:
        head.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join((*head, "", "")).encode("latin-1") + (request.body or b"")

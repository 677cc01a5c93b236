"""TLS connections that mostly wait: small enough that an operator can keep two thousand of them.

A long poll keeps a connection for good. aiohttp and asyncio's TLS hold some 60 KiB for each (buffers, parser,
request, answer), of which OpenSSL needs 18. A `Line` holds the OpenSSL connection and next to nothing else:
what reads an answer (aiohttp's own parser) is there only while one is being read, and whoever asks need not
wait in a coroutine of his own. `connections` asks everything over lines, with trust and limits, and gives
failures their meaning.
"""

import asyncio
import contextvars
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from loadmaster_ha.loadmaster import trust as trusts
from loadmaster_ha.loadmaster.arriving import ArrivingAnswer
from loadmaster_ha.loadmaster.http_messages import HttpReply, HttpRequest
from loadmaster_ha.loadmaster.trust import Pinned, SeenCertificate, Trust

_PIECE: Final = 16 * 1024
"""Bytes that are decrypted at a time: one TLS record at most."""


_BARE: Final = contextvars.Context()
"""What is called when something comes needs none of the variables of whoever asked, nor memory for them."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a line leads to."""

    address: str
    port: int
    trust: Trust


class Line:
    """One TLS connection to somebody who is trusted; at most one question at a time. `connect` makes one.

    The socket itself is all there is of it: asyncio's transport would hold as much again, and OpenSSL as much
    more again for buffers between the two.
    """

    __slots__ = (
        "_answer",
        "_limit",
        "_outcome",
        "_reads",
        "_rest",
        "_tls",
        "_told",
        "_writes",
        "certificate",
        "received",
    )

    def __init__(self, tls: ssl.SSLSocket, certificate: SeenCertificate) -> None:
        self._tls: ssl.SSLSocket | None = tls
        self.certificate = certificate
        """Of the other side."""
        self.received = 0
        """Bytes of the content that came of the last answer, however it ended."""
        self._answer: ArrivingAnswer | None = None
        self._limit = 0
        self._rest = b""
        """Of the question, what could not be sent yet."""
        self._told: Callable[[], object] | None = None
        """Told when the question is settled; None: there is none under way."""
        self._outcome: HttpReply | Exception | None = None
        self._reads, self._writes = True, False
        """Whether there is something to do once the socket has something, or takes something."""
        _BARE.run(asyncio.get_running_loop().add_reader, tls.fileno(), self._move)

    @property
    def is_open(self) -> bool:
        """Whether something can be asked."""
        return self._tls is not None and self._told is None and self._outcome is None

    async def ask(self, request: bytes, limit: int) -> HttpReply:
        """Send a request and wait for the whole answer, of at most `limit` bytes.

        Raises:
            AnswerTooLarge, AnswerCompressed: see there.
            aiohttp.ServerDisconnectedError: the connection ended without an answer.
            aiohttp.ClientPayloadError: it ended within the answer.
            ValueError: what came is no HTTP.
            OSError: the connection was lost.
        """
        settled = asyncio.Event()
        self.begin(request, limit)
        self.whenever_settled(settled.set)
        try:
            await settled.wait()
        except BaseException:
            self.close()
            raise
        finally:
            self._note_received()
        return self.settle()

    def begin(self, request: bytes, limit: int) -> None:
        """Send a request and leave; `whenever_settled` tells when to `settle` what came of it."""
        self._limit, self._rest, self._told = limit, request, _nobody
        if self._tls is None:
            self._end(aiohttp.ServerDisconnectedError())
        else:
            self._move()

    def whenever_settled(self, told: Callable[[], object]) -> None:
        """Call this once the question is settled, soon if it is; nobody else is told then."""
        if self._told is None:
            asyncio.get_running_loop().call_soon(told)
        else:
            self._told = told

    def settle(self) -> HttpReply:
        """The answer to the question that is settled; raises as `ask`."""
        self._note_received()
        answer, self._answer = self._answer, None
        outcome, self._outcome = self._outcome, None
        if answer is None or not answer.keeps or self._rest or not isinstance(outcome, HttpReply):
            self.close()  # with a rest of the question: it would be taken for the next one
        if isinstance(outcome, HttpReply):
            return outcome
        raise outcome or aiohttp.ServerDisconnectedError()

    def fail(self, problem: Exception) -> None:
        """Give the question up for this reason, and the connection with it."""
        self._end(problem)
        self.close()

    def close(self) -> None:
        """End the connection at once."""
        tls, self._tls = self._tls, None
        if tls is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(tls.fileno())
            loop.remove_writer(tls.fileno())
            tls.close()

    def _note_received(self) -> None:
        self.received = len(self._answer.content) if self._answer is not None else 0

    def _end(self, outcome: HttpReply | Exception) -> None:
        told, self._told = self._told, None
        if told is not None:
            self._outcome = outcome
            told()

    def _move(self) -> None:
        """Do what the connection allows; the event loop's."""
        reads, writes = True, False
        try:
            writes = self._send()
            while self._tls is not None:
                piece = self._tls.recv(_PIECE)
                if not piece:
                    self._ended(None)
                    return
                self._take(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:  # TLS has something to say first (new keys), whatever there is to read
            reads, writes = False, True
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._ended(None)
        except HttpProcessingError as problem:
            self.fail(ValueError(problem.message))
        except OSError as problem:
            self._ended(problem)
        except Exception as problem:  # noqa: BLE001 - who waits is told
            self.fail(problem)
        self._wait(reads=reads, writes=writes)

    def _send(self) -> bool:
        """Send of the question what can be sent now; whether the rest waits for room in the socket."""
        tls = self._tls
        try:
            while self._rest and tls is not None:
                self._rest = self._rest[tls.send(self._rest) :]
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            return True
        return False

    def _wait(self, *, reads: bool, writes: bool) -> None:
        if self._tls is None:
            return
        loop, number = asyncio.get_running_loop(), self._tls.fileno()
        if reads is not self._reads:
            self._reads = reads
            if reads:
                _BARE.run(loop.add_reader, number, self._move)
            else:
                loop.remove_reader(number)
        if writes is not self._writes:
            self._writes = writes
            if writes:
                loop.add_writer(number, self._move)
            else:
                loop.remove_writer(number)

    def _take(self, piece: bytes) -> None:
        if self._told is None:  # something that nobody asked for
            self.close()
            return
        if self._answer is None:
            self._answer = ArrivingAnswer(self._limit)
        if (reply := self._answer.feed(piece)) is not None:
            self._end(reply)

    def _ended(self, problem: Exception | None) -> None:
        """The connection has ended; perhaps that was the end of the answer."""
        if self._answer is None:
            outcome: HttpReply | Exception | None = problem or aiohttp.ServerDisconnectedError()
        else:
            try:
                outcome = self._answer.end()
            except (HttpProcessingError, aiohttp.ClientError):
                outcome = None
        self._end(outcome or aiohttp.ClientPayloadError("the connection ended"))
        self.close()


def _nobody() -> None:
    """Who waits of a question that was left."""


async def connect(peer: Peer) -> Line:
    """A new line, made sure of who answers; nothing else was sent.

    Raises:
        OSError: there is no connection (also `ssl.SSLError`, and `ssl.SSLCertVerificationError` where the
            certificate is not of a given authority).
        aiohttp.ServerFingerprintMismatch: it is somebody else.
    """
    name = None if isinstance(peer.trust, Pinned) else trusts.name_to_verify(peer.trust) or peer.address
    plain = await _open(peer)
    try:
        tls = trusts.context(peer.trust).wrap_socket(
            plain, server_hostname=name, do_handshake_on_connect=False
        )
    except BaseException:
        plain.close()
        raise
    try:
        await _shake_hands(tls)
        return Line(tls, _made_sure(tls, peer.trust))
    except BaseException:
        tls.close()
        raise


async def _open(peer: Peer) -> socket.socket:
    """A TCP connection to the first of the peer's addresses that takes one."""
    loop = asyncio.get_running_loop()
    numeric = socket.AI_NUMERICHOST
    try:
        found = socket.getaddrinfo(peer.address, peer.port, type=socket.SOCK_STREAM, flags=numeric)
    except socket.gaierror:  # a name, then; asking for it takes time
        found = await loop.getaddrinfo(peer.address, peer.port, type=socket.SOCK_STREAM)
    problem: OSError | None = None
    for family, kind, protocol, _, address in found:
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setblocking(False)
            await loop.sock_connect(opened, address)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as failed:
            opened.close()
            problem = failed
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise problem or OSError(f"{peer.address} has no address")


async def _shake_hands(tls: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await _until(tls, loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _until(tls, loop.add_writer, loop.remove_writer)
        else:
            return


async def _until(tls: ssl.SSLSocket, add: Callable[..., object], remove: Callable[[int], object]) -> None:
    """Wait until the socket can be read from, or written to."""
    able = asyncio.Event()
    add(tls.fileno(), able.set)
    try:
        await able.wait()
    finally:
        remove(tls.fileno())


def _made_sure(tls: ssl.SSLSocket, trust: Trust) -> SeenCertificate:
    """The certificate that is shown, which is trusted."""
    der = tls.getpeercert(binary_form=True)
    if not der:
        raise ssl.SSLError("no certificate is shown")
    seen = trusts.seen(der)
    if isinstance(trust, Pinned) and seen.fingerprint != trust.fingerprint:
        wanted, got = bytes.fromhex(trust.fingerprint), bytes.fromhex(seen.fingerprint)
        raise aiohttp.ServerFingerprintMismatch(wanted, got, "", 0)  # whoever catches it knows where
    return seen


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

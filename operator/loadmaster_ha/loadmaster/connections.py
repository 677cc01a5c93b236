"""The connections to all units: one HTTP exchange with limits, and what became of it in words.

One `Connections` serves every `client` of a process: no cookies, no redirects, no proxies (units have private
addresses; HTTPS_PROXY is the way to Azure), no decompression, TLS 1.2 at least, nothing sent before the
certificate was verified, nothing sent twice. All goes over the small connections of `waiting_lines`. What the
answer means is for `recognition`.
"""

import asyncio
import contextlib
import contextvars
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, NoReturn, Self

import aiohttp

from loadmaster_ha.domain.fingerprints import for_people
from loadmaster_ha.loadmaster import trust as trusts
from loadmaster_ha.loadmaster import waiting_lines
from loadmaster_ha.loadmaster.answers import MAXIMUM_ANSWER
from loadmaster_ha.loadmaster.arriving import AnswerCompressed, AnswerTooLarge
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.http_messages import HttpReply, HttpRequest
from loadmaster_ha.loadmaster.trust import SeenCertificate, Trust
from loadmaster_ha.loadmaster.waiting_lines import Line, Lines, Peer

USER_AGENT: Final = "loadmaster-operator"
KEEP_ALIVE_SECONDS: Final = 4.0
"""How long an idle connection is kept: shorter than the 5 s after which usual servers close it, so that a
request rarely meets a connection that is just being closed."""
_BARE: Final = contextvars.Context()
"""For timers: one for all, instead of a copy of the context of whoever asks for each."""
_NOT_TRUSTED: Final = (aiohttp.ServerFingerprintMismatch, ssl.SSLCertVerificationError)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a unit's management API is."""

    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one exchange may take."""

    connect_seconds: float = 10.0
    """For the connection with its TLS handshake."""
    answer_bytes: int = MAXIMUM_ANSWER


@dataclass(slots=True)
class Exchange:
    """One request under way: what is known of it when it fails."""

    endpoint: Endpoint
    trust: Trust
    seen: Callable[[SeenCertificate], None] = field(default=lambda _: None)
    """Told the certificate of the connection that the request goes over."""
    sent: bool = False
    received: int = 0

    @property
    def peer(self) -> Peer:
        """Whom a line has to lead to."""
        return Peer(self.endpoint.address, self.endpoint.port, self.trust)

    def about_to_send(self, certificate: SeenCertificate) -> None:
        """Hold on to the certificate, and from here on to the possibility that the unit acts."""
        self.seen(certificate)
        self.sent = True


class Question:
    """A request that was sent and waits at a unit: no more than what it takes to hear the answer.

    Args:
        exchange: with whom.
        line: where the answer comes.
        until: when it is too late for one, by the event loop's clock.
        seconds: that is so long after the beginning.
    """

    __slots__ = ("_timer", "exchange", "line", "seconds")

    def __init__(self, exchange: Exchange, line: Line, until: float, seconds: float) -> None:
        self.exchange, self.line, self.seconds = exchange, line, seconds
        self._timer = asyncio.get_running_loop().call_at(until, self._late, context=_BARE)

    def whenever_settled(self, told: Callable[[], object]) -> None:
        """Call this once there is an answer, or will be none."""
        self.line.whenever_settled(told)

    def _late(self) -> None:
        self.line.fail(TimeoutError())

    def settle(self) -> HttpReply:
        """The answer; raises as `Line.ask`."""
        self._timer.cancel()
        return self.line.settle()

    def give_up(self) -> None:
        """Nobody wants to know any more."""
        self._timer.cancel()
        self.line.close()


class Connections:
    """The connections to all units of a process; an async context manager, or `close` it.

    Idle ones are closed after `KEEP_ALIVE_SECONDS`. Each exchange under way has one of its own, so that what
    waits long at one unit holds up nothing else.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lines = Lines(KEEP_ALIVE_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        self._lines.close()

    async def exchange(self, exchange: Exchange, request: HttpRequest, *, seconds: float) -> HttpReply:
        """Send one request and read the whole answer.

        Args:
            exchange: with whom; what happens is noted there.
            request: what to send.
            seconds: for all of it.

        Raises:
            UnitFault: there is none; `sent` tells whether the request went out.
        """
        async with self._in_words(exchange, seconds), asyncio.timeout(seconds):
            peer = exchange.peer
            line = self._lines.take(peer) or await self._connect(peer)
            try:
                exchange.about_to_send(line.certificate)
                return await line.ask(self._as_bytes(exchange, request), self.limits.answer_bytes)
            finally:
                exchange.received = line.received
                self._lines.give(peer, line)

    async def begin(self, exchange: Exchange, request: HttpRequest, *, seconds: float) -> Question:
        """Send one request whose answer comes late on purpose, and leave: nobody has to wait in a coroutine.

        Args:
            exchange: with whom; what happens is noted there.
            request: what to send.
            seconds: for all of it, the answer included.

        Raises:
            UnitFault: it could not be sent.
        """
        until = asyncio.get_running_loop().time() + seconds
        async with self._in_words(exchange, seconds), asyncio.timeout(seconds):
            peer = exchange.peer
            line = self._lines.take(peer) or await self._connect(peer)
            try:
                exchange.about_to_send(line.certificate)
                line.begin(self._as_bytes(exchange, request), self.limits.answer_bytes)
            except BaseException:
                line.close()
                raise
            return Question(exchange, line, until, seconds)

    async def finish(self, question: Question) -> HttpReply:
        """What came of a question that is settled.

        Raises:
            UnitFault: as `exchange`.
        """
        exchange = question.exchange
        async with self._in_words(exchange, question.seconds):
            try:
                return question.settle()
            finally:
                exchange.received = question.line.received
                self._lines.give(exchange.peer, question.line)

    @contextlib.asynccontextmanager
    async def _in_words(self, exchange: Exchange, seconds: float) -> AsyncIterator[None]:
        """Tell what goes wrong as a `UnitFault`."""
        try:
            yield
        except UnitFault:
            raise
        except _NOT_TRUSTED as problem:
            await self._not_trusted(exchange, problem)
        except AnswerTooLarge:
            raise self._too_large(exchange) from None
        except AnswerCompressed as problem:
            raise _compressed(exchange, str(problem)) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            raise _fault(exchange, problem, seconds, self.limits) from problem

    async def _connect(self, peer: Peer) -> Line:
        async with asyncio.timeout(self.limits.connect_seconds):
            return await waiting_lines.connect(peer)

    @staticmethod
    def _as_bytes(exchange: Exchange, request: HttpRequest) -> bytes:
        return waiting_lines.as_bytes(request, str(exchange.endpoint), USER_AGENT)

    def _too_large(self, exchange: Exchange) -> UnitFault:
        limit = self.limits.answer_bytes
        return UnitFault(
            FaultReason.TOO_LARGE, f"{exchange.endpoint} answered with more than {limit} bytes.", sent=True
        )

    async def _not_trusted(self, exchange: Exchange, problem: Exception) -> NoReturn:
        if isinstance(problem, aiohttp.ServerFingerprintMismatch):
            fingerprint: str | None = problem.got.hex()
            why = "it is not the pinned one"
        else:
            # The handshake failed before it could be kept: look at it once more, sending nothing.
            endpoint = exchange.endpoint
            certificate = await trusts.look(
                endpoint.address, endpoint.port, seconds=self.limits.connect_seconds
            )
            fingerprint = certificate.fingerprint if certificate else None
            why = _why_not_verified(problem)
        shown = f" with the SHA-256 fingerprint {for_people(fingerprint)}" if fingerprint else ""
        raise UnitFault(
            FaultReason.CERTIFICATE_NOT_TRUSTED,
            f"{exchange.endpoint} shows a certificate{shown} that is not trusted: {why}. Nothing was sent.",
            seen_fingerprint=fingerprint,
        ) from problem


def _compressed(exchange: Exchange, how: str) -> UnitFault:
    return UnitFault(
        FaultReason.MALFORMED,
        f"{exchange.endpoint} compressed its answer ({how!r}) without being asked to.",
        sent=True,
    )


def _why_not_verified(problem: Exception) -> str:
    return getattr(problem, "verify_message", "") or "it could not be verified"


def _fault(exchange: Exchange, problem: Exception, seconds: float, limits: Limits) -> UnitFault:
    """What a failed connection means."""
    if exchange.sent:
        return _after_sending(exchange, problem, seconds)
    if isinstance(problem, TimeoutError):
        within = min(seconds, limits.connect_seconds)
        return UnitFault(FaultReason.TIMED_OUT, f"No connection to {exchange.endpoint} within {within:g} s.")
    return UnitFault(*_before_sending(exchange.endpoint, problem))


def _before_sending(where: Endpoint, problem: Exception) -> tuple[FaultReason, str]:
    if isinstance(problem, socket.gaierror):
        return FaultReason.UNREACHABLE, f"The name {where.address} cannot be resolved."
    if getattr(problem, "errno", None) == errno.ECONNREFUSED:
        return FaultReason.REFUSED, f"{where} refuses connections."
    if _ended(problem):
        return FaultReason.RATE_LIMITED, f"{where} ended the connection while it was being set up."
    if isinstance(problem, ssl.SSLError):
        why = (problem.reason or "unknown reason").lower().replace("_", " ")
        return FaultReason.MALFORMED, f"{where} does not speak TLS as it should ({why})."
    why = problem.strerror if isinstance(problem, OSError) and problem.strerror else type(problem).__name__
    return FaultReason.UNREACHABLE, f"{where} cannot be reached: {why}."


def _ended(cause: object) -> bool:
    """Whether the unit dropped the connection in the handshake ("EOF occurred in violation of protocol")."""
    dropped = (ConnectionResetError, ConnectionAbortedError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
    return isinstance(cause, (*dropped, aiohttp.ServerDisconnectedError)) or (
        isinstance(cause, OSError) and cause.errno in {errno.EPIPE, errno.ECONNRESET}
    )


def _without_answer(where: Endpoint) -> UnitFault:
    return UnitFault(FaultReason.RATE_LIMITED, f"{where} ended the connection without an answer.", sent=True)


def _after_sending(exchange: Exchange, problem: Exception, seconds: float) -> UnitFault:
    where = exchange.endpoint
    if isinstance(problem, TimeoutError):
        what = (
            f"The answer of {where} was still incomplete after {seconds:g} s ({exchange.received} bytes)."
            if exchange.received
            else f"{where} took the request and did not answer within {seconds:g} s."
        )
        return UnitFault(FaultReason.TIMED_OUT, what, sent=True)
    if isinstance(problem, aiohttp.ClientPayloadError):
        return UnitFault(
            FaultReason.ANSWER_LOST,
            f"{where} ended the connection in the middle of its answer ({exchange.received} bytes).",
            sent=True,
        )
    if isinstance(problem, aiohttp.ServerDisconnectedError) or _ended(problem):
        return _without_answer(where)
    if isinstance(problem, OSError):
        why = problem.strerror or type(problem).__name__
        return UnitFault(FaultReason.ANSWER_LOST, f"The connection to {where} was lost: {why}.", sent=True)
    return UnitFault(FaultReason.MALFORMED, f"{where} does not answer in HTTP as it should.", sent=True)

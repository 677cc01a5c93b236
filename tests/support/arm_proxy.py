"""A TLS proxy between the operator and ARM that numbers every write and can strike at any of them.

The fault tests put it between the operator process and the emulator. Everything of ARM passes through it
(sign-in and metadata too), and every absolute address in an answer is rewritten to the proxy's, so that
long-running operations and next pages come back. A test registers *strikes*: what happens to which write
at which moment. Neighbours: `world.py` (the Azure side that the tests build), `tests/simulation` (kills the
operator at every write).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from loadmaster_ha.emulator.certificates import server_context

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

WRITE_METHODS: Final = frozenset({"PUT", "PATCH", "DELETE", "POST"})
READING_POSTS: Final = ("/health", "/queryinboundnatruleportmapping")
"""POST actions that only ask something: no writes, whatever the verb says."""
NEXT_REQUEST_GRACE_SECONDS: Final = 1.0
"""How long a strike at `ANSWERED` waits for the client's next request before it happens anyway."""
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "host"}
)


class Moment(StrEnum):
    """Where in the life of a write a strike happens."""

    BEFORE = "Before"
    """The request has arrived at the proxy; ARM knows nothing of it."""

    APPLIED = "Applied"
    """ARM has answered; the client knows nothing of it."""

    ANSWERED = "Answered"
    """The client has the whole answer: its next request has arrived, or a second has passed without one."""


class Verdict(StrEnum):
    """What becomes of the exchange after a strike."""

    PASS = "Pass"
    LOSE = "Lose"
    """The connection to the client is cut without an answer."""


@dataclass
class Exchange:
    """One request that passed. `number` counts the writes from 1; reads and polls have None."""

    method: str
    path: str
    number: int | None
    at: float
    if_match: str | None = None
    status: int | None = None
    answered_at: float | None = None
    struck: list[str] = field(default_factory=list)

    @property
    def is_write(self) -> bool:
        return self.number is not None

    @property
    def key(self) -> tuple[str, str]:
        """What is written and how, the same in every run: verb and lower-case id without api-version."""
        return self.method, self.path.lower()


Strike = Callable[[Exchange], Awaitable[Verdict | None]]
"""Called at its moment; it may kill, wait, or write something itself. None means `Verdict.PASS`."""
Chooser = Callable[[Exchange], bool]


def is_write(method: str, path: str) -> bool:
    """Whether a request changes Azure: every writing verb on a resource; no sign-in, no asking POST."""
    lowered = path.lower()
    if method not in WRITE_METHODS or not lowered.startswith("/subscriptions/"):
        return False
    return not (method == "POST" and lowered.endswith(READING_POSTS))


class ArmProxy:
    """The proxy; use it as `async with ArmProxy(upstream, upstream_ca, directory) as proxy`.

    `directory` gets the proxy's own authority (`ca.pem`: what clients must trust) and `requests.jsonl`.
    """

    def __init__(self, upstream: str, upstream_ca: Path, directory: Path) -> None:
        self._upstream = upstream.rstrip("/")
        self._upstream_ca = upstream_ca
        self._directory = directory
        self._numbers = itertools.count(1)
        self._strikes: list[tuple[Moment, Chooser, Strike, bool]] = []
        self._answered: list[Exchange] = []
        self._resources = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession
        self.exchanges: list[Exchange] = []
        self.outage = False
        """While True every connection ends without an answer, as if Azure were not reachable."""
        self.url = ""

    @property
    def ca_file(self) -> Path:
        """The certificate authority to trust for this proxy."""
        return self._directory / "ca.pem"

    @property
    def log_file(self) -> Path:
        """One JSON object for each finished request."""
        return self._directory / "requests.jsonl"

    @property
    def writes(self) -> list[Exchange]:
        """All writes so far, in the order of their numbers."""
        return [exchange for exchange in self.exchanges if exchange.is_write]

    def at(self, moment: Moment, which: int | Chooser, strike: Strike, *, once: bool = True) -> None:
        """Register a strike at a write: by its number, or at the first that fits (`once=False`: all)."""
        chooser = which if callable(which) else _numbered(which)
        self._strikes.append((moment, chooser, strike, once))

    def clear(self) -> None:
        """Forget all strikes that have not happened."""
        self._strikes.clear()

    async def __aenter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        trust = ssl.create_default_context(cafile=str(self._upstream_ca))
        # One connection per request: a restarted emulator must not meet connections of its former life.
        connector = aiohttp.TCPConnector(ssl=trust, force_close=True, limit=0)
        self._session = await self._resources.enter_async_context(
            aiohttp.ClientSession(connector=connector, auto_decompress=False)
        )
        forbid_silent_repetition(self._session)
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        self._resources.push_async_callback(runner.cleanup)
        site = web.TCPSite(
            runner, "127.0.0.1", 0, ssl_context=server_context(self._directory, ["127.0.0.1", "localhost"])
        )
        await site.start()
        port: int = runner.addresses[0][1]
        self.url = f"https://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._resources.aclose()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if await self._strike_answered() is Verdict.LOSE:
            return self._cut(request)
        exchange = self._record(request)
        body = await request.read()
        if self.outage or await self._strike(Moment.BEFORE, exchange) is Verdict.LOSE:
            return self._cut(request, exchange)
        try:
            answer = await self._forward(request, body)
        except aiohttp.ClientError:
            # ARM is down: the client of a real proxy would see its connection end as well.
            return self._cut(request, exchange)
        exchange.status, exchange.answered_at = answer.status, time.time()
        if await self._strike(Moment.APPLIED, exchange) is Verdict.LOSE:
            return self._cut(request, exchange)
        await answer.prepare(request)
        await answer.write_eof()
        self._log(exchange)
        if self._wanted(Moment.ANSWERED, exchange):
            self._answered.append(exchange)
            self._later(self._strike_answered_by_and_by())
        return answer

    def _record(self, request: web.Request) -> Exchange:
        number = next(self._numbers) if is_write(request.method, request.path) else None
        exchange = Exchange(
            method=request.method,
            path=request.path,
            number=number,
            at=time.time(),
            if_match=request.headers.get("If-Match") or request.headers.get("If-None-Match"),
        )
        self.exchanges.append(exchange)
        return exchange

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        own = f"https://{request.host}"
        async with self._session.request(
            request.method,
            f"{self._upstream}{request.raw_path}",
            headers={name: value.replace(own, self._upstream) for name, value in headers.items()},
            data=body.replace(own.encode(), self._upstream.encode()),
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
            response = web.Response(
                status=answer.status, body=content.replace(self._upstream.encode(), own.encode())
            )
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    response.headers.add(name, value.replace(self._upstream, own))
            return response

    def _wanted(self, moment: Moment, exchange: Exchange) -> bool:
        return exchange.is_write and any(
            when is moment and chooser(exchange) for when, chooser, _, _ in self._strikes
        )

    async def _strike(self, moment: Moment, exchange: Exchange) -> Verdict:
        if not exchange.is_write:
            return Verdict.PASS
        for entry in self._strikes:
            when, chooser, strike, once = entry
            if when is moment and chooser(exchange):
                if once:
                    self._strikes.remove(entry)
                exchange.struck.append(moment)
                return await strike(exchange) or Verdict.PASS
        return Verdict.PASS

    async def _strike_answered(self) -> Verdict:
        """Strike at the writes whose answers the client has by now; LOSE when a strike killed it."""
        verdict = Verdict.PASS
        while self._answered:
            if await self._strike(Moment.ANSWERED, self._answered.pop(0)) is Verdict.LOSE:
                verdict = Verdict.LOSE
        return verdict

    async def _strike_answered_by_and_by(self) -> None:
        await asyncio.sleep(NEXT_REQUEST_GRACE_SECONDS)
        await self._strike_answered()

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cut(self, request: web.Request, exchange: Exchange | None = None) -> web.Response:
        if exchange is not None:
            self._log(exchange)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=502)  # never arrives: the transport is gone

    def _log(self, exchange: Exchange) -> None:
        with self.log_file.open("a") as file:
            file.write(json.dumps(asdict(exchange)) + "\n")


def _numbered(number: int) -> Chooser:
    return lambda exchange: exchange.number == number


def forbid_silent_repetition(session: aiohttp.ClientSession) -> None:
    """Make aiohttp send each request once.

    By itself it sends PUT and DELETE a second time when the connection ends without an answer, and has no
    public switch for it. A test that counts writes would count requests that nobody decided on.
    """
    session._retry_connection = False


async def lose(_: Exchange) -> Verdict:
    """A strike: the connection ends here."""
    return Verdict.LOSE


def resource_of(path: str) -> str:
    """The last two names of a path, for messages: `loadBalancers/web`."""
    return "/".join(urlsplit(path).path.strip("/").split("/")[-2:])

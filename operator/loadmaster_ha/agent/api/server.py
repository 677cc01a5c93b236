"""The HTTPS server of the management API: limits, versions, and turning answers into HTTP.

One request goes through here in the order that costs a stranger most and us least: rate limit, path, whether
the API is on, credentials, and only then the body of an upload, the command and its handler (`dispatch`).
How connections come in is `entrance`; what the bytes mean is `loadmaster.v1` and `v2`; who calls is
`authentication`.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from loadmaster_ha.agent.api.authentication import Authenticator
from loadmaster_ha.agent.api.entrance import Entrance
from loadmaster_ha.agent.api.exchange import Exchange, Resources
from loadmaster_ha.agent.api.rate_limit import RateLimit
from loadmaster_ha.agent.api.unit import Unit
from loadmaster_ha.agent.certificates import Identity, server_context
from loadmaster_ha.loadmaster.answers import Body

_LOG: Final = logging.getLogger(__name__)
_LINGERING_SECONDS: Final = 2.0
"""How long the rest of a refused body is read, so that its sender gets the answer and no reset."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost."""

    connections: int = 200
    """At a time. A further one displaces the oldest of a stranger, and is closed at once if there is none."""
    handshakes: int = 32
    """Of TLS, at a time. A further one displaces the one that has taken longest."""
    handshake_seconds: float = 10.0
    request_seconds: float = 10.0
    """From the end of the handshake to the end of the first request's head."""
    body_seconds: float = 60.0
    """For a request's body."""
    idle_seconds: float = 15.0
    """Between two requests on one connection."""
    calls: int = 30
    call_seconds: float = 3.0


class ManagementServer:
    """Serves the management API of a unit."""

    def __init__(
        self,
        unit: Unit,
        identity: Identity,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = server_context(identity)
        self._limits = limits or Limits()
        self._entrance = Entrance(
            self._context,
            self._connection,
            handshakes=self._limits.handshakes,
            handshake_seconds=self._limits.handshake_seconds,
        )
        self._rate = RateLimit(clock, calls=self._limits.calls, seconds=self._limits.call_seconds)
        self._resources = Resources(unit, Authenticator(unit.settings, clock), self._limits.body_seconds)
        self._web = _Connections(
            self._handle,
            access_log=None,
            keepalive_timeout=self._limits.idle_seconds,
            lingering_time=_LINGERING_SECONDS,
            auto_decompress=False,  # no client of this API compresses, and a bomb needs to be unpacked
            max_line_size=8190,
            max_field_size=8190,
        )
        self._clock = clock
        self._warned = -math.inf

    async def start(self, address: str, port: int) -> int:
        """Listen; the port, which the system chooses for 0.

        Raises:
            OSError: the address or the port cannot be had.
        """
        return self._entrance.open(address, port)

    def use_certificate(self, identity: Identity) -> None:
        """Show this certificate from the next handshake on; connections that are there keep theirs."""
        self._context.load_cert_chain(identity.path)

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """Take no new connections and let the requests under way end."""
        await self._entrance.close()
        for connection in self._web.connections:
            connection.close()  # those that only wait for the next request would be waited for
        await self._web.shutdown(grace_seconds)

    def _connection(self) -> asyncio.Protocol | None:
        if len(self._web.connections) >= self._limits.connections and not self._displace_a_stranger():
            return None
        protocol = self._web()
        # aiohttp limits the time between requests, not that of the first one's head.
        allowed = self._limits.handshake_seconds + self._limits.request_seconds
        asyncio.get_running_loop().call_later(allowed, self._abort_if_silent, protocol)
        return protocol

    def _displace_a_stranger(self) -> bool:
        """Whether there was one: a connection that nobody has logged in on yet."""
        for protocol in self._web.connections:
            transport = protocol.transport
            if protocol not in self._web.known and transport is not None and not transport.is_closing():
                transport.abort()
                return True
        return False

    def _abort_if_silent(self, protocol: web.RequestHandler) -> None:
        if protocol not in self._web.asked and protocol.transport is not None:
            protocol.transport.abort()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._web.asked.add(request.protocol)
        client = request.remote or ""
        if not self._rate.allows(client):
            # As the appliance does: no answer, the connection ends.
            self._warn_of(client)
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        exchange = Exchange(request, self._resources, lambda: self._web.known.add(request.protocol))
        body = await exchange.answer()
        return _response(body, keep=exchange.authenticated)

    def _warn_of(self, client: str) -> None:
        """Tell of a client that calls too often; not oftener than once a second, whoever it is."""
        now = self._clock()
        if now - self._warned >= 1.0:
            self._warned = now
            calls, seconds = self._limits.calls, self._limits.call_seconds
            _LOG.warning("More than %d calls in %g s from %s: connection closed.", calls, seconds, client)


class _Connections(web.Server):
    """aiohttp's connections, and what came of each."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.asked: set[web.RequestHandler] = set()
        """On which a request has come."""
        self.known: set[web.RequestHandler] = set()
        """On which somebody has logged in."""

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget it."""
        self.asked.discard(handler)
        self.known.discard(handler)
        super().connection_lost(handler, exc)


def _response(body: Body, *, keep: bool) -> web.Response:
    headers = {"Server": "LoadMaster", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if body.code == 401:
        headers["WWW-Authenticate"] = 'Basic realm="LoadMaster"'
    if body.code == 405:
        headers["Allow"] = "GET, POST"
    response = web.Response(status=body.code, body=body.content, headers=headers)
    response.headers["Content-Type"] = body.content_type
    if not keep:
        response.force_close()
    return response

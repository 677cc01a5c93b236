"""What the process serves over HTTP: `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet.

Both probes answer from real content: a loop that lags, a watch that has gone deaf or an API server that
does not answer makes them 503, with the reason in the body. A standby replica is healthy and ready: it can
take over.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

log = logging.getLogger(__name__)

Check = Callable[[], str | None]
"""None when all is well, else what is wrong."""

LAG_LIMIT: Final = 5.0
"""Seconds. A loop that lags this much renews no Lease in time."""

_BEAT: Final = 0.5


class LoopLag:
    """How late the event loop runs what is due, as the worst of the last minute or so."""

    def __init__(self) -> None:
        self._worst = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _BEAT
            await asyncio.sleep(_BEAT)
            # Old peaks fade: halved in about 20 s.
            self._worst = max(loop.time() - due, self._worst * 0.98)

    def check(self) -> str | None:
        """For `/healthz`."""
        if self._worst > LAG_LIMIT:
            return f"the event loop ran {self._worst:.1f} s late (limit {LAG_LIMIT:g} s)"
        return None


class InvalidAddress(ValueError):  # noqa: N818 - reads as what is the case
    """The text is not HOST:PORT."""


def parse_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:9090` or `[::1]:9090`.

    Raises:
        InvalidAddress: it is something else.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise InvalidAddress(f"{text!r} is not HOST:PORT, as in 0.0.0.0:9090")
    return host.strip("[]"), int(port)


def metrics_application(registry: CollectorRegistry) -> web.Application:
    """`/metrics` of one registry; `?name[]=NAME` for only some."""

    async def metrics(request: web.Request) -> web.Response:
        names = request.query.getall("name[]", [])
        wanted = registry.restricted_registry(names) if names else registry
        # A thousand pairs make a page of some megabytes, which must not hold up the event loop.
        page = await asyncio.to_thread(generate_latest, wanted)
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    return application


def health_application(*, alive: list[Check], ready: list[Check]) -> web.Application:
    """`/healthz` (restart me when it fails) and `/readyz` (count on me when it succeeds)."""

    def probe(checks: list[Check]) -> Callable[[web.Request], "asyncio.Future[web.Response]"]:
        async def answer(_: web.Request) -> web.Response:
            problems = [problem for check in checks if (problem := check()) is not None]
            return web.Response(status=503 if problems else 200, text="\n".join(problems or ["ok"]) + "\n")

        return answer  # type: ignore[return-value]  # aiohttp takes any coroutine function

    application = web.Application()
    application.router.add_get("/healthz", probe(alive))
    application.router.add_get("/readyz", probe(ready))
    return application


@contextlib.asynccontextmanager
async def serving(application: web.Application, address: str, what: str) -> AsyncIterator[int]:
    """Serve until the block ends; gives the port.

    Raises:
        InvalidAddress: `address` is not HOST:PORT.
        OSError: the address cannot be bound.
    """
    host, port = parse_address(address)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = int(runner.addresses[0][1])
        log.info("Serving %s", what, extra={"serving": what, "host": host, "port": bound})
        yield bound
    finally:
        await runner.cleanup()

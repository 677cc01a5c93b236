"""A tiny Azure Resource Manager that answers exactly what a test tells it to, over TLS, byte for byte.

For details of the wire that the emulator does not show on demand: styles of long-running operations, lost
answers, challenges, odd bodies. It knows no resources and shares no code with the operator. Bodies in the
tests are
literal: copied from recordings of Azure or from its documentation.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from loadmaster_ha.emulator.certificates import server_context

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

TOKEN = "header.payload.signature-of-a-token"


@dataclass(frozen=True)
class Answer:
    """What comes back. `{base}` in headers and body stands for the server's own URL.

    `lost`: the connection is cut instead of answering. `delay`: seconds before the answer.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    delay: float = 0.0
    raw: bytes | None = None


@dataclass(frozen=True)
class Received:
    """One request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class ScriptedArm:
    """Use as `async with ScriptedArm(directory) as arm`; `ca_file` is in the directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self.requests: list[Received] = []
        self.sign_ins: list[dict[str, str]] = []
        self.sign_in_answers: deque[Answer] = deque()
        self._script: defaultdict[tuple[str, str], deque[Answer]] = defaultdict(deque)
        self._resources = AsyncExitStack()
        self.url = ""

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answer requests of this method to this path (whatever its case) so, in order; the last for ever."""
        self._script[method, path.lower()].extend(answers)

    def count(self, method: str, path: str = "") -> int:
        """How many requests with this method and text in their path arrived."""
        return sum(r.method == method and path.lower() in r.path.lower() for r in self.requests)

    async def __aenter__(self) -> Self:
        context = server_context(self.directory, ["localhost", "127.0.0.1"])
        app = web.Application()
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._sign_in)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._resources.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"https://localhost:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.sign_ins.append(form)
        if self.sign_in_answers:
            answer = (
                self.sign_in_answers[0] if len(self.sign_in_answers) == 1 else self.sign_in_answers.popleft()
            )
            return await self._give(request, answer)
        return web.json_response({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        self.requests.append(
            Received(
                request.method,
                request.path,
                dict(request.query),
                {name.lower(): value for name, value in request.headers.items()},
                json.loads(data) if data else None,
            )
        )
        answers = self._script.get((request.method, request.path.lower()))
        if not answers:
            return await self._give(request, Answer(404, not_found(request.path)))
        return await self._give(request, answers[0] if len(answers) == 1 else answers.popleft())

    async def _give(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.lost:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        headers = {name: value.replace("{base}", self.url) for name, value in answer.headers.items()}
        if answer.raw is not None:
            return web.Response(status=answer.status, headers=headers, body=answer.raw)
        if answer.body is None:
            return web.Response(status=answer.status, headers=headers)
        text = json.dumps(answer.body).replace("{base}", self.url)
        return web.Response(status=answer.status, headers=headers, text=text, content_type="application/json")


def not_found(path: str) -> dict[str, Any]:
    """ARM's own 404, as in recordings."""
    kind, name = path.rsplit("/", 2)[-2:]
    message = (
        f"The Resource 'Microsoft.Network/{kind}/{name}' under resource group 'edge' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    )
    return {"error": {"code": "ResourceNotFound", "message": message}}

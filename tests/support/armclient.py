"""A plain client of ARM that keeps every exchange: no SDK between the test and the wire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tests.support.signed_in import signed_in
from tests.support.traffic import Exchange
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    import aiohttp

CLIENT = "00000000-0000-0000-0000-0000000000fe"


class ArmClient:
    """Signed in to the emulator; `async with ArmClient(endpoint, ca_file) as client`."""

    def __init__(self, endpoint: str, ca_file: Path) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession
        self.exchanges: list[Exchange] = []
        """Everything sent and answered so far."""

    async def __aenter__(self) -> Self:
        self._session = await signed_in(self._endpoint, self._ca_file, CLIENT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Exchange:
        """Send one request to the emulator, whatever host `url` names."""
        parts = urlsplit(url)
        target = f"{self._endpoint}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        # Polling addresses are opaque: not one character may be re-encoded.
        wanted = URL(target, encoded=" " not in target)
        async with self._session.request(method, wanted, json=body, headers=headers) as answer:
            text = await answer.text()
            exchange = Exchange(
                method=method,
                url=target,
                status=answer.status,
                request_body=body,
                request_headers=dict(headers or {}),
                response_body=json.loads(text) if text else None,
                response_headers={name.lower(): value for name, value in answer.headers.items()},
            )
        self.exchanges.append(exchange)
        return exchange

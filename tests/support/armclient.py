"""A plain client of ARM that keeps every exchange: no SDK between the test and the wire."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aiohttp
from tests.support.traffic import Exchange
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

TENANT = "99999999-8888-7777-6666-555555555555"


class ArmClient:
    """Signed in to the emulator; `async with ArmClient(endpoint, ca_file) as client`."""

    def __init__(self, endpoint: str, ca_file: Path) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._trust = ssl.create_default_context(cafile=str(ca_file))
        self._session: aiohttp.ClientSession
        self.exchanges: list[Exchange] = []
        """Everything sent and answered so far."""

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._trust)
        self._session = aiohttp.ClientSession(connector=connector)
        form = {
            "grant_type": "client_credentials",
            "client_id": "00000000-0000-0000-0000-0000000000fe",
            "client_secret": "any",
            "scope": f"{self._endpoint}/.default",
        }
        async with self._session.post(f"{self._endpoint}/{TENANT}/oauth2/v2.0/token", data=form) as answer:
            token = (await answer.json())["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"
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

"""A person at a unit's management API: version 2, one JSON request each (Kemp's "RESTful API", 2.1).

A unit takes 30 requests in 3 s from an address and then hangs up, so this client keeps below that; it takes
turns with the addresses of its place, as several people would.
"""

import asyncio
import itertools
import json
import socket
import ssl
import time
from collections import deque
from typing import Any, Final, Self

import aiohttp

from lab.places import Place

JSON = dict[str, Any]

CALLS: Final = 28
CALL_SECONDS: Final = 3.1

_PATIENCE_SECONDS = 30.0


class Refused(Exception):  # noqa: N818 - reads as what happened
    """The unit refused a command."""

    def __init__(self, command: str, status: int, text: str) -> None:
        super().__init__(f"{command}: {status}: {text}")
        self.status = status
        self.text = text


class Management:
    """Signed in to one unit: `async with Management(place, address, port, password) as api`.

    The unit's certificate is not checked: a laboratory is one machine, and nobody is in between.
    """

    def __init__(self, place: Place, address: str, port: int, password: str) -> None:
        self._place = place
        self._url = f"https://{address}:{port}/accessv2"
        self._credentials = {"apiuser": "bal", "apipass": password}
        self._sources = itertools.cycle(place.addresses)
        self._recent: deque[float] = deque(maxlen=CALLS * len(place.addresses))
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname = False
        trust.verify_mode = ssl.CERT_NONE
        connector = aiohttp.TCPConnector(ssl=trust, socket_factory=self._socket, force_close=True)
        patience = aiohttp.ClientTimeout(total=_PATIENCE_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, timeout=patience)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(self, command: str, **parameters: Any) -> JSON:
        """One command.

        Raises:
            Refused: the unit refused it.
            aiohttp.ClientError, TimeoutError: it does not answer.
        """
        await self._turn()
        body = {"cmd": command, **self._credentials, **parameters}
        async with self._session.post(self._url, json=body) as answer:
            text = await answer.text()
            found: JSON = json.loads(text) if text.startswith("{") else {"message": text}
            if answer.status != 200:
                raise Refused(command, answer.status, str(found.get("message", text)))
            return found

    def _socket(self, _: Any) -> socket.socket:
        return self._place.connection(next(self._sources))

    async def _turn(self) -> None:
        now = time.monotonic()
        if len(self._recent) == self._recent.maxlen and (wait := self._recent[0] + CALL_SECONDS - now) > 0:
            await asyncio.sleep(wait)
        self._recent.append(time.monotonic())

"""A plain HTTP session that Azure (the emulator) knows: what every client of the tests' own begins with."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from pathlib import Path

TENANT = "99999999-8888-7777-6666-555555555555"


async def signed_in(url: str, ca_file: Path, client: str, **connector: Any) -> aiohttp.ClientSession:
    """Open a session that trusts `ca_file` and carries a token for `client`; the caller closes it."""
    trust = ssl.create_default_context(cafile=str(ca_file))
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, **connector))
    form = {
        "grant_type": "client_credentials",
        "client_id": client,
        "client_secret": "any",
        "scope": f"{url}/.default",
    }
    try:
        async with session.post(f"{url}/{TENANT}/oauth2/v2.0/token", data=form) as answer:
            token = (await answer.json())["access_token"]
    except BaseException:
        await session.close()
        raise
    session.headers["Authorization"] = f"Bearer {token}"
    return session

"""Where the partner is, and a TLS connection to it."""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

from loadmaster_ha.agent.link.connection import Stream, prepare
from loadmaster_ha.agent.link.framing import Decoder

RESOLVED_SECONDS: Final = 30.0
"""How long the addresses of a partner that is given by name are used before they are asked for again."""

SHUTDOWN_SECONDS: Final = 1.0


class Resolver:
    """The addresses of a partner, which people give by address or, rarely, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._name = ""
        self._until = float("-inf")
        self._found: tuple[str, ...] = ()

    async def addresses(self, partner: str) -> tuple[str, ...]:
        """Its addresses in their shortest form, the best one first.

        Raises:
            OSError: there is no such name, or nobody to ask.
        """
        if (literal := plain(partner)) is not None:
            return (literal,)
        if partner != self._name or self._clock() >= self._until:
            loop = asyncio.get_running_loop()
            answers = await loop.getaddrinfo(partner, None, type=socket.SOCK_STREAM)
            self._found = tuple(dict.fromkeys(plain(str(answer[4][0])) or "" for answer in answers))
            self._name, self._until = partner, self._clock() + RESOLVED_SECONDS
        return self._found


def plain(address: str) -> str | None:
    """An address in its one form (`::ffff:10.0.0.1` is 10.0.0.1); None: it is none."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


async def dial(own: str, partner: str, port: int, context: ssl.SSLContext) -> Stream:
    """Connect from one address to the other; the caller bounds the time.

    Raises:
        OSError: it could not be done; TLS's refusals (`ssl.SSLError`) are among these.
    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in partner else socket.AF_INET
    dialled = socket.socket(family, socket.SOCK_STREAM)
    try:
        dialled.setblocking(False)
        prepare(dialled)
        if plain(own) is not None and not ipaddress.ip_address(own).is_unspecified:
            dialled.bind((own, 0))  # the partner takes connections from this address only
        await loop.sock_connect(dialled, (partner, port))
        reader, writer = await asyncio.open_connection(
            sock=dialled, ssl=context, server_hostname="", ssl_shutdown_timeout=SHUTDOWN_SECONDS
        )
    except BaseException:
        dialled.close()
        raise
    return Stream(reader, writer, Decoder())

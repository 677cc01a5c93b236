"""A TLS connection to the partner, and addresses in one form."""

import asyncio
import ipaddress
import socket
import ssl
from typing import Final

from loadmaster_ha.agent.link.connection import Stream, prepare
from loadmaster_ha.agent.link.framing import Decoder

SHUTDOWN_SECONDS: Final = 1.0


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
        if not ipaddress.ip_address(own).is_unspecified:
            dialled.bind((own, 0))  # the partner takes connections from this address only
        await loop.sock_connect(dialled, (partner, port))
        reader, writer = await asyncio.open_connection(
            sock=dialled, ssl=context, server_hostname="", ssl_shutdown_timeout=SHUTDOWN_SECONDS
        )
    except BaseException:
        dialled.close()
        raise
    return Stream(reader, writer, Decoder())

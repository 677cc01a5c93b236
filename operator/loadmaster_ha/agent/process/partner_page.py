"""Asking a health port: the partner's, or, through the balancer's frontend, the serving unit's (the witness).

HTTP/1.0 by hand over one connection: the answer is a status and a line, and the time for all of it is short.
Both are asked from the unit's own address, so that the partner can tell who asks.
"""

import asyncio
import contextlib

from loadmaster_ha.agent.ha.model import Page

_LONGEST: int = 4096


async def ask(address: str, port: int, *, source: str, limit: float) -> tuple[Page, str]:
    """What came of the question within `limit` seconds, and the text of the answer."""
    try:
        async with asyncio.timeout(limit):
            return await _ask(address, port, source)
    except TimeoutError:
        return Page.SILENT, ""
    except ConnectionRefusedError:
        return Page.REFUSED, ""
    except OSError:  # no route, reset: nothing that could be told from silence
        return Page.SILENT, ""


async def _ask(address: str, port: int, source: str) -> tuple[Page, str]:
    reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0), limit=_LONGEST)
    try:
        writer.write(f"GET / HTTP/1.0\r\nHost: {address}:{port}\r\n\r\n".encode("ascii"))
        answer = b""
        while len(answer) < _LONGEST and (part := await reader.read(_LONGEST)):
            answer += part
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return read(answer)


def read(answer: bytes) -> tuple[Page, str]:
    """Status and first line of the body. What is no HTTP is an answer too: somebody lives there."""
    head, _, body = answer.decode("latin-1").partition("\r\n\r\n")
    words = head.split(" ", 2)
    if not answer:
        return Page.SILENT, ""
    good = len(words) > 1 and words[0].startswith("HTTP/1.") and words[1] == "200"
    text = body.strip().splitlines()
    return (Page.OK if good else Page.UNAVAILABLE), (text[0][:200] if text else "")

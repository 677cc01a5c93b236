"""Clients that never retry: what they lose, a change has cost."""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Load:
    """What became of the requests so far."""

    outcomes: Counter = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)

    def lost(self, what: str, error: object) -> None:
        self.outcomes["lost"] += 1
        self.losses.append(f"{what}: {error!r}")


async def _answer(reader: asyncio.StreamReader) -> tuple[bool, int]:
    """Read one answer; whether the connection goes on, and the length of the body."""
    head = await reader.readuntil(b"\r\n\r\n")
    text = head.decode().lower()
    if " 200 " not in text.splitlines()[0]:
        raise ValueError(text.splitlines()[0])
    length = 0
    if "transfer-encoding: chunked" in text:
        while size := int(await reader.readline(), 16):
            length += len(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        length = int(text.partition("content-length: ")[2].split("\r\n")[0])
        await reader.readexactly(length)
    return "connection: close" not in text, length


async def _keep_alive(load: Load, address: str, port: int, tls: ssl.SSLContext | None, stop: asyncio.Event):
    while not stop.is_set():
        reader, writer = await asyncio.open_connection(address, port, ssl=tls)
        goes_on = True
        while goes_on and not stop.is_set():
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            goes_on, _ = await _answer(reader)
            load.outcomes["kept"] += 1
            await asyncio.sleep(0.005)
        writer.close()


async def _one_each(load: Load, address: str, port: int, tls: ssl.SSLContext | None, stop: asyncio.Event):
    while not stop.is_set():
        reader, writer = await asyncio.open_connection(address, port, ssl=tls)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await _answer(reader)
        load.outcomes["single"] += 1
        writer.close()
        await asyncio.sleep(0.005)


async def _download(load: Load, address: str, port: int, tls: ssl.SSLContext | None, chunks: int):
    reader, writer = await asyncio.open_connection(address, port, ssl=tls)
    writer.write(
        f"GET /long?chunks={chunks}&pause=0.02 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    _, length = await _answer(reader)
    writer.close()
    if length != chunks * 1000:
        raise ValueError(f"{length} bytes of {chunks * 1000}")
    load.outcomes["download"] += 1


@contextlib.asynccontextmanager
async def under_load(
    address: str, port: int, *, tls: ssl.SSLContext | None = None, clients: int = 4, chunks: int = 250
) -> AsyncIterator[Load]:
    """Keep-alive clients, clients with a connection for each request, and two long downloads."""
    load = Load()
    stop = asyncio.Event()

    async def guarded(name, work):
        try:
            async with asyncio.timeout(120):
                await work
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            load.lost(name, error)

    tasks = [
        asyncio.create_task(guarded(each.__name__, each(load, address, port, tls, stop)))
        for each in (_keep_alive, _one_each)
        for _ in range(clients)
    ]
    tasks += [
        asyncio.create_task(guarded("download", _download(load, address, port, tls, chunks)))
        for _ in range(2)
    ]
    try:
        yield load
    finally:
        stop.set()
        await asyncio.gather(*tasks)

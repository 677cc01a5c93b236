"""The network tools of the management API: ping, traceroute and packet capture (guide, 10.5 and 10.6).

They are the machine's own programs, started without a shell. What a caller says reaches them only after it
was read: an address or host name that cannot begin with a hyphen, an interface that exists, numbers. A
capture's filter is put together here from those; options of `tcpdump` are never taken from a caller.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

MOST_PACKETS: Final = 200_000
LONGEST_CAPTURE: Final = 600
"""Seconds."""

LARGEST_CAPTURE: Final = 16 * 1024 * 1024
"""Bytes; a capture ends when it reaches them, because the reply is held in memory."""

ANY_INTERFACE: Final = "any"
"""Captures on all interfaces; not one of `interface`."""

DEFAULT_PACKETS: Final = 10_000
DEFAULT_TIME: Final = 10

_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "LC_ALL": "C"}
_PACKAGES: Final = {"ping": "iputils-ping", "traceroute": "traceroute", "tcpdump": "tcpdump"}
_TOOL_SECONDS = 45.0
_GRACE_SECONDS = 3.0
_LONGEST_TEXT = 64 * 1024
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\.?")
_GLOBAL_HEADER, _RECORD_HEADER = 24, 16


class ToolRefused(Exception):  # noqa: N818 - reads as what happened
    """It was not done; the message names the parameter, or what is missing on the machine."""


@dataclass(frozen=True, slots=True)
class Capture:
    """What to capture. None: no limit of that sort on what is captured."""

    interface: str
    packets: int = DEFAULT_PACKETS
    seconds: int = DEFAULT_TIME
    address: IPv4Address | IPv6Address | None = None
    port: int | None = None


def host(text: str) -> str:
    """An address or a host name as one argument of a program.

    Raises:
        ToolRefused: it is neither.
    """
    with contextlib.suppress(ValueError):
        return str(ip_address(text))
    if _HOST.fullmatch(text):
        return text
    raise ToolRefused(f"addr: {text[:60]!r} is neither an address nor a host name")


def interface(text: str, numbered: Sequence[str], *, name: str) -> str:
    """An interface by its name, or by its number as the management API counts them (0 is the main one).

    Raises:
        ToolRefused: this machine has no such interface.
    """
    existing = [each for _, each in socket.if_nameindex()]
    if text.isascii() and text.isdecimal() and int(text) < len(numbered):
        text = numbered[int(text)]
    if text in existing:
        return text
    raise ToolRefused(f"{name}: this unit has no interface {text[:15]!r}; it has {', '.join(existing)}")


async def ping(target: str, *, version: int | None = None, source: str | None = None) -> str:
    """Send four echo requests; what `ping` prints, answers or none.

    Args:
        target: from `host`.
        version: 4 or 6; None: as the target is.
        source: an interface, from `interface`.

    Raises:
        ToolRefused: the program is missing.
    """
    options = ["-n", "-c", "4", "-i", "0.5", "-W", "2", "-w", "10"]
    if version is not None:
        options.append(f"-{version}")
    if source is not None:
        options += ["-I", source]
    return await _output("ping", *options, "--", target)


async def traceroute(target: str) -> str:
    """What `traceroute` prints: at most 20 hops, one probe of a second for each.

    Raises:
        ToolRefused: the program is missing.
    """
    return await _output("traceroute", "-n", "-q", "1", "-w", "1", "-m", "20", "--", target)


async def capture(wanted: Capture) -> bytes:
    """Capture until there are enough packets, the time is over, or the file is as large as it may be.

    Returns:
        A file in pcap format that ends with a whole packet.

    Raises:
        ToolRefused: the program is missing, or may not capture here.
    """
    options = ["-i", wanted.interface, "-n", "-p", "-U", "-w", "-", "-c", str(wanted.packets)]
    async with _started("tcpdump", *options, "--", *_filter(wanted)) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        assert process.stderr is not None  # noqa: S101
        complaints = asyncio.create_task(process.stderr.read(_LONGEST_TEXT))
        captured = bytearray()
        reading = asyncio.create_task(_collect(process.stdout, captured))
        await asyncio.wait((reading,), timeout=wanted.seconds)
        if not reading.done():
            _signal(process, signal.SIGINT)
            await asyncio.wait((reading,), timeout=_GRACE_SECONDS)
        reading.cancel()
        _signal(process, signal.SIGKILL)
        said = (await complaints).decode("utf-8", "replace").strip()
    if len(captured) < _GLOBAL_HEADER:
        last = said.splitlines()[-1] if said else "it said nothing"
        raise ToolRefused(f"this unit cannot capture packets: {last}")
    return whole_packets(captured)


def whole_packets(captured: bytes | bytearray) -> bytes:
    """A pcap file without a last packet that is only there in part (libpcap's file format, version 2.4)."""
    order = "little" if captured[:1] in (b"\xd4", b"\x4d") else "big"
    end = _GLOBAL_HEADER
    while end + _RECORD_HEADER <= len(captured):
        length = int.from_bytes(captured[end + 8 : end + 12], order)  # type: ignore[arg-type]
        if end + _RECORD_HEADER + length > len(captured):
            break
        end += _RECORD_HEADER + length
    return bytes(captured[:end])


def _filter(wanted: Capture) -> list[str]:
    terms = []
    if wanted.address is not None:
        terms.append(["host", str(wanted.address)])
    if wanted.port is not None:
        terms.append(["port", str(wanted.port)])
    return [word for number, term in enumerate(terms) for word in (["and", *term] if number else term)]


async def _collect(stream: asyncio.StreamReader, into: bytearray) -> None:
    while len(into) < LARGEST_CAPTURE and (data := await stream.read(_LONGEST_TEXT)):
        into += data


async def _output(program: str, *arguments: str) -> str:
    """Standard output and errors of a program that ends by itself; it is ended when it does not."""
    async with _started(program, *arguments, together=True) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        text = bytearray()
        try:
            async with asyncio.timeout(_TOOL_SECONDS):
                while len(text) < _LONGEST_TEXT and (data := await process.stdout.read(4096)):
                    text += data
        except TimeoutError:
            text += f"\n{program} was ended after {_TOOL_SECONDS:.0f} s".encode()
    return text.decode("utf-8", "replace").strip()


@contextlib.asynccontextmanager
async def _started(
    program: str, *arguments: str, together: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program of the machine; killed when the block is left, also by cancellation."""
    path = shutil.which(program, path=_PATH)
    if path is None:
        raise ToolRefused(f"this unit has no program {program}; install the package {_PACKAGES[program]}")
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT if together else pipe,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolRefused(f"{program} cannot be started: {error.strerror}") from error
    try:
        yield process
    finally:
        _signal(process, signal.SIGKILL)
        await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            os.killpg(process.pid, number)

"""Messages to bytes and back: frames of at most 16 KiB, so that no long message holds up a short one.

A frame is a length (4 bytes, big endian, of what follows it), a type (1 byte) and a payload. A message is a
JSON object `{"kind": ..., "body": {...}}`. A short one is one `WHOLE` frame. A long one goes as `PART` frames
and a `LAST` one; `WHOLE` frames may come in between, and only one message at a time is in parts. `IDLE` has
no payload and says only that the sender is there. Types that a later version adds are skipped and counted.

No I/O: `Decoder` takes bytes as they come. `connection` reads and writes them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Never

FRAGMENT: Final = 16 * 1024
"""The longest payload of a frame, in bytes."""

LONGEST_MESSAGE: Final = 1024 * 1024
"""The longest message, in bytes of its JSON form."""

LONGEST_GREETING: Final = 4096
"""The longest frame that is read from somebody who has not proved anything yet, in bytes."""

_HEADER = 5
_LENGTH = 4


class FrameType(IntEnum):
    """What a frame holds."""

    IDLE = 0
    WHOLE = 1
    PART = 2
    LAST = 3


class FramingError(Exception):
    """The bytes are not the protocol's; the connection is of no more use."""


class MessageTooLong(ValueError):  # noqa: N818 - reads as what is the case
    """A message of ours is longer than the protocol allows: it has to be divided by who made it."""


@dataclass(frozen=True, slots=True)
class Message:
    """What travels: `kind` says who it is for."""

    kind: str
    body: dict[str, Any]
    encoded: bytes = field(default=b"", repr=False, compare=False)
    """The bytes it was read from: the handshake authenticates those."""


def encode(kind: str, body: Mapping[str, Any]) -> bytes:
    """A message in JSON form.

    Raises:
        MessageTooLong: it is longer than LONGEST_MESSAGE.
        TypeError: something in it has no JSON form.
    """
    text = json.dumps({"kind": kind, "body": body}, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > LONGEST_MESSAGE:
        raise MessageTooLong(
            f"a message of kind {kind} has {len(text)} bytes; {LONGEST_MESSAGE} is the limit"
        )
    return text


def frame(frame_type: FrameType, payload: bytes = b"") -> bytes:
    """One frame."""
    return (1 + len(payload)).to_bytes(_LENGTH) + bytes((frame_type,)) + payload


def fragments(encoded: bytes) -> Iterator[bytes]:
    """The frames of an encoded message; one `WHOLE` frame if it is short."""
    if len(encoded) <= FRAGMENT:
        yield frame(FrameType.WHOLE, encoded)
        return
    for start in range(0, len(encoded), FRAGMENT):
        last = start + FRAGMENT >= len(encoded)
        yield frame(FrameType.LAST if last else FrameType.PART, encoded[start : start + FRAGMENT])


class Decoder:
    """Takes bytes in any portions (`add`) and gives messages one by one (`next_message`).

    It begins wary: frames of at most LONGEST_GREETING bytes and no message in parts, until `trust` says who
    is there. Whatever it is fed, it holds no more than one message, and what was added since the last look.
    """

    def __init__(self) -> None:
        self._longest_payload = LONGEST_GREETING
        self._trusted = False
        self._buffer = bytearray()
        self._parts = bytearray()
        self._broken = ""
        self.unknown_types = 0
        """Frames skipped because their type is unknown."""

    def trust(self) -> None:
        """From the next frame on, allow what the protocol allows between partners."""
        self._trusted = True
        self._longest_payload = FRAGMENT

    def add(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._buffer += data

    def next_message(self) -> Message | None:
        """The next message, None while it is not complete.

        Raises:
            FramingError: these bytes, or some before them, are not the protocol's; nothing more will come.
        """
        if self._broken:
            raise FramingError(self._broken)
        while (found := self._next()) is not None:
            message = self._taken(*found)
            if message is not None:
                return message
        return None

    def _next(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < _LENGTH:
            return None
        length = int.from_bytes(self._buffer[:_LENGTH])
        if not 1 <= length <= 1 + self._longest_payload:
            self._fail(f"a frame of {length} bytes; 1 to {1 + self._longest_payload} are allowed here")
        if len(self._buffer) < _LENGTH + length:
            return None
        frame_type = self._buffer[_LENGTH]
        payload = bytes(self._buffer[_HEADER : _LENGTH + length])
        del self._buffer[: _LENGTH + length]
        return frame_type, payload

    def _taken(self, frame_type: int, payload: bytes) -> Message | None:
        if frame_type == FrameType.WHOLE:
            return self._parsed(payload)
        if frame_type in (FrameType.PART, FrameType.LAST):
            return self._part(payload, last=frame_type == FrameType.LAST)
        if frame_type != FrameType.IDLE:
            self.unknown_types += 1
        return None

    def _part(self, payload: bytes, *, last: bool) -> Message | None:
        if not self._trusted:
            self._fail("a message in parts before the handshake was over")
        if len(self._parts) + len(payload) > LONGEST_MESSAGE:
            self._fail(f"a message of more than {LONGEST_MESSAGE} bytes")
        self._parts += payload
        if not last:
            return None
        whole, self._parts = bytes(self._parts), bytearray()
        return self._parsed(whole)

    def _parsed(self, payload: bytes) -> Message:
        try:
            value = json.loads(payload, parse_constant=_refuse)
        except (ValueError, RecursionError):
            self._fail("a message that is not JSON")
        if not isinstance(value, dict):
            self._fail("a message that is not an object")
        kind, body = value.get("kind"), value.get("body")
        if not isinstance(kind, str) or not isinstance(body, dict):
            self._fail("a message without a kind and a body")
        return Message(kind, body, payload)

    def _fail(self, what: str) -> Never:
        self._broken = what
        self._buffer.clear()
        self._parts.clear()
        raise FramingError(what)


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")

"""What waits to be sent over one connection: heartbeats before everything else, all of it bounded.

Pure. The connection's writer takes one frame at a time and waits until the transport has room for it, so a
heartbeat waits behind at most what is already handed over: one frame here (16 KiB), the transport's buffers
(2 x 32 KiB at most) and the kernel's not-sent limit (32 KiB), 112 KiB together: 10 ms at 100 Mbit/s.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from loadmaster_ha.agent.link.framing import FRAGMENT, FrameType, MessageTooLong, encode, fragments, frame

URGENT_KINDS: Final = frozenset({"report", "bye"})
"""Short messages that overtake others."""

URGENT_LIMIT: Final = 8
"""Urgent messages that may wait; then the oldest goes: a newer report says all that it did."""

BULK_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of other messages that may wait; then new ones are refused."""


class Outbox:
    """The two queues of one connection."""

    def __init__(self) -> None:
        self._urgent: deque[bytes] = deque()
        self._bulk: deque[bytes] = deque()
        self._waiting = 0
        self._fragments: Iterator[bytes] = iter(())
        self.dropped = 0
        """Messages given up because the other side reads too slowly."""

    def put(self, kind: str, body: Mapping[str, Any]) -> bool:
        """Add a message; whether there was room for it.

        Raises:
            MessageTooLong: the protocol does not allow it, whoever reads.
            TypeError: something in it has no JSON form.
        """
        encoded = encode(kind, body)
        if kind in URGENT_KINDS:
            self._put_urgent(kind, encoded)
            return True
        if self._waiting + len(encoded) > BULK_LIMIT:
            self.dropped += 1
            return False
        self._bulk.append(encoded)
        self._waiting += len(encoded)
        return True

    def _put_urgent(self, kind: str, encoded: bytes) -> None:
        if len(encoded) > FRAGMENT:
            raise MessageTooLong(
                f"a message of kind {kind} has {len(encoded)} bytes; {FRAGMENT} is the limit"
            )
        if len(self._urgent) == URGENT_LIMIT:
            self._urgent.popleft()
            self.dropped += 1
        self._urgent.append(frame(FrameType.WHOLE, encoded))

    @property
    def has_urgent(self) -> bool:
        """Whether an urgent message waits."""
        return bool(self._urgent)

    def next_frame(self) -> bytes | None:
        """The frame to send next; None when nothing waits."""
        if self._urgent:
            return self._urgent.popleft()
        if (fragment := next(self._fragments, None)) is not None:
            return fragment
        if not self._bulk:
            return None
        encoded = self._bulk.popleft()
        self._waiting -= len(encoded)
        self._fragments = fragments(encoded)
        return next(self._fragments)

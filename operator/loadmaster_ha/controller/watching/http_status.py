"""Reading the status of an HTTP/1 answer: as much as a health check needs, of whatever is sent.

Sans-IO; `health_port` feeds it. A library's client takes half as long again or twice as long for each poll
(docs/watching.md has the figures), and is strict where a probe must not be: for Azure's, the status alone
counts.
"""

import re
from typing import Final

HEAD_LIMIT: Final = 16 * 1024
"""Bytes of status line and header fields that are read before the answer counts as no HTTP."""

TEXT_LIMIT: Final = 120
"""Characters of the body's first line that are kept."""

BODY_LIMIT: Final = 64 * 1024
"""Bytes of a body that are read to keep the connection; of a longer one the connection is given up."""

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\Z")
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_NO_BODY: Final = frozenset({204, 304})


class NotHTTP(Exception):  # noqa: N818 - reads as what it is
    """What came is no HTTP answer."""


class StatusReader:
    """One answer, as it comes in.

    `code` is there from the end of the head on, `text` grows with the body's first line. `done` says that
    the answer is complete, `reusable` that the connection can then be asked again.
    """

    __slots__ = (
        "_body",
        "_chunk",
        "_chunked",
        "_head",
        "_left",
        "_to_end",
        "_trailers",
        "code",
        "done",
        "reusable",
    )

    def __init__(self) -> None:
        self.code: int | None = None
        self.done = False
        self.reusable = False
        self._head: bytearray | None = bytearray()
        self._body = bytearray()
        self._left = 0
        """Bytes of the body, or of the present chunk, that are still to come."""
        self._to_end = False
        """The body ends with the connection."""
        self._chunked = False
        self._chunk = bytearray()
        """An unfinished line between chunks."""
        self._trailers = False

    @property
    def text(self) -> str:
        """The first line of the body so far, bounded, printable."""
        line = bytes(self._body).lstrip().split(b"\n", 1)[0].decode("latin-1").strip()
        return "".join(each if each.isprintable() else "?" for each in line[:TEXT_LIMIT])

    def feed(self, data: bytes) -> None:
        """Take bytes in.

        Raises:
            NotHTTP: this is no HTTP answer (any more).
        """
        while self._head is not None and data:
            data = self._feed_head(data)
        if not data or self.done:
            self.reusable = self.reusable and not data
            return
        if self._chunked:
            self._feed_chunks(data)
        else:
            self._feed_body(data)

    def end(self) -> None:
        """The other side has closed.

        Raises:
            NotHTTP: before the head of an answer was complete, but after something had come.
        """
        if self.code is None:
            if self._head:
                raise NotHTTP("the answer ended within its head")
            return
        self.done, self.reusable = True, False

    def _feed_head(self, data: bytes) -> bytes:
        """Read up to the end of the head; what comes after it."""
        head = self._head
        assert head is not None  # noqa: S101 - the caller's loop
        head += data
        if not b"HTTP/1."[: len(head)] == head[:7]:
            raise NotHTTP("the answer does not begin with HTTP/1")
        found = _END_OF_HEAD.search(head)
        if found is None or found.end() > HEAD_LIMIT:
            if len(head) > HEAD_LIMIT:
                raise NotHTTP(f"the head of the answer is longer than {HEAD_LIMIT} bytes")
            return b""
        rest = bytes(head[found.end() :])
        status, *fields = re.split(rb"\r?\n", bytes(head[: found.start()]))
        self._head = None
        self._begin(status, fields)
        return rest

    def _begin(self, status: bytes, fields: list[bytes]) -> None:
        matched = _STATUS.match(status.rstrip())
        if matched is None:
            raise NotHTTP("the status line cannot be read")
        code = int(matched.group(2))
        if code < 200:  # an interim answer: the real one follows
            self._head = bytearray()
            return
        self.code = code
        named = _fields(fields)
        persistent = b"keep-alive" if matched.group(1) == b"0" else b""
        connection = named.get(b"connection", b"").lower()
        self.reusable = persistent in connection and b"close" not in connection
        self._chunked = b"chunked" in named.get(b"transfer-encoding", b"").lower()
        length = named.get(b"content-length", b"").split(b",")[0].strip()
        if code in _NO_BODY:
            self._chunked, self.done = False, True
        elif self._chunked:
            pass
        elif length.isdigit() and len(length) < 16:
            self._left = int(length)
            self.done = self._left == 0
        else:
            self._to_end, self.reusable = True, False

    def _feed_body(self, data: bytes) -> None:
        self._keep(data)
        if self._to_end:
            self.done = len(self._body) >= TEXT_LIMIT or b"\n" in self._body
            return
        self._left -= len(data)
        if self._left <= 0:
            self.done = True
            self.reusable = self.reusable and self._left == 0
        elif self._left > BODY_LIMIT:
            self.done, self.reusable = True, False

    def _feed_chunks(self, data: bytes) -> None:
        while data and not self.done:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._keep(piece)
                self._left -= len(piece)
                continue
            line, newline, data = data.partition(b"\n")
            self._chunk += line
            if len(self._chunk) > HEAD_LIMIT:
                self.done, self.reusable = True, False
                return
            if newline:
                self._chunk_line(bytes(self._chunk).strip())
                self._chunk.clear()
        self.reusable = self.reusable and not data

    def _chunk_line(self, line: bytes) -> None:
        if not line:  # the end of a chunk's data, or of the trailers
            self.done = self._trailers
            return
        if self._trailers:
            return
        size = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size) or int(size, 16) > BODY_LIMIT:
            self.done, self.reusable = True, False  # the status is known, the rest is not worth reading
            return
        self._left = int(size, 16)
        self._trailers = self._left == 0

    def _keep(self, data: bytes) -> None:
        room = 2 * TEXT_LIMIT - len(self._body)
        if room > 0:
            self._body += data[:room]


def _fields(lines: list[bytes]) -> dict[bytes, bytes]:
    """Header fields by name in lower case; of a repeated one the first."""
    found: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        found.setdefault(name.strip().lower(), value.strip())
    return found

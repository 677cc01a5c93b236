"""One HTTP answer as it comes in over a line of `waiting_lines`, within limits.

aiohttp's own parser reads it; it is there only for as long as something arrives.
"""

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParser, RawResponseMessage

from loadmaster_ha.loadmaster.http_messages import HttpReply

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

LONGEST_HEADER: Final = 16 * 1024
"""Bytes of one line of the head of an answer."""


class AnswerTooLarge(Exception):  # noqa: N818 - reads as what is the case
    """There is more of the answer than may be."""


class AnswerCompressed(Exception):  # noqa: N818 - reads as what is the case
    """The answer is compressed, which was not asked for; the argument is how."""


class ArrivingAnswer:
    """One answer, as it comes in."""

    __slots__ = ("_limit", "_message", "_parser", "_payload", "content")

    def __init__(self, limit: int) -> None:
        loop = asyncio.get_running_loop()
        self._limit = limit
        self._parser = HttpResponseParser(
            BaseProtocol(loop),
            loop,
            limit,  # nothing pauses below it: what comes is taken out at once
            payload_exception=aiohttp.ClientPayloadError,
            response_with_body=True,
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        )
        self._message: RawResponseMessage | None = None
        self._payload: StreamReader | None = None
        self.content = bytearray()

    def feed(self, data: bytes) -> HttpReply | None:
        """Take bytes in; the reply once it is complete.

        Raises:
            AnswerTooLarge, AnswerCompressed: see there.
            HttpProcessingError: this is no HTTP.
        """
        messages, _, tail = self._parser.feed_data(data)
        for message, payload in messages:
            if message.code < 200 and message.code != 101:  # an interim answer: the real one follows
                continue
            if self._message is not None or message.code < 200:
                raise HttpProcessingError(message="more than one answer")
            self._message, self._payload = message, payload
            self._check(message)
        if tail:
            raise HttpProcessingError(message="more than the answer")
        return self._so_far()

    def end(self) -> HttpReply | None:
        """The connection has ended; the reply if that was its end."""
        if self._message is not None:
            self._parser.feed_eof()
        return self._so_far()

    @property
    def keeps(self) -> bool:
        """Whether the connection can be used again."""
        return self._message is not None and not self._message.should_close

    def _check(self, message: RawResponseMessage) -> None:
        encoding = message.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise AnswerCompressed(encoding[:20])
        length = message.headers.get("Content-Length", "0")
        if length.isdigit() and int(length) > self._limit:
            raise AnswerTooLarge

    def _so_far(self) -> HttpReply | None:
        message, payload = self._message, self._payload
        if message is None or payload is None:
            return None
        if (problem := payload.exception()) is not None:
            raise problem
        self.content += payload.read_nowait()
        if len(self.content) > self._limit:
            raise AnswerTooLarge
        if not payload.is_eof():
            return None
        kind = message.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return HttpReply(message.code, kind, bytes(self.content))

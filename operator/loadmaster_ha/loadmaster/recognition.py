"""What is wrong, from what a unit answered: its status, content type and words. Pure.

Appliances say the same in several ways, by version of the API and by firmware, and some of it is documented
nowhere: each such guess is one pattern here. The reasons themselves are `faults`.
"""

import html
import re
from typing import Final

from loadmaster_ha.loadmaster.answers import Answer
from loadmaster_ha.loadmaster.faults import FaultReason
from loadmaster_ha.loadmaster.http_messages import HttpReply
from loadmaster_ha.loadmaster.shapes import Command

_LONGEST_TEXT: Final = 300
_LOOKED_AT: Final = 64 * 1024
"""Bytes of a page that is not of the API."""

_WORDS: Final = (
    # The gateway is innocent (guide, 10.3).
    (FaultReason.LICENSING_FAILED, re.compile(r"(?i)connection to default gateway failed")),
    # Not documented: the words of an appliance whose licence agreement waits.
    (FaultReason.EULA_NOT_ACCEPTED, re.compile(r"(?i)\beula\b|end[- ]user licen[cs]e agreement")),
    # Not documented: the words of an appliance without a licence. "needs no licence" is none of them.
    (
        FaultReason.UNLICENSED,
        re.compile(
            r"(?i)\bunlicen[cs]ed\b|\bnot (yet )?(been )?licen[cs]ed\b|\bno valid licen[cs]e\b"
            r"|\blicen[cs]e (has |is |was )?(expired|missing|invalid|required)\b"
        ),
    ),
    # Not documented: how an appliance on standby refuses. The node agent says "unit is standby".
    (FaultReason.STANDBY_REFUSES, re.compile(r"(?i)\b(is|in|on|a) (the )?stand-?by\b")),
    # 405 in v1, 422 with some firmware.
    (FaultReason.UNKNOWN_COMMAND, re.compile(r"(?i)\bunknown command\b")),
    # Not documented: what a starting appliance says.
    (FaultReason.BOOTING, re.compile(r"(?i)\b(is )?(still )?(booting|starting up)\b")),
)
_BY_STATUS: Final = {
    401: FaultReason.UNAUTHORIZED,
    403: FaultReason.FORBIDDEN,
    404: FaultReason.API_DISABLED,
    405: FaultReason.UNKNOWN_COMMAND,
    429: FaultReason.RATE_LIMITED,
}
_CERTAIN: Final = frozenset({401, 403, 404, 405, 429})
_SPOKEN_OF: Final = {
    401: "refuses the credentials",
    404: "does not have the API: it is disabled",
}
_LOGIN_FORM: Final = re.compile(r"""(?i)type\s*=\s*["']?password""")
_TAGS: Final = re.compile(r"(?s)<(script|style).*?</\1>|<[^>]*>", re.IGNORECASE)


def of_refusal(answer: Answer) -> FaultReason:
    """The reason of an answer of the API that is not ok."""
    text = answer.text or ""
    if answer.code in {401, 403}:
        return _BY_STATUS[answer.code]
    found = _by_words(text)
    if found is not None:
        return found
    if answer.code in _BY_STATUS:
        return _BY_STATUS[answer.code]
    return FaultReason.UNAVAILABLE if answer.code >= 500 else FaultReason.INVALID_REQUEST


def of_other_page(reply: HttpReply) -> FaultReason | None:
    """The reason when the answer is not of the API; None: its status and type say nothing against it."""
    if reply.status in _CERTAIN:
        return _BY_STATUS[reply.status]
    if 300 <= reply.status < 400:
        # To the login page: the web user interface answers, the API does not.
        return FaultReason.API_DISABLED
    if "html" in reply.content_type or (not reply.content_type and _looks_like_html(reply.content)):
        return _of_html(reply)
    if reply.status == 503:
        return FaultReason.BOOTING
    return FaultReason.UNAVAILABLE if reply.status >= 500 else None


def _of_html(reply: HttpReply) -> FaultReason:
    page = reply.content[:_LOOKED_AT].decode("iso-8859-1")
    if not _LOGIN_FORM.search(page):
        found = _by_words(words_of(reply))
        if found is not None:
            return found
    if reply.status == 503:
        return FaultReason.BOOTING
    return FaultReason.UNAVAILABLE if reply.status >= 500 else FaultReason.API_DISABLED


def _looks_like_html(content: bytes) -> bool:
    return content[:256].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _by_words(text: str) -> FaultReason | None:
    return next((reason for reason, pattern in _WORDS if pattern.search(text)), None)


def words_of(reply: HttpReply) -> str:
    """The text of a page, for recognition and (redacted and shortened) for people."""
    page = reply.content[:_LOOKED_AT].decode("iso-8859-1")
    return html.unescape(_TAGS.sub(" ", page))


def shortened(text: str) -> str:
    """One line of bounded length."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[: _LONGEST_TEXT - 3]}..."


def sentence(reason: FaultReason, status: int, text: str, where: str, command: Command) -> str:
    """What a unit answered, for people; `text` is its own words, redacted."""
    said = f': "{text.rstrip(".")}"' if text else ""
    if reason is FaultReason.FORBIDDEN:
        needed = " or ".join(sorted(command.permissions))
        needs = f" It needs the permission {needed}." if needed else ""
        return f"{where} does not permit {command.name} to this user ({status}){said}.{needs}"
    did = _SPOKEN_OF.get(status, f"refused {command.name}")
    return f"{where} {did} ({status}){said}."

"""What supervisor and node tell each other over their socket pair: JSON objects, one a line, `{"kind": ...}`.

Standard library only, without dataclasses: the supervisor has to stay small. Both ends are started from the
same installation, so the words carry no version; a line that is none of these is a bug, and ends the node.

The node tells:
    say         four times a second and at once on change: what the health port answers, to whom, where, and
    for
                how long that holds. `at` is CLOCK_MONOTONIC, which both processes share: a line that has lain
                in the socket does not prolong anything.
    haproxy     the command line that HAProxy has to run with; started when it does not run.
    keep        anything to be given back to a node that is started again within the same boot.
    stopped     the clean stop is over on the node's side.
    reboot      the same, and everything is to be started again in the fashion of a boot.

The supervisor tells:
    hello       once, first: boot time, what the former node of this boot kept, the state of HAProxy.
    probes      totals of answers since its start, by source, port and code; and when the balancer last asked.
    haproxy     whether it runs, its process id, how it ended.
    listening   where the health port listens, and what could not be bound.
    terminate   stop cleanly.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False  # typing would be a part of what this small process holds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

LONGEST: Final = 256 * 1024
"""Bytes of a line."""

SAY: Final = "say"
HAPROXY: Final = "haproxy"
KEEP: Final = "keep"
STOPPED: Final = "stopped"
REBOOT: Final = "reboot"
HELLO: Final = "hello"
PROBES: Final = "probes"
LISTENING: Final = "listening"
TERMINATE: Final = "terminate"

if TYPE_CHECKING:
    Message = dict[str, Any]
else:
    Message = dict


class Malformed(Exception):  # noqa: N818 - reads as what is the case
    """The other end sent what is no message."""


def encode(kind: str, **fields: Any) -> bytes:
    """One line."""
    return json.dumps({"kind": kind, **fields}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message of a line.

    Raises:
        Malformed: it is none.
    """
    try:
        message = json.loads(line)
    except ValueError as problem:
        raise Malformed(f"not JSON: {line[:80]!r}") from problem
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise Malformed(f"not a message: {line[:80]!r}")
    return message


class Lines:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> Iterator[Message]:
        """The messages that are complete with these bytes.

        Raises:
            Malformed: a line is none, or too long.
        """
        *lines, self._rest = (self._rest + received).split(b"\n")
        if len(self._rest) > LONGEST:
            raise Malformed(f"a line of more than {LONGEST} bytes")
        for line in lines:
            yield decode(line)

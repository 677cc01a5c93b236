"""One probe on the wire: a TCP connection, or a plain or TLS request for a status line.

Azure does not check the certificate of an HTTPS probe. The body of an answer is of no interest; it is read
away for a moment so that the member is not reset while it still writes.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from functools import cache
from typing import TYPE_CHECKING, Final

from loadmaster_ha.emulator.dataplane.probe_state import Answer
from loadmaster_ha.emulator.dataplane.reactor import FAILED, READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadmaster_ha.emulator.dataplane.configuration import Probe
    from loadmaster_ha.emulator.dataplane.reactor import Reactor

_STATUS: Final = re.compile(rb"HTTP/1\.[0-9] ([1-5][0-9][0-9])[ \r\n]")
_LONGEST_STATUS_LINE: Final = 4096
_READ_AWAY_SECONDS: Final = 1.0
_SILENT_ERRORS: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN)


class ProbeConnection:
    """A probe under way. Tells its end once, unless it is abandoned or nobody answers.

    Args:
        reactor: Runs it.
        probe: What to ask for.
        address: The member's, for the `Host` header.
        connect: Begins the connection to the member.
        ended: Told how the probe ended, and what was answered, in words.
    """

    def __init__(
        self,
        reactor: Reactor,
        probe: Probe,
        address: str,
        connect: Callable[[], socket.socket],
        ended: Callable[[Answer, str], None],
    ) -> None:
        self._reactor = reactor
        self._probe = probe
        self._ended: Callable[[Answer, str], None] | None = ended
        self._received = b""
        self._socket: socket.socket | None = None
        self._request = _request(address, probe)
        self._handshaken = probe.protocol != "https"
        try:
            self._socket = connect()
        except OSError as error:
            failure = error
            reactor.call_later(0, lambda: self._failed(failure))
            return
        self._descriptor = self._socket.fileno()
        reactor.register(self._descriptor, WRITE, self._connected, urgent=True)

    def abandon(self) -> None:
        """Close it; nothing is told any more."""
        self._ended = None
        self._close()

    def _connected(self, events: int) -> None:
        del events
        made = self._socket
        if made is None:
            return
        code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._failed(OSError(code, os.strerror(code)))
            return
        if self._probe.protocol == "tcp":
            self._tell(Answer.GOOD, "connected")
            self._close()
            return
        if self._probe.protocol == "https":
            made = self._socket = _any_certificate().wrap_socket(made, do_handshake_on_connect=False)
        self._reactor.replace(self._descriptor, self._ready)
        self._ready(WRITE)

    def _ready(self, events: int) -> None:
        try:
            self._advance(events)
        except ssl.SSLWantReadError:
            self._reactor.modify(self._descriptor, READ)
        except ssl.SSLWantWriteError:
            self._reactor.modify(self._descriptor, WRITE)
        except BlockingIOError:
            pass
        except OSError as error:
            self._failed(error)

    def _advance(self, events: int) -> None:
        made = self._socket
        if made is None:
            return
        if isinstance(made, ssl.SSLSocket) and not self._handshaken:
            made.do_handshake()
            self._handshaken = True
        if self._request:
            self._request = self._request[made.send(self._request) :]
            if self._request:
                return
            self._reactor.modify(self._descriptor, READ)
        if events & (READ | FAILED) or isinstance(made, ssl.SSLSocket):
            self._read(made)

    def _read(self, made: socket.socket) -> None:
        data = made.recv(65536)
        if self._ended is None:  # already told; reading away
            if not data:
                self._close()
            return
        self._received += data
        found = _STATUS.match(self._received)
        if found:
            status = found.group(1).decode()
            self._tell(Answer.GOOD if status == "200" else Answer.BAD, status)
            self._reactor.call_later(_READ_AWAY_SECONDS, self._close)
        elif not data:
            self._tell(Answer.RESET, "closed without an answer")
            self._close()
        elif b"\n" in self._received or len(self._received) > _LONGEST_STATUS_LINE:
            self._tell(Answer.BAD, "not HTTP")
            self._close()

    def _failed(self, error: OSError) -> None:
        self._close()
        if error.errno in _SILENT_ERRORS:
            return  # nobody said anything: the prober's deadline tells
        self._tell(Answer.RESET, (error.strerror or str(error)).lower())

    def _tell(self, answer: Answer, detail: str) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(answer, detail)

    def _close(self) -> None:
        made, self._socket = self._socket, None
        if made is not None:
            self._reactor.forget(self._descriptor)
            made.close()


def _request(address: str, probe: Probe) -> bytes:
    """The request as Azure sends it, with its user agent; `Connection: close`, for each probe is its own."""
    path = probe.path if probe.path.startswith("/") else f"/{probe.path}"
    return (
        f"GET {path} HTTP/1.1\r\nHost: {address}:{probe.port}\r\nUser-Agent: Load Balancer Agent\r\n"
        "Connection: close\r\n\r\n"
    ).encode("latin-1", "replace")


@cache
def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

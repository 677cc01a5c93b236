"""A line whose socket takes no more: TLS may have to write before it can read, and that is not the end.

A unit may ask for new keys at any time (TLS 1.3, RFC 8446, 4.6.3). OpenSSL has to agree to that before it
sends anything else; if the socket is full just then, it wants to write also when it is asked to read. With a
real OpenSSL on both sides (`openssl s_server`, command `K`) that takes a kernel which refuses these 22 bytes
and has taken all before, to the byte. So here OpenSSL is stood in for, on a real socket.
"""

import asyncio
import contextlib
import socket
import ssl

import pytest

from loadmaster_ha.loadmaster.trust import SeenCertificate
from loadmaster_ha.loadmaster.waiting_lines import Line

PATIENCE = 30
AGREED = b"<keys>"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIMIT = 1000


class Tls:
    """As an `ssl.SSLSocket`, without a cipher: what TLS itself has to say goes before everything else."""

    def __init__(self, plain):
        self.plain, self.owes, self.calls = plain, b"", 0

    def fileno(self):
        return self.plain.fileno()

    def close(self):
        self.plain.close()

    def send(self, data):
        self._agree()
        try:
            return self.plain.send(data)
        except BlockingIOError:
            raise ssl.SSLWantWriteError from None

    def recv(self, length):
        self.calls += 1
        self._agree()
        try:
            return self.plain.recv(length)
        except BlockingIOError:
            raise ssl.SSLWantReadError from None

    def _agree(self):
        try:
            while self.owes:
                self.owes = self.owes[self.plain.send(self.owes) :]
        except BlockingIOError:
            raise ssl.SSLWantWriteError from None


@pytest.fixture
def ends():
    """Give both ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield Tls(ours), theirs


def fill(plain):
    """As much as goes in."""
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += plain.send(b".")
    return filled


async def taken(theirs, length):
    loop, got = asyncio.get_running_loop(), b""
    async with asyncio.timeout(PATIENCE):
        while len(got) < length:
            got += await loop.sock_recv(theirs, 65536)
    return got


async def test_what_tls_has_to_write_before_it_can_read_waits_for_room_and_nothing_is_lost(ends):
    tls, theirs = ends
    line = Line(tls, SeenCertificate("", None))
    asked = asyncio.create_task(line.ask(b"question", LIMIT))
    assert await taken(theirs, 8) == b"question"

    filled = fill(tls.plain)
    tls.owes = AGREED
    theirs.send(ANSWER)
    await asyncio.sleep(0.1)
    assert not asked.done(), "the answer is behind the new keys"
    assert tls.calls < 20, "nobody asks again and again"

    assert await taken(theirs, filled + len(AGREED)) == b"." * filled + AGREED
    async with asyncio.timeout(PATIENCE):
        assert (await asked).content == b"ok"
    calls = tls.calls
    await asyncio.sleep(0.1)
    assert tls.calls == calls, "that there is room is of no interest any more"

    again = asyncio.create_task(line.ask(b"another", LIMIT))
    assert await taken(theirs, 7) == b"another"
    theirs.send(ANSWER)
    async with asyncio.timeout(PATIENCE):
        assert (await again).content == b"ok"
    assert line.is_open
    line.close()


async def test_a_line_that_was_answered_before_the_question_was_sent_is_not_asked_another(ends):
    tls, theirs = ends
    line = Line(tls, SeenCertificate("", None))
    filled = fill(tls.plain)
    asked = asyncio.create_task(line.ask(b"question", LIMIT))
    await asyncio.sleep(0)
    theirs.send(ANSWER)
    async with asyncio.timeout(PATIENCE):
        assert (await asked).content == b"ok"
    assert not line.is_open, "the rest of the question would be taken for the next one"
    assert await taken(theirs, filled) == b"." * filled
    assert theirs.recv(1) == b"", "it has ended"

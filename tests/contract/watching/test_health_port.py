"""Asking health ports over real connections: of servers that behave, and of all the others."""

import asyncio
import contextlib
import socket

import pytest

from loadmaster_ha.controller.watching import health_port
from loadmaster_ha.controller.watching.health_port import CannotAsk, HealthPort, Said
from loadmaster_ha.planning.diagnosis.model import Silence

ACTIVE = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\nMaster is active\n"
CLOSING = ACTIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
SOON = 0.3
"""Seconds: how long an answer may take where there comes none."""
GENEROUS = 20.0
"""Seconds: where one comes, on a busy machine too."""


class Server:
    """Answers each question with the next of its answers; counts connections."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.connections = 0
        self.questions = []

    async def handle(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while self.answers:
                self.questions.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    await asyncio.sleep(30)
                if callable(answer):
                    await answer(writer)
                else:
                    writer.write(answer)
                    await writer.drain()
                if b"close" in self.questions[-1] or callable(answer) or b"close" in answer or not answer:
                    break
        writer.close()


@contextlib.asynccontextmanager
async def serving(*answers):
    found = Server(*answers)
    server = await asyncio.start_server(found.handle, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


async def test_the_question_is_the_probes_and_the_connection_is_kept():
    async with serving(ACTIVE) as server:
        port = HealthPort("127.0.0.1", server.port)
        for _ in range(3):
            assert await port.ask() == Said(200, "Master is active")
        assert server.connections == 1
        first = server.questions[0].decode()
        assert first.startswith("GET / HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{server.port}\r\n" in first
        port.close()


async def test_each_question_to_the_frontend_is_a_connection_of_its_own():
    async with serving(ACTIVE) as server:
        port = HealthPort("127.0.0.1", server.port, keep=False)
        for _ in range(3):
            assert (await port.ask()).code == 200
        assert server.connections == 3
        assert b"Connection: close" in server.questions[0]


async def test_a_server_that_closes_after_each_answer_is_asked_anew():
    async with serving(CLOSING) as server:
        port = HealthPort("127.0.0.1", server.port)
        for _ in range(3):
            assert (await port.ask()).code == 200
        assert server.connections == 3


async def test_a_kept_connection_that_was_given_up_meanwhile_says_nothing_about_the_unit():
    async def answer_and_leave(writer):
        writer.write(ACTIVE)
        await writer.drain()

    async with serving(answer_and_leave) as server:
        port = HealthPort("127.0.0.1", server.port)
        assert (await port.ask()).code == 200
        await asyncio.sleep(0.05)
        assert (await port.ask()).code == 200
        assert server.connections == 2


async def drip(writer):
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def status_and_drip(writer):
    writer.write(b"HTTP/1.1 503 Not now\r\nContent-Length: 5000\r\n\r\n")
    await drip(writer)


async def drip_a_head(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    await drip(writer)


async def a_gigabyte(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        for _ in range(1000):
            writer.write(b"x" * 1_000_000)
            await writer.drain()


async def reset(writer):
    writer.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0"
    )
    writer.transport.abort()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, Said(None, silence=Silence.TIMED_OUT)),
        (drip_a_head, Said(None, silence=Silence.TIMED_OUT)),
        (b"", Said(None, silence=Silence.CLOSED)),
        (reset, Said(None, silence=Silence.CLOSED)),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Said(None, silence=Silence.NOT_HTTP)),
        (b"\x15\x03\x01\x00\x02\x02\x0a", Said(None, silence=Silence.NOT_HTTP)),
        (b"HTTP/1.1 2", Said(None, silence=Silence.TIMED_OUT)),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nno\n", Said(503, "no")),
    ],
    ids=["silent", "drips its head", "closes", "resets", "SSH", "TLS", "half a line", "no length"],
)
async def test_every_kind_of_silence_has_its_name(answer, said):
    seconds = SOON if said.silence is Silence.TIMED_OUT else GENEROUS
    async with serving(answer) as server:
        port = HealthPort("127.0.0.1", server.port, seconds=seconds)
        assert await port.ask() == said
        port.close()


async def test_the_status_counts_although_the_body_never_ends():
    async with serving(status_and_drip) as server:
        said = await HealthPort("127.0.0.1", server.port, seconds=2).ask()
        assert said.code == 503
    async with serving(a_gigabyte) as server:
        assert (await HealthPort("127.0.0.1", server.port).ask()).code == 200


async def test_a_refused_connection_is_told_from_a_silent_host():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        said = await HealthPort("127.0.0.1", port, seconds=5).ask()
    assert said == Said(None, silence=Silence.REFUSED)


async def test_a_host_that_takes_no_more_connections_times_out():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        try:
            said = await HealthPort(*address, seconds=SOON).ask()
        finally:
            for each in waiting:
                each.close()
    assert said == Said(None, silence=Silence.TIMED_OUT)


async def test_an_own_lack_of_means_is_never_taken_for_the_others_silence(monkeypatch):
    async def no_descriptor(*_):
        raise OSError(24, "Too many open files")

    port = HealthPort("127.0.0.1", 1)
    monkeypatch.setattr(health_port._Connection, "open", no_descriptor)
    with pytest.raises(CannotAsk):
        await port.ask()


async def test_an_unreachable_network_is_said_to_be_unreachable(monkeypatch):
    async def no_route(*_):
        raise OSError(113, "No route to host")

    port = HealthPort("127.0.0.1", 1)
    monkeypatch.setattr(health_port._Connection, "open", no_route)
    assert await port.ask() == Said(None, silence=Silence.UNREACHABLE)


async def test_no_connection_stays_open_after_a_failure():
    async with serving(b"SSH-2.0-x\r\n") as server:
        port = HealthPort("127.0.0.1", server.port, seconds=SOON)
        await port.ask()
        assert port._connection is None


def test_an_answer_has_less_time_than_the_interval_of_the_probe():
    assert health_port.ANSWER_SECONDS < 5

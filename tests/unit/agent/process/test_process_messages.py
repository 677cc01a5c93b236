"""What supervisor and node tell each other: lines survive any cutting, counts are told once, nonsense ends
it."""

import asyncio
import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.ha.model import Answer, HealthAnswer
from loadmaster_ha.agent.process import messages
from loadmaster_ha.agent.process.supervision import Callbacks, Saying, Supervision, sources

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "kind"), VALUES, max_size=4
)


@given(sent=st.lists(st.tuples(st.text(min_size=1, max_size=9), FIELDS), max_size=6), data=st.data())
def test_messages_survive_any_cutting_of_the_stream(sent, data):
    stream = b"".join(messages.encode(kind, **fields) for kind, fields in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    lines, got = messages.Lines(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += lines.feed(stream[begin:end])
    assert got == [{"kind": kind, **fields} for kind, fields in sent]


@pytest.mark.parametrize("line", [b"", b"nonsense", b"[]", b"1", b'{"a": 1}', b'{"kind": 1}', b"\xff\xfe"])
def test_a_line_that_is_no_message_is_refused(line):
    with pytest.raises(messages.Malformed):
        list(messages.Lines().feed(line + b"\n"))


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory():
    lines = messages.Lines()
    for _ in range(messages.LONGEST // 1024):
        assert list(lines.feed(b"x" * 1024)) == []
    with pytest.raises(messages.Malformed):
        list(lines.feed(b"x"))


@pytest.mark.parametrize(
    ("partner", "found"),
    [(None, {"1.1.1.1": "balancer"}), ("1.1.1.1", {"1.1.1.1": "balancer"})],
)
def test_the_balancer_counts_where_balancer_and_partner_have_one_address(partner, found):
    assert sources("1.1.1.1", partner) == found


HELLO = {
    "boot_time": 1.0,
    "configuration": {},
    "kept": {},
    "restarts": 0,
    "haproxy": {"running": False},
    "counts": [["balancer", 8444, 200, 5], ["other", 8444, 503, 9]],
    "last_probe": 7.0,
}
SAYING = Saying(
    Answer(HealthAnswer(200, "Master is active"), HealthAnswer(503, "Master is unconnected")),
    12.5,
    [("10.0.2.4", 8444)],
    {"168.63.129.16": "balancer"},
    "Master, Active",
)


class Conversation:
    """A node's end with this test as the supervisor."""

    def __init__(self):
        self.ours, its = socket.socketpair()
        self.ours.setblocking(False)
        self.talk = Supervision(its)
        self.probed, self.haproxy, self.lost = [], [], []
        self.terminated = 0
        self._lines = messages.Lines()

    async def tell(self, kind, **fields):
        await asyncio.get_running_loop().sock_sendall(self.ours, messages.encode(kind, **fields))

    async def hear(self):
        received = await asyncio.get_running_loop().sock_recv(self.ours, 65536)
        return list(self._lines.feed(received))

    async def run(self, saying=lambda: None):
        def terminate():
            self.terminated += 1

        callbacks = Callbacks(
            lambda *probe: self.probed.append(probe), self.haproxy.append, terminate, self.lost.append
        )
        task = asyncio.create_task(self.talk.run(saying, callbacks))
        await asyncio.sleep(0)
        return task

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - whatever it is
                await asyncio.sleep(0.01)


@pytest.fixture
async def conversation():
    made = Conversation()
    await made.tell("hello", **HELLO)
    yield made
    made.ours.close()


async def test_what_was_counted_before_this_process_began_is_no_probe_of_now(conversation):
    hello = await conversation.talk.begin()
    assert (hello.boot_time, hello.restarts) == (1.0, 0)
    running = await conversation.run()
    counts = [["balancer", 8444, 200, 7], ["balancer", 8555, 503, 1], ["other", 8444, 503, 30]]
    await conversation.tell("probes", counts=counts, last=8.0)
    await conversation.until(lambda: len(conversation.probed) == 2)
    await conversation.tell("probes", counts=counts, last=8.0)
    await conversation.tell("terminate")
    await conversation.until(lambda: conversation.terminated)
    assert conversation.probed == [(8444, 200, 2), (8555, 503, 1)]
    assert conversation.talk.counts.totals["other", 8444, 503] == 30
    running.cancel()


async def test_what_is_to_be_said_is_said_again_and_again_with_the_engines_last_step(conversation):
    await conversation.talk.begin()
    running = await conversation.run(lambda: SAYING)
    heard = await conversation.hear() + await conversation.hear()
    assert len(heard) >= 2
    assert heard[0] == json.loads(
        '{"kind": "say", "at": 12.5, "lease": 1.5, "listen": [["10.0.2.4", 8444]], '
        '"answers": {"balancer": [200, "Master is active"], "other": [503, "Master is unconnected"]}, '
        '"sources": {"168.63.129.16": "balancer"}, "status": "Master, Active"}'
    )
    running.cancel()


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b'{"kind":"probes"}\n', b'{"kind":"probes","counts":[[1]],"last":0}\n']
)
async def test_a_supervisor_that_makes_no_sense_is_lost(conversation, line):
    await conversation.talk.begin()
    running = await conversation.run()
    await asyncio.get_running_loop().sock_sendall(conversation.ours, line)
    await conversation.until(lambda: conversation.lost)
    assert "makes no sense" in conversation.lost[0]
    running.cancel()


async def test_a_supervisor_that_has_gone_is_lost(conversation):
    await conversation.talk.begin()
    running = await conversation.run()
    conversation.ours.close()
    await conversation.until(lambda: conversation.lost)
    assert conversation.lost == ["the supervisor has gone"]
    running.cancel()

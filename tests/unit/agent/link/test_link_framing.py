"""Messages become frames and messages again, however the bytes are cut; nonsense ends the connection."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.link.framing import (
    FRAGMENT,
    LONGEST_GREETING,
    LONGEST_MESSAGE,
    Decoder,
    FrameType,
    FramingError,
    Message,
    MessageTooLong,
    encode,
    fragments,
    frame,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
BODIES = st.dictionaries(st.text(max_size=10), JSON, max_size=5)
MESSAGES = st.builds(Message, st.text(min_size=1, max_size=12), BODIES)
DEEP = b'{"kind":"sync","body":' + b'{"a":' * 2000 + b"1" + b"}" * 2001


def trusting():
    decoder = Decoder()
    decoder.trust()
    return decoder


def all_messages(decoder):
    found = []
    while (message := decoder.next_message()) is not None:
        found.append(message)
    return found


def framed(message):
    return b"".join(fragments(encode(message.kind, message.body)))


@given(messages=st.lists(MESSAGES, max_size=5), cuts=st.lists(st.integers(1, 40), min_size=1))
def test_messages_survive_any_cut_of_the_stream(messages, cuts):
    stream = b"".join(framed(each) for each in messages)
    decoder, found, position, turn = trusting(), [], 0, 0
    while position < len(stream):
        size = cuts[turn % len(cuts)]
        decoder.add(stream[position : position + size])
        found += all_messages(decoder)
        position, turn = position + size, turn + 1
    assert found == messages


@given(size=st.integers(FRAGMENT - 40, 5 * FRAGMENT))
def test_a_long_message_goes_in_parts_of_limited_size(size):
    message = Message("sync", {"text": "x" * size})
    frames = list(fragments(encode(message.kind, message.body)))
    assert max(len(each) for each in frames) <= FRAGMENT + 5
    decoder = trusting()
    decoder.add(b"".join(frames))
    assert all_messages(decoder) == [message]


def test_a_short_message_comes_through_between_the_parts_of_a_long_one():
    long = Message("sync", {"text": "x" * 3 * FRAGMENT})
    short = Message("report", {"state": "Active"})
    parts = list(fragments(encode(long.kind, long.body)))
    decoder = trusting()
    decoder.add(parts[0] + framed(short) + b"".join(parts[1:]))
    assert all_messages(decoder) == [short, long]


def test_the_longest_message_passes_and_a_longer_one_is_refused_where_it_is_made():
    room = LONGEST_MESSAGE - len(encode("sync", {"text": ""}))
    decoder = trusting()
    decoder.add(framed(Message("sync", {"text": "x" * room})))
    assert len(all_messages(decoder)) == 1
    with pytest.raises(MessageTooLong, match="1048577 bytes"):
        encode("sync", {"text": "x" * (room + 1)})


def test_parts_that_never_end_are_not_collected_for_ever():
    decoder = trusting()
    decoder.add(frame(FrameType.PART, b" " * FRAGMENT) * (LONGEST_MESSAGE // FRAGMENT))
    assert decoder.next_message() is None
    decoder.add(frame(FrameType.PART, b" "))
    with pytest.raises(FramingError, match="more than 1048576 bytes"):
        decoder.next_message()


def test_frame_types_of_a_later_version_are_skipped_and_counted():
    decoder = trusting()
    decoder.add(frame(200, b"\x00\xff") + frame(FrameType.IDLE) + framed(Message("report", {})))  # type: ignore[arg-type]
    assert all_messages(decoder) == [Message("report", {})]
    assert decoder.unknown_types == 1


@pytest.mark.parametrize(
    "stream",
    [
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        (FRAGMENT + 2).to_bytes(4),
        b"GET / HTTP/1.1\r\n\r\n",
        frame(FrameType.WHOLE, b"not json"),
        frame(FrameType.WHOLE, b"[]"),
        frame(FrameType.WHOLE, b'{"kind":1,"body":{}}'),
        frame(FrameType.WHOLE, b'{"kind":"report","body":[]}'),
        frame(FrameType.WHOLE, b'{"kind":"report","body":{"a":NaN}}'),
        frame(FrameType.WHOLE, b'{"kind":"report","body":{"a":' + b"9" * 5000 + b"}}"),
        frame(FrameType.WHOLE, b"\xff\xfe"),
        frame(FrameType.WHOLE, DEEP),
        frame(FrameType.LAST, b"{}"),
    ],
)
def test_what_is_not_the_protocol_is_refused_for_good(stream):
    decoder = trusting()
    decoder.add(stream)
    with pytest.raises(FramingError):
        all_messages(decoder)
    decoder.add(framed(Message("report", {})))
    with pytest.raises(FramingError):
        all_messages(decoder)


@given(noise=st.binary(max_size=200))
def test_noise_gives_messages_or_a_framing_error_and_nothing_else(noise):
    decoder = trusting()
    decoder.add(noise)
    try:
        found = all_messages(decoder)
    except FramingError:
        return
    assert all(json.loads(each.encoded)["kind"] == each.kind for each in found)


def test_somebody_unknown_may_not_send_much():
    decoder = Decoder()
    decoder.add((LONGEST_GREETING + 2).to_bytes(4))
    with pytest.raises(FramingError, match="1 to 4097"):
        decoder.next_message()
    decoder = Decoder()
    decoder.add(frame(FrameType.PART, b" "))
    with pytest.raises(FramingError, match="before the handshake was over"):
        decoder.next_message()

"""Reading the status of whatever is sent: in any pieces, of any servers, hostile ones too."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadmaster_ha.controller.watching.http_status import (
    BODY_LIMIT,
    HEAD_LIMIT,
    TEXT_LIMIT,
    NotHTTP,
    StatusReader,
)

AGENT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Length: 17\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\nMaster is active\n"
)
KEPT = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nno :(\r\n"[:-2]
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"6;x=y\r\nSlave \r\n9\r\nis active\r\n0\r\nTrailer: 1\r\n\r\n"
)
OLD = b"HTTP/1.0 200 OK\nServer: x\n\nMaster is active\n"


def read(*pieces, end=False):
    reader = StatusReader()
    for piece in pieces:
        reader.feed(piece)
    if end:
        reader.end()
    return reader


@pytest.mark.parametrize(
    ("data", "code", "text", "reusable"),
    [
        (AGENT, 200, "Master is active", False),
        (KEPT, 503, "no :(", True),
        (CHUNKED, 200, "Slave is active", True),
        (OLD, 200, "Master is active", False),
        (b"HTTP/1.0 503 x\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 503, "", True),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, "ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, "", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + KEPT, 503, "no :(", True),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\ncontent-length: 0\r\n\r\n", 302, "", True),
        (b"HTTP/1.1 200 \xfcber\r\nContent-Length: 3\r\n\r\n\xfc\x00\x1b", 200, "ü??", True),
    ],
)
def test_an_answer_is_read_whole(data, code, text, reusable):
    reader = read(data)
    assert (reader.done, reader.code, reader.text, reader.reusable) == (True, code, text, reusable)


@given(st.sampled_from([AGENT, KEPT, CHUNKED, OLD]), st.lists(st.integers(1, 40)))
def test_the_pieces_in_which_it_comes_make_no_difference(data, sizes):
    whole, pieces, rest = read(data), [], data
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    reader = read(*filter(None, [*pieces, rest]))
    assert (reader.done, reader.code, reader.text, reader.reusable) == (
        whole.done,
        whole.code,
        whole.text,
        whole.reusable,
    )


@given(st.binary(max_size=400), st.booleans())
@example(b"SSH-2.0-OpenSSH_9.2\r\n", True)
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", False)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", False)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n", False)
def test_anything_at_all_is_an_answer_or_no_http_and_never_an_error(data, prefixed):
    for sent in (data, b"HTTP/1.1 200 OK\r\n" + data if prefixed else data):
        reader = StatusReader()
        try:
            for index in range(len(sent)):
                reader.feed(sent[index : index + 1])
            reader.end()
        except NotHTTP:
            continue
        assert reader.code is None or 200 <= reader.code <= 999
        assert len(reader.text) <= TEXT_LIMIT
        assert reader.text.isprintable()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"<html>200 OK</html>",
    ],
)
def test_what_is_no_http_is_said_to_be_none(data):
    with pytest.raises(NotHTTP):
        read(data)


def test_a_head_without_end_is_given_up():
    reader = StatusReader()
    reader.feed(b"HTTP/1.1 200 OK\r\n")
    reader.feed(b"X-Header: of many\r\n" * (HEAD_LIMIT // 19 - 1))
    with pytest.raises(NotHTTP):
        reader.feed(b"X-Header: of many\r\n" * 2)


def test_a_body_without_end_does_not_grow_in_memory_and_the_status_counts():
    reader = StatusReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    assert (reader.code, reader.done) == (200, False)
    reader.feed(b"x" * 100)
    assert (reader.done, reader.reusable) == (True, False)
    assert len(reader._body) <= 2 * TEXT_LIMIT


def test_a_chunk_without_end_is_not_waited_for():
    size = f"{BODY_LIMIT + 1:x}".encode()
    reader = read(b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n")
    assert (reader.code, reader.done, reader.reusable) == (503, True, False)


def test_a_body_that_ends_with_the_connection_is_done_with_its_first_line():
    reader = read(b"HTTP/1.1 200 OK\r\n\r\nMaster is")
    assert not reader.done
    reader.feed(b" active\nand more")
    assert (reader.done, reader.text, reader.reusable) == (True, "Master is active", False)


def test_more_than_was_announced_makes_the_connection_useless():
    assert not read(KEPT + b"surplus").reusable


def test_an_end_before_anything_came_is_no_answer_and_one_in_the_head_is_no_http():
    assert read(end=True).code is None
    with pytest.raises(NotHTTP):
        read(b"HTTP/1.1 200 O", end=True)


def test_an_end_within_the_body_leaves_the_status():
    reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nMaster", end=True)
    assert (reader.code, reader.done, reader.reusable) == (200, True, False)

"""Whatever arrives, it is read or refused by name: it never ends a process, expands, or blocks."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadmaster_ha.loadmaster import answers, requests, v1, v2
from loadmaster_ha.loadmaster.answers import Answer, WireError
from loadmaster_ha.loadmaster.commands import COMMANDS
from loadmaster_ha.loadmaster.requests import ParameterError

LISTVS = COMMANDS["listvs"].reply
SERVICE = {"VS": [{"Index": 1, "VSAddress": "10.0.2.4", "Rs": [{"RsIndex": 1, "Addr": "10.0.0.5"}]}]}
XML = v1.encode_answer(LISTVS, Answer(fields=SERVICE)).content
JSON = v2.encode_answer(LISTVS, Answer(fields=SERVICE)).content
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@st.composite
def mutated(draw, content):
    """The bytes with pieces taken out, put in and changed."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(changed)))
        length = draw(st.integers(0, 8))
        changed[at : at + length] = draw(
            st.binary(max_size=8) | st.sampled_from([b"<", b"&", b"]]>", b"\x00", b"{"])
        )
    return bytes(changed)


@settings(max_examples=400)
@given(content=st.binary() | mutated(XML), code=st.integers(100, 599))
def test_v1_reads_an_answer_or_says_what_it_is(content, code):
    with contextlib.suppress(WireError):
        answer = v1.decode_answer(LISTVS, code, "text/xml", content)
        assert answer.ok is (answer.code == 200)


@settings(max_examples=400)
@given(content=st.binary() | mutated(JSON) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_v2_reads_an_answer_or_says_what_it_is(content):
    with contextlib.suppress(WireError):
        answer = v2.decode_answer(LISTVS, 200, "text/json", content)
        assert answer.ok is (answer.code == 200)


@settings(max_examples=400)
@given(
    content=st.binary() | mutated(b'{"cmd":"addvs","vs":"10.0.2.4","port":"80","prot":"tcp","data":"AAAA"}')
)
def test_v2_reads_a_request_or_says_what_is_wrong(content):
    with contextlib.suppress(WireError):
        assert v2.decode_request(content).command


@settings(max_examples=400)
@given(
    text=st.text() | mutated(b"vs=10.0.2.4&port=80&prot=tcp&rs=%2110").map(lambda raw: raw.decode("latin-1"))
)
def test_v1_reads_parameters_or_says_what_is_wrong(text):
    with contextlib.suppress(WireError):
        assert all(isinstance(value, str) for value in v1.decode_parameters(text).values())


@settings(max_examples=300)
@given(name=st.sampled_from(sorted(COMMANDS)), data=st.data())
def test_every_parameter_is_read_or_refused_by_name(name, data):
    command = COMMANDS[name]
    names = st.sampled_from(sorted(command.by_name)) if command.by_name else st.text()
    raw = data.draw(st.dictionaries(names | st.text(max_size=5), ANY_JSON, max_size=5))
    refused = None
    try:
        read = requests.read(command, raw)
    except ParameterError as error:
        refused, read = str(error), {}

    assert set(read) <= {parameter.name for parameter in command.parameters}
    assert refused is None or refused.partition(":")[0].lower() in command.by_name


DOCUMENTS = {
    "entity": b'<!DOCTYPE r [<!ENTITY a "b">]><Response stat="200"><Success>&a;</Success></Response>',
    "laughs": b'<!DOCTYPE r [<!ENTITY a "bb"><!ENTITY b "&a;&a;">]><Response><Error>&b;</Error></Response>',
    "outside": b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><Response><Error>&x;</Error></Response>',
    "dtd": b'<!DOCTYPE Response SYSTEM "http://127.0.0.1/x.dtd"><Response stat="200"></Response>',
    "deep": b"<Response>" + b"<a>" * 10_000 + b"</a>" * 10_000 + b"</Response>",
    "encoding": b'<?xml version="1.0" encoding="wibble"?><Response stat="200"></Response>',
    "utf-16": "<Response stat='200'></Response>".encode("utf-16")[:-1],
    "not utf-8": b'<?xml version="1.0" encoding="UTF-8"?><Response><Error>\xff</Error></Response>',
    "nul": b"<Response>\x00</Response>",
    "other": b"<html><body>Login</body></html>",
    "nothing": b"",
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_document_that_is_dangerous_or_foreign_is_refused(document):
    with pytest.raises(WireError):
        v1.decode_answer(LISTVS, 200, "text/xml", document)


def test_a_login_page_is_recognised_by_its_type():
    with pytest.raises(WireError, match="text/html"):
        v1.decode_answer(LISTVS, 200, "text/html", b"<html>")
    with pytest.raises(WireError, match="text/html"):
        v2.decode_answer(LISTVS, 200, "text/html", b"<html>")


def test_an_answer_that_is_too_large_is_not_parsed(monkeypatch):
    monkeypatch.setattr(v1, "MAXIMUM_ANSWER", 100)
    monkeypatch.setattr(v2, "MAXIMUM_ANSWER", 100)

    with pytest.raises(WireError, match="are read at most"):
        v1.decode_answer(LISTVS, 200, "text/xml", b" " * 101)
    with pytest.raises(WireError, match="are read at most"):
        v2.decode_answer(LISTVS, 200, "text/json", b" " * 101)


def test_deep_json_is_refused():
    assert answers.MAXIMUM_DEPTH < 50
    for body in (b'{"a":' * 50 + b"1" + b"}" * 50, b"[" * 100_000, b'{"cmd":' + b"[" * 100_000):
        with pytest.raises(WireError):
            v2.decode_request(body)


def test_values_no_answer_can_carry_are_refused_at_the_door():
    for text in ("a\x00b", "a\x1bb", "\ud800", "\uffff"):
        with pytest.raises(ParameterError, match="param"):
            requests.read(COMMANDS["get"], {"param": text})


def test_what_was_stored_unread_still_leaves_as_readable_xml():
    body = v1.encode_answer(COMMANDS["get"].reply, Answer(422, text="a\x00b\x1b<&>\ud800"))

    assert v1.decode_answer(LISTVS, 422, "text/xml", body.content).text == "a?b?<&>?"

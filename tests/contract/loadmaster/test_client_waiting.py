"""What waits at a unit goes over a smaller connection: same trust, same limits, same words as any call."""

import asyncio

import pytest
from tests.support import unit_certificates
from tests.support.literal_unit import (
    Drip,
    Drop,
    Endless,
    Farewell,
    LiteralUnit,
    Silence,
    http,
    json,
)

from loadmaster_ha.loadmaster.connections import Limits
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.trust import Authorities, Pinned
from loadmaster_ha.loadmaster.values import Version

SAID = '{"code":200,"status":"ok","revision":7}'
DONE = json(SAID)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/json\r\n"
CHUNKED = (
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n" % len(SAID) + SAID.encode() + b"\r\n0\r\n\r\n"
)
COMPRESSED = http("200 OK", "text/json", b"\x1f\x8b\x08", "Content-Encoding: gzip")
HALF = HEAD + b"Content-Length: 400\r\n\r\n" + SAID.encode()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(DONE, id="of a stated length"),
        pytest.param(CHUNKED, id="in chunks"),
        pytest.param(Drip(DONE, 0.001), id="byte by byte"),
        pytest.param(Farewell(HEAD + b"\r\n" + SAID.encode()), id="to the end of the connection"),
    ],
)
async def test_an_answer_is_read_in_every_form_that_http_has(client_of, answer):
    async with LiteralUnit(answers=lambda _: answer) as unit:
        client = await client_of(unit, version=Version.V2)
        for _ in range(2):
            told = await client.watch_call("agentwatch", {"since": 1})
            assert (told.fields or {})["revision"] == 7


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(Drop(), FaultReason.RATE_LIMITED, id="dropped"),
        pytest.param(Drop(HALF), FaultReason.ANSWER_LOST, id="dropped within the answer"),
        pytest.param(Farewell(HALF), FaultReason.ANSWER_LOST, id="ended within the answer"),
        pytest.param(b"220 mail.example.com ESMTP\r\n", FaultReason.MALFORMED, id="no HTTP"),
        pytest.param(COMPRESSED, FaultReason.MALFORMED, id="compressed"),
        pytest.param(
            Endless(HEAD + b"Content-Length: 99999999999\r\n\r\n", 1 << 24), FaultReason.TOO_LARGE, id="huge"
        ),
        pytest.param(Endless(HEAD + b"\r\n", 1 << 24), FaultReason.TOO_LARGE, id="endless"),
        pytest.param(Silence(), FaultReason.TIMED_OUT, id="nothing"),
        pytest.param(HALF, FaultReason.TIMED_OUT, id="half of it"),
    ],
)
async def test_what_goes_wrong_is_told_in_the_same_words_as_of_any_call(client_of, answer, reason):
    seconds = 1.0 if reason is FaultReason.TIMED_OUT else 20.0
    told = []
    async with LiteralUnit(answers=lambda _: answer) as unit:
        for waits in (True, False):
            # Clients of their own, so that neither finds the other's connection.
            client = await client_of(unit, version=Version.V2, limits=Limits(answer_bytes=1 << 20))
            call = client.watch_call if waits else client.call
            with pytest.raises(UnitFault) as raised:
                await call("agentstatus", seconds=seconds)
            told.append((raised.value.reason, raised.value.message, raised.value.sent))

    assert told[0][0] is reason
    assert _plain(told[0]) == _plain(told[1])


def _plain(told):
    """Without why it is no HTTP: that is the parser's own word in one of them only."""
    reason, message, sent = told
    return reason, message.partition(" (")[0].rstrip("."), sent


async def test_the_connection_is_kept_for_the_next_question_and_for_what_is_asked_in_between(client_of):
    async with LiteralUnit(answers=lambda _: DONE) as unit:
        client = await client_of(unit, version=Version.V2)
        for _ in range(3):
            await client.watch_call("agentwatch", {"since": 1})
            await client.call("agentstatus")

        assert [asked.connection for asked in unit.asked] == [1] * 6


async def test_a_connection_that_the_unit_has_closed_meanwhile_is_replaced(client_of):
    async with LiteralUnit(answers=lambda _: Farewell(DONE)) as unit:
        client = await client_of(unit, version=Version.V2)
        for _ in range(3):
            assert (await client.watch_call("agentwatch", {"since": 1})).ok
            await asyncio.sleep(0.2)

        assert [asked.connection for asked in unit.asked] == [1, 2, 3]


@pytest.mark.parametrize("kind", ["another fingerprint", "another authority"])
async def test_nothing_is_sent_to_somebody_who_is_not_trusted(client_of, kind):
    other = unit_certificates.self_signed()
    trust = Pinned(other.fingerprint) if kind == "another fingerprint" else Authorities(other.pem)
    async with LiteralUnit(answers=lambda _: DONE) as unit:
        client = await client_of(unit, version=Version.V2, trust=trust)
        with pytest.raises(UnitFault) as raised:
            await client.watch_call("agentwatch", {"since": 1})

        assert raised.value.reason is FaultReason.CERTIFICATE_NOT_TRUSTED
        assert raised.value.seen_fingerprint == unit.certificate.fingerprint
        assert not unit.asked


async def test_who_is_signed_by_a_given_authority_is_asked(client_of):
    async with LiteralUnit(answers=lambda _: DONE) as unit:
        client = await client_of(unit, version=Version.V2, trust=Authorities(unit.certificate.pem))
        assert (await client.watch_call("agentwatch", {"since": 1})).ok
        assert client.certificate is not None
        assert client.certificate.fingerprint == unit.certificate.fingerprint


async def test_a_handshake_that_is_dropped_is_tried_a_second_time(client_of):
    async with LiteralUnit(answers=lambda _: DONE, drops_handshakes=1) as unit:
        client = await client_of(unit, version=Version.V2)
        assert (await client.watch_call("agentwatch", {"since": 1})).ok
        assert unit.accepted == 2

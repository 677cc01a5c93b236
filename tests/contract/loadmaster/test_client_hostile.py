"""What is no unit, or a broken one: nothing that it answers hurts, and each failure has its name."""

import asyncio
import traceback
import tracemalloc

import pytest
from tests.support.literal_unit import Drip, Drop, Endless, LiteralUnit, Silence, http, json, xml

from loadmaster_ha.loadmaster.connections import Limits
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.values import Version

GIGABYTE = 1 << 30
LOGIN = b'<!DOCTYPE html><html><form><input type="password"></form></html>'
BOTH = pytest.mark.parametrize("version", list(Version))


async def fault_of(client_of, answer, version=Version.V2, command="listvs", *, limits=None, **more):
    async with LiteralUnit(answers=lambda _: answer) as unit:
        client = await client_of(unit, version=version, limits=limits)
        with pytest.raises(UnitFault) as raised:
            await client.call(command, **more)
        return raised.value


@BOTH
@pytest.mark.parametrize("kind", ["text/xml", "text/json"])
async def test_a_gigabyte_without_an_end_is_left_at_the_limit(client_of, version, kind):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode()
    endless = Endless(head, GIGABYTE)

    tracemalloc.start()
    try:
        async with LiteralUnit(answers=lambda _: endless) as unit:
            client = await client_of(unit, version=version, limits=Limits(answer_bytes=4 << 20))
            with pytest.raises(UnitFault) as raised:
                await client.call("listvs")
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert raised.value.reason is FaultReason.TOO_LARGE
    assert unit.written < GIGABYTE / 16
    assert peak < 64 << 20


async def test_a_gigabyte_that_is_announced_is_not_even_begun(client_of):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/json\r\nContent-Length: {GIGABYTE}\r\n\r\n".encode()

    fault = await fault_of(client_of, Endless(head, 8 << 20))

    assert fault.reason is FaultReason.TOO_LARGE


async def test_a_gigabyte_packed_into_a_megabyte_is_not_unpacked(client_of):
    answer = http("200 OK", "text/json", b"\x1f\x8b" + bytes(1000), "Content-Encoding: gzip")

    fault = await fault_of(client_of, answer)

    assert fault.reason is FaultReason.MALFORMED
    assert "gzip" in fault.message


async def test_a_slow_drip_ends_with_the_time(client_of):
    fault = await fault_of(client_of, Drip(json('{"code":200,"status":"ok"}'), 0.2), seconds=1.0)

    assert fault.reason is FaultReason.TIMED_OUT
    assert "within 1 s" in fault.message


async def test_a_slow_drip_of_the_body_tells_how_far_it_came(client_of):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/json\r\nContent-Length: 1000\r\n\r\n{"

    async with LiteralUnit(answers=lambda _: head) as unit:
        client = await client_of(unit, version=Version.V2)
        with pytest.raises(UnitFault) as raised:
            await client.call("listvs", seconds=0.5)

    assert raised.value.reason is FaultReason.TIMED_OUT
    assert "(1 bytes)" in raised.value.message


@pytest.mark.parametrize(("command", "sent"), [("listvs", False), ("addvs", True)])
async def test_silence_ends_with_the_time(client_of, command, sent):
    fault = await fault_of(client_of, Silence(), command=command, seconds=0.3)

    assert (fault.reason, fault.sent) == (FaultReason.TIMED_OUT, sent)


@BOTH
@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", "text/html", LOGIN),
        http("200 OK", None, LOGIN),
        http("404 Not Found", "text/html", b"<html>not here</html>"),
        http("302 Found", None, b"", "Location: https://127.0.0.1:1/login"),
        http("301 Moved", "text/html", b"", "Location: /wui"),
        http("307 Temporary", "text/html", b"", "Location: http://169.254.169.254/metadata"),
    ],
)
async def test_a_web_user_interface_without_the_api_is_named_and_no_redirection_followed(
    client_of, version, answer
):
    async with LiteralUnit(answers=lambda _: answer) as unit:
        client = await client_of(unit, version=version)
        with pytest.raises(UnitFault) as raised:
            await client.call("listvs")

        assert raised.value.reason is FaultReason.API_DISABLED
        assert "Enable the API" in str(raised.value)
        assert {asked.path for asked in unit.asked} <= {"/accessv2", "/access/listvs", "/access/listapi"}


@pytest.mark.parametrize(
    "body",
    [
        '<!DOCTYPE x [<!ENTITY a "AAAA">]><Response stat="200"><Success>&a;</Success></Response>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><Response stat="200"><Success/></Response>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Response stat="200">&f;</Response>',
        "<a>" * 2000,
        '<Response stat="200"><Success>',
        "\x00\x01\x02",
    ],
)
async def test_xml_with_tricks_is_malformed(client_of, body):
    fault = await fault_of(client_of, xml(body), Version.V1, "azurehamode", parameters={"hamode": "first"})

    assert fault.reason is FaultReason.MALFORMED
    assert fault.sent
    assert "root:" not in str(fault)


@pytest.mark.parametrize(
    "answer",
    [
        json("{"),
        json("[]"),
        json("[" * 50_000),
        json('{"code":200,"code":500}'),
        json('{"code":NaN}'),
        http("200 OK", "text/plain", b"Master is active"),
        http("200 OK", "image/png", b"\x89PNG"),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 2000 Ok\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_garbage_is_malformed(client_of, answer):
    fault = await fault_of(client_of, answer, command="azurehamode", parameters={"hamode": "first"})

    assert fault.reason is FaultReason.MALFORMED
    assert fault.sent


async def test_a_plain_port_is_not_taken_for_tls(client_of):
    async def plain(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    unit = LiteralUnit(port=server.sockets[0].getsockname()[1])
    async with server:
        client = await client_of(unit, version=Version.V2)
        with pytest.raises(UnitFault) as raised:
            await client.call("listvs")

    assert raised.value.reason is FaultReason.MALFORMED
    assert "TLS" in raised.value.message
    assert not raised.value.sent


async def test_an_answer_that_breaks_off_is_lost(client_of):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/json\r\nContent-Length: 1000\r\n\r\n"

    fault = await fault_of(
        client_of, Drop(head + b'{"code":'), command="addvs", parameters={"vs": "10.0.2.4"}
    )

    assert (fault.reason, fault.sent) == (FaultReason.ANSWER_LOST, True)


async def test_cookies_are_not_kept(client_of):
    answer = http("200 OK", "text/json", b'{"code":200,"status":"ok"}', "Set-Cookie: session=1; Path=/")

    async with LiteralUnit(answers=lambda _: answer) as unit:
        client = await client_of(unit, version=Version.V2)
        await client.call("listvs")
        await client.call("listvs")

        assert [("cookie" in asked.headers) for asked in unit.asked] == [False, False]


async def test_proxies_of_the_environment_are_not_used(client_of, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async with LiteralUnit(answers=lambda _: json('{"code":200,"VS":[]}')) as unit:
        client = await client_of(unit, version=Version.V2)
        assert (await client.call("listvs")).ok


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (json('{"code":422,"message":"apikey=the-key-of-the-operator is odd"}', "422 No"), Version.V2),
        (json('{"code":422,"message":"who is the-key-of-the-operator?"}', "422 No"), Version.V2),
        (
            xml('<Response stat="400"><Error>password: hunter2 is weak</Error></Response>', "400 No"),
            Version.V1,
        ),
        (http("500 No", "text/html", b"<p>GET /access/x?apikey=the-key-of-the-operator</p>"), Version.V1),
    ],
)
async def test_secrets_that_a_unit_repeats_are_in_no_message_and_no_log(client_of, answer, version, caplog):
    caplog.set_level("DEBUG")

    fault = await fault_of(client_of, answer, version)

    told = f"{fault} {fault!r} {caplog.text}"
    assert "********" in told
    assert "the-key-of-the-operator" not in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + 20_000 * b"a" + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        Drop(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<"),
        http("500 No", "text/html", b"<p>GET /access/listvs?apikey=the-key-of-the-operator</p>"),
    ],
)
async def test_a_key_that_stands_in_a_url_is_in_no_traceback(client_of, answer):
    fault = await fault_of(client_of, answer, Version.V1)

    told = "".join(traceback.format_exception(fault))
    assert "UnitFault" in told
    assert "the-key-of-the-operator" not in told


@BOTH
async def test_a_secret_that_is_written_and_repeated_is_in_no_message(client_of, version):
    refusal = {
        Version.V1: xml(
            '<Response stat="422"><Error>Str0ng_partner is too weak</Error></Response>', "422 No"
        ),
        Version.V2: json('{"code":422,"message":"Str0ng_partner is too weak"}', "422 No"),
    }[version]

    fault = await fault_of(
        client_of, refusal, version, "setlmcommsecret", parameters={"secret": "Str0ng_partner"}
    )

    assert "******** is too weak" in str(fault)
    assert "Str0ng_partner" not in f"{fault} {fault.said}"

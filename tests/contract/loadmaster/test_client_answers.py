"""Literal answers of appliances over TLS, in all their shapes and quirks, as the client gives them."""

import pytest
from tests.support.literal_unit import Farewell, LiteralUnit, http, json, xml

from loadmaster_ha.loadmaster.values import Version


async def fields_of(client_of, version, command, answer, **parameters):
    async with LiteralUnit(answers=lambda _: answer) as unit:
        client = await client_of(unit, version=version)
        return (await client.call(command, parameters)).fields


def record(inner):
    return xml(f'<Response stat="200" code="ok"><Success><Data>{inner}</Data></Success></Response>')


HA_V1 = (
    "<AzureHA><HaMode>master</HaMode><HaPrefered>1</HaPrefered><Partner>10.0.2.5</Partner>"
    "<Port>8444</Port><HealthCheckAllInterfaces>unset</HealthCheckAllInterfaces></AzureHA>"
)


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        (Version.V1, record(HA_V1)),
        # Line breaks around values, a field of tomorrow, no word on all interfaces.
        (
            Version.V1,
            record(
                "<AzureHA>\n<HaMode>\nmaster\n</HaMode><New>x</New><HaPrefered> 1 </HaPrefered>"
                "<Partner>\n10.0.2.5</Partner><Port>8444\n</Port></AzureHA>"
            ),
        ),
        (
            Version.V2,
            json(
                '{"code":200,"HaMode":"master","HaPrefered":"1","Partner":"10.0.2.5","Port":"8444",'
                '"HealthCheckAllInterfaces":"unset","status":"ok"}'
            ),
        ),
        (
            Version.V2,
            json('{"code":200,"HaMode":"master","HaPrefered":1,"Partner":"10.0.2.5","Port":8444,"New":[]}'),
        ),
    ],
)
async def test_high_availability_settings(client_of, version, answer):
    fields = await fields_of(client_of, version, "getazurehaparams", answer)

    assert fields["HaMode"] == "master"
    assert fields["HaPrefered"] == 1
    assert fields["Partner"] == "10.0.2.5"
    assert str(fields["Port"]) == "8444"
    assert fields.get("HealthCheckAllInterfaces") is None


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        (Version.V1, record("<AzureHA><HaMode>single</HaMode><Partner>unset</Partner><Port/></AzureHA>")),
        (Version.V2, json('{"code":200,"HaMode":"single","Partner":"unset","Port":"","status":"ok"}')),
        (Version.V2, json('{"code":200,"HaMode":"single","status":"ok"}')),
    ],
)
async def test_what_is_not_set_is_absent_in_every_spelling(client_of, version, answer):
    fields = await fields_of(client_of, version, "getazurehaparams", answer)

    assert fields["HaMode"] == "single"
    assert (fields.get("Partner"), fields.get("Port"), fields.get("HaPrefered")) == (None, None, None)


SERVICE_V1 = (
    "<VS><Status>Up</Status><Index>1</Index><VSAddress>10.0.2.4</VSAddress><VSPort>443</VSPort>"
    "<Enable>Y</Enable><Transparent>N</Transparent><Idletime>660</Idletime>"
    "<Rs><Status>Up</Status><VSIndex>1</VSIndex><RsIndex>1</RsIndex><Addr>10.0.3.1</Addr><Port>80</Port>"
    "<Enable>Y</Enable></Rs></VS>"
)
SERVICE_V2 = (
    '{"Status":"Up","Index":1,"VSAddress":"10.0.2.4","VSPort":"443","Enable":true,"Transparent":false,'
    '"Idletime":"660","Rs":[{"Status":"Up","VSIndex":1,"RsIndex":1,"Addr":"10.0.3.1","Port":80,'
    '"Enable":true}]}'
)


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        (Version.V1, record(SERVICE_V1)),
        (Version.V1, record(SERVICE_V1.replace(">Y<", ">yes<").replace(">N<", ">0<"))),
        (Version.V2, json(f'{{"code":200,"VS":[{SERVICE_V2}],"status":"ok"}}')),
        # One of it, without the list; switches and numbers in other clothes.
        (Version.V2, json(f'{{"code":200,"VS":{SERVICE_V2},"status":"ok"}}')),
        (
            Version.V2,
            json(
                f'{{"code":200,"VS":{SERVICE_V2},"status":"ok"}}'.replace("true", '"Y"')
                .replace("false", "0")
                .replace('"443"', "443")
                .replace('"660"', " 660 ")
                .replace('"Port":80', '"Port":"80"')
            ),
        ),
    ],
)
async def test_a_list_of_one_service_is_a_list_whatever_it_looks_like(client_of, version, answer):
    fields = await fields_of(client_of, version, "listvs", answer)

    (service,) = fields["VS"]
    assert service["VSAddress"] == "10.0.2.4"
    assert (service["VSPort"], service["Idletime"]) == ("443", 660)  # a port may be `*`
    assert (service["Enable"], service["Transparent"]) == (True, False)
    (server,) = service["Rs"]
    assert (server["RsIndex"], server["Addr"], server["Port"], server["Enable"]) == (1, "10.0.3.1", 80, True)


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        (Version.V1, record("")),
        (Version.V2, json('{"code":200,"VS":[],"status":"ok"}')),
        (Version.V2, json('{"code":200,"status":"ok"}')),
    ],
)
async def test_no_services_are_an_empty_list(client_of, version, answer):
    assert (await fields_of(client_of, version, "listvs", answer))["VS"] == []


async def test_v1_is_read_in_the_vendors_encoding(client_of):
    answer = xml(
        b'<Response stat="200" code="ok"><Success><Data><hostname>B\xfcro &amp; K\xfcche</hostname></Data>'
        b"</Success></Response>"
    )

    fields = await fields_of(client_of, Version.V1, "get", answer, param="hostname")

    assert fields["hostname"] == "Büro & Küche"


@pytest.mark.parametrize(
    ("version", "answer", "text"),
    [
        (
            Version.V1,
            xml('<Response stat="200" code="ok"><Success>Shared address set</Success></Response>'),
            "S",
        ),
        (Version.V1, xml('<response stat="200"><message>done</message><status>ok</status></response>'), "d"),
        (Version.V1, xml('<Response stat="200" code="ok"><Success/></Response>'), ""),
        (Version.V2, json('{"code":200,"message":"Command completed ok","status":"ok"}'), "C"),
        (Version.V2, json('{"code":200,"status":"ok"}'), ""),
        # The type with a charset, as some firmware sends it.
        (Version.V2, http("200 OK", "Text/JSON; charset=utf-8", b'{"code":200,"message":"x"}'), "x"),
    ],
)
async def test_it_is_the_code_that_says_that_it_is_done(client_of, version, answer, text):
    async with LiteralUnit(answers=lambda _: answer) as unit:
        client = await client_of(unit, version=version)
        done = await client.call("azurehamode", {"hamode": "first"})

    assert done.ok
    assert (done.text or "").startswith(text)


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        (Version.V1, http("200 OK", "application/octet-stream", b"\x1f\x8b\x00backup")),
        (Version.V2, json('{"code":200,"data":"H4sAYmFja3Vw","status":"ok"}')),
    ],
)
async def test_a_file_comes_as_bytes(client_of, version, answer):
    async with LiteralUnit(answers=lambda _: answer) as unit:
        client = await client_of(unit, version=version)
        assert (await client.call("backup")).data == b"\x1f\x8b\x00backup"


async def test_a_thousand_services_arrive_whole(client_of):
    services = ",".join(SERVICE_V2.replace('"Index":1', f'"Index":{n}') for n in range(1, 1001))
    answer = json(f'{{"code":200,"VS":[{services}],"status":"ok"}}')

    fields = await fields_of(client_of, Version.V2, "listvs", answer)

    assert [each["Index"] for each in fields["VS"]] == list(range(1, 1001))


async def test_an_answer_in_chunks_is_put_together(client_of):
    body = b'{"code":200,"version":"7.2.54.12.22642.RELEASE","status":"ok"}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:30], body[30:]))
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunks
        + b"0\r\n\r\n"
    )

    fields = await fields_of(client_of, Version.V2, "get", answer, param="version")

    assert fields["version"] == "7.2.54.12.22642.RELEASE"


async def test_an_answer_that_ends_with_the_connection_is_read_to_its_end(client_of):
    answer = b'HTTP/1.0 200 OK\r\nContent-Type: text/json\r\nConnection: close\r\n\r\n{"code":200,"a":"b"}'

    fields = await fields_of(client_of, Version.V2, "getall", Farewell(answer))

    assert fields["a"] == "b"

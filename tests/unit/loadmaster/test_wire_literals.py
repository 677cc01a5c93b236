"""Bytes as Kemp's documents and recorded answers have them, against what is read and written here.

Sources: the "RESTful API Interface Description" of 2022, the two API collections, and recordings that authors
of open clients have published. None of this text was made by our own code.
"""

import json

import pytest

from loadmaster_ha.loadmaster import requests, v1, v2
from loadmaster_ha.loadmaster.answers import Answer
from loadmaster_ha.loadmaster.commands import COMMANDS, find

HEAD = b'<?xml version="1.0" encoding="ISO-8859-1"?>\n'
OK = HEAD + b'<Response stat="200" code="ok">\n<Success>Command completed ok</Success>\n</Response>\n'
RECORDED_SERVICE = HEAD + (
    b'<Response stat="200" code="ok">\n<Success><Data><Status>Down</Status>\n<Index>1</Index>\n'
    b"<VSAddress>192.168.1.235</VSAddress>\n<VSPort>6443</VSPort>\n<Layer>4</Layer>\n<Enable>Y</Enable>\n"
    b"<SSLReverse>N</SSLReverse>\n<Idletime>660</Idletime>\n<ErrorCode>0</ErrorCode>\n"
    b"<CheckUse1.1>N</CheckUse1.1>\n<VStype>http2</VStype>\n<Protocol>tcp</Protocol>\n<Schedule>rr</Schedule>\n"
    b"<CheckType>https</CheckType>\n<PersistTimeout>0</PersistTimeout>\n<CheckPort>8080</CheckPort>\n"
    b"<CheckCodes>303 606 909</CheckCodes>\n<NumberOfRSs>0</NumberOfRSs>\n</Data></Success>\n</Response>\n"
)
RECORDED_SERVICE_V2 = (
    b'{ "code": 200,\n "Status" : "Down",\n "Index" : 1,\n "VSAddress" : "192.168.1.235",\n'
    b' "VSPort" : "6443",\n "Layer" : 4,\n "Enable" : true,\n "SSLReverse" : false,\n'
    b' "Idletime" : 660,\n "ErrorCode" : "0",\n'
    b' "CheckUse1.1" : false,\n "VStype" : "http2",\n "Protocol" : "tcp",\n "Schedule" : "rr",\n'
    b' "CheckType" : "https",\n "PersistTimeout" : "0",\n "CheckPort" : "8080",\n'
    b' "CheckCodes": "303 606 909",\n "NumberOfRSs" : 0\n,\n  "status": "ok"\n}\n'
)
SERVICE = {
    "Status": "Down",
    "Index": 1,
    "VSAddress": "192.168.1.235",
    "VSPort": "6443",
    "Layer": 4,
    "Enable": True,
    "SSLReverse": False,
    "Idletime": 660,
    "ErrorCode": 0,
    "CheckUse1.1": False,
    "VStype": "http2",
    "Protocol": "tcp",
    "Schedule": "rr",
    "CheckType": "https",
    "PersistTimeout": 0,
    "CheckPort": 8080,
    "CheckCodes": ["303", "606", "909"],
    "NumberOfRSs": 0,
}
SERVER = {
    "Status": "Down",
    "VSIndex": 1,
    "RsIndex": 1,
    "Addr": "10.10.10.10",
    "Port": 8080,
    "Forward": "nat",
    "Weight": 1000,
    "Limit": 0,
    "RateLimit": 0,
    "Follow": 0,
    "Enable": True,
    "Critical": False,
    "Nrules": 0,
}
RECORDED_SERVER = HEAD + (
    b'<Response stat="200" code="ok">\n<Success><Data><Rs>\n<Status>Down</Status>\n<VSIndex>1</VSIndex>\n'
    b"<RsIndex>1</RsIndex>\n<Addr>10.10.10.10</Addr>\n<Port>8080</Port>\n<DnsName></DnsName>\n"
    b"<Forward>nat</Forward>\n<Weight>1000</Weight>\n<Limit>0</Limit>\n<RateLimit>0</RateLimit>\n"
    b"<Follow>0</Follow>\n<Enable>Y</Enable>\n<Critical>N</Critical>\n<Nrules>0</Nrules>\n</Rs>\n"
    b"</Data></Success>\n</Response>\n"
)


def shape(name):
    return COMMANDS[name].reply


def xml(content):
    return HEAD + b'<Response stat="200" code="ok"><Success>' + content + b"</Success></Response>"


# Reading


def test_the_version_is_read():
    answer = v1.decode_answer(
        shape("get"), 200, "text/xml", xml(b"<Data><version>7.2.54.12.22642.RELEASE</version></Data>")
    )

    assert answer.fields == {"version": "7.2.54.12.22642.RELEASE"}


def test_line_breaks_around_a_value_are_trimmed():
    answer = v1.decode_answer(
        shape("get"), 200, "text/xml", xml(b"<Data><cachesize>\n100\n</cachesize></Data>")
    )

    assert answer.fields == {"cachesize": "100"}


def test_a_text_is_read():
    assert v1.decode_answer(shape("azurehamode"), 200, "text/xml", OK) == Answer(text="Command completed ok")


def test_a_refusal_is_read_with_its_code():
    content = HEAD + b'<Response stat="400" code="fail"><Error>param: String Value missing</Error></Response>'

    assert v1.decode_answer(shape("set"), 400, "text/xml", content) == Answer(
        400, text="param: String Value missing"
    )
    assert v2.decode_answer(
        shape("set"),
        422,
        "text/json",
        b'{"code":422,"message":"param: String Value missing","status":"fail"}',
    ) == Answer(422, text="param: String Value missing")


@pytest.mark.parametrize(
    ("status", "content", "code"),
    [
        (200, b'{"code":"422","message":"no","status":"fail"}', 422),
        (200, b'{"message":"no","status":"fail"}', 422),
        (200, b'{"code":200,"message":"no","status":"fail"}', 422),
        (500, b'{"code":200,"message":"no","status":"ok"}', 500),
        (422, b'{"code":' + 4000 * b"9" + b',"message":"no"}', 422),
        (400, b'{"code":true,"message":"no"}', 400),
        (200, b'<Response stat="422"><Error>no</Error></Response>', 422),
        (200, b'<Response code="fail"><Error>no</Error></Response>', 422),
        (200, b"<Response><Error>no</Error></Response>", 422),
        (500, b'<Response stat="200" code="ok"><Error>no</Error></Response>', 500),
        (200, b'<response stat="200"><message>no</message><status>fail</status></response>', 422),
    ],
)
def test_what_says_in_any_way_that_it_failed_is_no_success(status, content, code):
    version, kind = (v2, "text/json") if content.startswith(b"{") else (v1, "text/xml")

    answer = version.decode_answer(shape("addvs"), status, kind, content)

    assert not answer.ok
    assert answer.code == code


def test_the_odd_answer_of_the_bond_commands_is_read():
    content = HEAD + b'<response stat="200"><message>done</message><status>ok</status></response>'

    assert v1.decode_answer(shape("set"), 200, "text/xml", content).text == "done"


def test_a_recorded_service_is_the_same_in_both_versions():
    over_v1 = v1.decode_answer(shape("addvs"), 200, "text/xml", RECORDED_SERVICE)
    over_v2 = v2.decode_answer(shape("addvs"), 200, "text/json", RECORDED_SERVICE_V2)

    assert over_v1.fields == over_v2.fields == {**SERVICE, "Rs": []}


def test_fields_that_are_not_known_here_are_kept():
    content = RECORDED_SERVICE.replace(
        b"<Index>1</Index>",
        b"<Index>1</Index><InterceptOpts>\n<Opt>opnormal</Opt>\n<Opt>auditnone</Opt></InterceptOpts>",
    )
    fields = v1.decode_answer(shape("addvs"), 200, "text/xml", content).fields

    assert fields["InterceptOpts"] == {"Opt": ["opnormal", "auditnone"]}


def test_a_recorded_real_server_is_the_same_in_both_versions():
    content = (
        b'{ "code": 200,\n"Rs": [\n{  "Status" : "Down",\n "VSIndex" : 1,\n "RsIndex" : 1,\n'
        b' "Addr" : "10.10.10.10",\n "Port" : 8080,\n "DnsName" : "",\n "Forward" : "nat",\n'
        b' "Weight" : 1000,\n "Limit" : 0,\n "RateLimit" : 0,\n "Follow" : 0,\n "Enable" : true,\n'
        b' "Critical" : false,\n "Nrules" : 0 \n }\n]\n ,\n  "status": "ok"\n}\n'
    )
    over_v1 = v1.decode_answer(shape("showrs"), 200, "text/xml", RECORDED_SERVER).fields
    over_v2 = v2.decode_answer(shape("showrs"), 200, "text/json", content).fields

    assert over_v1 == over_v2 == {"Rs": [{**SERVER, "DnsName": None}]}


def test_ha_settings_of_azure_are_read():
    content = (
        b'{"code":200,"HaMode":"master","HaPrefered":"1","Partner":"10.0.2.5","Port":"8444",'
        b'"HealthCheckAllInterfaces":"unset","status":"ok"}'
    )
    inner = (
        b"<Data><AzureHA><HaMode>master</HaMode><HaPrefered>1</HaPrefered><Partner>10.0.2.5</Partner>"
        b"<Port>8444</Port><HealthCheckAllInterfaces>unset</HealthCheckAllInterfaces></AzureHA></Data>"
    )
    expected = {
        "HaMode": "master",
        "HaPrefered": 1,
        "Partner": "10.0.2.5",
        "Port": "8444",
        "HealthCheckAllInterfaces": None,
    }

    assert v2.decode_answer(shape("getazurehaparams"), 200, "text/json", content).fields == expected
    assert v1.decode_answer(shape("getazurehaparams"), 200, "text/xml", xml(inner)).fields == expected


def test_ha_settings_within_another_clouds_element_are_read_too():
    inner = b"<Data><HaMode>single</HaMode><Partner>unset</Partner></Data>"

    assert v1.decode_answer(shape("getcloudhaparams"), 200, "text/xml", xml(inner)).fields == {
        "HaMode": "single",
        "Partner": None,
    }


def test_a_recorded_getall_is_read_by_kind():
    inner = (
        b"<Data><dfltgw>10.0.0.2</dfltgw>\n<hamode>0</hamode>\n<wuiport>443</wuiport>\n<multigw>no</multigw>\n"
        b"<nonlocalrs>yes</nonlocalrs>\n<backuppassword>********</backuppassword>\n<enableapi>yes</enableapi>\n"
        b"<nameserver>8.8.8.8</nameserver>\n<localcert>Only available in HA mode</localcert>\n"
        b"<boottime>Thu, 28 May 26 11:22:37 UTC</boottime>\n<serialnumber>1350841</serialnumber>\n</Data>"
    )
    fields = v1.decode_answer(shape("getall"), 200, "text/xml", xml(inner)).fields

    assert fields == {
        "dfltgw": "10.0.0.2",
        "hamode": "0",
        "wuiport": 443,
        "multigw": False,
        "nonlocalrs": True,
        "backuppassword": "********",
        "enableapi": True,
        "nameserver": ["8.8.8.8"],
        "localcert": "Only available in HA mode",
        "boottime": "Thu, 28 May 26 11:22:37 UTC",
        "serialnumber": "1350841",
    }


def test_one_cluster_is_a_bare_object_in_v2_and_a_list_here():
    content = b'{"code":200,"cluster":{"Name":"west","IPAddress":"10.0.2.4","Enable":"Y"},"status":"ok"}'

    assert v2.decode_answer(shape("listclusters"), 200, "text/json", content).fields == {
        "cluster": [{"Name": "west", "IPAddress": "10.0.2.4", "Enable": True}]
    }


# Writing


def test_text_is_written_as_the_manual_shows_it():
    assert v1.encode_answer(shape("set"), Answer(text="Command completed ok")).content == OK
    assert v2.encode_answer(shape("set"), Answer(text="Command completed ok")).content == (
        b'{"code": 200, "message": "Command completed ok", "status": "ok"}'
    )


def test_a_service_is_written_as_it_was_recorded():
    assert v1.encode_answer(shape("addvs"), Answer(fields=SERVICE)).content == RECORDED_SERVICE


def test_a_service_is_written_with_the_types_that_were_recorded_in_v2():
    written = json.loads(v2.encode_answer(shape("addvs"), Answer(fields=SERVICE)).content)

    assert written == json.loads(RECORDED_SERVICE_V2)


def test_a_real_server_is_written_as_it_was_recorded():
    fields = {"Rs": [{**SERVER, "DnsName": ""}]}

    assert v1.encode_answer(shape("showrs"), Answer(fields=fields)).content == RECORDED_SERVER


def test_characters_outside_latin_1_are_written_as_references():
    body = v1.encode_answer(shape("get"), Answer(fields={"hostname": "ü<日>"}))

    assert b"<hostname>\xfc&lt;&#26085;&gt;</hostname>" in body.content


def test_letters_stay_letters_in_geo():
    written = json.loads(
        v2.encode_answer(
            shape("listclusters"), Answer(fields={"cluster": [{"Enable": True}, {"Enable": False}]})
        ).content
    )

    assert [each["Enable"] for each in written["cluster"]] == ["Y", "N"]


# Requests


@pytest.mark.parametrize("name", ["logging/ping", "logging.ping", "/logging/ping/", "LOGGING.Ping"])
def test_subcommands_are_found_in_either_form(name):
    assert find(name) is COMMANDS["logging.ping"]


@pytest.mark.parametrize("name", ["getCloudHaParams", "getcloudhaparams"])
def test_both_spellings_of_the_manual_are_found(name):
    assert find(name) is COMMANDS["getcloudhaparams"]


@pytest.mark.parametrize("word", ["Y", "y", "1", "yes", "true", True, 1])
def test_every_way_of_saying_yes_is_taken(word):
    assert requests.read(COMMANDS["addvs"], {"vs": "10.0.2.4", "Enable": word})["Enable"] is True


def test_names_of_parameters_are_found_whatever_their_case():
    # Kemp's PowerShell module writes `Haprefered` where the manual has `haprefered`.
    assert requests.read(COMMANDS["azurehaparam"], {"Haprefered": "0"}) == {"haprefered": False}


def test_the_other_name_of_the_value_of_set_is_taken():
    assert requests.read(COMMANDS["set"], {"param": "enableapi", "val": True}) == {
        "param": "enableapi",
        "value": True,
    }


def test_a_real_server_by_index_is_percent_encoded():
    request = v1.encode_request(COMMANDS["showrs"], {"vs": "1", "rs": "!2"})

    assert request.path == "/access/showrs?vs=1&rs=%212"
    assert v1.decode_parameters("vs=1&rs=%212") == {"vs": "1", "rs": "!2"}

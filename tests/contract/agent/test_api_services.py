"""Virtual services and real servers over HTTPS: shapes, rules and refusals, both versions of the API.

Literal answers are those of an appliance (firmware 7.2.5x), as recorded by users of Kemp's API, with the
addresses of the test in them, less what only an appliance has.
"""

import pytest
from tests.support.management import served

ADDRESS = "10.0.2.4"


@pytest.fixture
async def api(tmp_path):
    async with served(tmp_path) as serving:
        yield serving


async def added(api, port="80", **more):
    reply = await api.v2("addvs", vs=ADDRESS, port=port, prot="tcp", **more)
    assert reply.status == 200, reply.text
    return reply.json


async def refused(api, command, **parameters):
    reply = await api.v2(command, **parameters)
    assert reply.status == 422, reply.text
    assert reply.json["status"] == "fail"
    return reply.json["message"]


RECORDED_V1 = """<?xml version="1.0" encoding="ISO-8859-1"?>
<Response stat="200" code="ok">
<Success><Data><VS>
<Status>Down</Status>
<Index>1</Index>
<VSAddress>10.0.2.4</VSAddress>
<VSPort>80</VSPort>
<Layer>7</Layer>
<NickName>foo</NickName>
<Enable>Y</Enable>
<SSLReverse>N</SSLReverse>
<SSLReencrypt>N</SSLReencrypt>
<InterceptMode>0</InterceptMode>
<Intercept>N</Intercept>
<AlertThreshold>0</AlertThreshold>
<Transparent>N</Transparent>
<SubnetOriginating>Y</SubnetOriginating>
<ServerInit>0</ServerInit>
<StartTLSMode>0</StartTLSMode>
<Idletime>660</Idletime>
<Cache>N</Cache>
<Compress>N</Compress>
<Verify>0</Verify>
<UseforSnat>N</UseforSnat>
<ForceL4>N</ForceL4>
<ForceL7>Y</ForceL7>
<MultiConnect>N</MultiConnect>
<ClientCert>0</ClientCert>
<SecurityHeaderOptions>0</SecurityHeaderOptions>
<SameSite>0</SameSite>
<VerifyBearer>N</VerifyBearer>
<ErrorCode>0</ErrorCode>
<CheckUse1.1>N</CheckUse1.1>
<MatchLen>0</MatchLen>
<CheckUseGet>0</CheckUseGet>
<SSLRewrite>0</SSLRewrite>
<VStype>http</VStype>
<FollowVSID>0</FollowVSID>
<Protocol>tcp</Protocol>
<Schedule>rr</Schedule>
<CheckType>http</CheckType>
<PersistTimeout>0</PersistTimeout>
<CheckPort>0</CheckPort>
<HTTPReschedule>N</HTTPReschedule>
<NRules>0</NRules>
<NRequestRules>0</NRequestRules>
<NResponseRules>0</NResponseRules>
<NMatchBodyRules>0</NMatchBodyRules>
<NPreProcessRules>0</NPreProcessRules>
<EspEnabled>N</EspEnabled>
<InputAuthMode>0</InputAuthMode>
<OutputAuthMode>0</OutputAuthMode>
<MasterVS>0</MasterVS>
<MasterVSID>0</MasterVSID>
<IsTransparent>2</IsTransparent>
<AddVia>0</AddVia>
<QoS>0</QoS>
<TlsType>0</TlsType>
<NeedHostName>N</NeedHostName>
<OCSPVerify>N</OCSPVerify>
<AllowHTTP2>N</AllowHTTP2>
<PassCipher>N</PassCipher>
<PassSni>N</PassSni>
<ChkInterval>0</ChkInterval>
<ChkTimeout>0</ChkTimeout>
<ChkRetryCount>0</ChkRetryCount>
<Bandwidth>0</Bandwidth>
<ConnsPerSecLimit>0</ConnsPerSecLimit>
<RequestsPerSecLimit>0</RequestsPerSecLimit>
<MaxConnsLimit>0</MaxConnsLimit>
<RefreshPersist>N</RefreshPersist>
<EnhancedHealthChecks>N</EnhancedHealthChecks>
<RsMinimum>0</RsMinimum>
<NumberOfRSs>0</NumberOfRSs>
</VS>
</Data></Success>
</Response>
"""

RECORDED_V2 = {
    "code": 200,
    "Status": "Down",
    "Index": 1,
    "VSAddress": ADDRESS,
    "VSPort": "6443",
    "Enable": True,
    "SSLReverse": False,
    "Transparent": False,
    "SubnetOriginating": True,
    "Idletime": 660,
    "ErrorCode": "0",
    "CheckUse1.1": False,
    "CheckUseGet": 0,
    "SSLRewrite": "0",
    "Protocol": "tcp",
    "Schedule": "rr",
    "CheckType": "https",
    "PersistTimeout": "0",
    "CheckPort": "8080",
    "CheckCodes": "303 506 409",
    "CheckHost": "foo.bar.baz",
    "CheckUrl": "/healthz",
    "MasterVSID": 0,
    "QoS": 0,
    "TlsType": "0",
    "ChkInterval": 0,
    "RsMinimum": 0,
    "NumberOfRSs": 0,
    "status": "ok",
}


async def test_listvs_is_what_an_appliance_says_in_v1(api):
    await added(api, NickName="foo")

    assert (await api.v1("listvs")).text == RECORDED_V1


async def test_showvs_has_the_service_directly_under_data(api):
    await added(api, NickName="foo")
    service = RECORDED_V1.replace("<VS>\n", "").replace("</VS>\n", "")

    assert (await api.v1("showvs", vs=ADDRESS, port="80", prot="tcp")).text == service
    assert (await api.v1("showvs", vs="1")).text == service


async def test_addvs_answers_with_the_types_of_an_appliance_in_v2(api):
    reply = await added(
        api,
        "6443",
        CheckType="https",
        CheckPort="8080",
        CheckUrl="/healthz",
        CheckHost="foo.bar.baz",
        CheckCodes="303 506 409",
    )

    assert {name: reply[name] for name in RECORDED_V2} == RECORDED_V2
    assert "Rs" not in reply


async def test_no_services_are_an_empty_list(api):
    assert "<Success><Data></Data></Success>" in (await api.v1("listvs")).text
    assert (await api.v2("listvs")).json == {"code": 200, "VS": [], "status": "ok"}


async def test_addrs_and_showrs_are_what_an_appliance_says(api):
    await added(api)
    row = (
        "<Rs>\n<Status>Down</Status>\n<VSIndex>1</VSIndex>\n<RsIndex>1</RsIndex>\n<Addr>10.10.10.10</Addr>\n"
        "<Port>8080</Port>\n<DnsName></DnsName>\n<Forward>nat</Forward>\n<Weight>1000</Weight>\n"
        "<Limit>0</Limit>\n<RateLimit>0</RateLimit>\n<Follow>0</Follow>\n<Enable>Y</Enable>\n"
        "<Critical>N</Critical>\n<Nrules>0</Nrules>\n</Rs>\n"
    )

    reply = await api.v1("addrs", vs=ADDRESS, port="80", prot="tcp", rs="10.10.10.10", rsport="8080")

    assert f"<Success><Data>{row}</Data></Success>" in reply.text
    for which in ({"rs": "10.10.10.10", "rsport": "8080"}, {"rs": "!1"}):
        assert f"<Success><Data>{row}</Data></Success>" in (await api.v1("showrs", vs="1", **which)).text
    assert (await api.v2("showrs", vs="1", rs="!1")).json == {
        "code": 200,
        "Rs": [
            {
                "Status": "Down",
                "VSIndex": 1,
                "RsIndex": 1,
                "Addr": "10.10.10.10",
                "Port": 8080,
                "DnsName": "",
                "Forward": "nat",
                "Weight": 1000,
                "Limit": 0,
                "RateLimit": 0,
                "Follow": 0,
                "Enable": True,
                "Critical": False,
                "Nrules": 0,
            }
        ],
        "status": "ok",
    }


async def test_a_service_brings_its_real_servers(api):
    await added(api)
    await api.v2("addrs", vs="1", rs="10.0.9.1", rsport="80")

    assert [row["Addr"] for row in (await api.v2("showvs", vs="1")).json["Rs"]] == ["10.0.9.1"]
    assert (await api.v2("listvs")).json["VS"][0]["NumberOfRSs"] == 1
    assert "<Rs>\n<Status>Down</Status>" in (await api.v1("listvs")).text


async def test_modrs_delrs_and_delvs_say_a_sentence(api):
    await added(api)
    await api.v2("addrs", vs="1", rs="10.0.9.1", rsport="80")

    for command, more in (
        ("modrs", {"rs": "10.0.9.1", "rsport": "80", "weight": 7}),
        ("delrs", {"rs": "!1"}),
        ("delvs", {}),
    ):
        assert (await api.v2(command, vs="1", **more)).json == {
            "code": 200,
            "message": "Command completed ok",
            "status": "ok",
        }
    assert (await api.v2("listvs")).json["VS"] == []


async def test_a_real_server_keeps_its_index_when_its_port_changes(api):
    await added(api)
    await api.v2("addrs", vs="1", rs="10.0.9.1", rsport="80", weight=5)
    await api.v2("addrs", vs="1", rs="10.0.9.2", rsport="80")

    await api.v2("modrs", vs="1", rs="10.0.9.1", rsport="80", newport="81", limit=9)

    (first, second) = (await api.v2("showvs", vs="1")).json["Rs"]
    assert (first["RsIndex"], first["Port"], first["Weight"], first["Limit"]) == (1, 81, 5, 9)
    assert second["RsIndex"] == 2
    assert "has no real server" in await refused(api, "showrs", vs="1", rs="10.0.9.1", rsport="80")


async def test_a_service_keeps_its_index_and_servers_when_its_port_changes(api):
    await added(api, NickName="web")
    await api.v2("addrs", vs="1", rs="10.0.9.1", rsport="80")

    reply = await api.v2("modvs", vs=ADDRESS, port="80", prot="tcp", VSPort="8080", Idletime=60)

    assert (reply.json["Index"], reply.json["VSPort"], reply.json["NickName"]) == (1, "8080", "web")
    assert (reply.json["Idletime"], reply.json["Rs"][0]["RsIndex"]) == (60, 1)
    assert [each["VSPort"] for each in (await api.v2("listvs")).json["VS"]] == ["8080"]


async def test_what_is_not_sent_stays_and_empty_unsets(api):
    await added(api, NickName="web", Idletime=60, CheckUrl="/up")

    await api.v2("modvs", vs="1", NickName="shop")
    kept = (await api.v2("showvs", vs="1")).json
    emptied = (await api.v2("modvs", vs="1", CheckUrl="", Idletime="")).json

    assert (kept["NickName"], kept["Idletime"], kept["CheckUrl"]) == ("shop", 60, "/up")
    assert "CheckUrl" not in emptied
    assert emptied["Idletime"] == 660


async def test_a_client_may_write_back_all_that_it_has_read(api):
    before = await added(api, NickName="web")
    body = {name: value for name, value in before.items() if name not in {"code", "status"}}

    reply = await api.v2("modvs", vs="1", **body)

    assert reply.json == before


@pytest.mark.parametrize(
    ("sent", "stored"), [("59", "0"), ("60", "60"), ("119", "60"), ("3599", "3540"), ("7200", "7200")]
)
async def test_persistence_times_are_whole_minutes(api, sent, stored):
    reply = await added(api, Persist="src", PersistTimeout=sent)

    assert reply["PersistTimeout"] == stored
    assert reply.get("Persist") == ("src" if stored != "0" else None)


async def test_persistence_without_a_time_gets_one(api):
    reply = await added(api, Persist="src")

    assert (reply["Persist"], reply["PersistTimeout"]) == ("src", "360")


async def test_persistence_by_cookie_needs_its_name(api):
    assert "Cookie" in await refused(api, "addvs", vs=ADDRESS, port="80", prot="tcp", Persist="active-cookie")
    assert (await added(api, Persist="active-cookie", Cookie="SRV"))["Cookie"] == "SRV"


@pytest.mark.parametrize("name", ["a", "web-1", "a.b@c_d", "9"])
async def test_a_name_may_have_dots_ats_and_dashes(api, name):
    assert (await added(api, NickName=name))["NickName"] == name


@pytest.mark.parametrize("name", ["-web", ".web", "web shop", "wéb", "a;b", "<b>"])
async def test_other_names_are_refused(api, name):
    text = await refused(api, "addvs", vs=ADDRESS, port="80", prot="tcp", NickName=name)

    assert text.startswith("NickName")
    assert (await api.v2("listvs")).json["VS"] == []


@pytest.mark.parametrize("name", ["checktype", "CHECKTYPE", "CheckType"])
async def test_upper_and_lower_case_of_names_do_not_count(api, name):
    assert (await added(api, "1234", **{name: "HTTP"}))["CheckType"] == "http"


@pytest.mark.parametrize(
    ("port", "kind", "check"), [("80", "http", "http"), ("443", "http", "https"), ("1521", "gen", "tcp")]
)
async def test_type_and_check_of_a_new_service_go_by_its_port(api, port, kind, check):
    reply = await added(api, port)

    assert (reply["VStype"], reply["CheckType"]) == (kind, check)


@pytest.mark.parametrize("port", ["8443", "6973", "22", "8444"])
async def test_ports_of_the_unit_itself_are_refused(api, port):
    assert "unit's own" in await refused(api, "addvs", vs=ADDRESS, port=port, prot="tcp")
    assert "unit's own" in await refused(
        api, "addvs", vs=ADDRESS, port="80", prot="tcp", ExtraPorts=f"81,{port}"
    )


async def test_the_health_check_port_that_is_set_is_refused(api):
    await api.v2("azurehaparam", hcp="8555")

    assert "health check" in await refused(api, "addvs", vs=ADDRESS, port="8555", prot="tcp")
    await added(api, "8444")


async def test_the_health_check_port_cannot_be_a_services(api):
    await added(api, "8081", ExtraPorts="8082")

    for port in ("8081", "8082"):
        assert "belongs to virtual service 1" in await refused(api, "azurehaparam", hcp=port)


@pytest.mark.parametrize("port", ["0", "2", "65531", "99999"])
async def test_ports_out_of_range_are_refused(api, port):
    assert "port" in await refused(api, "addvs", vs=ADDRESS, port=port, prot="tcp")


async def test_a_wildcard_port_is_refused(api):
    assert "layer 4" in await refused(api, "addvs", vs=ADDRESS, port="*", prot="tcp")


async def test_another_address_than_the_interfaces_is_refused(api):
    text = await refused(api, "addvs", vs="10.0.2.99", port="80", prot="tcp")

    assert "10.0.2.99" in text
    assert "10.0.2.4 (eth0)" in text
    await added(api)
    assert "10.0.2.99" in await refused(api, "modvs", vs="1", VSAddress="10.0.2.99")


async def test_a_service_that_is_there_is_refused(api):
    await added(api)

    assert "already" in await refused(api, "addvs", vs=ADDRESS, port="80", prot="tcp")


async def test_a_port_belongs_to_one_service(api):
    await added(api, "80", ExtraPorts="90-92, 95")
    await added(api, "81")

    assert (await api.v2("showvs", vs="1")).json["ExtraPorts"] == "90,91,92,95"
    assert "91 belongs to virtual service 1" in await refused(api, "addvs", vs=ADDRESS, port="91", prot="tcp")
    assert "81 belongs to virtual service 2" in await refused(api, "modvs", vs="1", ExtraPorts="81")
    assert "80 belongs to virtual service 1" in await refused(api, "modvs", vs="2", VSPort="80")


@pytest.mark.parametrize("ports", ["x", "80-", "95-90", "1", "70000", "3-600"])
async def test_extra_ports_that_are_none_are_refused(api, ports):
    assert "ExtraPorts" in await refused(api, "addvs", vs=ADDRESS, port="80", prot="tcp", ExtraPorts=ports)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("ForceL7", "N", "layer 4"),
        ("Compress", "Y", "compression"),
        ("Cache", "1", "caching"),
        ("InterceptMode", "2", "web application firewall"),
        ("EspEnabled", True, "Edge Security Pack"),
        ("MultiConnect", "Y", "multiplexing"),
        ("SubnetOriginating", "N", "source address"),
        ("ClientCert", "1", "client certificates"),
        ("QueryTag", "id", "persistence by query"),
        ("createsubvs", "", "SubVS"),
        ("template", "Exchange", "templates"),
        ("AddVia", "1", "Via"),
        ("TlsType", "23", "TlsType"),
        ("RsMinimum", "2", "EnhancedHealthChecks"),
        ("StandbyAddr", "10.0.9.9", "StandbyPort"),
        ("SSLReencrypt", "Y", "SSLAcceleration"),
        ("CertFile", "nosuch", "no certificate nosuch"),
        ("CheckCodes", "200", "CheckCodes"),
        ("CheckCodes", "4xx", "CheckCodes"),
        ("ErrorCode", "100", "ErrorCode"),
        ("Persist", "sometimes", "Persist"),
        ("Schedule", "best", "Schedule"),
        ("Idletime", "86401", "Idletime"),
    ],
)
async def test_what_the_unit_cannot_do_is_refused_by_name(api, name, value, word):
    text = await refused(api, "addvs", vs=ADDRESS, port="80", prot="tcp", **{name: value})

    assert word in text
    assert (await api.v2("listvs")).json["VS"] == []


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [("follow", "1", "follow"), ("forward", "route", "layer 4"), ("addtoallsubvs", "1", "SubVS")],
)
async def test_what_the_unit_cannot_do_for_a_real_server_is_refused(api, name, value, word):
    await added(api)

    assert word in await refused(api, "addrs", vs="1", rs="10.0.9.1", rsport="80", **{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("weight", "0"), ("weight", "65536"), ("limit", "100001"), ("rsport", "0")]
)
async def test_numbers_of_a_real_server_have_bounds(api, name, value):
    await added(api)

    parameters = {"vs": "1", "rs": "10.0.9.1", "rsport": "80", name: value}
    assert name in await refused(api, "addrs", **parameters)


async def test_a_real_server_is_an_address(api):
    await added(api)

    assert "rs" in await refused(api, "addrs", vs="1", rs="www.example.com", rsport="80")
    reply = await api.v2("addrs", vs="1", rs="2001:DB8::5", rsport="80")
    assert reply.json["Rs"][0]["Addr"] == "2001:db8::5"
    assert (await api.v2("showrs", vs="1", rs="2001:db8:0::5", rsport="80")).status == 200


async def test_unknown_services_and_servers_are_422(api):
    await added(api)

    assert "Unknown VS" in await refused(api, "showvs", vs="9")
    assert "Unknown VS" in await refused(api, "delvs", vs=ADDRESS, port="81", prot="tcp")
    assert "Unknown RS" in await refused(api, "delrs", vs="1", rs="!4")
    assert "Unknown RS" in await refused(api, "modrs", vs="1", rs="10.0.9.1", rsport="80", weight="1")
    assert "Unknown RS" in await refused(api, "disablers", rs="10.0.9.1")


async def test_a_real_server_is_disabled_everywhere_at_once(api):
    for port in ("80", "81"):
        await added(api, port)
        await api.v2("addrs", vs=ADDRESS, port=port, prot="tcp", rs="10.0.9.1", rsport="80")
        await api.v2("addrs", vs=ADDRESS, port=port, prot="tcp", rs="10.0.9.2", rsport="80")

    await api.v2("disablers", rs="10.0.9.1")
    states = [[row["Status"] for row in each["Rs"]] for each in (await api.v2("listvs")).json["VS"]]
    totals = (await api.v2("vstotals")).json
    await api.v2("enablers", rs="10.0.9.1")

    assert states == [["Disabled", "Down"]] * 2
    assert (totals["VS_Total"], totals["RS_Total"], totals["RS_Disabled"], totals["RS_Down"]) == (2, 4, 2, 2)
    assert (await api.v2("vstotals")).json["RS_Disabled"] == 0


async def test_a_disabled_service_says_so(api):
    await added(api, Enable="N")

    assert (await api.v2("showvs", vs="1")).json["Status"] == "Disabled"


async def test_clients_of_a_service_without_servers_are_told_of(api):
    await added(api, "80", ErrorUrl="http://sorry.example.com/")
    await added(api, "81", StandbyAddr="10.0.9.9", StandbyPort="80")
    await added(api, "82", ErrorCode="503")

    assert [each["Status"] for each in (await api.v2("listvs")).json["VS"]] == [
        "Redirect",
        "Sorry",
        "Fail Message",
    ]

"""Virtual services between the wire and their values: recorded rows, and parameters that say what differs.

Recorded: answers of an appliance (firmware 7.2.5x) that authors of open clients have published.
"""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.domain.virtual_services import (
    CheckMethod,
    CheckType,
    HealthCheck,
    Protocol,
    RealServer,
    Schedule,
    ServiceKey,
    ServiceType,
    Tls,
    VirtualService,
)
from loadmaster_ha.loadmaster import v1, v2
from loadmaster_ha.loadmaster import virtual_service_parameters as parameters
from loadmaster_ha.loadmaster import virtual_service_rows as rows
from loadmaster_ha.loadmaster.commands import COMMANDS

RECORDED_V1 = b"""<?xml version="1.0" encoding="ISO-8859-1"?>
<Response stat="200" code="ok">
<Success><Data><VS><Status>Down</Status>
<Index>3</Index>
<VSAddress>10.0.2.4</VSAddress>
<VSPort>443</VSPort>
<Layer>7</Layer>
<NickName>lm_web_shop@0f5d1c2e</NickName>
<Enable>Y</Enable>
<SSLReverse>N</SSLReverse>
<SSLReencrypt>Y</SSLReencrypt>
<SSLAcceleration>Y</SSLAcceleration>
<CertFile>shop default</CertFile>
<Transparent>N</Transparent>
<Idletime>
660
</Idletime>
<ErrorCode>0</ErrorCode>
<CheckUse1.1>Y</CheckUse1.1>
<CheckUseGet>1</CheckUseGet>
<VStype>http</VStype>
<Protocol>tcp</Protocol>
<Schedule>wlc</Schedule>
<CheckType>https</CheckType>
<Persist>active-cookie</Persist>
<Cookie>route</Cookie>
<PersistTimeout>3600</PersistTimeout>
<CheckPort>8080</CheckPort>
<CheckHost>shop.example</CheckHost>
<CheckUrl>/ready</CheckUrl>
<CheckCodes>303 404</CheckCodes>
<MasterVS>0</MasterVS>
<MasterVSID>0</MasterVSID>
<AddVia>0</AddVia>
<TlsType>15</TlsType>
<ExtraPorts>8443,9000-9002</ExtraPorts>
<EnhancedHealthChecks>N</EnhancedHealthChecks>
<RsMinimum>2</RsMinimum>
<NumberOfRSs>2</NumberOfRSs>
<Rs><Status>Up</Status><VSIndex>3</VSIndex><RsIndex>2</RsIndex><Addr>10.0.3.8</Addr><Port>8443</Port>
<Forward>nat</Forward><Weight>500</Weight><Limit>0</Limit><Enable>N</Enable><Critical>Y</Critical></Rs>
<Rs><Status>Down</Status><VSIndex>3</VSIndex><RsIndex>1</RsIndex><Addr>10.0.3.7</Addr><Port>8443</Port>
<Forward>nat</Forward><Weight>1000</Weight><Limit>10</Limit><Enable>Y</Enable><Critical>N</Critical></Rs>
</VS>
<VS><Status>Up</Status><Index>4</Index><VSAddress></VSAddress><VSPort>0</VSPort><MasterVSID>3</MasterVSID></VS>
</Data></Success></Response>
"""
RECORDED_V2 = (
    b'{"code":200,"VS":[{"Status":"Down","Index":3,"VSAddress":"10.0.2.4","VSPort":"443","Layer":7,'
    b'"NickName":"lm_web_shop@0f5d1c2e","Enable":true,"SSLReverse":false,"SSLReencrypt":true,'
    b'"SSLAcceleration":true,"CertFile":"shop default","Transparent":false,"Idletime":660,"ErrorCode":"0",'
    b'"CheckUse1.1":true,"CheckUseGet":1,"VStype":"http","Protocol":"tcp","Schedule":"wlc",'
    b'"CheckType":"https","Persist":"active-cookie","Cookie":"route","PersistTimeout":"3600",'
    b'"CheckPort":"8080","CheckHost":"shop.example","CheckUrl":"/ready","CheckCodes":"303 404",'
    b'"MasterVS":0,"MasterVSID":0,"AddVia":0,"TlsType":"15","ExtraPorts":"8443,9000-9002",'
    b'"EnhancedHealthChecks":false,"RsMinimum":2,"NumberOfRSs":2,"Rs":[{"Status":"Up","VSIndex":3,'
    b'"RsIndex":2,"Addr":"10.0.3.8","Port":8443,"Forward":"nat","Weight":500,"Limit":0,"Enable":false,'
    b'"Critical":true},{"Status":"Down","VSIndex":3,"RsIndex":1,"Addr":"10.0.3.7","Port":8443,'
    b'"Forward":"nat","Weight":1000,"Limit":10,"Enable":true,"Critical":false}]},'
    b'{"Status":"Up","Index":4,"VSAddress":"","VSPort":"0","MasterVSID":3}],"status":"ok"}'
)
SHOP = VirtualService(
    index=3,
    key=ServiceKey("10.0.2.4", 443),
    nickname="lm_web_shop@0f5d1c2e",
    type=ServiceType.HTTP,
    schedule=Schedule.WEIGHTED_LEAST_CONNECTION,
    persistence="active-cookie",
    persistence_timeout=3600,
    persistence_cookie="route",
    check=HealthCheck(
        type=CheckType.HTTPS,
        port=8080,
        path="/ready",
        host="shop.example",
        http_1_1=True,
        method=CheckMethod.GET,
        codes=("303", "404"),
    ),
    tls=Tls(("shop", "default"), reencrypt=True, minimum_version="TLSv1.3"),
    extra_ports=(8443, 9000, 9001, 9002),
    forwarded_for=True,
    real_servers=(
        RealServer(1, "10.0.3.7", 8443, limit=10),
        RealServer(2, "10.0.3.8", 8443, weight=500, enabled=False, critical=True),
    ),
)


def decoded(version, content):
    shape = COMMANDS["listvs"].reply
    if version == "v1":
        return v1.decode_answer(shape, 200, "text/xml", content).fields
    return v2.decode_answer(shape, 200, "text/json", content).fields


@pytest.mark.parametrize(("version", "content"), [("v1", RECORDED_V1), ("v2", RECORDED_V2)])
def test_a_recorded_row_is_read_in_either_version(version, content):
    fields = decoded(version, content)

    assert rows.services(fields) == ((SHOP, "Down"),), "the SubVS without an address is left out"
    assert rows.server_states(fields["VS"][0]) == {"10.0.3.7:8443": "Down", "10.0.3.8:8443": "Up"}


def test_a_plain_service_of_an_appliance_has_the_defaults():
    row = {"Status": "Up", "Index": 1, "VSAddress": "10.0.2.4", "VSPort": "80", "Enable": True}

    assert rows.service(row) == (VirtualService(1, ServiceKey("10.0.2.4", 80)), "Up")


@pytest.mark.parametrize(
    "row",
    [
        {},
        None,
        {"Index": 1, "VSPort": "80"},
        {"Index": 0, "VSAddress": "10.0.2.4", "VSPort": "80"},
        {"Index": 1, "VSAddress": "10.0.2.4", "VSPort": "70000"},
        {"Index": 1, "VSAddress": "10.0.2.4", "VSPort": "80", "Protocol": "sctp"},
    ],
)
def test_a_row_that_is_no_service_is_left_out(row):
    assert rows.service(row) is None


def test_a_service_on_every_port_has_port_0():
    row = {"Index": 1, "VSAddress": "10.0.2.4", "VSPort": "*", "Protocol": "udp"}

    read = rows.service(row)

    assert read is not None
    assert read[0].key == ServiceKey("10.0.2.4", 0, Protocol.UDP)
    assert parameters.which_service(read[0].key) == {"vs": "10.0.2.4", "port": "*", "prot": "udp"}


def test_a_tls_service_of_an_appliance_with_no_version_switched_off_is_not_taken_for_a_safe_one():
    row = {"Index": 1, "VSAddress": "10.0.2.4", "VSPort": 443, "SSLAcceleration": True, "TlsType": 0}

    read = rows.service(row)

    assert read is not None
    assert read[0].tls == Tls(minimum_version="TLSv1.0")


def test_only_the_name_of_a_real_server_given_by_name_is_known():
    row = {"Rs": [{"RsIndex": 7, "Addr": "", "DnsName": "db.example", "Port": 5432}]}

    (server,) = rows.real_servers(row)

    assert parameters.which_server(server) == {"rs": "!7"}
    assert parameters.which_server(RealServer(7, "10.0.3.7", 80)) == {"rs": "10.0.3.7", "rsport": 80}


def test_a_new_service_says_what_the_unit_would_decide_otherwise():
    want = VirtualService(0, ServiceKey("10.0.2.4", 80), "lm_web_http@0f5d1c2e")

    assert parameters.for_new_service(want) == {
        "NickName": "lm_web_http@0f5d1c2e",
        "Enable": True,
        "VStype": "gen",
        "Schedule": "rr",
        "Idletime": 660,
        "CheckType": "tcp",
        "Transparent": False,
    }


@pytest.mark.parametrize(
    ("change", "sent"),
    [
        ({}, {}),
        ({"enabled": False}, {"Enable": False}),
        ({"tls": None}, {"SSLAcceleration": False, "SSLReencrypt": False, "CertFile": []}),
        ({"tls": Tls(("shop", "default"), minimum_version="TLSv1.2")}, {"SSLReencrypt": False, "TlsType": 7}),
        ({"tls": Tls(("new",), reencrypt=True, minimum_version="TLSv1.3")}, {"CertFile": ["new"]}),
        ({"persistence": "none", "persistence_timeout": 0, "persistence_cookie": ""},
         {"Persist": "none", "PersistTimeout": 0, "Cookie": ""}),
        ({"persistence_timeout": 3605}, {}),
        ({"persistence_timeout": 3665}, {"PersistTimeout": 3660}),
        ({"forwarded_for": False}, {"AddVia": 2}),
        ({"minimum_real_servers": 2}, {"EnhancedHealthChecks": True, "RsMinimum": 2}),
        ({"standby": ("10.0.9.9", 80)}, {"StandbyAddr": "10.0.9.9", "StandbyPort": 80}),
        ({"extra_ports": ()}, {"ExtraPorts": ""}),
        ({"key": ServiceKey("10.0.2.4", 8443)}, {"VSPort": "8443"}),
        ({"key": ServiceKey("10.0.2.9", 443)}, {"VSAddress": "10.0.2.9"}),
        ({"real_servers": ()}, {}),
        ({"index": 9}, {}),
    ],
)  # fmt: skip
def test_only_what_differs_is_sent(change, sent):
    assert parameters.for_changed_service(SHOP, dataclasses.replace(SHOP, **change)) == sent


@pytest.mark.parametrize(
    ("change", "sent"),
    [
        ({}, {}),
        ({"weight": 5}, {"weight": 5}),
        ({"port": 81}, {"newport": 81}),
        ({"enabled": False}, {"enable": False}),
        ({"enabled": False, "draining": True}, {"enable": False, "drain": True}),
    ],
)
def test_only_what_differs_of_a_real_server_is_sent(change, sent):
    have = RealServer(1, "10.0.3.7", 80)

    assert parameters.for_changed_server(have, dataclasses.replace(have, **change)) == sent


def test_a_real_server_of_another_address_is_another_one():
    with pytest.raises(ValueError, match="two servers"):
        parameters.for_changed_server(RealServer(1, "10.0.3.7", 80), RealServer(1, "10.0.3.8", 80))


# Properties: a unit that takes parameters as fields of the same name has the wanted service then.

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
PORTS = st.integers(3, 65530)
CHECKS = st.builds(
    HealthCheck,
    type=st.sampled_from(CheckType),
    port=st.integers(0, 65530),
    path=st.from_regex(r"/[a-z0-9/]{0,20}", fullmatch=True),
    host=st.just("") | NAMES,
    http_1_1=st.booleans(),
    method=st.sampled_from(CheckMethod),
    codes=st.lists(st.integers(300, 599).map(str), max_size=3, unique=True).map(sorted).map(tuple),
    pattern=st.just("") | NAMES,
    interval=st.integers(0, 901),
    timeout=st.integers(0, 60),
    retries=st.integers(0, 15),
)
TLS = st.builds(
    Tls,
    certificates=st.lists(NAMES, max_size=3, unique=True).map(tuple),
    reencrypt=st.booleans(),
    minimum_version=st.sampled_from(["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
)
KEYS = st.builds(ServiceKey, st.ip_addresses().map(str), PORTS, st.sampled_from(Protocol))
SERVICES = st.builds(
    VirtualService,
    index=st.just(1),
    key=KEYS,
    nickname=NAMES,
    enabled=st.booleans(),
    type=st.sampled_from(ServiceType),
    schedule=st.sampled_from(Schedule),
    persistence=st.sampled_from(["none", "src", "cookie", "active-cookie", "super"]),
    persistence_timeout=st.integers(0, 100).map(lambda minutes: minutes * 60),
    persistence_cookie=st.just("") | NAMES,
    idle_timeout=st.integers(0, 86400),
    check=CHECKS,
    tls=st.none() | TLS,
    extra_ports=st.sets(PORTS, max_size=4).map(sorted).map(tuple),
    forwarded_for=st.booleans(),
    minimum_real_servers=st.integers(0, 1024),
    standby=st.none() | st.tuples(st.ip_addresses().map(str), PORTS),
    error_code=st.integers(0, 505),
    error_url=st.just("") | NAMES,
    transparent=st.booleans(),
    default_gateway=st.just("") | st.ip_addresses().map(str),
).map(
    lambda each: dataclasses.replace(
        each,
        forwarded_for=each.forwarded_for and each.type in {ServiceType.HTTP, ServiceType.HTTP2},
    )
)


def applied(have, sent):
    """The row of a unit after the parameters."""
    key = have.key
    row = {"Index": 1, "VSAddress": key.address, "VSPort": str(key.port), "Protocol": key.protocol.value}
    before = {
        "VStype": have.type.value,
        **parameters.for_new_service(have),
    }
    return row | before | sent


@given(SERVICES)
def test_what_a_new_service_is_given_is_what_it_is(want):
    read = rows.service(applied(want, {}))

    assert read is not None
    assert read[0] == want


@given(SERVICES, SERVICES)
def test_the_parameters_lead_from_one_service_to_the_other(have, want):
    sent = parameters.for_changed_service(have, want)
    read = rows.service(applied(have, sent))

    assert read is not None
    assert read[0] == want
    assert parameters.not_kept(read[0], want, sent) == ()
    assert parameters.for_changed_service(want, want) == {}


@given(SERVICES, SERVICES)
def test_what_was_sent_and_does_not_stick_is_named(have, want):
    sent = parameters.for_changed_service(have, want)

    assert {each.path for each in parameters.not_kept(have, want, sent)} == sent.keys()


SERVERS = st.builds(
    RealServer,
    index=st.just(1),
    address=st.just("10.0.3.7"),
    port=st.integers(1, 65535),
    weight=st.integers(1, 65535),
    limit=st.integers(0, 100_000),
    enabled=st.booleans(),
    draining=st.booleans(),
    critical=st.booleans(),
).map(lambda each: dataclasses.replace(each, draining=each.draining and not each.enabled))

_READ_AS = {"weight": "Weight", "limit": "Limit", "enable": "Enable", "drain": "Drain",
            "critical": "Critical", "newport": "Port"}  # fmt: skip


@given(SERVERS, SERVERS)
def test_the_parameters_lead_from_one_real_server_to_the_other(have, want):
    row = {"RsIndex": 1, "Addr": have.address, "Port": have.port}
    for sent in (parameters.for_new_server(have), parameters.for_changed_server(have, want)):
        row |= {_READ_AS[name]: value for name, value in sent.items()}

    assert rows.real_servers({"Rs": [row]}) == (want,)
    assert parameters.for_changed_server(want, want) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ROW_FIELDS = ["Index", "VSAddress", "VSPort", "Protocol", "MasterVSID", "Rs", "CheckCodes", "TlsType",
              "SSLAcceleration", "ExtraPorts", "RsIndex", "Addr", "Port", "Status", "NickName"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(ROW_FIELDS), JSON))
def test_no_row_is_too_strange_to_be_read(row):
    for each in ({"VS": [row, {**row, "Rs": [row]}]}, {"VS": row}, row):
        for service, status in rows.services(each):
            assert service.index > 0
            assert service.key.address
            assert isinstance(status, str)
        assert all(server.index > 0 for server in rows.real_servers(each))

"""From stored settings to virtual services: defaults, own addresses, and tolerance of a newer partner."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.service_settings import DEFAULT_TLS_TYPE, ServerAddress, StoredKey
from loadmaster_ha.agent.services import unreadable, virtual_services
from loadmaster_ha.agent.settings.model import Kind
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
from loadmaster_ha.loadmaster.virtual_service_fields import (
    REAL_SERVER_DEFAULTS,
    SERVICE_DEFAULTS,
    extra_ports,
    lowest_tls_version,
)

OWN = {"eth0": "10.0.2.4", "eth1": "10.0.3.4"}


class Settings:
    """A snapshot of these services and real servers."""

    def __init__(self, services, servers=()):
        self.kinds = {Kind.VIRTUAL_SERVICE: services, Kind.REAL_SERVER: dict(servers)}

    def entities(self, kind):
        return self.kinds.get(kind, {})


def one(fields, key="eth0:8080/tcp", servers=()):
    (service,) = virtual_services(Settings({key: {"Index": 1, **fields}}, servers), OWN)
    return service


def test_a_service_of_nothing_but_an_index_has_the_defaults():
    assert one({}) == VirtualService(index=1, key=ServiceKey("10.0.2.4", 8080))


def test_every_field_arrives():
    fields = {
        "NickName": "web",
        "Enable": False,
        "VStype": "http",
        "Schedule": "wlc",
        "Persist": "active-cookie",
        "PersistTimeout": 360,
        "Cookie": "SRV",
        "Idletime": 30,
        "CheckType": "https",
        "CheckPort": 8443,
        "CheckUrl": "/up",
        "CheckHost": "web.example.com",
        "CheckUse1.1": True,
        "CheckUseGet": 1,
        "CheckCodes": ["301", "404"],
        "CheckPattern": "well",
        "ChkInterval": 9,
        "ChkTimeout": 4,
        "ChkRetryCount": 2,
        "SSLAcceleration": True,
        "SSLReencrypt": True,
        "CertFile": ["a", "b"],
        "TlsType": 15,
        "ExtraPorts": "81,90",
        "AddVia": 5,
        "EnhancedHealthChecks": True,
        "RsMinimum": 2,
        "StandbyAddr": "10.0.9.9",
        "StandbyPort": 80,
        "ErrorCode": 503,
        "ErrorUrl": "http://sorry/",
        "Transparent": True,
        "DefaultGW": "10.0.0.1",
    }
    servers = {
        "eth1:443/tcp|10.0.9.2:80": {"RsIndex": 7, "Weight": 5, "Limit": 9, "Critical": True},
        "eth1:443/tcp|2001:db8::5:81": {"RsIndex": 3, "Enable": False, "Drain": True},
        "eth1:80/tcp|10.0.9.9:80": {"RsIndex": 4},
    }

    assert one(fields, "eth1:443/tcp", servers) == VirtualService(
        index=1,
        key=ServiceKey("10.0.3.4", 443, Protocol.TCP),
        nickname="web",
        enabled=False,
        type=ServiceType.HTTP,
        schedule=Schedule.WEIGHTED_LEAST_CONNECTION,
        persistence="active-cookie",
        persistence_timeout=360,
        persistence_cookie="SRV",
        idle_timeout=30,
        check=HealthCheck(
            type=CheckType.HTTPS,
            port=8443,
            path="/up",
            host="web.example.com",
            http_1_1=True,
            method=CheckMethod.GET,
            codes=("301", "404"),
            pattern="well",
            interval=9,
            timeout=4,
            retries=2,
        ),
        tls=Tls(("a", "b"), reencrypt=True, minimum_version="TLSv1.3"),
        extra_ports=(81, 90),
        forwarded_for=True,
        minimum_real_servers=2,
        standby=("10.0.9.9", 80),
        error_code=503,
        error_url="http://sorry/",
        transparent=True,
        default_gateway="10.0.0.1",
        real_servers=(
            RealServer(3, "2001:db8::5", 81, enabled=False, draining=True),
            RealServer(7, "10.0.9.2", 80, weight=5, limit=9, critical=True),
        ),
    )


def test_the_same_settings_mean_each_units_own_address():
    settings = Settings({"eth0:80/tcp": {"Index": 1}})

    addresses = [
        virtual_services(settings, {"eth0": each})[0].key.address for each in ("10.0.2.4", "10.0.2.5")
    ]

    assert addresses == ["10.0.2.4", "10.0.2.5"]


def test_services_come_in_the_order_of_their_indices():
    settings = Settings({f"eth0:{80 + n}/tcp": {"Index": 9 - n} for n in range(5)})

    assert [each.index for each in virtual_services(settings, OWN)] == [5, 6, 7, 8, 9]


def test_https_that_is_not_terminated_here_is_passed_through():
    assert one({"VStype": "http"}, "eth0:443/tcp").type is ServiceType.GENERIC
    assert one({"VStype": "http", "SSLAcceleration": True}, "eth0:443/tcp").type is ServiceType.HTTP
    assert one({"VStype": "http"}, "eth0:80/tcp").type is ServiceType.HTTP


def test_forwarded_for_is_added_to_http_unless_switched_off():
    assert one({"VStype": "http"}).forwarded_for
    assert not one({"VStype": "http", "AddVia": 2}).forwarded_for
    assert not one({"VStype": "gen"}).forwarded_for


def test_a_minimum_of_servers_counts_only_with_enhanced_checks():
    assert one({"RsMinimum": 2}).minimum_real_servers == 0


@pytest.mark.parametrize(
    "key", ["eth9:80/tcp", "eth0:80/sctp", "eth0:80", "80/tcp", "eth0:x/tcp", "eth0:99999/tcp", "", ":80/tcp"]
)
def test_what_this_unit_does_not_understand_is_left_out_and_named(key):
    settings = Settings({key: {"Index": 1}, "eth0:81/tcp": {"Index": 2}})

    assert [each.index for each in virtual_services(settings, OWN)] == [2]
    assert unreadable(settings, OWN) == (key,)


def test_a_service_without_an_index_is_left_out():
    assert unreadable(Settings({"eth0:81/tcp": {"NickName": "x"}}), OWN) == ("eth0:81/tcp",)


@pytest.mark.parametrize(
    ("name", "value"),
    [("Schedule", "quantum"), ("VStype", 7), ("CheckType", "soap"), ("Idletime", "long"), ("Enable", "yes"),
     ("CheckUseGet", 9), ("CheckCodes", "404"), ("CertFile", {"a": 1}), ("Weight", True)],
)  # fmt: skip
def test_a_value_of_a_later_release_counts_as_not_set(name, value):
    assert one({name: value}) == one({})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=5,
)
FIELDS = st.dictionaries(st.sampled_from([*SERVICE_DEFAULTS, "NewerField"]) | st.text(), JSON)
SERVER_FIELDS = st.dictionaries(st.sampled_from([*REAL_SERVER_DEFAULTS, "NewerField"]) | st.text(), JSON)
KEYS = st.sampled_from(["eth0:80/tcp", "eth1:443/udp", "eth7:80/tcp"]) | st.text()
SERVER_KEYS = st.sampled_from(["eth0:80/tcp|10.0.9.1:80", "eth1:443/udp|x"]) | st.text()


@given(st.dictionaries(KEYS, FIELDS, max_size=4), st.dictionaries(SERVER_KEYS, SERVER_FIELDS, max_size=4))
def test_nothing_that_can_be_stored_makes_it_fail(services, servers):
    settings = Settings(services, servers)

    served = virtual_services(settings, OWN)

    assert len(served) + len(unreadable(settings, OWN)) == len(services)
    assert all(each.key.address in OWN.values() for each in served)


@given(st.text(min_size=1).filter(str.isprintable), st.integers(1, 65535), st.sampled_from(["tcp", "udp"]))
def test_keys_read_back_as_written(interface, port, protocol):
    key = StoredKey(interface, port, protocol)

    assert StoredKey.parse(str(key)) == key


@given(st.ip_addresses(), st.integers(1, 65535))
def test_addresses_of_real_servers_read_back_as_written(address, port):
    where = ServerAddress(str(address), port)

    assert ServerAddress.parse(str(where)) == where


@pytest.mark.parametrize(
    ("mask", "lowest"),
    [(0, "TLSv1.0"), (1, "TLSv1.0"), (2, "TLSv1.1"), (3, "TLSv1.1"), (7, "TLSv1.2"), (15, "TLSv1.3"),
     (23, "TLSv1.2"), (31, "TLSv1.3"), (30, "TLSv1.3")],
)  # fmt: skip
def test_the_mask_of_tls_versions_switches_off(mask, lowest):
    """`Only TLS1.2` is 23 and `Only TLS1.3` 15 in the table of the interface description, 3.6.1.4.1."""
    assert lowest_tls_version(mask) == lowest


def test_a_mask_that_was_not_chosen_is_tls_1_2():
    assert lowest_tls_version(DEFAULT_TLS_TYPE) == "TLSv1.2"


@given(st.text())
def test_extra_ports_are_ports_in_order(text):
    ports = extra_ports(text)

    assert list(ports) == sorted(set(ports))
    assert all(0 < port < 65536 for port in ports)
    assert extra_ports(",".join(map(str, ports))) == ports

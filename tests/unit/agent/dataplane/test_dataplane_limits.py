"""Refusals: in words, with the field and what to do instead."""

import dataclasses
from pathlib import Path

import pytest

from loadmaster_ha.agent.dataplane.command import Paths
from loadmaster_ha.agent.dataplane.limits import conflict, refusal
from loadmaster_ha.agent.dataplane.model import Node
from loadmaster_ha.domain.virtual_services import (
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

ADDRESS = "10.0.2.4"
NODE = Node(Paths(Path("/run/unit")), {"eth0": ADDRESS, "eth1": "10.0.3.4"})
PLAIN = VirtualService(1, ServiceKey(ADDRESS, 80), real_servers=(RealServer(1, "10.0.0.5", 80),))
HTTP = dataclasses.replace(PLAIN, type=ServiceType.HTTP)


def but(service=PLAIN, **more):
    return dataclasses.replace(service, **more)


def checked(**more):
    return but(check=HealthCheck(**more))


def server(**more):
    return but(real_servers=(dataclasses.replace(PLAIN.real_servers[0], **more),))


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (but(key=ServiceKey(ADDRESS, 53, Protocol.UDP)), "UDP services are not possible"),
        (
            but(key=ServiceKey("10.0.2.5", 80)),
            "10.0.2.5 is not one of them: 10.0.2.4 (eth0), 10.0.3.4 (eth1)",
        ),
        (but(key=ServiceKey(ADDRESS, 8443)), "port 8443 is one that the unit itself listens on"),
        (but(extra_ports=(81, 8444)), "port 8444 is one that the unit itself listens on"),
        (but(extra_ports=(70000,)), "port 70000 of a virtual service is not possible"),
        (but(transparent=True), "transparency is not possible in Azure HA: set Transparent to off"),
        (but(default_gateway="10.0.2.1"), "alternate default gateway (10.0.2.1) is not possible in Azure"),
        (but(type=ServiceType.LOG), "service type log is not possible"),
        (but(type=ServiceType.TLS), "service type tls is not possible"),
        (but(type=ServiceType.HTTP2), "http2 needs SSLAcceleration"),
        (but(schedule=Schedule.ADAPTIVE), "scheduling method adaptive is not possible"),
        (but(schedule=Schedule.SDN_ADAPTIVE), "scheduling method sdn-adaptive is not possible"),
        (but(schedule=Schedule.DIRECT_LEAST), "scheduling method dl is not possible"),
        (but(schedule=Schedule.URL_HASH), "uhash needs a service type that reads HTTP"),
        (
            but(persistence="ssl"),
            "persistence 'ssl' is not possible on this unit; possible are active-cookie",
        ),
        (but(persistence="active-cookie"), "active-cookie needs a service type that reads HTTP"),
        (
            but(HTTP, persistence="cookie", persistence_timeout=60),
            "persistence cookie needs the name of the cookie",
        ),
        (but(HTTP, persistence_cookie="a b"), "cookie name 'a b' is not possible"),
        (but(persistence="src", persistence_timeout=700000), "at most 604800"),
        (but(idle_timeout=-1), "Idletime -1 is not possible"),
        (checked(type=CheckType.ICMP), "icmp is not possible on this unit: HAProxy checks connections"),
        (checked(type=CheckType.LDAP), "health check ldap is not possible"),
        (checked(port=70000), "CheckPort 70000 is not possible"),
        (checked(path="ready"), "CheckUrl 'ready' is not possible: it begins with /"),
        (checked(path="/a b"), "CheckUrl '/a b' is not possible"),
        (checked(path="/a\n    http-check expect status 100-599"), "CheckUrl"),
        (checked(host="a b"), "CheckHost 'a b' is not possible"),
        (checked(codes=("404", "4xx")), "CheckCodes '4xx' is not possible"),
        (checked(pattern="a\nb"), "CheckPattern is not possible"),
        (checked(interval=90000), "ChkInterval 90000 is not possible"),
        (checked(timeout=-1), "ChkTimeout -1 is not possible"),
        (checked(retries=101), "ChkRetryCount 101 is not possible"),
        (but(tls=Tls(("absent",))), "there is no certificate absent on this unit"),
        (but(tls=Tls()), "SSLAcceleration needs a certificate"),
        (but(tls=Tls(("web",), minimum_version="SSLv3")), "TLS version 'SSLv3' is not possible"),
        (but(nickname="a\nb"), "NickName is not possible"),
        (but(error_url="http://x/\r\nfrontend evil"), "ErrorUrl"),
        (but(error_code=99), "ErrorCode 99 is not possible"),
        (but(minimum_real_servers=-1), "RsMinimum -1 is not possible"),
        (but(standby=("sorry.example", 80)), "the sorry server sorry.example port 80 is not possible"),
        (
            server(address="web.example"),
            "real server 'web.example' is not possible on this unit: give its IP",
        ),
        (server(address="fe80::1%eth0"), "real server 'fe80::1%eth0' is not possible"),
        (server(port=0), "port 0 of real server 10.0.0.5 is not possible"),
        (server(weight=0), "weight 0 of real server 10.0.0.5 is not possible"),
        (server(limit=100_001), "limit 100001 of real server 10.0.0.5 is not possible"),
        (server(index=0), "real server 10.0.0.5:80 has no index"),
        (but(real_servers=PLAIN.real_servers * 2), "two real servers have the index 1"),
    ],
)
def test_what_is_not_possible_is_refused_in_words(service, words):
    assert words in (refusal(service, NODE, {"web"}) or "served")


@pytest.mark.parametrize(
    "service",
    [
        PLAIN,
        HTTP,
        but(key=ServiceKey("10.0.3.4", 443), tls=Tls(("web",))),
        but(type=ServiceType.TERMINAL_SERVICES),
        but(HTTP, schedule=Schedule.URL_HASH),
        but(enabled=False, real_servers=()),
        but(persistence="cookie", type=ServiceType.HTTP),
        checked(type=CheckType.NONE),
    ],
)
def test_what_is_possible_is_not_refused(service):
    assert refusal(service, NODE, {"web"}) is None


def test_a_service_without_a_certificate_takes_the_units_own():
    assert refusal(but(tls=Tls()), NODE, {""}) is None


def test_of_two_services_on_one_port_the_older_has_it():
    older = but(extra_ports=(81, 80))
    newer = but(index=2, key=ServiceKey(ADDRESS, 81))
    elsewhere = but(index=3, key=ServiceKey("10.0.3.4", 81))
    assert list(conflict([newer, elsewhere, older])) == [newer.key]
    assert (
        "port 81 of 10.0.2.4 already belongs to virtual service 10.0.2.4:80/tcp"
        in conflict([older, newer])[newer.key]
    )


def test_a_port_of_a_refused_service_is_free_for_the_next():
    services = [
        but(),
        but(index=2, key=ServiceKey(ADDRESS, 81), extra_ports=(80, 82)),
        but(index=3, key=ServiceKey(ADDRESS, 82)),
    ]
    assert list(conflict(services)) == [ServiceKey(ADDRESS, 81)]

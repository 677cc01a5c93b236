"""What HAProxy reads: readable, stable, and nothing that a person sets can add to it."""

import dataclasses
import shlex
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import HealthCheck as Health
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.services import ADDRESS, CERTIFICATES, NASTY, unit_services, virtual_services

from loadmaster_ha.agent.dataplane.command import Paths
from loadmaster_ha.agent.dataplane.configuration import Renderer, certificate_file, render
from loadmaster_ha.agent.dataplane.limits import refusal
from loadmaster_ha.agent.dataplane.model import Node, fingerprint_in
from loadmaster_ha.agent.dataplane.words import Unprintable
from loadmaster_ha.domain.virtual_services import (
    CheckMethod,
    CheckType,
    HealthCheck,
    RealServer,
    Schedule,
    ServiceKey,
    ServiceType,
    Tls,
    VirtualService,
)

NODE = Node(Paths(Path("/run/unit")), {"eth0": ADDRESS})
PEMS = dict.fromkeys(CERTIFICATES, "PEM")

SHOP = VirtualService(
    index=3,
    key=ServiceKey(ADDRESS, 443),
    nickname="shop's",
    type=ServiceType.HTTP,
    schedule=Schedule.WEIGHTED_LEAST_CONNECTION,
    persistence="active-cookie",
    persistence_timeout=3600,
    check=HealthCheck(
        type=CheckType.HTTP,
        path="/ready",
        host="shop.example",
        http_1_1=True,
        method=CheckMethod.GET,
        codes=("404",),
        pattern="o.k",
        interval=5,
        timeout=2,
        retries=3,
    ),
    tls=Tls(("web",)),
    extra_ports=(8081,),
    forwarded_for=True,
    minimum_real_servers=2,
    standby=("10.0.0.9", 80),
    real_servers=(
        RealServer(7, "10.0.0.5", 8080, weight=500, limit=200),
        RealServer(8, "10.0.0.6", 8080, weight=1000, enabled=False),
        RealServer(9, "2001:db8::7", 8080, weight=1000, enabled=False, draining=True),
    ),
)

SHOP_TEXT = """\
frontend vs_eth0_443_tcp
    description 'shop'\\''s'
    mode http
    bind 127.9.9.9:443 ssl crt-list certificates/vs_eth0_443_tcp.list ssl-min-ver TLSv1.2 alpn http/1.1
    bind 127.9.9.9:8081 ssl crt-list certificates/vs_eth0_443_tcp.list ssl-min-ver TLSv1.2 alpn http/1.1
    timeout client 660s
    timeout http-keep-alive 660s
    # In a reload, idle keep-alive connections end with the answer to a request, never under one.
    option idle-close-on-response
    option forwardfor
    acl down nbsrv(vs_eth0_443_tcp) lt 2
    use_backend vs_eth0_443_tcp_standby if down
    default_backend vs_eth0_443_tcp

backend vs_eth0_443_tcp
    mode http
    balance leastconn
    timeout server 660s
    timeout tunnel 660s
    cookie LMPERSIST insert indirect nocache httponly secure maxidle 3600s
    timeout check 2s
    option httpchk
    http-check send meth GET uri '/ready' ver HTTP/1.1 hdr Host 'shop.example'
    http-check expect status 200-299,404
    http-check expect rstring 'o.k'
    server rs_7 10.0.0.5:8080 weight 128 maxconn 200 id 7 check inter 5s fall 3 rise 1 cookie rs_7
    server rs_8 10.0.0.6:8080 weight 256 id 8 check inter 5s fall 3 rise 1 cookie rs_8 disabled
    server rs_9 [2001:db8::7]:8080 weight 0 id 9 check inter 5s fall 3 rise 1 cookie rs_9

backend vs_eth0_443_tcp_standby
    mode http
    timeout server 660s
    timeout tunnel 660s
    server standby 10.0.0.9:80
"""


SLOW = settings(max_examples=40, suppress_health_check=[Health.too_slow])
"""Whole units take their time to make up."""


def shape(text):
    """The first word of each line and how many there are: what a text says, without the values."""
    lines = [shlex.split(line) for line in text.split("\n") if not line.lstrip().startswith("#")]
    return [(words[0], len(words)) if words else () for words in lines]


def test_a_service_reads_as_a_person_would_write_it():
    assert render([SHOP], NODE, PEMS).sections["vs_eth0_443_tcp"].text == SHOP_TEXT
    assert render([SHOP], NODE, PEMS).text.endswith("\n\n" + SHOP_TEXT)


def test_files_beside_the_configuration():
    made = render([SHOP], NODE, PEMS)
    assert made.lists == {"certificates/vs_eth0_443_tcp.list": "certificates/web.pem\n"}
    assert made.certificates == {"certificates/web.pem": "PEM"}


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b", ".hidden", "", "two words", "a\nb", "x" * 200, "é"]
)
def test_no_name_of_a_certificate_leads_out_of_its_folder(name):
    path = certificate_file(name)
    assert Path(path).parent == Path("certificates")
    assert path == path.strip()
    assert len(path) < 100


@given(st.lists(NASTY, unique=True, max_size=20))
def test_no_two_certificates_share_a_file(names):
    assert len({certificate_file(name) for name in names}) == len(names)


def test_the_order_of_the_services_does_not_matter():
    other = dataclasses.replace(SHOP, index=4, key=ServiceKey(ADDRESS, 444), extra_ports=())
    assert render([SHOP, other], NODE, PEMS) == render([other, SHOP], NODE, PEMS)


def test_the_account_stands_there_only_when_there_is_one():
    assert "\n    user" not in render([], NODE).text
    text = render([], dataclasses.replace(NODE, account="haproxy")).text
    assert "\n    user haproxy\n" in text
    assert "answer.sock' mode 600 user haproxy\n" in text


@SLOW
@given(unit_services(), unit_services())
def test_a_renderer_that_remembers_makes_what_a_new_one_makes(first, second):
    renderer = Renderer()
    for services in (first, second, first):
        assert renderer.render(services, NODE, PEMS) == render(services, NODE, PEMS)


@SLOW
@given(unit_services())
def test_the_fingerprint_is_in_the_text_and_tells_texts_apart(services):
    made = render(services, NODE, PEMS)
    assert fingerprint_in(made.text) == made.fingerprint != ""
    fewer = render(services[1:], NODE, PEMS)
    assert (fewer.fingerprint == made.fingerprint) == (not services)


def test_the_fingerprint_tells_certificates_apart():
    assert render([SHOP], NODE, PEMS).fingerprint != render([SHOP], NODE, {**PEMS, "web": "new"}).fingerprint


@SLOW
@given(unit_services())
def test_every_line_belongs_to_its_service(services):
    made = render(services, NODE, PEMS)
    for number, line in enumerate(made.text.splitlines(), 1):
        key = made.key_at(number)
        if line.startswith("    bind 127.9.9.9:"):
            assert key is not None
            assert line.startswith(f"    bind {key.address}:{key.port}")


TEXT_FIELDS = ("nickname", "persistence_cookie", "error_url")
CHECK_FIELDS = ("path", "host", "pattern")


@given(virtual_services(), st.sampled_from(TEXT_FIELDS + CHECK_FIELDS), NASTY)
def test_no_text_adds_anything_to_the_configuration(service, field, text):
    def with_text(value):
        if field in CHECK_FIELDS:
            return dataclasses.replace(service, check=dataclasses.replace(service.check, **{field: value}))
        return dataclasses.replace(service, **{field: value})

    try:
        made = render([with_text(text)], NODE, PEMS).text
    except Unprintable:
        return  # refused, and `limits` says so in words before
    harmless = "x" if text else ""
    assert shape(made) == shape(render([with_text(harmless)], NODE, PEMS).text)
    assert all(ord(each) >= 32 or each == "\n" for each in made)


@given(virtual_services(), st.sampled_from(TEXT_FIELDS + CHECK_FIELDS), NASTY)
def test_what_the_limits_let_pass_can_be_rendered(service, field, text):
    if field in CHECK_FIELDS:
        service = dataclasses.replace(service, check=dataclasses.replace(service.check, **{field: text}))
    else:
        service = dataclasses.replace(service, **{field: text})
    if refusal(service, NODE, PEMS) is None:
        assert render([service], NODE, PEMS).text


@given(virtual_services())
def test_what_the_strategies_make_is_within_the_limits(service):
    assert refusal(service, NODE, PEMS) is None


def test_an_interface_with_an_odd_name_makes_no_odd_section():
    node = Node(Paths(Path("/run/unit")), {"eth0:1 x\n": ADDRESS})
    assert list(render([SHOP], node, PEMS).sections) == ["vs_eth0-1-x-_443_tcp"]


@pytest.mark.parametrize("name", ["haproxy.cfg.j2", "service.cfg.j2"])
def test_the_templates_are_part_of_the_package(name):
    assert resources.files("loadmaster_ha.agent.dataplane").joinpath(name).is_file()

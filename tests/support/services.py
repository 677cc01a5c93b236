"""Virtual services of every kind that a unit can be told to serve, for property tests."""

import re

from hypothesis import strategies as st

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

ADDRESS = "127.9.9.9"
CERTIFICATES = ("", "web", "other name'", "#third")

NASTY = st.text(
    st.sampled_from("ab \t\n\r\0'\"\\#%$&;|<>{}[]()*?!,:=@/.-_\x7f\x85\u2028\u00e9\U0001f40d")
    | st.characters(),
    max_size=40,
)
"""Text with everything that has ever had a meaning somewhere."""

PRINTABLE = st.text(
    st.sampled_from("ab '\"\\#%$&;|<>{}[]()*?!,:=@/.-_\u00e9\U0001f40d")
    | st.characters(categories=["L", "M", "N", "P", "S"]).filter(str.isprintable),
    max_size=30,
)
WORDS = PRINTABLE.map(lambda text: text.replace(" ", ""))
TOKENS = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True)
PORTS = st.integers(1, 65535)
SECONDS = st.integers(0, 86400)


def _is_a_hosts(address):
    everybody = address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255"
    return not everybody and not getattr(address, "scope_id", None)


real_servers = st.builds(
    RealServer,
    index=st.integers(1, 10**6),
    address=st.ip_addresses().filter(_is_a_hosts).map(str),
    port=PORTS,
    weight=st.integers(1, 65535),
    limit=st.integers(0, 100_000),
    enabled=st.booleans(),
    draining=st.booleans(),
    critical=st.booleans(),
)

checks = st.builds(
    HealthCheck,
    type=st.sampled_from([CheckType.TCP, CheckType.HTTP, CheckType.HTTPS, CheckType.NONE]),
    port=st.integers(0, 65535),
    path=WORDS.map(lambda text: f"/{text}"),
    host=st.just("") | st.from_regex(r"[A-Za-z0-9._:\[\]-]{1,30}", fullmatch=True),
    http_1_1=st.booleans(),
    method=st.sampled_from(CheckMethod),
    codes=st.lists(st.from_regex(r"[1-5][0-9]{2}", fullmatch=True), max_size=5).map(tuple),
    pattern=PRINTABLE.map(re.escape),
    interval=SECONDS,
    timeout=SECONDS,
    retries=st.integers(0, 100),
)

tls = st.builds(
    Tls,
    certificates=st.lists(st.sampled_from(CERTIFICATES[1:]), unique=True).map(tuple),
    reencrypt=st.booleans(),
    minimum_version=st.sampled_from(["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
)

standbys = st.none() | st.tuples(st.ip_addresses(v=4).filter(_is_a_hosts).map(str), PORTS)


@st.composite
def virtual_services(draw, *, port=None):
    """One service that the data plane does not refuse."""
    kind = draw(
        st.sampled_from(
            [ServiceType.GENERIC, ServiceType.HTTP, ServiceType.HTTP2, ServiceType.TERMINAL_SERVICES]
        )
    )
    http = kind in {ServiceType.HTTP, ServiceType.HTTP2}
    schedules = [
        Schedule.ROUND_ROBIN,
        Schedule.WEIGHTED_ROUND_ROBIN,
        Schedule.LEAST_CONNECTION,
        Schedule.WEIGHTED_LEAST_CONNECTION,
        Schedule.FIXED,
        Schedule.SOURCE_HASH,
    ]
    persistence = draw(st.sampled_from(["none", "src", *(["cookie", "active-cookie"] if http else [])]))
    number = draw(PORTS.filter(lambda each: each not in {8443, 8444, 6973, 9101})) if port is None else port
    return VirtualService(
        index=number,
        key=ServiceKey(ADDRESS, number),
        nickname=draw(PRINTABLE),
        enabled=draw(st.booleans()),
        type=kind,
        schedule=draw(st.sampled_from([*schedules, *([Schedule.URL_HASH] if http else [])])),
        persistence=persistence,
        persistence_timeout=draw(st.integers(0, 7 * 86400)),
        persistence_cookie=draw(TOKENS if persistence == "cookie" else st.just("") | TOKENS),
        idle_timeout=draw(SECONDS),
        check=draw(checks),
        tls=draw(tls if kind is ServiceType.HTTP2 else st.none() | tls),
        forwarded_for=draw(st.booleans()),
        minimum_real_servers=draw(st.integers(0, 5)),
        standby=draw(standbys),
        error_code=draw(st.sampled_from([0, 200, 404, 503, 599])),
        error_url=draw(WORDS),
        real_servers=tuple(draw(st.lists(real_servers, max_size=4, unique_by=lambda each: each.index))),
    )


@st.composite
def unit_services(draw, most=3):
    """All services of a unit, on ports of their own."""
    ports = draw(st.lists(st.integers(10_000, 60_000), unique=True, max_size=most))
    return tuple(draw(virtual_services(port=port)) for port in ports)

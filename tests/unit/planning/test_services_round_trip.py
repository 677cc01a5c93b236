"""What is planned for a service, sent and read back, is no difference: nothing is written twice."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.planning import services_world as lab

from loadmaster_ha.loadmaster import virtual_service_parameters as parameters
from loadmaster_ha.loadmaster.virtual_service_fields import virtual_service
from loadmaster_ha.planning.units.virtual_services import goal, service_differences, wanted_service

requests = st.fixed_dictionaries(
    {"type": st.sampled_from(["HTTP", "HTTPS"])},
    optional={
        "path": st.sampled_from(["/", "/healthz?a=b"]),
        "host": st.sampled_from(["a.example.com", "b"]),
        "method": st.sampled_from(["HEAD", "GET", "OPTIONS"]),
        "statusCodes": st.lists(st.integers(300, 599), min_size=1, max_size=4, unique=True),
    },
)
checks = st.one_of(st.fixed_dictionaries({"type": st.sampled_from(["TCP", "None", "ICMP"])}), requests)
times = st.fixed_dictionaries(
    {}, optional={"intervalSeconds": st.integers(60, 901), "timeoutSeconds": st.integers(4, 60)}
)
persistence = st.one_of(
    st.just({"mode": "None"}),
    st.builds(lambda minutes: {"mode": "SourceAddress", "timeoutMinutes": minutes}, st.integers(1, 10080)),
    st.builds(lambda mode: {"mode": mode, "cookie": "id"}, st.sampled_from(["ServerCookie", "ActiveCookie"])),
)
virtual_services = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["HTTP", "HTTP2"]),
        "persistence": persistence,
        "healthCheck": st.builds(lambda check, time: {**check, **time}, checks, times),
    },
    optional={
        "enabled": st.sampled_from(["Enabled", "Disabled"]),
        "forwardedFor": st.sampled_from(["Enabled", "Disabled"]),
        "idleTimeoutSeconds": st.integers(1, 86400),
        "scheduling": st.sampled_from(["RoundRobin", "WeightedLeastConnection", "Fixed", "SourceHash"]),
        "tls": st.fixed_dictionaries(
            {"certificateSecretRef": st.just({"name": "web-tls"})},
            optional={
                "reencrypt": st.sampled_from(["Enabled", "Disabled"]),
                "minimumVersion": st.sampled_from(["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
            },
        ),
    },
)


def wanted(inside):
    (service,) = lab.wanted(lab.spec(lab.service(**inside))).pair.spec.services
    assert service.virtual_service is not None
    return wanted_service(
        service,
        service.virtual_service,
        address=lab.MASTER,
        nickname=lab.MARKS.nickname("https"),
        certificate="ours" if service.virtual_service.tls is not None else None,
    )


def read_back(fields, want):
    return virtual_service(fields, 5, want.key, (), default_tls_type=0b00111)


@settings(deadline=None)
@given(virtual_services)
def test_a_new_service_reads_back_as_planned(inside):
    want = wanted(inside)
    have = read_back(parameters.for_new_service(want), want)
    assert service_differences(have, goal(have, want)) == ()


@settings(deadline=None)
@given(virtual_services, virtual_services)
def test_a_changed_service_reads_back_as_planned(before, after):
    old, want = wanted(before), wanted(after)
    fields = parameters.for_new_service(old)
    have = read_back(fields, old)
    planned = goal(have, want)
    now = read_back(fields | parameters.for_changed_service(have, planned), want)
    assert service_differences(now, goal(now, want)) == ()
    assert bool(service_differences(have, planned)) is bool(parameters.for_changed_service(have, planned))

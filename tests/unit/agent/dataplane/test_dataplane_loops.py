"""No service gets its own connections back: one such connection would take all that the unit has."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.dataplane.admission import admit
from loadmaster_ha.agent.dataplane.command import Paths
from loadmaster_ha.agent.dataplane.limits import refusal
from loadmaster_ha.agent.dataplane.loops import loops
from loadmaster_ha.agent.dataplane.model import Node
from loadmaster_ha.domain.virtual_services import RealServer, ServiceKey, VirtualService

OWN = "10.0.2.4"
NODE = Node(Paths(Path("/run/unit")), {"eth0": OWN})


def service(index, port, *servers, extra_ports=(), standby=None):
    return VirtualService(
        index,
        ServiceKey(OWN, port),
        extra_ports=extra_ports,
        standby=standby,
        real_servers=tuple(
            RealServer(number, address, port) for number, (address, port) in enumerate(servers, start=1)
        ),
    )


@pytest.mark.parametrize(
    "looping",
    [
        service(1, 80, ("10.0.2.9", 80), (OWN, 80)),
        service(1, 80, (f"::ffff:{OWN}", 80)),
        service(1, 80, (OWN, 81), extra_ports=(81,)),
        service(1, 80, ("10.0.2.9", 80), standby=(OWN, 80)),
    ],
    ids=["real server", "mapped address", "extra port", "sorry server"],
)
def test_a_service_is_not_its_own_real_server(looping):
    assert "is this virtual service itself" in loops([looping])[looping.key]


def test_a_loop_over_other_services_is_refused_where_it_is_closed():
    first, second, third = (
        service(1, 80, (OWN, 81)),
        service(2, 81, (OWN, 82)),
        service(3, 82, ("10.0.2.9", 82), (OWN, 80)),
    )
    found = loops([first, second, third])
    assert list(found) == [third.key]
    assert f"real server {OWN}:80 leads back" in found[third.key]
    assert f"over {first.key}, {second.key}:" in found[third.key]
    assert loops([first, second]) == {}, "one before the other is allowed"


def test_another_service_of_the_unit_may_be_a_real_server_of_two():
    assert loops([service(1, 80, (OWN, 82)), service(2, 81, (OWN, 82)), service(3, 82)]) == {}


def test_the_other_services_are_served_on():
    web, looping = service(1, 80, ("10.0.2.9", 80)), service(2, 81, (OWN, 81))
    made = admit([web, looping], {}, NODE, ())
    assert made.services == (web,)
    assert "itself" in made.rejected[looping.key]


def test_the_former_version_is_served_on():
    web, looping = service(1, 80, ("10.0.2.9", 80)), service(1, 80, (OWN, 80))
    assert admit([looping], {1: web}, NODE, ()).services == (web,)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1"])
def test_an_address_that_is_no_hosts_is_refused(address):
    assert f"real server {address!r} is not possible" in refusal(service(1, 80, (address, 80)), NODE)
    assert "sorry server" in refusal(service(1, 80, standby=(address, 80)), NODE)


@given(
    st.lists(st.lists(st.integers(0, 7), max_size=3), max_size=8),
    st.randoms(use_true_random=False),
)
def test_what_is_left_has_an_end_whatever_leads_where(targets, random):
    services = [
        service(index, 80 + index, *((OWN, 80 + target) for target in leads))
        for index, leads in enumerate(targets)
    ]
    random.shuffle(services)
    refused = loops(services)
    leads = {
        each.key.port: {server.port for server in each.real_servers}
        for each in services
        if each.key not in refused
    }
    while ends := [port for port, onward in leads.items() if not onward & leads.keys()]:
        for port in ends:
            del leads[port]
    assert not leads

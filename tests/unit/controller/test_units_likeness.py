"""When two appliances are taken for out of step: services differ in more than each unit's own address."""

from dataclasses import replace

import pytest
from tests.support.unit_values import ADDRESSES, facts, service

from loadmaster_ha.controller.units.likeness import differ
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Unknown
from loadmaster_ha.domain.units import UnitKind
from loadmaster_ha.domain.virtual_services import RealServer

ARMS = {(role, "eth0"): address for role, address in ADDRESSES.items()}
ONE, OTHER = RealServer(1, "10.0.5.1", 80), RealServer(2, "10.0.5.2", 80)


def appliance(role, *services, kind=UnitKind.APPLIANCE):
    return facts(role, kind=kind, services=services)


def own(role, *servers, **changed):
    """The same service as each unit has it: at its own address."""
    return replace(service(443, ADDRESSES[role]), real_servers=servers, **changed)


def both(master, slave):
    return differ({Role.MASTER: master, Role.SLAVE: slave}, ARMS)


def test_own_addresses_numbers_and_the_order_of_real_servers_are_no_difference():
    master = appliance(Role.MASTER, own(Role.MASTER, ONE, OTHER), service(8080, "10.0.9.9"))
    there = own(Role.SLAVE, replace(OTHER, index=7), replace(ONE, index=9), index=5)
    slave = appliance(Role.SLAVE, service(8080, "10.0.9.9"), there)
    assert not both(master, slave)


@pytest.mark.parametrize(
    "there",
    [
        (),
        (own(Role.SLAVE, ONE),),
        (own(Role.SLAVE, ONE, replace(OTHER, weight=1)),),
        (own(Role.SLAVE, ONE, OTHER, nickname="another"),),
        (own(Role.MASTER, ONE, OTHER),),
        (own(Role.SLAVE, ONE, OTHER), service(8080)),
    ],
    ids=["none", "a server less", "another weight", "another name", "not its own address", "one more"],
)
def test_everything_else_is(there):
    master = appliance(Role.MASTER, own(Role.MASTER, ONE, OTHER))
    assert both(master, appliance(Role.SLAVE, *there))


def test_of_what_is_not_known_nothing_is_said():
    master, slave = (appliance(role, own(role, ONE)) for role in Role)
    unread = replace(slave, services=Unknown("TimedOut", "no answer"))
    assert not both(master, unread)
    assert not differ({Role.MASTER: master}, ARMS)


def test_agents_tell_how_their_synchronisation_goes_themselves():
    master, slave = (appliance(role, kind=UnitKind.AGENT) for role in Role)
    assert not both(replace(master, services=appliance(Role.MASTER, own(Role.MASTER)).services), slave)

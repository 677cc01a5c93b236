"""The check port while it moves: what counts is where the balancer probes."""

from dataclasses import replace

import pytest
from tests.support.pair_views import WELL, cannot_be_asked, settings, with_unit

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.units import Active, UnitKind
from loadmaster_ha.planning.diagnosis.diagnose import diagnose
from loadmaster_ha.planning.diagnosis.model import PairHealth

MOVES = replace(WELL, next_port=8445)


def followed(view, *roles, kind=UnitKind.AGENT):
    for role in roles:
        view = with_unit(role, view, kind=kind, settings=settings(role, port=8445))
    return view


@pytest.mark.parametrize("roles", [(), (Role.SLAVE,), tuple(Role)])
def test_agents_that_move_to_a_new_port_are_well_since_they_answer_on_the_old_one_too(roles):
    found = diagnose(followed(MOVES, *roles))
    assert (found.health, found.active) == (PairHealth.ACTIVE_STANDBY, Active.MASTER)


def test_a_new_port_that_waits_for_a_unit_that_is_away_changes_nothing_about_who_serves():
    found = diagnose(with_unit(Role.SLAVE, MOVES, **cannot_be_asked("Refused")))
    assert (found.health, found.active) == (PairHealth.PARTNER_UNREACHABLE, Active.MASTER)


def test_an_appliance_that_has_left_the_port_of_the_probe_is_told():
    view = followed(
        with_unit(Role.MASTER, MOVES, kind=UnitKind.APPLIANCE), Role.SLAVE, kind=UnitKind.APPLIANCE
    )
    found = diagnose(view)
    assert found.health is PairHealth.PORT_MISMATCH
    assert found.cause == "The check port is 8445 on the slave; the balancer probes 8444."


def test_a_port_that_is_nobodys_is_told_while_the_port_moves():
    view = with_unit(Role.SLAVE, MOVES, settings=settings(Role.SLAVE, port=8555))
    assert diagnose(view).health is PairHealth.PORT_MISMATCH

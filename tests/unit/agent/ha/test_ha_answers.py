"""The table of what the health port says."""

import pytest
from tests.support.ha_engine import Driven, active_master, report

from loadmaster_ha.agent.ha.answers import TABLE, UNAVAILABLE, Situation, answer, stated
from loadmaster_ha.agent.ha.model import DrainRequested, LinkEnd, LinkLost, StopRequested, Tick
from loadmaster_ha.domain.ha import Mode, Role, UnitState


def test_the_table_has_every_situation():
    assert set(TABLE) == set(Situation)


@pytest.mark.parametrize("role", list(Role))
def test_only_an_active_unit_says_200_to_everybody(role):
    for state in UnitState:
        for eligible in (True, False):
            said = answer(state, role, eligible=eligible)
            assert (said.to_others.code == 200) is (state is UnitState.ACTIVE)
            expected = state is UnitState.ACTIVE or (state is UnitState.UNCONNECTED and eligible)
            assert (said.to_balancer.code == 200) is expected


def test_the_words_are_the_guides():
    assert answer(UnitState.ACTIVE, Role.MASTER, eligible=True).to_others.text == "Master is active"
    assert answer(UnitState.ACTIVE, Role.SLAVE, eligible=True).to_balancer.text == "Slave is active"


def test_a_unit_in_no_pair_says_so():
    said = answer(UnitState.UNCONNECTED, None, eligible=False).to_others
    assert (said.code, said.text) == (503, "HA is not configured")


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", list(UnitState))
def test_the_partner_reads_from_the_page_what_it_says(role, state):
    assert stated(answer(state, role, eligible=False).to_others.text) == (role, state)


@pytest.mark.parametrize("text", ["", "503 Service Unavailable", UNAVAILABLE.text, "Master is withdrawn"])
def test_other_words_name_no_state(text):
    assert stated(text) is None


def test_the_first_probe_of_the_one_that_is_to_serve_gets_200_and_nobody_else_does():
    driven = Driven(Mode.MASTER).wait(2, hears=report(UnitState.UNCONNECTED))
    assert (driven.answer.to_balancer.code, driven.answer.to_others.code) == (200, 503)
    assert driven.view.state is UnitState.UNCONNECTED
    assert driven.probe().view.state is UnitState.ACTIVE
    assert driven.answer.to_others.code == 200


@pytest.mark.parametrize("event", [StopRequested(), DrainRequested(None)])
def test_a_withdrawn_unit_does_not_look_like_a_standby_that_may_serve(event):
    driven = active_master().give(LinkLost(LinkEnd.TIMEOUT), event, Tick())
    assert (driven.answer.to_others.code, driven.answer.to_others.text) == (503, "Master is withdrawn")

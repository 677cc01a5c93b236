"""What may be concluded of a unit whose management cannot be asked, from its health page alone."""

import pytest
from tests.support.pair_views import ADDRESSES, STANDBY, WELL, says, settings, with_both, with_unit

from loadmaster_ha.agent.ha.answers import TABLE, Situation
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.domain.units import Active, ObservedState, UnitKind
from loadmaster_ha.planning.diagnosis.diagnose import diagnose, message
from loadmaster_ha.planning.diagnosis.model import PairHealth
from loadmaster_ha.planning.diagnosis.states import seen

STRANGER = Unknown("CertificateNotTrusted", "its certificate is another one than the pinned one")


def only_by_its_page(text, code=503, *, role=Role.SLAVE, view=WELL, management=STRANGER):
    """The pair, of whose one unit only the health page is known."""
    return with_unit(role, view, health=says(code, text), management=management, settings=None, agent=None)


APPLIANCES = with_both(kind=UnitKind.APPLIANCE, agent=None)


UNDERSTOOD = {
    Situation.STANDBY: ObservedState.STANDBY,
    Situation.WITHDRAWN: ObservedState.STANDBY,
    Situation.FAILED: ObservedState.FAILED,
    Situation.ELIGIBLE: ObservedState.UNCONNECTED,
    Situation.WAITING: ObservedState.UNCONNECTED,
    Situation.SINGLE: ObservedState.UNKNOWN,
    Situation.SPEECHLESS: ObservedState.FAILED,
}


@pytest.mark.parametrize("situation", [each for each in Situation if each is not Situation.ACTIVE])
def test_each_text_of_a_node_agent_is_understood(situation):
    row = TABLE[situation]
    told = seen(only_by_its_page(row.text.format(role="Slave"), row.to_others).units[Role.SLAVE])
    assert (told.state, told.serving) == (UNDERSTOOD[situation], False)


def test_a_standby_whose_management_cannot_be_asked_is_a_standby():
    for view in (
        only_by_its_page("Slave is standby"),
        only_by_its_page("", view=APPLIANCES),
        only_by_its_page("<html><title>503 Service Unavailable</title>", view=APPLIANCES),
    ):
        found = diagnose(view)
        assert (found.health, found.states[Role.SLAVE]) == (PairHealth.ACTIVE_STANDBY, STANDBY)


@pytest.mark.parametrize("management", [STRANGER, Unknown("TimedOut", "no answer in 10 s"), Absent()])
def test_a_page_that_says_that_ha_is_not_configured_is_no_standby(management):
    found = diagnose(only_by_its_page("HA is not configured", management=management))
    assert (found.health, found.healthy, found.active) == (PairHealth.NOT_CONFIGURED, False, Active.MASTER)
    assert found.cause.startswith('The health page of the slave says "HA is not configured"')
    assert "HASynced" in found.remedy
    if isinstance(management, Unknown):
        assert management.message in message(found)


def test_what_the_management_says_is_told_of_the_one_and_the_page_of_the_other():
    fresh = settings(Role.MASTER, mode=Mode.SINGLE)
    found = diagnose(with_unit(Role.MASTER, only_by_its_page("HA is not configured"), settings=fresh))
    assert found.cause.startswith("The master is in single mode. The health page of the slave says")


def test_a_management_that_answers_counts_more_than_a_page_of_a_moment_ago():
    assert (
        diagnose(with_unit(Role.SLAVE, health=says(503, "HA is not configured"))).health
        is PairHealth.ACTIVE_STANDBY
    )


def test_a_unit_whose_process_is_dead_is_no_standby():
    found = diagnose(only_by_its_page("Unit is unavailable"))
    assert (found.health, found.active) == (PairHealth.PARTNER_UNREACHABLE, Active.MASTER)
    assert "certainly does not serve" in found.cause


def test_a_page_that_names_the_partners_role_is_a_conflict_of_modes():
    found = diagnose(only_by_its_page("Master is standby"))
    assert found.health is PairHealth.MODE_CONFLICT
    assert "Both units have the mode Master" in found.cause
    assert "of the slave by its health page" in found.cause


@pytest.mark.parametrize(
    "view",
    [
        only_by_its_page("<html>", 503),
        only_by_its_page("Not Found", 404),
        only_by_its_page("Not Found", 404, view=APPLIANCES),
    ],
    ids=["a proxy's page", "something else", "something else than an appliance's page"],
)
def test_a_page_that_tells_nothing_is_not_taken_for_a_standbys(view):
    found = diagnose(view)
    assert (found.health, found.healthy, found.active) == (PairHealth.UNKNOWN, None, Active.MASTER)
    assert found.cause == "The master is active. Whether the slave could take over cannot be told."
    assert "slave" in found.remedy
    assert ADDRESSES[Role.SLAVE] in message(found)


def test_such_a_page_is_of_no_account_where_the_management_tells_the_state():
    view = only_by_its_page("<html>", management=Present(STANDBY))
    assert diagnose(view).health is PairHealth.ACTIVE_STANDBY

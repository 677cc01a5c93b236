import pytest
from tests.support.management import ScriptedUnit

from loadmaster_ha.agent.api import dispatch
from loadmaster_ha.agent.api.dispatch import Call, Done, Refused, User
from loadmaster_ha.domain.ha import UnitState
from loadmaster_ha.loadmaster.commands import COMMANDS
from loadmaster_ha.loadmaster.shapes import Access, Permission

BAL = User("bal")


@pytest.fixture
def unit(tmp_path):
    made = ScriptedUnit(tmp_path)
    yield made
    made.close()


def test_every_command_of_the_catalogue_has_a_handler_and_none_else():
    assert set(dispatch.registry()) == set(COMMANDS)


def test_no_command_has_two_handlers():
    with pytest.raises(ValueError, match="two handlers"):
        dispatch.handles("get")(dispatch.registry()["get"])


def test_a_handler_for_no_command_is_a_mistake():
    with pytest.raises(ValueError, match="no command"):
        dispatch.handles("wibble")(dispatch.registry()["get"])


@pytest.mark.parametrize(
    "name", sorted(name for name, each in COMMANDS.items() if each.access is Access.SYNCHRONISED)
)
async def test_a_standby_refuses_every_command_that_changes_what_the_partner_gets(unit, name):
    unit.is_in(UnitState.STANDBY)
    with pytest.raises(Refused, match="unit is standby") as refused:
        await dispatch.dispatch(Call(COMMANDS[name], {}, BAL), unit)
    assert refused.value.status == 422


@pytest.mark.parametrize("name", sorted(name for name, each in COMMANDS.items() if each.permissions))
async def test_a_user_without_permission_is_refused_before_anything_else(unit, name):
    with pytest.raises(Refused) as refused:
        await dispatch.dispatch(Call(COMMANDS[name], {}, User("ann")), unit)
    assert refused.value.status == 403
    assert "ann" in refused.value.text


async def test_the_administrator_needs_no_permission(unit):
    assert await dispatch.dispatch(Call(COMMANDS["reboot"], {}, BAL), unit) == Done("Rebooting")


def test_root_opens_all_but_the_making_of_users():
    root = User("chief", frozenset({Permission.ALL}))
    closed = {name for name, command in COMMANDS.items() if not root.may(command)}

    assert closed == {"useraddlocal", "userdellocal", "usersetperms"}

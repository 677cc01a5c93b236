"""Rules that hold for every entry of the management API's catalogue."""

import re

import pytest

from loadmaster_ha.agent.settings.model import LOCAL_PARAMETERS
from loadmaster_ha.loadmaster import parameters
from loadmaster_ha.loadmaster.commands import COMMANDS
from loadmaster_ha.loadmaster.redaction import MASK, SECRET_NAMES, of_parameters, of_text
from loadmaster_ha.loadmaster.shapes import Access, Data, Rows
from loadmaster_ha.loadmaster.values import Kind

NAMES = sorted(COMMANDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_described_in_sentences(name):
    command = COMMANDS[name]

    assert re.fullmatch(r"[A-Z].*\.", command.documentation), command.documentation
    for parameter in command.parameters:
        assert parameter.documentation, f"{name}: {parameter.name}"


@pytest.mark.parametrize("name", NAMES)
def test_what_changes_something_needs_a_permission(name):
    command = COMMANDS[name]
    own_affairs = {"addapikey", "delapikey", "usersetsyspassword"}

    assert command.access is Access.READ or command.permissions or name in own_affairs


@pytest.mark.parametrize("name", NAMES)
def test_no_field_hides_the_frame_of_a_v2_answer(name):
    reply = COMMANDS[name].reply
    if isinstance(reply, Data):
        assert not {"code", "status", "message", "data"} & set(reply.record.by_name)


@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_hides_the_frame_of_a_v2_request(name):
    assert not {"cmd", "apikey", "apiuser", "apipass", "data"} & set(COMMANDS[name].by_name)


@pytest.mark.parametrize("name", NAMES)
def test_secrets_are_secret_by_kind(name):
    for parameter in COMMANDS[name].parameters:
        if parameter.name.lower() in SECRET_NAMES:
            assert parameter.kind is Kind.SECRET, parameter.name


@pytest.mark.parametrize("name", NAMES)
def test_patterns_can_be_compiled(name):
    for parameter in COMMANDS[name].parameters:
        re.compile(parameter.pattern)


def test_members_of_a_record_have_names_of_their_own():
    def check(record):
        names = [member.name for member in record.members]
        assert len(names) == len(set(names))
        for member in record.members:
            if isinstance(member, Rows):
                check(member.record)

    for command in COMMANDS.values():
        if isinstance(command.reply, Data):
            check(command.reply.record)


def test_only_our_own_commands_are_called_extensions():
    assert {name for name, command in COMMANDS.items() if command.extension} == {
        name for name in COMMANDS if name.startswith("agent")
    }


def test_nothing_dangerous_is_there():
    assert not {"factoryreset", "enablexroot"} & set(COMMANDS)


def test_the_store_and_the_wire_agree_on_what_stays_on_the_unit():
    stored = {
        each.name.lower()
        for each in parameters.PARAMETERS.values()
        if not each.told_by_unit and not each.read_only
    }
    local = {each.name.lower() for each in parameters.PARAMETERS.values() if each.local}

    assert local == stored & LOCAL_PARAMETERS


# Redaction


def test_secret_parameters_are_masked_by_name_and_by_kind():
    masked = of_parameters(
        {"secret": "a", "Password": "b", "key": "c", "vs": "d"}, COMMANDS["setlmcommsecret"]
    )

    assert masked == {"secret": MASK, "Password": MASK, "key": MASK, "vs": "d"}


@pytest.mark.parametrize(
    "text",
    [
        "GET /access/set?param=a&apikey=TOPSECRET&value=b",
        "passwd=TOPSECRET",
        '{"apipass": "TOPSECRET", "cmd": "get"}',
        "Authorization: Basic TOPSECRETx==",
        "{'secret': 'TOPSECRET'}",
        '{"password" : "TOP SECRET TOPSECRET"}',
    ],
)
def test_secrets_in_text_are_masked(text):
    assert "TOPSECRET" not in of_text(text)
    assert MASK in of_text(text)


def test_other_text_stays():
    assert of_text("GET /access/getall?vs=1&port=80") == "GET /access/getall?vs=1&port=80"

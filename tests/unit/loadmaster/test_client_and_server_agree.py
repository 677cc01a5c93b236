"""For every command: what the client sends is what the agent's server reads, in both versions of the API."""

from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import wire_values

from loadmaster_ha.agent.api.authentication import parse_basic
from loadmaster_ha.loadmaster import commands, http_messages, requests, v1, v2
from loadmaster_ha.loadmaster.commands import COMMANDS
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.loadmaster.values import Version

FEW = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
_SENDABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)
CREDENTIALS = st.one_of(
    st.builds(lambda key: UnitCredentials(apikey=key), _SENDABLE),
    st.builds(
        lambda user, password: UnitCredentials(user=user, password=password),
        _SENDABLE.filter(lambda text: ":" not in text),
        _SENDABLE,
    ),
)


def read_in_v1(sent):
    """As the server's exchange does: path, parameters of URL and body, credentials."""
    path, _, query = sent.target.partition("?")
    command = commands.find(unquote(path.removeprefix("/access/")))
    raw = v1.decode_parameters(query)
    key = raw.pop("apikey", "")
    header = sent.headers.get("Authorization")
    who = parse_basic(header) if header else requests.Credentials(apikey=key)
    upload = sent.body if command.upload else None
    if sent.method == "POST" and not command.upload:
        raw |= v1.decode_parameters(sent.body.decode("utf-8"))
    return command, requests.read(command, raw), who, upload


def read_in_v2(sent):
    assert (sent.method, sent.target) == ("POST", "/accessv2")
    request = v2.decode_request(sent.body)
    command = commands.find(request.command)
    return command, requests.read(command, request.parameters), request.credentials, request.data


@pytest.mark.parametrize("name", sorted(COMMANDS))
@FEW
@given(data=st.data())
def test_the_server_reads_what_the_client_means(name, data):
    command = COMMANDS[name]
    parameters = data.draw(wire_values.requests(command))
    who = data.draw(CREDENTIALS)
    upload = data.draw(st.binary(min_size=1, max_size=50)) if command.upload else None
    versions = [(Version.V1, read_in_v1)]
    if not command.v1_only:
        versions.append((Version.V2, read_in_v2))

    for version, read in versions:
        sent = http_messages.build(version, command, parameters, who, upload)

        assert read(sent) == (command, parameters, who.on_the_wire(), upload)
        assert len(sent.target) <= v1.LONGEST_URL or command.upload

"""For every command of the catalogue: what one side writes the other reads, in both versions of the API."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import wire_values

from loadmaster_ha.loadmaster import requests, v1, v2
from loadmaster_ha.loadmaster.answers import Answer
from loadmaster_ha.loadmaster.commands import COMMANDS
from loadmaster_ha.loadmaster.requests import Credentials
from loadmaster_ha.loadmaster.shapes import Binary, Data

FEWER = settings(max_examples=5, deadline=None)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
WITH_DATA = sorted(name for name, command in COMMANDS.items() if isinstance(command.reply, Data))
WITH_FILES = sorted(name for name, command in COMMANDS.items() if isinstance(command.reply, Binary))


def decoded(version, shape, answer):
    body = version.encode_answer(shape, answer)
    return version.decode_answer(shape, body.code, body.content_type, body.content)


@pytest.mark.parametrize("name", WITH_DATA)
@FEW
@given(data=st.data())
def test_a_record_arrives_as_it_was_sent(name, data):
    shape = COMMANDS[name].reply
    fields = data.draw(wire_values.records(shape.record))

    assert decoded(v1, shape, Answer(fields=fields)).fields == fields
    assert decoded(v2, shape, Answer(fields=fields)).fields == fields


@pytest.mark.parametrize("name", WITH_FILES)
@FEW
@given(content=st.binary(min_size=1))
def test_a_file_arrives_as_it_was_sent(name, content):
    shape = COMMANDS[name].reply

    assert decoded(v1, shape, Answer(data=content)).data == content
    assert decoded(v2, shape, Answer(data=content)).data == content


@pytest.mark.parametrize("name", sorted(COMMANDS))
@FEWER
@given(code=st.sampled_from([400, 401, 403, 404, 405, 422, 503]), text=wire_values.TEXTS)
def test_a_refusal_arrives_with_its_code_and_text(name, code, text):
    shape = COMMANDS[name].reply

    for version in (v1, v2):
        answer = decoded(version, shape, Answer(code, text=text))
        assert (answer.code, answer.text, answer.ok) == (code, text, False)


@pytest.mark.parametrize("name", sorted(COMMANDS))
@FEW
@given(data=st.data())
def test_a_request_arrives_as_it_was_sent(name, data):
    command = COMMANDS[name]
    parameters = data.draw(wire_values.requests(command))

    request = v1.encode_request(command, parameters, b"file" if command.upload else None)
    path, _, query = request.path.partition("?")
    body = "" if request.body is None or command.upload else request.body.decode("ascii")
    over_v1 = requests.read(command, v1.decode_parameters(query or body))
    over_v2 = v2.decode_request(v2.encode_request(command, parameters))

    assert path == f"/access/{command.path}"
    assert over_v1 == parameters
    assert over_v2.command == command.name
    assert requests.read(command, over_v2.parameters) == parameters


@given(user=wire_values.TEXTS, password=wire_values.TEXTS, content=st.binary())
def test_credentials_and_files_travel_inside_v2(user, password, content):
    command = COMMANDS["restore"]
    with_user = v2.decode_request(
        v2.encode_request(command, {"type": 3}, Credentials(user=user, password=password), content)
    )
    with_key = v2.decode_request(v2.encode_request(command, {}, Credentials(user, password, "the-key")))

    assert (with_user.credentials.user, with_user.credentials.password) == (user, password)
    assert with_user.data == content
    assert with_key.credentials == Credentials(apikey="the-key")


def test_a_request_with_a_long_url_is_posted():
    request = v1.encode_request(COMMANDS["set"], {"param": "geopartners", "value": "1" * 1100})

    assert request.method == "POST"
    assert request.path == "/access/set"
    assert request.body.startswith(b"param=geopartners&value=111")


def test_a_file_is_posted_with_its_parameters_in_the_query():
    request = v1.encode_request(COMMANDS["restore"], {"type": 2}, b"\x00raw")

    assert (request.method, request.path, request.body) == ("POST", "/access/restore?type=2", b"\x00raw")

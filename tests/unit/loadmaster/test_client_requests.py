"""A command as literal bytes of HTTP: where parameters and credentials go, in both versions."""

import json

import pytest

from loadmaster_ha.loadmaster import commands, http_messages
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.loadmaster.values import Version

KEY = UnitCredentials(apikey="k3y+/=")
USER = UnitCredentials(user="operator", password="pässword")
BASIC = {"Authorization": "Basic b3BlcmF0b3I6cMOkc3N3b3Jk"}


def v1(command, parameters, credentials=USER, data=None):
    return http_messages.build(Version.V1, commands.find(command), parameters, credentials, data)


def v2(command, parameters, credentials=KEY, data=None):
    return http_messages.build(Version.V2, commands.find(command), parameters, credentials, data)


def test_v1_reads_by_get_with_basic_authentication():
    request = v1("get", {"param": "version"})

    assert (request.method, request.target, request.body) == ("GET", "/access/get?param=version", None)
    assert request.headers == BASIC


def test_v1_sub_commands_are_paths_and_values_are_percent_encoded():
    request = v1("logging.ping", {"addr": "a b&c=ü", "intf": "eth0"})

    assert request.target == "/access/logging/ping?addr=a+b%26c%3D%C3%BC&intf=eth0"


def test_v1_changes_by_post_so_that_values_are_in_no_url():
    request = v1("setlmcommsecret", {"secret": "top&secret=1"})

    assert (request.method, request.target) == ("POST", "/access/setlmcommsecret")
    assert request.body == b"secret=top%26secret%3D1"
    assert request.headers == BASIC | {"Content-Type": "application/x-www-form-urlencoded"}


def test_v1_has_the_key_in_the_url_as_documented():
    assert v1("get", {"param": "version"}, KEY).target == "/access/get?apikey=k3y%2B%2F%3D&param=version"
    assert v1("set", {"param": "hostname", "value": "lm-0"}, KEY).target == "/access/set?apikey=k3y%2B%2F%3D"


@pytest.mark.parametrize("credentials", [USER, KEY])
@pytest.mark.parametrize("length", range(900, 1100, 9))
def test_v1_posts_what_makes_a_url_longer_than_1024_characters(credentials, length):
    request = v1("showvs", {"vs": "x" * length}, credentials)

    assert len(request.target) <= 1024
    if request.method == "POST":
        assert request.body == b"vs=" + b"x" * length
        assert length > 900
    else:
        assert request.body is None


def test_v1_uploads_raw_bytes_with_the_parameters_in_the_url():
    request = v1("addcert", {"cert": "web", "password": "pw"}, data=b"-----BEGIN\x00\xff")

    assert (request.method, request.body) == ("POST", b"-----BEGIN\x00\xff")
    assert request.target == "/access/addcert?cert=web&password=pw"
    assert request.headers["Content-Type"] == "application/octet-stream"


def test_v2_has_everything_in_the_body():
    request = v2("set", {"param": "hostname", "value": "lm-0"})

    assert (request.method, request.target) == ("POST", "/accessv2")
    assert json.loads(request.body) == {
        "cmd": "set",
        "apikey": "k3y+/=",
        "param": "hostname",
        "value": "lm-0",
    }
    assert request.headers == {"Content-Type": "application/json"}


def test_v2_takes_user_and_password_and_files_as_base64():
    request = v2("addcert", {"cert": "web"}, USER, b"\x00\xff")

    assert json.loads(request.body) == {
        "cmd": "addcert",
        "apiuser": "operator",
        "apipass": "pässword",
        "cert": "web",
        "data": "AP8=",
    }


def test_only_what_is_meant_to_change_is_sent():
    assert v1("azurehaparam", {"partner": "10.0.2.5"}).body == b"partner=10.0.2.5"


def test_nothing_of_a_request_is_printed_but_its_method():
    shown = repr(v2("setlmcommsecret", {"secret": "topsecret"})) + repr(v1("get", {"param": "x"}, KEY))

    assert "topsecret" not in shown
    assert "k3y" not in shown


def test_half_a_character_is_refused():
    with pytest.raises(ValueError, match="surrogates"):
        v1("get", {"param": "\ud800"})

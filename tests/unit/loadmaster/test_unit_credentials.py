"""Credentials of a unit: what they may be, and that nothing prints them."""

import dataclasses
import pprint

import pytest

from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials

KEY = "Zx81KeyOfTheOperator"
PASSWORD = "hunter2 and more"


@pytest.mark.parametrize(
    "credentials", [UnitCredentials(apikey=KEY), UnitCredentials(user="operator", password=PASSWORD)]
)
def test_nothing_prints_them(credentials):
    shown = f"{credentials} {credentials!r} {pprint.pformat(credentials)} {[credentials]} {credentials:}"

    assert KEY not in shown
    assert PASSWORD not in shown
    assert "UnitCredentials(" in shown


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "neither apikey nor both username and password"),
        ({"user": "operator"}, "neither apikey nor both"),
        ({"password": PASSWORD}, "neither apikey nor both"),
        ({"apikey": KEY, "user": "operator"}, "as well as"),
        ({"apikey": KEY, "password": PASSWORD}, "as well as"),
        ({"apikey": f"{KEY}\n"}, "control characters in apikey"),
        ({"user": "operator", "password": f"{PASSWORD}\r\n"}, "control characters in password"),
        ({"user": "a:b", "password": PASSWORD}, "colon in username"),
    ],
)
def test_what_no_request_can_carry_is_refused_without_showing_it(given, complaint):
    with pytest.raises(ValueError, match=complaint) as refused:
        UnitCredentials(**given)

    assert KEY not in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_secrets_that_a_unit_repeats_are_masked():
    credentials = UnitCredentials(user="operator", password=PASSWORD)

    assert credentials.scrub(f"no user operator/{PASSWORD}!") == "no user operator/********!"


def test_they_are_equal_by_content():
    assert UnitCredentials(apikey=KEY) == UnitCredentials(apikey=KEY)
    assert UnitCredentials(apikey=KEY) != dataclasses.replace(UnitCredentials(apikey=KEY), apikey="other")

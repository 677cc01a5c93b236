"""Which version of the API is spoken to which unit."""

import pytest

from loadmaster_ha.loadmaster import version_choice
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.loadmaster.values import Version
from loadmaster_ha.loadmaster.version_choice import read_offer

APPLIANCE = ["get", "set", "listvs"]


@pytest.mark.parametrize(
    ("firmware", "version"),
    [
        ("7.2.54.12.22642.RELEASE", Version.V2),
        ("7.2.63.0.f6d42ce.DEV", Version.V2),
        ("7.2.52.0.18000.RELEASE", Version.V2),
        ("7.2.52", Version.V2),
        ("8.0.0.0.1.RELEASE", Version.V2),
        ("7.2.51.1.18000.RELEASE", Version.V1),  # a beta of v2
        ("7.2.48.10.1.RELEASE", Version.V1),
        ("7.1.35.2", Version.V1),
        ("", Version.V1),
        ("unknown", Version.V1),
        ("v7.2.54.0", Version.V1),
        (f"7.2.{'9' * 5000}.0", Version.V1),  # more digits than Python reads
    ],
)
def test_an_appliance_is_asked_by_v2_since_it_is_general(firmware, version):
    offer = read_offer({"commands": APPLIANCE, "version": firmware})

    assert not offer.is_agent
    assert offer.version is version


def test_a_node_agent_is_told_by_its_extension_commands_and_has_v2_whatever_its_version():
    offer = read_offer({"commands": [*APPLIANCE, "agentwatch"], "version": "0.1.0.0"})

    assert offer.is_agent
    assert offer.version is Version.V2


@pytest.mark.parametrize("fields", [{}, {"commands": None, "version": None}, {"commands": [], "version": 7}])
def test_an_offer_without_anything_means_v1(fields):
    assert read_offer(fields) == version_choice.Offer("", frozenset())
    assert read_offer(fields).version is Version.V1


def test_names_are_compared_in_lower_case():
    assert read_offer({"commands": [" getCloudHaParams\n", "listVS"], "version": " 7.2.54.0\n"}) == (
        version_choice.Offer("7.2.54.0", frozenset({"getcloudhaparams", "listvs"}))
    )


def test_a_key_is_first_shown_where_it_stands_in_no_url():
    assert version_choice.first_to_ask(UnitCredentials(apikey="k" * 20)) is Version.V2
    assert version_choice.first_to_ask(UnitCredentials(user="bal", password="secret")) is Version.V1

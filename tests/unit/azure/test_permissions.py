"""The roles in docs/permissions.md are exactly what the operator can send."""

import json
import re
from pathlib import Path

import pytest

from loadmaster_ha.azure import permissions
from loadmaster_ha.azure.credentials import _REFUSALS
from loadmaster_ha.azure.resource_types import TYPES

PAGE = (Path(__file__).parents[3] / "docs" / "permissions.md").read_text()


def roles():
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    return {role["Name"]: role for role in map(json.loads, blocks)}


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("LoadMaster Operator", permissions.enforce_actions()),
        ("LoadMaster Observer", permissions.observe_actions()),
    ],
)
def test_the_documented_roles_are_what_the_operator_sends(name, actions):
    assert roles()[name]["Actions"] == sorted(actions)


def test_observing_needs_reading_only_and_asking_for_the_health_of_a_rule():
    others = {action for action in permissions.observe_actions() if not action.endswith("/read")}
    assert others == {"Microsoft.Network/loadBalancers/loadBalancingRules/health/action"}


def test_only_what_a_pair_consists_of_can_be_written_and_less_can_be_deleted():
    written = {kind.name.split("/", 1)[1] for kind in TYPES.values() if kind.written}
    deleted = {kind.name.split("/", 1)[1] for kind in TYPES.values() if kind.deleted}

    assert written == {
        "loadBalancers",
        "networkInterfaces",
        "networkSecurityGroups",
        "networkSecurityGroups/securityRules",
        "publicIPAddresses",
    }
    assert deleted == {"loadBalancers", "networkSecurityGroups/securityRules", "publicIPAddresses"}


def test_every_refusal_of_a_sign_in_is_explained():
    for reason, _ in _REFUSALS.values():
        if reason != "AudienceNotFound":  # a matter of the cloud settings, not of rights
            assert f"`{reason}`" in PAGE

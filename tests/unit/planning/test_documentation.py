"""docs/azure.md says what the code does: the table of reasons, the names, the band of priorities."""

from pathlib import Path

import pytest
from tests.unit.planning import world
from tests.unit.planning.arm_model import ArmModel

from loadmaster_ha.planning.names import Names
from loadmaster_ha.planning.ownership import OWNER_TAG, PAIR_TAG, rule_description
from loadmaster_ha.planning.reasons import reasons_table
from loadmaster_ha.planning.security_groups import FIRST_PRIORITY, LAST_PRIORITY
from loadmaster_ha.planning.target import PairIdentity

PAGE = Path(__file__).resolve().parents[3] / "docs" / "azure.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_table_of_reasons_is_that_of_the_code(page):
    start, end = "<!-- reasons -->\n", "\n<!-- end of reasons -->"
    assert page[page.index(start) + len(start) : page.index(end)] == reasons_table(), (
        "docs/azure.md is stale: put the output of loadmaster_ha.planning.reasons.reasons_table() between "
        "its marks"
    )


def test_every_name_in_azure_is_on_the_page(page):
    arm = ArmModel(world.guide_bodies())
    world.converge(arm, world.target())
    names = [
        entry["name"]
        for collection in ("frontendIPConfigurations", "backendAddressPools", "probes", "loadBalancingRules")
        for entry in arm.get(world.BALANCER)["properties"][collection]
    ]
    for name in names:
        assert f"`{name.replace('service_https', 'service_<name>')}`" in page


def test_the_band_and_the_tags_are_on_the_page(page):
    assert f"from {FIRST_PRIORITY} to {LAST_PRIORITY}" in page
    assert OWNER_TAG in page
    assert PAIR_TAG in page


def test_names_fit_and_do_not_overlap_with_another_pairs():
    longest = Names("p" * 40)
    assert len(longest.service("s" * 63)) == 80
    assert longest.service("s" * 62 + "a") != longest.service("s" * 62 + "b")
    assert not Names("web").owns(Names("web-2").probe)
    assert Names("web").owns("LM_WEB_health")


def test_a_rules_description_fits_and_keeps_the_uid():
    uid = "6f1a2b3c-0000-4000-8000-000000000001"
    description = rule_description(PairIdentity("n" * 63, "p" * 40, uid))
    assert len(description) == 140
    assert description.endswith(f", uid {uid}")

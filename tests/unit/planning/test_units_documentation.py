"""docs/units.md says what the planner of HA settings does: its table of reasons, its bounds."""

from pathlib import Path

import pytest

from loadmaster_ha.controller.settings import flag_name
from loadmaster_ha.planning.units.observation import LONGEST_REBOOT_SECONDS
from loadmaster_ha.planning.units.reasons import reasons_table
from loadmaster_ha.planning.units.situation import GOES_DOWN_SECONDS
from loadmaster_ha.resources.loadmasterpair import Reboots

PAGE = Path(__file__).resolve().parents[3] / "docs" / "units.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_table_of_reasons_is_that_of_the_code(page):
    start, end = "<!-- high availability reasons -->\n", "\n<!-- end of high availability reasons -->"
    assert page[page.index(start) + len(start) : page.index(end)] == reasons_table(), (
        "docs/units.md is stale: put the output of loadmaster_ha.planning.units.reasons.reasons_table() "
        "between its marks"
    )


def test_the_bounds_of_reboots_are_on_the_page(page):
    assert f"waited for up to {LONGEST_REBOOT_SECONDS / 60:.0f} minutes" in page
    assert f"`{flag_name('reboot_timeout_seconds')}`" in page
    assert f"after {GOES_DOWN_SECONDS:.0f} s" in page
    assert all(f"| `{policy}` |" in page for policy in Reboots)

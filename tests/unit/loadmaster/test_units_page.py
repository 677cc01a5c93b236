"""docs/units.md says what the client does: the table of faults, limits and figures."""

from pathlib import Path

import pytest

from loadmaster_ha.loadmaster import answers, calls, connections, pacing, version_choice
from loadmaster_ha.loadmaster.commands import COMMANDS
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault, faults_table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "units.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_table_of_faults_is_that_of_the_code(page):
    start, end = "<!-- faults -->\n", "\n<!-- end of faults -->"
    assert page[page.index(start) + len(start) : page.index(end)] == faults_table(), (
        "docs/units.md is stale: put the output of loadmaster_ha.loadmaster.faults.faults_table() between "
        "its marks"
    )


def test_the_figures_are_those_of_the_code(page):
    text = " ".join(page.split())
    ((burst, _), (most, _)) = pacing.LIMITS
    least = ".".join(str(each) for each in version_choice.V2_SINCE[:3])
    usual = COMMANDS["getall"].seconds + calls.MARGIN_SECONDS

    assert f"at most {burst} in one second and {most} in three" in text
    assert f"left alone for {pacing.BACK_OFF_SECONDS:g} seconds" in text
    assert f"appliances since {least}" in text
    assert f"{connections.Limits().connect_seconds:g} s for a connection" in text
    assert f"({usual:g} s mostly), {answers.MAXIMUM_ANSWER >> 20} MiB for an answer" in text
    assert f"closed after {connections.KEEP_ALIVE_SECONDS:g} s" in text


@pytest.mark.parametrize("reason", list(FaultReason))
def test_a_fault_tells_what_happened_and_what_to_do(reason):
    fault = UnitFault(reason, "10.0.2.4:8443 did something.")

    assert str(fault).startswith("10.0.2.4:8443 did something.")
    assert (fault.remedy in str(fault)) is not fault.remedy.startswith("None:")

"""`docs/failure-modes-units.md` says what the code does: formulas, answers, reasons, notices."""

import re
from pathlib import Path

import pytest
from tests.simulation.ha import bounds
from tests.simulation.ha.setting import Setting

from loadmaster_ha.agent.ha.answers import TABLE
from loadmaster_ha.agent.ha.decision import KEEP, RULES
from loadmaster_ha.agent.ha.notices import reasons

PAGE = Path(__file__).resolve().parents[4] / "docs" / "failure-modes-units.md"


def rows(text):
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| ") and not set(line) <= set("|- "):
            yield cells


def between(first, last):
    text = PAGE.read_text(encoding="utf-8")
    return text[text.index(first) : text.index(last)]


@pytest.mark.parametrize("name", bounds.ALL)
def test_the_formulas_are_those_that_the_simulation_asserts(name):
    stated = {cells[0]: cells for cells in rows(between("## How long", "## Failures of a unit"))}
    _, formula, value, _ = stated[name]
    assert formula == f"`{bounds.ALL[name].formula}`"
    assert value == f"{bounds.ALL[name].seconds(Setting()):g} s"


def test_no_formula_is_stated_that_nothing_asserts():
    stated = {cells[0] for cells in rows(between("## How long", "## Failures of a unit"))} - {"Name"}
    assert stated == set(bounds.ALL)


def test_the_answers_are_those_of_the_table():
    stated = list(rows(between("<!-- answers", "<!-- end of answers")))[1:]
    assert stated == [
        [str(name), str(row.to_balancer), str(row.to_others), f"`{row.text}`", row.why]
        for name, row in TABLE.items()
    ]


def test_the_reasons_are_those_of_the_decision_table():
    stated = list(rows(between("<!-- rules", "<!-- end of rules")))[1:]
    assert stated == [[f"`{rule.reason}`", str(rule.duty), rule.why] for rule in RULES if rule is not KEEP]


def test_every_notice_that_is_named_exists():
    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"notice `(\w+)`|or `(\w+)`", text))
    assert {word for pair in named for word in pair if word} <= set(reasons())

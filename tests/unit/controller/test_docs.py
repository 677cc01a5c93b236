"""The pages that are generated are fresh, and no reason is without its entry in the troubleshooting page."""

import ast
import re
from pathlib import Path

from loadmaster_ha.cli.reference import pages
from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.events import UNIT_CHANGES
from loadmaster_ha.controller.units.switching import _EVENTS as SWITCHOVER_EVENTS
from loadmaster_ha.planning.reasons import Reason as FindingReason

ROOT = Path(__file__).resolve().parents[3]
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
EVENT = re.compile(r'Event\(\s*"([A-Za-z]+)"')


def test_the_generated_pages_are_fresh():
    for name, content in pages(ROOT / "docs").items():
        stored = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert stored == content, f"run python -m loadmaster_ha.cli.reference (docs/{name})"


def entries() -> set[str]:
    text = TROUBLESHOOTING.read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([A-Za-z0-9]+)` \|", text, re.MULTILINE))


def test_every_reason_has_an_entry():
    reasons = {reason.value for reason in Reason} | {reason.value for reason in FindingReason}
    assert reasons - entries() == set()


def test_every_reason_of_an_outcome_of_azure_has_an_entry():
    """`TryLater("X", ...)`, `Outdated("X", ...)`, `Refused("X", ...)` and `Unknown("X", ...)` in `azure`."""
    found = set()
    for path in (ROOT / "operator" / "loadmaster_ha" / "azure").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                first = node.args[0]
                if node.func.id in {"TryLater", "Outdated", "Refused"} and isinstance(first, ast.Constant):
                    found.add(first.value)
    assert found, "the sources have moved"
    assert found - entries() == set()


def test_every_event_has_an_entry():
    found = set()
    for path in (ROOT / "operator" / "loadmaster_ha" / "controller").rglob("*.py"):
        found |= set(EVENT.findall(path.read_text(encoding="utf-8")))
    assert {"Stalled", "Synced", "FailoverMeasured"} <= found
    found |= set(UNIT_CHANGES.values()) | {reason for reason, _ in SWITCHOVER_EVENTS.values()}
    assert found - entries() == set()

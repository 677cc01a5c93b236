"""docs/architecture.md names each package, and no module that does not exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "operator" / "loadmaster_ha"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = PAGE.partition("## Rooms of the operator")[2].partition("\n## ")[0]
PACKAGES = sorted(each.parent for each in SOURCES.rglob("__init__.py") if each.parent != SOURCES)
ROW = re.compile(r"^\| (?:`([a-z_/]+)/`|\.\.\.)[^|]*\|(.*)\|$", re.MULTILINE)
NAME = re.compile(r"`([a-z0-9_]+)(/?)`")


def rooms():
    """Package and names in each row; a row that begins with an ellipsis goes on with the package before."""
    package = ""
    for found in ROW.finditer(ROOMS):
        package = found[1] or package
        yield package, NAME.findall(found[2])


@pytest.mark.parametrize("package", PACKAGES, ids=lambda each: str(each.relative_to(SOURCES)))
def test_a_package_is_named(package):
    assert f"{package.name}/`" in ROOMS


def test_what_is_named_exists():
    rows = list(rooms())
    assert len(rows) > 15
    missing = [
        f"{package}/{name}"
        for package, names in rows
        for name, is_package in names
        if not (SOURCES / package / (name if is_package else f"{name}.py")).exists()
    ]
    assert missing == []

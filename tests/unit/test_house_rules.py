"""Rules of the house that no linter knows (docs/contributing.md)."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "operator" / "loadmaster_ha"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAXIMUM_LINES = 500
KOPF_ALLOWED_IN = {"controller"}


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def imported_packages(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_there_are_modules_to_hold_to_the_rules():
    assert PACKAGE / "__init__.py" in MODULES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_for(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{path} opens with no docstring: say what it is for and who its neighbours are"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_fits_on_a_few_screens(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAXIMUM_LINES, f"{path} has {lines} lines: split it by subject"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_controller_imports_kopf(path):
    if path.relative_to(PACKAGE).parts[0] in KOPF_ALLOWED_IN:
        return
    assert "kopf" not in imported_packages(ast.parse(path.read_text(encoding="utf-8"))), (
        f"{path} imports kopf: only {', '.join(KOPF_ALLOWED_IN)}/ may, so that the rest runs without it"
    )

"""Every relative link and every path that README and docs name leads to something.

The words of single pages are held to the code by their own tests (reference, permissions, reasons).
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
# In backquotes or in a command: a path below one of the top folders that are in git.
PATH = re.compile(
    r"(?<![\w/.<{*-])((?:operator|crds|tests|bench|docs|examples|hack|requirements)/[\w./-]*\w)(?![\w/{<*]|\.\w)"
)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MAKE = re.compile(r"(?:^|`|\s)make ((?:[a-z]+-)*[a-z]+)(?=`|\s*$|\s+#)", re.MULTILINE)
EXTERNAL = ("https://", "http://", "mailto:")


def pages() -> list[object]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    found = set()
    text = CODE.sub(lambda code: "" if "\n" in code[0] else code[0], page.read_text(encoding="utf-8"))
    for heading in HEADING.findall(text):
        words = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(words.replace(" ", "-"))
    return found


def links(page: Path) -> Iterator[str]:
    for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if not target.startswith(EXTERNAL):
            yield target


def broken(page: Path) -> list[str]:
    found = []
    for target in links(page):
        name, _, fragment = target.partition("#")
        leads_to = (page.parent / name).resolve() if name else page
        if not leads_to.exists() or (fragment and fragment not in anchors(leads_to)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", pages())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


@pytest.mark.parametrize("page", pages())
def test_every_path_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = {name for name in PATH.findall(text) if not (ROOT / name).exists()}
    # What is generated (bench/results) need not be there, but git has to know that it is.
    ignored = {
        name
        for name in missing
        if subprocess.run(["git", "check-ignore", "-q", name + "/"], cwd=ROOT, check=False).returncode == 0
    }
    assert missing - ignored == set()


@pytest.mark.parametrize("page", pages())
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    listed = subprocess.run(
        ["make", "-pnq", "--no-print-directory", "-f", str(ROOT / "Makefile"), "help"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    targets = set(re.findall(r"^([a-z][a-z-]*):", listed, re.MULTILINE))
    assert {"demo", "test"} <= targets
    assert set(MAKE.findall(page.read_text(encoding="utf-8"))) - targets == set()


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Top & more\n[a](nowhere.md) [b](page.md#top--more) [c](#top) [d](https://x.invalid)\n")
    assert broken(page) == ["nowhere.md", "#top"]

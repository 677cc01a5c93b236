"""Tables in the documentation that tests make: checked by every run, written when asked to.

    LOADMASTER_UPDATE_DOCS=1 .venv/bin/python -m pytest tests/contract/fidelity

A block stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

from __future__ import annotations

import fcntl
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

UPDATE = "LOADMASTER_UPDATE_DOCS"


def check_block(page: Path, name: str, content: str) -> None:
    """Compare a block of a page with what a test has just found out, or write it.

    Raises:
        AssertionError: the page has no such block, or another content.
    """
    with page.open("r+", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # several test processes may write the same page
        text = handle.read()
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        found = re.search(f"{re.escape(begin)}(.*?){re.escape(end)}", text, re.DOTALL)
        assert found, f"{page} has no block between '{begin.strip()}' and '{end}'"
        wanted = content.strip("\n") + "\n"
        if found[1] == wanted:
            return
        assert os.environ.get(UPDATE), (
            f"{page}: the block '{name}' is out of date. Read what has changed; if it is right, run the "
            f"test again with {UPDATE}=1. It should be:\n{wanted}"
        )
        handle.seek(0)
        handle.write(text[: found.start(1)] + wanted + text[found.end(1) :])
        handle.truncate()

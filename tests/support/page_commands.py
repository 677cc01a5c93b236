"""The kubectl commands that a page of ours tells people to type, in blocks and within sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_FENCE: Final = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)
_SHELLS: Final = {"", "sh", "bash", "shell", "console"}
_CONTINUED: Final = re.compile(r"\\\n\s*")
_COMMAND: Final = re.compile(r"\bkubectl .*")
_COMMENT: Final = re.compile(r"\s+# .*$")
_INLINE: Final = re.compile(r"`(kubectl [^`]+)`")


def shell_blocks(page: Path) -> list[str]:
    """The blocks of a page that a shell is to read."""
    return [text for kind, text in _FENCE.findall(page.read_text(encoding="utf-8")) if kind in _SHELLS]


def of_block(block: str) -> list[str]:
    """The kubectl commands of one block, each as one line, from `kubectl` on and without the comment."""
    lines = [_COMMENT.sub("", line) for line in _CONTINUED.sub("", block).splitlines()]
    return [found[0].strip() for line in lines if (found := _COMMAND.search(line))]


def within_sentences(page: Path) -> list[str]:
    """The kubectl commands between backticks; a mere `kubectl VERB` names a program, and is none."""
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    found = [" ".join(command.split()) for command in _INLINE.findall(prose)]
    return [command for command in found if len(command.split()) > 2]


def all_of(page: Path) -> list[str]:
    """All of them."""
    blocks = [command for block in shell_blocks(page) for command in of_block(block)]
    return [*blocks, *within_sentences(page)]

"""Refuse what must not be in git: binaries, registry addresses, paths of somebody's machine.

Part of `make lint`. Registries are configured by each user (a mirror, a proxy), and hash-pinned
lock files need no address, so none is committed.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
MAXIMUM_BYTES = 1_000_000
# Put together from parts, so that this file does not find itself.
_REGISTRIES = (
    "pypi" + r"\.org",
    "files" + r"\.pythonhosted\.org",
    "registry" + r"\.npmjs\.org",
    "registry" + r"\.yarnpkg\.com",
    "proxy" + r"\.golang\.org",
    "sum" + r"\.golang\.org",
    "index" + r"\.crates\.io",
    "registry-1" + r"\.docker\.io",
)
RULES = {
    "address of a package registry": re.compile("|".join(_REGISTRIES)),
    "path of one machine": re.compile(
        r"(?<![\w.-])/(?:" + "work" + r"/(?:main|shared|\.)|root/|home/\w|Users/\w)"
    ),
    "mark of a merge conflict": re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE),
}


def findings(name: str, content: bytes) -> Iterator[str]:
    """Give what is wrong with one file, each as `name:line: text`."""
    if len(content) > MAXIMUM_BYTES:
        yield f"{name}: {len(content)} bytes; more than {MAXIMUM_BYTES} belong in a download"
    if b"\x00" in content:
        yield f"{name}: a binary; have it made or downloaded instead"
        return
    text = content.decode("utf-8", "replace")
    for rule, pattern in RULES.items():
        for found in pattern.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{name}:{line}: {rule}: {found[0].strip()}"


def main() -> int:
    """Check every file that git tracks; 1 when there are findings."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True)
    wrong = 0
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = REPOSITORY / name
        if path.is_file() and not path.is_symlink():
            for finding in findings(name, path.read_bytes()):
                print(finding)
                wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

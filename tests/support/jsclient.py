"""Microsoft's JavaScript SDK, installed from the lock file in `tests/e2e/js` into our cache."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.azspecs import REPOSITORY

import bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOURCE = REPOSITORY / "tests" / "e2e" / "js"
FILES = ("package.json", "package-lock.json", "client.mjs")
OLDEST_NODE = 20
SECONDS = 300
"""A safety limit for an installation; it takes seconds."""


def require_node() -> str:
    """Give the `node` program; skips the test that asks when there is none, or too old a one."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip("the JavaScript SDK needs Node.js with npm, and they are not on this machine")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"the JavaScript SDK needs Node.js {OLDEST_NODE} or newer, and this is {version}")
    return node


def installed() -> Path:
    """Give a folder with `client.mjs` and the packages it imports; installs them when they are not there."""
    lock = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = bootstrap.cache_home() / "jsclient" / lock
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # several test processes may start at once
        for name in FILES:
            shutil.copy(SOURCE / name, folder / name)
        if not (folder / "complete").exists():
            npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(npm, cwd=folder, check=True, timeout=SECONDS)
            (folder / "complete").touch()
    return folder


def run(node: str, folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run `client.mjs`; what it printed.

    Raises:
        AssertionError: it ended with an error, which the message shows.
    """
    done = subprocess.run(
        [node, "client.mjs"],
        cwd=folder,
        env=dict(os.environ) | dict(environment) | {"NO_PROXY": "localhost,127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed

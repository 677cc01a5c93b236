"""Environments of other people's clients: each beside the project, once per lock, in our cache.

What `azcli` and `kempclient` share: where an environment is, that only one process makes it, that a half-made
one is never found, and their command line. What goes into it is theirs. `bootstrap` brings uv.
"""

import argparse
import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bootstrap


def digest(lock: Path) -> str:
    """What tells environments apart: the locked packages and the Python they run on."""
    return hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]


def installed_python(folder: Path) -> Path | None:
    """Give the environment's Python, or None when it is not there yet."""
    program = folder / "bin" / "python"
    return program if program.exists() else None


def python(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Give the environment's Python; makes the environment first when it is missing.

    Args:
        folder: where it is, or goes.
        fill: installs the packages into the new environment whose folder it is given.

    Raises:
        BootstrapError: uv or the packages could not be installed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Test sessions that start together would each fetch all of it.
    with _alone(folder.parent / ".lock"):
        if not installed_python(folder):
            _make(folder, fill)
    return folder / "bin" / "python"


def _make(folder: Path, fill: Callable[[Path], None]) -> None:
    # Made elsewhere and renamed: a half-made one is never found. Nothing in a virtual
    # environment minds, as long as its scripts (which name their folder) are not used.
    with tempfile.TemporaryDirectory(prefix="incoming-", dir=folder.parent) as scratch:
        made = Path(scratch) / "environment"
        run(
            [
                bootstrap.uv_program(),
                "venv",
                "--quiet",
                "--relocatable",
                "--python",
                sys.executable,
                str(made),
            ]
        )
        fill(made)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def run(command: list[str], *, cwd: str | None = None) -> None:
    """Run an installing program; what it prints goes to stderr.

    Raises:
        BootstrapError: it failed.
    """
    try:
        subprocess.run(command, check=True, stdout=sys.stderr, cwd=cwd)
    except subprocess.CalledProcessError as error:
        raise bootstrap.BootstrapError(
            f"`{' '.join(command)}` ended with {error.returncode}; its message stands above. Without a "
            "network the package index cannot be reached"
        ) from error


def command_line(
    arguments: Sequence[str] | None,
    *,
    name: str,
    description: str,
    missing: Callable[[], str],
    present: Callable[[], Path | None],
    install: Callable[[], Path],
) -> int:
    """The command line of an installer `hack/NAME.py`; 0 when the client is there.

    `missing` says what is not installed, `present` gives its Python if it is, `install` makes it so.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="only say whether it is there; exit 1 if not")
    options = parser.parse_args(arguments)
    if options.check:
        found = present()
        print(found or f"{missing()} is not installed; run {name}.py")
        return 0 if found else 1
    try:
        print(install())
    except bootstrap.BootstrapError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the kernel drops it with a process that dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

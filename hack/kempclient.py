#!/usr/bin/env python3
"""Kemp's own Python client, in an environment of its own.

`python-kemptech-api` is what Kemp's customers automate their LoadMasters with; contract tests run it against
the node agent's management API. It is only published as a source distribution, whose set-up of 2018 asks the
pip of that time for its requirements. Here a stand-in answers that, so that it builds with any Python that we
support; what it does require is in the lock. Its neighbours: `bootstrap`, which brings uv, and `azcli`, which
does the same for the Azure CLI. What is installed stands in `requirements/kemp.lock` (`make lock`).

Run as a program it installs what is missing and prints the Python that imports `python_kemptech_api`.
"""

import argparse
import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bootstrap

LOCK = bootstrap.REPOSITORY / "requirements" / "kemp.lock"
CLIENT = "python-kemptech-api"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when the client is there."""
    parser = argparse.ArgumentParser(description="Install Kemp's Python client into our cache.")
    parser.add_argument("--check", action="store_true", help="only say whether it is there; exit 1 if not")
    options = parser.parse_args(arguments)
    if options.check:
        present = installed_python()
        print(present or f"{CLIENT} is not installed; run {Path(__file__).name}")
        return 0 if present else 1
    try:
        print(python())
    except bootstrap.BootstrapError as error:
        print(f"kempclient: {error}", file=sys.stderr)
        return 1
    return 0


def home() -> Path:
    """Folder of the environment: by the locked packages and the Python they run on."""
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return bootstrap.cache_home() / "kemp-client" / digest


def installed_python() -> Path | None:
    """Give the Python that imports the client, or None when it is not installed yet."""
    program = home() / "bin" / "python"
    return program if program.exists() else None


def python() -> Path:
    """Give the Python that imports the client; installs it first when it is missing (a few seconds, 30 MB).

    Raises:
        BootstrapError: uv or the packages could not be installed.
    """
    present = installed_python()
    if present:
        return present
    folder = home()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Test processes that start together would each install it.
    with _alone(folder.parent / ".lock"):
        if not installed_python():
            _install(folder)
    return folder / "bin" / "python"


def split(lock: str) -> tuple[str, str]:
    """Part a lock file's text in the client's own entry and all others, which its set-up needs to run."""
    entries = re.split(r"\n(?=\S)", lock)
    own = [entry for entry in entries if entry.startswith(f"{CLIENT}==")]
    others = [entry for entry in entries if not entry.startswith(f"{CLIENT}==")]
    return "\n".join(own), "\n".join(others)


def _install(folder: Path) -> None:
    uv = bootstrap.uv_program()
    print(f"kempclient: installing {CLIENT} into {folder}", file=sys.stderr)
    client, others = split(LOCK.read_text(encoding="utf-8"))
    # Made elsewhere and renamed: a half-made one is never found. Only its Python is used; that can be moved.
    with tempfile.TemporaryDirectory(prefix="incoming-", dir=folder.parent) as scratch:
        made = Path(scratch) / "environment"
        program = made / "bin" / "python"
        _run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(made)])
        stand_in = _site_packages(made) / "pip"
        for name, text in (("others", others), ("client", client)):
            requirements = Path(scratch) / f"{name}.txt"
            requirements.write_text(text, encoding="utf-8")
            if name == "client":
                _write_stand_in(stand_in)
            install = [
                uv,
                "pip",
                "install",
                "--quiet",
                "--python",
                str(program),
                "--no-deps",
                "--require-hashes",
            ]
            _run([*install, "--no-build-isolation", "--requirement", str(requirements)])
        shutil.rmtree(stand_in)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def _site_packages(environment: Path) -> Path:
    return next(environment.glob("lib/python*/site-packages"))


def _write_stand_in(folder: Path) -> None:
    """`pip.req.parse_requirements`, as the client's set-up calls it: there are none beyond the lock."""
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    code = "def parse_requirements(path, session):\n    return []\n"
    (folder / "req.py").write_text(code, encoding="utf-8")


def _run(command: list[str]) -> None:
    try:
        # Away from the repository: uv would take this project's settings for the client's.
        subprocess.run(command, check=True, stdout=sys.stderr, cwd=tempfile.gettempdir())
    except subprocess.CalledProcessError as error:
        raise bootstrap.BootstrapError(
            f"`{' '.join(command)}` ended with {error.returncode}; its message stands above. Without a "
            "network the package index cannot be reached"
        ) from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the kernel drops it with a process that dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    raise SystemExit(main())

#!/usr/bin/env python3
"""Kemp's own Python client, in an environment of its own.

`python-kemptech-api` is what Kemp's customers automate their LoadMasters with; contract tests run it against
the node agent's management API. It is only published as a source distribution, whose set-up of 2018 asks the
pip of that time for its requirements. Here a stand-in answers that, so that it builds with any Python that we
support; what it does require is in the lock. Its neighbours: `bootstrap`, which brings uv, and `clientenv`,
which makes the environment. What is installed stands in `requirements/kemp.lock` (`make lock`).

Run as a program it installs what is missing and prints the Python that imports `python_kemptech_api`.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import bootstrap
import clientenv

LOCK = bootstrap.REPOSITORY / "requirements" / "kemp.lock"
CLIENT = "python-kemptech-api"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when the client is there."""
    return clientenv.command_line(
        arguments,
        name="kempclient",
        description="Install Kemp's Python client into our cache.",
        missing=lambda: CLIENT,
        present=installed_python,
        install=python,
    )


def home() -> Path:
    """Folder of the environment: by the locked packages and the Python they run on."""
    return bootstrap.cache_home() / "kemp-client" / clientenv.digest(LOCK)


def installed_python() -> Path | None:
    """Give the Python that imports the client, or None when it is not installed yet."""
    return clientenv.installed_python(home())


def python() -> Path:
    """Give the Python that imports the client; installs it first when it is missing (a few seconds, 30 MB).

    Raises:
        BootstrapError: uv or the packages could not be installed.
    """
    return installed_python() or clientenv.python(home(), _fill)


def split(lock: str) -> tuple[str, str]:
    """Part a lock file's text in the client's own entry and all others, which its set-up needs to run."""
    entries = re.split(r"\n(?=\S)", lock)
    own = [entry for entry in entries if entry.startswith(f"{CLIENT}==")]
    others = [entry for entry in entries if not entry.startswith(f"{CLIENT}==")]
    return "\n".join(own), "\n".join(others)


def _fill(made: Path) -> None:
    print(f"kempclient: installing {CLIENT} into {home()}", file=sys.stderr)
    client, others = split(LOCK.read_text(encoding="utf-8"))
    _install(made, others)
    stand_in = _site_packages(made) / "pip"
    _write_stand_in(stand_in)
    _install(made, client)
    shutil.rmtree(stand_in)


def _install(made: Path, requirements: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "requirements.txt"
        file.write_text(requirements, encoding="utf-8")
        target = ["--python", str(made / "bin" / "python"), "--requirement", str(file)]
        checked = ["--no-deps", "--require-hashes", "--no-build-isolation"]
        # Away from the repository: uv would take this project's settings for the client's.
        clientenv.run(
            [bootstrap.uv_program(), "pip", "install", "--quiet", *target, *checked],
            cwd=tempfile.gettempdir(),
        )


def _site_packages(environment: Path) -> Path:
    return next(environment.glob("lib/python*/site-packages"))


def _write_stand_in(folder: Path) -> None:
    """`pip.req.parse_requirements`, as the client's set-up calls it: there are none beyond the lock."""
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    code = "def parse_requirements(path, session):\n    return []\n"
    (folder / "req.py").write_text(code, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())

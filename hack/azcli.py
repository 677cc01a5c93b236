#!/usr/bin/env python3
"""The real Azure CLI, in an environment of its own.

`az` pins hundreds of packages to versions that are not ours and takes most of a gigabyte, so it
is installed beside the project, once per version, into our cache. Slow tests and
`bench/azure_economy` run it against the emulator. Its neighbours are `bootstrap`, which
brings uv, and `clientenv`, which makes the environment; what is installed stands in
`requirements/az.lock` (`make lock` renews it).

Run as a program it installs what is missing and prints the Python that runs `-m azure.cli`.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import bootstrap
import clientenv

AZ_LOCK = bootstrap.REPOSITORY / "requirements" / "az.lock"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when the Azure CLI is there."""
    return clientenv.command_line(
        arguments,
        name="azcli",
        description="Install the real Azure CLI into our cache.",
        missing=lambda: f"azure-cli {version()}",
        present=installed_python,
        install=python,
    )


def version() -> str:
    """Version of the Azure CLI that the lock names, for example `2.91.0`.

    Raises:
        BootstrapError: the lock names none.
    """
    found = re.search(r"^azure-cli==(\S+)", AZ_LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise bootstrap.BootstrapError(f"{AZ_LOCK} has no line azure-cli==VERSION: compile it again")
    return found.group(1)


def home() -> Path:
    """Folder of the environment: by version, and by what else decides its content."""
    return bootstrap.cache_home() / "azure-cli" / f"{version()}-{clientenv.digest(AZ_LOCK)}"


def installed_python() -> Path | None:
    """Give the Python that runs `-m azure.cli`, or None when the CLI is not installed yet."""
    return clientenv.installed_python(home())


def python() -> Path:
    """Give the Python that runs `-m azure.cli`; installs the CLI first when it is missing.

    Raises:
        BootstrapError: uv or the packages could not be installed.
    """
    return installed_python() or clientenv.python(home(), _fill)


def _fill(made: Path) -> None:
    print(f"azcli: installing azure-cli {version()} into {home()} (about 700 MB)", file=sys.stderr)
    target = ["--python", str(made / "bin" / "python"), "--require-hashes", str(AZ_LOCK)]
    clientenv.run([bootstrap.uv_program(), "pip", "sync", "--quiet", *target])


if __name__ == "__main__":
    raise SystemExit(main())

#!/usr/bin/env python3
"""The real Azure CLI, in an environment of its own.

`az` pins hundreds of packages to versions that are not ours and takes most of a gigabyte, so it
is installed beside the project, once per version, into our cache. Slow tests and
`bench/azure_economy` run it against the emulator. Its neighbour is `bootstrap`, which brings uv;
what is installed stands in `requirements/az.lock` (`make lock` renews it).

Run as a program it installs what is missing and prints the Python that runs `-m azure.cli`.
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

AZ_LOCK = bootstrap.REPOSITORY / "requirements" / "az.lock"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when the Azure CLI is there."""
    parser = argparse.ArgumentParser(description="Install the real Azure CLI into our cache.")
    parser.add_argument("--check", action="store_true", help="only say whether it is there; exit 1 if not")
    options = parser.parse_args(arguments)
    if options.check:
        present = installed_python()
        print(present or f"azure-cli {version()} is not installed; run {Path(__file__).name}")
        return 0 if present else 1
    try:
        print(python())
    except bootstrap.BootstrapError as error:
        print(f"azcli: {error}", file=sys.stderr)
        return 1
    return 0


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
    digest = hashlib.sha256(AZ_LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return bootstrap.cache_home() / "azure-cli" / f"{version()}-{digest}"


def installed_python() -> Path | None:
    """Give the Python that runs `-m azure.cli`, or None when the CLI is not installed yet."""
    program = home() / "bin" / "python"
    return program if program.exists() else None


def python() -> Path:
    """Give the Python that runs `-m azure.cli`; installs the CLI first when it is missing.

    Raises:
        BootstrapError: uv or the packages could not be installed.
    """
    present = installed_python()
    if present:
        return present
    folder = home()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Two test sessions that start together would both fetch most of a gigabyte.
    with _alone(folder.parent / ".lock"):
        if not installed_python():
            _install(folder)
    return folder / "bin" / "python"


def _install(folder: Path) -> None:
    uv = bootstrap.uv_program()
    print(f"azcli: installing azure-cli {version()} into {folder} (about 700 MB)", file=sys.stderr)
    # Made elsewhere and renamed: a half-made one is never found. Nothing in a virtual
    # environment minds, as long as its scripts (which name their folder) are not used.
    with tempfile.TemporaryDirectory(prefix="incoming-", dir=folder.parent) as scratch:
        made = Path(scratch) / "environment"
        _run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(made)])
        _run([uv, "pip", "sync", "--quiet", "--python", str(made / "bin" / "python"),
              "--require-hashes", str(AZ_LOCK)])  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, stdout=sys.stderr)
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

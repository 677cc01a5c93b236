#!/usr/bin/env python3
"""Make the development environment: `.venv` with the locked packages, and Debian packages.

Every make target runs this first, so an unchanged environment is recognised by a stamp within
a fraction of a second. Standard library only: it runs before anything is installed. Its
neighbours are the Makefile and `controlplane.build`, which takes a Go toolchain from here.
"""

# Annotations as text: a Python that is too old must get as far as being told so.
from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / ".venv"
STAMP = VENV / "loadmaster-ha.stamp"
DEV_LOCK = REPOSITORY / "requirements" / "dev.lock"
UV_LOCK = REPOSITORY / "requirements" / "uv.lock"
MINIMUM = (3, 11)
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
# Debian packages by the program that shows that they are there.
ADMINISTRATORS_PATH = ["/usr/local/sbin", "/usr/sbin", "/sbin"]
DEBIAN_PACKAGES = {
    "promtool": "prometheus",
    "haproxy": "haproxy",
    "keepalived": "keepalived",
    "ip": "iproute2",
    "nft": "nftables",
    "ping": "iputils-ping",
    "tcpdump": "tcpdump",
    "traceroute": "traceroute",
    "curl": "curl",
}


class BootstrapError(Exception):
    """Something is missing that only the user can bring; the message says what and how."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when the environment is ready."""
    parser = argparse.ArgumentParser(description="Make the development environment.")
    parser.add_argument("--system", action="store_true", help="also install Debian packages that tests use")
    parser.add_argument("--haproxy", action="store_true", help="also install HAProxy, which the demo runs")
    parser.add_argument("--force", action="store_true", help="install again even if nothing has changed")
    options = parser.parse_args(arguments)
    try:
        check_python()
        make_environment(force=options.force)
        if options.system:
            install_debian_packages(DEBIAN_PACKAGES)
        elif options.haproxy:
            install_debian_packages({"haproxy": DEBIAN_PACKAGES["haproxy"]})
    except KeyboardInterrupt:
        return 130
    except BootstrapError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 1
    return 0


def check_python() -> None:
    """Refuse a Python that is too old for the project.

    Raises:
        BootstrapError: the running Python is older than 3.11.
    """
    if sys.version_info < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        raise BootstrapError(
            f"Python {wanted} or newer is needed and {sys.executable} is {sys.version.split()[0]}. "
            f"Install it (Debian 12, Ubuntu 24.04: apt-get install python3) or name another "
            f"one: make PYTHON=python{wanted} ..."
        )


def make_environment(*, force: bool = False) -> None:
    """Bring `.venv` in line with requirements/dev.lock, unless its stamp says that it is.

    Raises:
        BootstrapError: uv or the packages could not be installed.
    """
    wanted = fingerprint()
    if not force and _stamped(wanted):
        return
    cache_home().mkdir(parents=True, exist_ok=True)
    with (cache_home() / "bootstrap.lock").open("w") as lock:  # two makes in two terminals
        fcntl.flock(lock, fcntl.LOCK_EX)
        if force or not _stamped(wanted):
            _install(wanted)


def _stamped(wanted: str) -> bool:
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8") == wanted


def _install(wanted: str) -> None:
    uv = uv_program()
    if _version_of_environment() != PYTHON_VERSION:
        print(f"bootstrap: making .venv with Python {PYTHON_VERSION}", file=sys.stderr)
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)])
    STAMP.unlink(missing_ok=True)
    print("bootstrap: installing the locked packages into .venv", file=sys.stderr)
    python = ["--python", str(VENV / "bin" / "python")]
    _run([uv, "pip", "sync", "--quiet", *python, "--require-hashes", "--compile-bytecode", str(DEV_LOCK)])
    # The project itself: its build backend is in the lock, so nothing unlocked is fetched.
    editable = ["--no-deps", "--no-build-isolation", "--editable", str(REPOSITORY)]
    _run([uv, "pip", "install", "--quiet", *python, *editable])
    STAMP.write_text(wanted, encoding="utf-8")


def _version_of_environment() -> str:
    """Major and minor version of the Python in `.venv`; empty when there is none that runs."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        asked = subprocess.run(
            [str(VENV / "bin" / "python"), "-Sc", code], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return asked.stdout.strip()


def fingerprint() -> str:
    """Digest of everything that decides what `.venv` holds."""
    import tomllib  # noqa: PLC0415 - not in a Python that is too old and has to be told so

    digest = hashlib.sha256(f"{PYTHON_VERSION} {VENV}".encode())
    for path in (DEV_LOCK, UV_LOCK):
        digest.update(path.read_bytes())
    # Not the settings of ruff and the like: an installation must not follow from them.
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    installed = [project["build-system"], project["project"], project["tool"]["hatch"]]
    digest.update(json.dumps(installed, sort_keys=True).encode())
    return digest.hexdigest()


def uv_program() -> str:
    """Give the pinned uv, from an environment of its own in our cache, made when missing.

    Raises:
        BootstrapError: it could not be installed.
    """
    pinned = hashlib.sha256(UV_LOCK.read_bytes()).hexdigest()[:16]
    folder = cache_home() / "uv" / pinned
    program = folder / "bin" / "uv"
    if not program.exists():
        print(f"bootstrap: installing uv into {folder}", file=sys.stderr)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Made elsewhere and renamed: a half-made one is never found. uv is one static
        # program, so it does not mind that its environment has moved.
        with tempfile.TemporaryDirectory(prefix="incoming-", dir=folder.parent) as scratch:
            _make_venv(Path(scratch) / "uv")
            python = str(Path(scratch) / "uv" / "bin" / "python")
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", str(UV_LOCK)])
            if not program.exists():  # another process may have been faster
                (Path(scratch) / "uv").rename(folder)
    return str(program)


def install_into(folder: Path, lock: Path) -> None:
    """Install the packages of a lock file into a plain folder, all of them or nothing.

    Raises:
        BootstrapError: they could not be installed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    uv = uv_program()
    with tempfile.TemporaryDirectory(prefix="incoming-", dir=folder.parent) as scratch:
        target = Path(scratch) / "packages"
        install = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--link-mode", "copy"]
        checked = ["--require-hashes", "--no-deps", "--requirement", str(lock)]
        _run([*install, "--target", str(target), *checked])
        shutil.rmtree(folder, ignore_errors=True)
        target.rename(folder)


def install_debian_packages(packages: dict[str, str]) -> None:
    """Install the Debian packages (by their programs) whose programs are not there.

    Raises:
        BootstrapError: a program is missing and apt-get cannot be run, or it failed.
    """
    missing = [package for program, package in packages.items() if not _is_there(program)]
    if missing:
        print(f"bootstrap: installing {' '.join(missing)}", file=sys.stderr)
        _apt_install(missing)


def _is_there(program: str) -> bool:
    """Whether the program is installed; those for administrators are not on everybody's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *ADMINISTRATORS_PATH])
    return shutil.which(program, path=path) is not None


def cache_home() -> Path:
    """Our folder under the user's cache directory (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "loadmaster-ha"


def _make_venv(folder: Path) -> None:
    """`python -m venv`; Debian has the half of it that brings pip in a package of its own."""
    try:
        import ensurepip  # noqa: F401, PLC0415 - asked for its presence only
    except ImportError:
        _apt_install([f"python{PYTHON_VERSION}-venv"])
    _run([sys.executable, "-m", "venv", str(folder)])


def _apt_install(packages: list[str]) -> None:
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    by_hand = f"sudo apt-get install --yes --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise BootstrapError(
            f"needs what Debian calls {', '.join(packages)}, and this machine has no apt-get: "
            "install them with your system's package manager and run this again"
        )
    if as_root and shutil.which("sudo") is None:
        raise BootstrapError(f"neither root nor sudo: have somebody run `{by_hand}`, then run this again")
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--quiet"]
    try:
        _run([*apt, "update"], quiet=True)
        if Path("/run/systemd/system").is_dir():
            # The programs are wanted, not services on a developer's machine.
            _run([*as_root, "systemctl", "--quiet", "mask", *(f"{name}.service" for name in packages)])
        _run([*apt, "install", "--yes", "--no-install-recommends", *packages], quiet=True)
    except BootstrapError as error:
        raise BootstrapError(f"{error}. If sudo asks for a password, run `{by_hand}` yourself") from error


def _run(command: list[str], *, quiet: bool = False) -> None:
    """Run a program; with `quiet` its output is only shown when it fails."""
    # Byte code has to be written where it is asked for, whatever the user's shell says; an
    # activated environment must not be taken for ours.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment.pop("VIRTUAL_ENV", None)
    output = subprocess.PIPE if quiet else sys.stderr
    try:
        done = subprocess.run(command, check=False, env=environment, stdout=output, stderr=subprocess.STDOUT)
    except FileNotFoundError as error:
        raise BootstrapError(f"{command[0]} is not there") from error
    if done.returncode != 0:
        sys.stderr.write((done.stdout or b"").decode("utf-8", "replace"))
        raise BootstrapError(
            f"`{' '.join(command)}` ended with {done.returncode}; its message stands above. Is there "
            "a network, and are the package index and the Debian mirror reachable?"
        )


if __name__ == "__main__":
    raise SystemExit(main())

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bootstrap

REPOSITORY = Path(bootstrap.__file__).resolve().parents[1]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Make PATH a folder of scripts that log their arguments; give a function that adds one."""

    def add(name, code="exit 0"):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n{code}\n', encoding="utf-8")
        path.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/nonexistent")
    monkeypatch.setattr(bootstrap, "DEBIAN_PACKAGES", {"promtool": "prometheus"})
    monkeypatch.setattr(bootstrap, "ADMINISTRATORS_PATH", [])
    # `env` is found by PATH too.
    (tmp_path / "env").symlink_to("/usr/bin/env")
    add.calls = lambda: (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    return add


def test_nothing_is_installed_when_the_programs_are_there(programs):
    programs("promtool")
    programs("apt-get", "exit 1")
    bootstrap.install_debian_packages(bootstrap.DEBIAN_PACKAGES)


def test_root_installs_what_is_missing(programs, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    programs("apt-get")
    bootstrap.install_debian_packages(bootstrap.DEBIAN_PACKAGES)
    assert programs.calls()[-1].endswith("install --yes --no-install-recommends prometheus")


def test_others_install_with_sudo(programs, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    programs("apt-get")
    programs("sudo")
    bootstrap.install_debian_packages(bootstrap.DEBIAN_PACKAGES)
    assert all(call.startswith("sudo --non-interactive") for call in programs.calls())


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ([], "no apt-get: install them with your system's package manager"),
        (["apt-get"], "neither root nor sudo: have somebody run `sudo apt-get install"),
    ],
)
def test_who_cannot_install_is_told_what_is_needed(programs, monkeypatch, present, message):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in present:
        programs(name)
    with pytest.raises(bootstrap.BootstrapError, match="prometheus") as refused:
        bootstrap.install_debian_packages(bootstrap.DEBIAN_PACKAGES)
    assert message in str(refused.value)


def test_a_failed_installation_shows_what_apt_said(programs, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    programs("apt-get", "echo E: unable to fetch some archives; exit 100")
    with pytest.raises(bootstrap.BootstrapError, match="ended with 100"):
        bootstrap.install_debian_packages(bootstrap.DEBIAN_PACKAGES)
    assert "unable to fetch some archives" in capsys.readouterr().err


def test_an_old_python_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(bootstrap, "MINIMUM", (9, 9))
    with pytest.raises(bootstrap.BootstrapError, match=r"make PYTHON=python9\.9"):
        bootstrap.check_python()


def test_an_unchanged_environment_is_recognised_without_running_anything(tmp_path, monkeypatch):
    stamp = tmp_path / "stamp"
    stamp.write_text(bootstrap.fingerprint(), encoding="utf-8")
    monkeypatch.setattr(bootstrap, "STAMP", stamp)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("ran a program"))
    bootstrap.make_environment()


@pytest.mark.parametrize("changed", ["DEV_LOCK", "UV_LOCK"])
def test_a_changed_lock_changes_the_fingerprint(tmp_path, monkeypatch, changed):
    before = bootstrap.fingerprint()
    other = tmp_path / "lock"
    other.write_text("something==1\n", encoding="utf-8")
    monkeypatch.setattr(bootstrap, changed, other)
    assert bootstrap.fingerprint() != before


def test_every_locked_package_has_a_hash_and_no_address():
    for lock in (REPOSITORY / "requirements").glob("*.lock"):
        text = lock.read_text(encoding="utf-8")
        pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert pinned, lock
        assert all(line.endswith("\\") for line in pinned), f"{lock}: a package without a hash"
        assert "://" not in text, f"{lock}: an address"


def test_it_needs_nothing_but_the_standard_library():
    for name in ("bootstrap", "controlplane.server", "controlplane.__main__"):
        code = f"import sys; sys.path.insert(0, {str(REPOSITORY / 'hack')!r}); import {name}"
        subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)

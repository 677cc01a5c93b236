"""The `[agent]` extra alone, in an environment of its own: it installs, and the agent runs."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.support.supervised import die_with_the_test, eventually

from bootstrap import uv_program

ROOT = Path(__file__).resolve().parents[3]
FOREIGN = ("kopf", "kubernetes", "azure", "pydantic")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Give the folder of the programs of an environment with the wheel and its extra."""
    folder, uv = tmp_path_factory.mktemp("agent-extra"), uv_program()
    python = ["--python", sys.executable]
    build = [uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--offline", *python]
    subprocess.run([*build, "--out-dir", folder, ROOT], check=True)
    [wheel] = folder.glob("*.whl")
    subprocess.run([uv, "venv", "--quiet", *python, folder / "venv"], check=True)
    # The packages are those of the lock, which `make setup` has brought into uv's cache.
    install = [uv, "pip", "install", "--quiet", "--python", folder / "venv" / "bin" / "python"]
    locked = ["--constraint", ROOT / "requirements" / "dev.lock"]
    subprocess.run([*install, *locked, f"{wheel}[agent]"], check=True)
    return folder / "venv" / "bin"


def run(program, *arguments):
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, cwd="/", check=False, timeout=120
    )


def test_nothing_of_the_operator_is_there(programs):
    for name in FOREIGN:
        found = run(programs / "python", "-c", f"import {name}")
        assert "ModuleNotFoundError" in found.stderr, name


def test_help_and_check_work(programs):
    assert run(programs / "loadmaster-agent", "--help").stdout.startswith("usage: loadmaster-agent")
    with tempfile.TemporaryDirectory() as folder:  # short: sockets' paths are
        folders = [f"--state-directory={folder}", f"--run-directory={folder}"]
        checked = run(programs / "loadmaster-agent", "run", "--check", "--interfaces=127.0.0.1/8", *folders)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_agent_runs(programs, tmp_path):
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed (make system)")
    address = f"127.{random.randint(16, 62)}.{random.randint(0, 255)}.4"  # noqa: S311 - an address
    sockets = tempfile.mkdtemp(prefix="lm-")
    flags = [
        "--interfaces",
        f"{address}/24",
        "--state-directory",
        tmp_path / "state",
        "--run-directory",
        sockets,
    ]
    agent = subprocess.Popen(
        [programs / "loadmaster-agent", "run", *flags],
        stderr=(tmp_path / "log").open("wb"),
        cwd="/",
        env={**os.environ, "LOADMASTER_AGENT_LOG_FORMAT": "text"},
        preexec_fn=die_with_the_test,  # noqa: PLW1509 - one prctl, no locks
    )
    try:

        def status():
            return run(programs / "loadmaster-agent", "status", "--run-directory", sockets).stdout

        eventually(lambda: "HAProxy answers" in status(), "a status", limit=60)
        assert status().startswith("Single, ")
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(60) == 0, (tmp_path / "log").read_text()
    finally:
        agent.kill()
        agent.wait()
        shutil.rmtree(sockets)

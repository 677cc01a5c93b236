import os
import subprocess
from pathlib import Path

import pytest

import bootstrap

HACK = Path(bootstrap.__file__).resolve().parent
FAKE_MAKE = """#!/bin/sh
shift
echo "making $1"
case "$1" in
  bad) exit 2;;
  endless) sleep 600;;
esac
"""


@pytest.fixture
def steps(tmp_path):
    """Give a function that runs hack/steps with a make that only pretends."""
    (tmp_path / "make").write_text(FAKE_MAKE, encoding="utf-8")
    (tmp_path / "make").chmod(0o755)

    def run(*names, seconds=60):
        return subprocess.run(
            [HACK / "steps", *names],
            env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STEP_SECONDS": str(seconds)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def table(done):
    lines = done.stdout.rpartition("\n\n")[2].splitlines()
    return {line.split()[0]: line.split("  ")[-1].strip() for line in lines[1:]}


def test_every_step_is_in_the_table_with_its_outcome(steps):
    done = steps("one", "two")
    assert done.returncode == 0
    assert table(done) == {"one": "passed", "two": "passed"}
    assert "making one" in done.stdout


def test_a_failed_step_fails_the_whole_but_does_not_stop_it(steps):
    done = steps("bad", "two")
    assert done.returncode == 1
    assert table(done) == {"bad": "FAILED (2)", "two": "passed"}


def test_a_step_that_takes_too_long_is_ended(steps):
    done = steps("endless", "two", seconds=1)
    assert done.returncode == 1
    assert table(done) == {"endless": "TOO LONG (over 1 s)", "two": "passed"}


@pytest.fixture
def level(tmp_path):
    def run(*command):
        return subprocess.run(
            [HACK / "level", tmp_path, *command], capture_output=True, text=True, check=False
        )

    return run


def test_a_level_without_test_modules_passes_and_says_so(level, tmp_path):
    done = level("false")
    assert done.returncode == 0
    assert f"no test modules in {tmp_path}" in done.stdout


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (1, 1), (5, 5)])
def test_a_level_ends_as_pytest_ends(level, tmp_path, status, expected):
    (tmp_path / "test_something.py").touch()
    assert level("sh", "-c", f"exit {status}").returncode == expected


def test_no_slow_tests_are_no_failure_only_where_none_is_marked(level, tmp_path):
    command = ("sh", "-c", "exit 5", "-m", "slow")
    (tmp_path / "test_something.py").touch()
    assert level(*command).returncode == 0
    (tmp_path / "test_something.py").write_text("@pytest.mark.slow\n", encoding="utf-8")
    assert level(*command).returncode == 5

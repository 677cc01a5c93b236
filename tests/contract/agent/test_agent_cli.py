"""`loadmaster-agent`: exit statuses, words for people, JSON for programs, and what is said when it cannot
be."""

import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.support.agent_pair import PASSWORD, AgentPair, agent
from tests.support.supervised import eventually

from loadmaster_ha.cli.agent import duration


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """Give a running unit without a pair."""
    with AgentPair(tmp_path_factory.mktemp("single"), units=1, mode="Single") as made:
        made.start(probe=False)
        made.wait(lambda: made.master.status().get("haproxy", {}).get("condition") == "Well", "HAProxy")
        yield made.master


def test_a_good_configuration_is_0_and_a_bad_one_is_2_with_every_mistake(tmp_path):
    with tempfile.TemporaryDirectory() as folder:  # short: sockets' paths are
        folders = [f"--state-directory={folder}", f"--run-directory={folder}"]
        good = agent("run", "--check", "--interfaces=127.0.0.1/8", "--mode=Single", *folders)
    assert (good.returncode, good.stdout, good.stderr) == (0, "The configuration is good.\n", "")
    bad = agent("run", "--check", "--balancer-probe-threshold", "0", "--metrics-port", "8443")
    assert bad.returncode == 2
    assert [line.split(": ")[0] for line in bad.stderr.splitlines()] == ["loadmaster-agent"] * 2


def test_check_looks_at_the_machine_too(tmp_path):
    (tmp_path / "file").touch()
    flags = [
        "--interfaces=nosuch0",
        "--haproxy-binary=/nonexistent/haproxy",
        f"--state-directory={tmp_path}/file/state",
    ]
    bad = agent("check", *flags)
    assert bad.returncode == 2
    assert "interfaces names nosuch0, but this system has" in bad.stderr
    assert "haproxy.binary: " in bad.stderr
    assert f"stateDirectory: {tmp_path}/file/state cannot be written" in bad.stderr


def test_a_file_that_cannot_be_used_starts_nothing(tmp_path):
    (tmp_path / "agent.yaml").write_text("moed: Master", encoding="ascii")
    bad = agent("run", "--config", tmp_path / "agent.yaml")
    assert bad.returncode == 2
    assert "moed in" in bad.stderr
    assert "the nearest one is mode" in bad.stderr


def test_nobody_there_is_1_and_says_where_it_looked(tmp_path):
    failed = agent("status", "--run-directory", tmp_path)
    assert failed.returncode == 1
    assert f"no agent answers at {tmp_path}/agent.sock" in failed.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["drain", "--for", "0"], ["switchover", "--hold", "1 week"], ["check", "--mod", "Single"]],
)
def test_wrong_usage_is_2(arguments):
    assert agent(*arguments).returncode == 2


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400)]
)
def test_durations_are_written_as_people_do(text, seconds):
    assert duration(text) == seconds


def test_status_is_for_people_or_programs(single):
    text = agent("status", "--config", single.file)
    assert text.returncode == 0
    assert text.stdout.startswith("Single, ")
    assert "HAProxy:  HAProxy answers" in text.stdout
    found = json.loads(agent("status", "--config", single.file, "--output", "json").stdout)
    assert (found["mode"], found["haproxy"]["condition"]) == ("Single", "Well")


def test_a_unit_without_a_pair_has_nobody_to_switch_over_to(single):
    refused = agent("switchover", "--config", single.file)
    assert refused.returncode == 1
    assert "HA is not configured" in refused.stderr


def test_the_fingerprint_is_that_of_the_certificate_that_is_shown(single):
    printed = agent("fingerprint", "--config", single.file, "--output", "json")
    shown = ssl.get_server_certificate((single.address, 8443))
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).digest()
    assert json.loads(printed.stdout)["management"] == digest.hex(":").upper()


def test_the_socket_is_for_its_owner_alone(single):
    path = Path(single.configuration["runDirectory"]) / "agent.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nonsense_at_the_socket_gets_an_answer(single):
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(Path(single.configuration["runDirectory"]) / "agent.sock"))
        for line in (b"nonsense", b"[]", b'{"command": ["status"]}', b'{"command": "fly"}'):
            asking.sendall(line + b"\n")
            assert json.loads(asking.recv(4096))["error"].startswith("unknown command; there are drain")


def test_the_mode_of_a_unit_changes_at_its_reboot_and_not_before(tmp_path):
    with AgentPair(tmp_path, units=1, mode="Single") as made:
        unit = made.master
        made.start(probe=False)
        made.wait(lambda: unit.status().get("haproxy", {}).get("condition") == "Well", "HAProxy")
        assert unit.api("azurehamode", hamode="first")["code"] == 200
        assert unit.api("getazurehaparams")["HaMode"] == "master"
        assert unit.api("get", param="hastatus")["hastatus"] == "HA not configured"
        assert "it takes effect at a reboot" in agent("status", "--config", unit.file).stdout
        os.kill(unit.node, signal.SIGKILL)  # a death is no boot
        made.wait(lambda: unit.status().get("mode") == "Single", "the node again")
        assert unit.api("reboot")["code"] == 200
        made.wait(lambda: unit.status().get("mode") == "Master", "the new mode")


def test_the_first_password_is_made_up_when_none_is_given_and_told_only_in_a_file(tmp_path):
    with AgentPair(tmp_path, units=1, mode="Single") as made:
        unit = made.master
        unit.configuration["management"] = {}
        made.start(probe=False)
        file = Path(unit.configuration["stateDirectory"]) / "initial-password"
        eventually(lambda: file.exists() and unit.status(), "a password and a unit", limit=45)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        password = file.read_text(encoding="ascii").strip()
        assert password != PASSWORD
        assert not unit.logged(password)
        assert unit.api("listvs", apipass=password)["code"] == 200


def test_what_is_in_the_way_at_a_start_is_said_and_ends_with_2(tmp_path):
    with AgentPair(tmp_path, units=1, mode="Single") as made, socket.socket() as owner:
        unit = made.master
        owner.bind((unit.address, 8443))
        owner.listen()
        unit.start()
        assert unit.process.wait(60) == 2
        assert unit.logged(f"management: cannot listen on {unit.address}:8443: another program listens there")
        assert not unit.logged("started again")


@pytest.mark.parametrize(
    ("haproxy", "words"),
    [
        ({"user": "nobody-of-this-name"}, "there is no account nobody-of-this-name"),
        ({"binary": "/nonexistent/haproxy"}, "haproxy.binary: /nonexistent/haproxy cannot be run"),
    ],
)
def test_an_haproxy_that_cannot_be_run_as_configured_ends_with_2_before_anything_is_answered(
    tmp_path, haproxy, words
):
    with AgentPair(tmp_path, units=1, mode="Single", haproxy=haproxy) as made:
        unit = made.master
        unit.start()
        assert unit.process.wait(60) == 2
        assert unit.logged(words)
        assert not unit.logged("started again")


def test_an_haproxy_that_goes_away_while_the_unit_runs_is_no_reason_to_end(tmp_path):
    link = tmp_path / "haproxy"
    link.symlink_to(shutil.which("haproxy") or "/nonexistent")
    with AgentPair(tmp_path, units=1, mode="Single", haproxy={"binary": str(link)}) as made:
        unit = made.start(probe=False).master
        made.wait(lambda: unit.status().get("haproxy", {}).get("condition") == "Well", "HAProxy")
        link.unlink()
        os.kill(unit.node, signal.SIGKILL)
        made.wait(lambda: unit.logged(f"{link} cannot be run"), "what is missing is said")
        made.wait(lambda: unit.log.read_text().count("started again") > 1, "it is tried again")
        assert unit.process.poll() is None


def test_check_remarks_what_a_pair_would_miss_and_is_content():
    with tempfile.TemporaryDirectory() as folder:  # short: sockets' paths are
        folders = [f"--state-directory={folder}", f"--run-directory={folder}"]
        given = agent("check", "--interfaces=127.0.0.1/8", "--mode=Master", *folders)
    assert given.returncode == 0, given.stderr
    assert "Note: partner.address is not given" in given.stdout


def test_the_version_is_told():
    told = agent("--version")
    assert (told.returncode, told.stdout) == (0, f"loadmaster-agent {version('loadmaster-ha-operator')}\n")

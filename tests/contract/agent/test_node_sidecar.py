"""An HAProxy that somebody else starts, beside the agent: configured, watched, never started or stopped."""

import signal
import subprocess
from pathlib import Path

import pytest
from tests.support.agent_pair import AgentPair
from tests.support.supervised import die_with_the_test

from loadmaster_ha.agent.dataplane.command import Paths, command_line


@pytest.fixture
def beside(tmp_path):
    """Give a pair of which only the master is used, with its HAProxy to be started by the test."""
    with AgentPair(tmp_path, units=1) as pair:
        unit = pair.master
        folder = f"{unit.configuration['runDirectory']}/haproxy"
        unit.configuration["haproxy"] = {
            "mode": "External",
            "directory": folder,
            "socketDirectory": folder,
            "masterSocket": f"{folder}/master.sock",
        }
        unit.paths = Paths(Path(folder))
        yield pair


def start_haproxy(unit):
    return subprocess.Popen(
        command_line(unit.paths),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_the_test,  # noqa: PLW1509 - one prctl, no locks
    )


def test_a_unit_serves_when_the_other_container_has_started_haproxy_and_fails_when_that_ends(beside):
    unit = beside.master
    beside.start()
    beside.wait(unit.paths.configuration.exists, "the first configuration")
    assert unit.status()["state"] != "Active"
    haproxy = start_haproxy(unit)
    try:
        beside.until("Active")
        made = unit.api("addvs", vs=unit.address, port="18080", prot="tcp")
        assert made["code"] == 200, made
        beside.wait(lambda: b":18080" in unit.paths.configuration.read_bytes(), "the service")
        beside.wait(lambda: haproxy.send_signal(signal.SIGTERM) or haproxy.poll() is not None, "its end")
        beside.until("Failed")
        haproxy = start_haproxy(unit)
        beside.until("Active")
        assert unit.stop() == 0
        assert haproxy.poll() is None  # not the agent's to end
    finally:
        beside.wait(lambda: haproxy.terminate() or haproxy.poll() is not None, "its end")

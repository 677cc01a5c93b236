"""What is shipped with the agent fits it: example configurations, the systemd unit, the guide."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loadmaster_ha.agent.configuration import LEASE_SECONDS, Configuration
from loadmaster_ha.agent.configuration_checks import check
from loadmaster_ha.agent.configuration_sources import load
from loadmaster_ha.agent.ha import notices
from loadmaster_ha.cli.agent import plan_of

ROOT = Path(__file__).resolve().parents[4]
EXAMPLES = sorted((ROOT / "examples" / "agent").glob("*.yaml"))
GUIDE = ROOT / "docs" / "agent.md"


class Unit(configparser.RawConfigParser):
    """A systemd unit: names are case-sensitive."""

    def optionxform(self, name):
        return name


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_every_example_is_a_good_configuration(file, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("Only-for-th1s-test", encoding="ascii")
    text = re.sub(r"/etc/loadmaster-agent/[a-z-]+", str(secret), file.read_text(encoding="utf-8"))
    (tmp_path / "agent.yaml").write_text(text, encoding="utf-8")
    check(load(tmp_path / "agent.yaml", {}, {}))


def test_the_pair_of_the_examples_is_a_pair():
    master, slave = (
        load(ROOT / "examples" / "agent" / f"{name}.yaml", {}, {}) for name in ("master", "slave")
    )
    assert (master.mode, slave.mode) == ("Master", "Slave")
    assert master.partner_address != slave.partner_address
    assert (master.frontend, master.probe_interval) == (slave.frontend, slave.probe_interval)


def test_the_systemd_unit_waits_for_a_clean_stop_and_writes_where_the_agent_does():
    unit = Unit()
    unit.read(ROOT / "packaging" / "loadmaster-agent.service")
    service, defaults = unit["Service"], Configuration()
    plan = plan_of(defaults)
    longest = plan["hand_over_seconds"] + plan["drain_seconds"] + plan["finish_seconds"]
    assert int(service["TimeoutStopSec"]) > longest
    assert defaults.state_directory == f"/var/lib/{service['StateDirectory']}"
    assert defaults.run_directory == f"/run/{service['RuntimeDirectory']}"
    assert (service["Type"], service["KillMode"], service["RestartPreventExitStatus"]) == (
        "notify",
        "mixed",
        "2",
    )
    assert int(service["WatchdogSec"]) > LEASE_SECONDS


def test_systemd_understands_the_unit_and_finds_it_well_protected(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    text = (ROOT / "packaging" / "loadmaster-agent.service").read_text(encoding="utf-8")
    unit = tmp_path / "loadmaster-agent.service"
    unit.write_text(text.replace("/opt/loadmaster-agent/bin/loadmaster-agent", sys.executable), "utf-8")
    verified = subprocess.run([program, "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    # Exposure in tenths: 0 is none, 100 is a service without any protection.
    judged = subprocess.run(
        [program, "security", "--offline=true", "--threshold=25", unit], capture_output=True, check=False
    )
    assert judged.returncode == 0, judged.stdout.decode()[-3000:]


def test_the_guide_explains_every_notice():
    told = set(re.findall(r"^\| `(\w+)` \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(notices.reasons()) - told == set()

"""Metrics of the node agent: named as Prometheus wants it, there from the start, each moved by something."""

import shutil
import subprocess

import pytest
from prometheus_client import generate_latest

from loadmaster_ha.telemetry.agent import DEFINITIONS, AgentMetrics, Reading

BUSY = Reading(
    version="1.2.3",
    mode="Master",
    state="Active",
    state_changes={("Standby", "Active", "PartnerDown"): 2.0},
    switchovers={("Done",): 1.0, ("Aborted",): 1.0},
    notices=["NoWitness"],
    partner_up=True,
    link_refused={("secret",): 3.0},
    health_requests={("balancer", "200"): 17.0},
    last_probe=1.7e9,
    sync_operations={("Sent", "Acknowledged"): 4.0},
    sync_lag=1.5,
    sync_pending=2,
    sync_lost=1,
    sync_last_success=1.7e9,
    haproxy_up=True,
    haproxy_starts=1,
    haproxy_reloads={("ok",): 5.0},
    services_rejected=1,
    settings={("virtual-service",): 3.0},
    node_restarts=1,
    certificate_expiry=1.8e9,
)


def samples(reading):
    registry = AgentMetrics(lambda: reading).registry
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_every_metric_says_what_was_read():
    before, after = samples(Reading()), samples(BUSY)
    moved = {name for (name, labels), value in after.items() if before.get((name, labels)) != value}
    assert moved == {each.name for each in DEFINITIONS}


def test_exactly_one_state_holds():
    states = {
        labels[0][1]: value for (name, labels), value in samples(BUSY).items() if name.endswith("_state")
    }
    assert states == {"Active": 1, "Standby": 0, "Unconnected": 0, "Failed": 0}


def test_what_never_happened_is_absent_and_what_can_be_counted_is_zero():
    found = samples(Reading())
    assert not any("timestamp" in name and "probe" in name for name, _ in found)
    assert found["loadmaster_agent_haproxy_reloads_total", (("outcome", "failed"),)] == 0


def test_promtool_has_no_objection():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    page = generate_latest(AgentMetrics(lambda: BUSY).registry)
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr

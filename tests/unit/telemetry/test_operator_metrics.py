"""Metrics of the operator: named as Prometheus wants it, there from the start, gone with their object."""

import shutil
import subprocess

import pytest
from prometheus_client import generate_latest

from loadmaster_ha.telemetry.operator import OperatorMetrics

KINDS = {"kind": "LoadMasterPair"}


@pytest.fixture
def metrics():
    return OperatorMetrics(version="1.2.3", kopf_version="1.45.2")


def samples(metrics):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def move_everything(metrics, pair="web"):
    metrics.on_queue(3)
    metrics.on_visit_started(0.1)
    metrics.on_visit_ended("Changed", 0.2)
    metrics.on_pair(
        "edge", pair, [("Ready", "False", "AddressTaken", False), ("Stalled", "True", "X", False)]
    )
    metrics.on_failover_expected("edge", pair, {("Silent", "Max"): 15.0})
    metrics.on_drift("edge", pair, "LoadBalancer")
    metrics.on_request("GET", "Microsoft.Network/loadBalancers", "200", 0.1)
    metrics.on_throttled("GET", "Microsoft.Network/loadBalancers", 30.0)
    metrics.on_budget(0.5)
    metrics.on_leader(leads=True)
    metrics.on_watch(1700000000.0)


def test_every_metric_is_moved_by_something(metrics):
    before = samples(metrics)
    move_everything(metrics)
    after = samples(metrics)
    moved = {name for (name, labels), value in after.items() if before.get((name, labels)) != value}
    for family in metrics.registry.collect():
        if family.name == "loadmaster_build_info":
            continue
        names = {sample.name for sample in family.samples}
        assert names & moved, f"{family.name} is never moved"


def test_what_can_be_counted_is_there_from_the_start(metrics):
    found = samples(metrics)
    for outcome in ("Changed", "NoChange", "Waiting", "Error"):
        key = ("loadmaster_reconcile_total", (("kind", "LoadMasterPair"), ("outcome", outcome)))
        assert found[key] == 0
    assert found["loadmaster_leader", ()] == 0
    metrics.on_pair("edge", "web", [])
    drift = [value for (name, _), value in samples(metrics).items() if name == "loadmaster_drift_total"]
    assert drift == [0, 0, 0, 0]


def test_exactly_one_status_of_a_condition_holds(metrics):
    for status in ("True", "Unknown", "False"):
        metrics.on_pair("edge", "web", [("Ready", status, "Why", status == "True")])
        holds = [
            dict(labels)["status"]
            for (name, labels), value in samples(metrics).items()
            if name == "loadmaster_condition" and value == 1
        ]
        assert holds == [status]


def test_only_the_present_reason_of_what_is_not_as_wanted_is_there(metrics):
    metrics.on_pair("edge", "web", [("Ready", "False", "One", False)])
    metrics.on_pair("edge", "web", [("Ready", "False", "Two", False)])
    reasons = [
        dict(labels)["reason"] for name, labels in samples(metrics) if name == "loadmaster_condition_reason"
    ]
    assert reasons == ["Two"]
    metrics.on_pair("edge", "web", [("Ready", "True", "Synced", True)])
    assert not any(name == "loadmaster_condition_reason" for name, _ in samples(metrics))


def test_a_thousand_pairs_leave_nothing_behind(metrics):
    move_everything(metrics, "stays")
    before = set(samples(metrics))
    for number in range(1000):
        move_everything(metrics, f"pair-{number}")
    assert len(samples(metrics)) > len(before) + 1000
    for number in range(1000):
        metrics.on_pair_gone("edge", f"pair-{number}")
    assert set(samples(metrics)) == before


def test_promtool_has_no_objection(metrics):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    move_everything(metrics)
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=generate_latest(metrics.registry),
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr

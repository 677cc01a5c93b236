"""Metrics of the operator: named as Prometheus wants it, there from the start, gone with their object."""

import shutil
import subprocess

import pytest
from prometheus_client import generate_latest

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.units import Active, ObservedState, Trigger
from loadmaster_ha.telemetry.operator import OperatorMetrics
from loadmaster_ha.telemetry.pairs import SECTIONS, PairSight

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


def watch(metrics, pair="web"):
    metrics.on_watch_begun("edge", pair)
    metrics.on_sight(
        "edge",
        pair,
        PairSight(
            Active.MASTER,
            {Role.MASTER: ObservedState.ACTIVE, Role.SLAVE: ObservedState.STANDBY},
            frontend_up=True,
            firmware={Role.MASTER: ("Agent", "1.0"), Role.SLAVE: ("Agent", "1.0")},
        ),
    )
    metrics.on_failover("edge", pair, Role.MASTER, Trigger.FAILBACK, 1.7e9)
    metrics.on_failover_measured("edge", pair, 1.5)
    metrics.on_certificate("edge", pair, Role.MASTER, 1.8e9)
    metrics.on_connections("edge", pair, Role.MASTER, 17)
    metrics.on_services("edge", pair, {"https": True})
    metrics.on_reboot("edge", pair, Role.SLAVE)


def move_everything(metrics, pair="web"):
    metrics.on_queue(3)
    metrics.on_visit_started(0.1)
    metrics.on_visit_ended("Changed", 0.2)
    metrics.on_pair(
        "edge", pair, [("Ready", "False", "AddressTaken", False), ("Stalled", "True", "X", False)]
    )
    metrics.on_failover_expected("edge", pair, {("Silent", "Max"): 15.0})
    metrics.on_drift("edge", pair, "LoadBalancer")
    watch(metrics, pair)
    metrics.on_unit_request("getazurehaparams", "Ok", 0.1)
    metrics.on_watched_pairs(1)
    metrics.on_poll_started("Health", 0.01)
    metrics.on_poll_ended("Health", "200")
    metrics.on_reported(0.2)
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
    assert drift == [0] * len(SECTIONS)


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


def watched_series(metrics):
    about = ("pair_active", "unit_", "failover", "frontend_up", "service_up", "reboots")
    return {
        key: value
        for key, value in samples(metrics).items()
        if any(word in key[0] for word in about) and "unit_requests" not in key[0]
    }


def test_what_can_be_counted_of_a_watched_pair_is_zero_and_what_is_not_known_is_absent(metrics):
    assert watched_series(metrics) == {}
    metrics.on_watch_begun("edge", "web")
    found = watched_series(metrics)
    assert set(found.values()) == {0}
    failovers = [dict(labels) for name, labels in found if name == "loadmaster_failovers_total"]
    assert {(each["from"], each["to"]) for each in failovers} == {("Master", "Slave"), ("Slave", "Master")}
    assert {each["trigger"] for each in failovers} == {trigger.value for trigger in Trigger}
    names = {name for name, _ in found}
    assert names == {
        "loadmaster_failovers_total",
        "loadmaster_reboots_total",
        "loadmaster_failover_duration_seconds_bucket",
        "loadmaster_failover_duration_seconds_count",
        "loadmaster_failover_duration_seconds_sum",
    }


@pytest.mark.parametrize(
    ("active", "expected"),
    [
        (Active.MASTER, {"Master": 1, "Slave": 0}),
        (Active.SLAVE, {"Master": 0, "Slave": 1}),
        (Active.BOTH, {"Master": 1, "Slave": 1}),
        (Active.NONE, {"Master": 0, "Slave": 0}),
        (Active.UNKNOWN, {}),
    ],
)
def test_who_is_active_is_told_as_far_as_it_is_known(metrics, active, expected):
    metrics.on_watch_begun("edge", "web")
    metrics.on_sight("edge", "web", PairSight(active))
    found = {
        dict(labels)["unit"]: value
        for (name, labels), value in samples(metrics).items()
        if name == "loadmaster_pair_active"
    }
    assert found == expected


def test_the_length_of_a_failover_falls_into_its_bucket(metrics):
    metrics.on_watch_begun("edge", "web")
    for seconds in (0.1, 0.2, 7.0, 500.0):
        metrics.on_failover_measured("edge", "web", seconds)
    found = samples(metrics)
    name, pair = "loadmaster_failover_duration_seconds", (("namespace", "edge"), ("pair", "web"))
    bucket = {
        dict(labels)["le"]: value for (each, labels), value in found.items() if each == f"{name}_bucket"
    }
    assert (bucket["0.1"], bucket["0.3"], bucket["5.0"], bucket["10.0"]) == (1, 2, 2, 3)
    assert bucket["+Inf"] == found[f"{name}_count", pair] == 4
    assert found[f"{name}_sum", pair] == pytest.approx(507.3)


def test_what_comes_late_about_a_pair_that_is_gone_brings_nothing_back(metrics):
    watch(metrics)
    metrics.on_pair_gone("edge", "web")
    before = set(samples(metrics))
    metrics.on_sight("edge", "web", PairSight(Active.MASTER))
    metrics.on_failover("edge", "web", Role.SLAVE, Trigger.SILENT, 1.0)
    metrics.on_failover_measured("edge", "web", 1.0)
    metrics.on_certificate("edge", "web", Role.SLAVE, 1.0)
    metrics.on_connections("edge", "web", Role.SLAVE, 1)
    metrics.on_services("edge", "web", {"https": True})
    metrics.on_reboot("edge", "web", Role.SLAVE)
    metrics.on_watch_ended("edge", "web")
    assert set(samples(metrics)) == before


def test_a_pair_that_is_not_managed_any_more_keeps_its_conditions_only(metrics):
    metrics.on_pair("edge", "web", [("Ready", "True", "Synced", True)])
    watch(metrics)
    metrics.on_watch_ended("edge", "web")
    assert watched_series(metrics) == {}
    assert any(name == "loadmaster_condition" for name, _ in samples(metrics))


def test_connections_that_are_not_known_any_more_are_absent(metrics):
    watch(metrics)
    metrics.on_connections("edge", "web", Role.MASTER, None)
    assert not any(name == "loadmaster_unit_connections" for name, _ in samples(metrics))


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

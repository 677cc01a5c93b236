"""Every metric of the operator is asserted by a test in which real parts move it.

That a method of `OperatorMetrics` moves a metric says nothing about whether anything calls it. So each metric
names the test that sees it move, over a real client, a real API server or real processes; this module holds
the table to the code: nothing is missing, nothing is too much, and each test names its metric.
"""

import ast
from pathlib import Path

import pytest

from loadmaster_ha.telemetry.operator import OperatorMetrics

TESTS = Path(__file__).parents[2]
LANE = "contract/watching/test_watch_lane.py"
PROCESS = "integration/test_operator_process.py"
LIFECYCLE = "integration/test_operator_lifecycle.py"
FIGURES = "integration/test_operator_figures.py"
HEALTHY = (LANE, "test_a_healthy_pair_is_told_once_with_everything_about_it")
CHANGED = (LANE, "test_a_change_of_who_is_active_is_told_counted_and_measured")
PROBES = (PROCESS, "test_probes_and_metrics_tell_the_truth")
WORKED = (FIGURES, "test_work_on_azure_shows_in_the_figures")

SEEN_BY = {
    "loadmaster_azure_budget_ratio": WORKED,
    "loadmaster_azure_request_duration_seconds": WORKED,
    "loadmaster_azure_requests_total": WORKED,
    "loadmaster_azure_throttled_total": WORKED,
    "loadmaster_build_info": PROBES,
    "loadmaster_condition": PROBES,
    "loadmaster_condition_reason": WORKED,
    "loadmaster_drift_total": (LIFECYCLE, None),
    "loadmaster_failover_duration_seconds": CHANGED,
    "loadmaster_failover_expected_seconds": PROBES,
    "loadmaster_failovers_total": CHANGED,
    "loadmaster_frontend_up": HEALTHY,
    "loadmaster_last_failover_timestamp_seconds": CHANGED,
    "loadmaster_leader": (PROCESS, None),
    "loadmaster_pair_active": HEALTHY,
    "loadmaster_queue_depth": WORKED,
    "loadmaster_queue_wait_seconds": WORKED,
    "loadmaster_reconcile_duration_seconds": WORKED,
    "loadmaster_reconcile_total": WORKED,
    "loadmaster_reboots_total": (
        "integration/test_units_lane.py",
        "test_two_fresh_units_become_a_pair_with_its_service_and_single_again",
    ),
    "loadmaster_service_up": HEALTHY,
    "loadmaster_unit_certificate_expiry_timestamp_seconds": HEALTHY,
    "loadmaster_unit_connections": HEALTHY,
    "loadmaster_unit_info": HEALTHY,
    "loadmaster_unit_requests_total": HEALTHY,
    "loadmaster_unit_state": HEALTHY,
    "loadmaster_watch_delay_seconds": HEALTHY,
    "loadmaster_watch_last_event_timestamp_seconds": (PROCESS, None),
    "loadmaster_watch_polls_total": HEALTHY,
    "loadmaster_watch_report_seconds": HEALTHY,
    "loadmaster_watched_pairs": HEALTHY,
}
"""Metric -> file and test; without a name: any test of that file."""


def names():
    found = OperatorMetrics(version="", kopf_version="").registry.collect()
    return {each.name + ("_total" if each.type == "counter" else "") for each in found}


def test_no_metric_is_forgotten():
    assert set(SEEN_BY) == names()


@pytest.mark.parametrize("metric", sorted(SEEN_BY))
def test_the_test_that_sees_it_move_is_there_and_names_it(metric):
    path, name = SEEN_BY[metric]
    source = (TESTS / path).read_text(encoding="utf-8")
    functions = {
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name is None or name in functions, f"{path} has no {name}"
    assert metric in source, f"{path} does not name {metric}"

"""Metrics of the operator process. docs/reference/metrics.md is generated from what is defined here.

One `OperatorMetrics` has a registry of its own. Series with a pair's name exist as long as the pair does;
those with fixed label values exist from the start with 0, so that `rate()` and `absent()` mean something.
"""

import platform
from collections.abc import Iterable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

PAIR: Final = "LoadMasterPair"
OUTCOMES: Final = ("Changed", "NoChange", "Waiting", "Error")
STATUSES: Final = ("True", "False", "Unknown")
SECTIONS: Final = ("PublicAddress", "LoadBalancer", "Interfaces", "SecurityGroups")

RECONCILE_BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
REQUEST_BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Seconds."""


class OperatorMetrics:
    """All metrics of the operator, and the methods by which the other packages move them."""

    def __init__(self, *, version: str, kopf_version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        registry = self.registry
        self.condition = Gauge(
            "loadmaster_condition",
            "Conditions of the custom resources: 1 for the status that holds, 0 for the two others",
            ["kind", "namespace", "name", "type", "status"],
            registry=registry,
        )
        self.condition_reason = Gauge(
            "loadmaster_condition_reason",
            "1 with the reason of each condition that is not as it should be; absent when all is well",
            ["kind", "namespace", "name", "type", "reason"],
            registry=registry,
        )
        self.failover_expected = Gauge(
            "loadmaster_failover_expected_seconds",
            "How long a failover takes with the pair's probe settings, by kind of failure "
            "(ProcessDied, Silent) and "
            "bound (Min, Max), for new connections",
            ["namespace", "pair", "failure", "bound"],
            registry=registry,
        )
        self.reconcile_total = Counter(
            "loadmaster_reconcile_total",
            "Visits to custom resources by what came of them",
            ["kind", "outcome"],
            registry=registry,
        )
        self.reconcile_duration = Histogram(
            "loadmaster_reconcile_duration_seconds",
            "How long one visit took; long-running operations are spread over several",
            ["kind"],
            buckets=RECONCILE_BUCKETS,
            registry=registry,
        )
        self.queue_depth = Gauge(
            "loadmaster_queue_depth",
            "Custom resources that wait for a visit now",
            ["kind"],
            registry=registry,
        )
        self.queue_wait = Histogram(
            "loadmaster_queue_wait_seconds",
            "How long a custom resource that was due waited for its visit",
            ["kind"],
            buckets=RECONCILE_BUCKETS,
            registry=registry,
        )
        self.drift_total = Counter(
            "loadmaster_drift_total",
            "Writes made because Azure had changed although the manifest had not, by section of the set-up",
            ["kind", "namespace", "name", "section"],
            registry=registry,
        )
        self.azure_requests_total = Counter(
            "loadmaster_azure_requests_total",
            "Requests to Azure Resource Manager, by HTTP status (or the word for why there was none)",
            ["method", "resource_type", "code"],
            registry=registry,
        )
        self.azure_request_duration = Histogram(
            "loadmaster_azure_request_duration_seconds",
            "How long a request to Azure Resource Manager took",
            ["method", "resource_type"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.azure_throttled_total = Counter(
            "loadmaster_azure_throttled_total",
            "Requests that Azure refused because there were too many",
            ["method", "resource_type"],
            registry=registry,
        )
        self.azure_budget = Gauge(
            "loadmaster_azure_budget_ratio",
            "What was left, after the last request, of the budget that it was taken from (1: full, 0: "
            "Azure throttles)",
            registry=registry,
        )
        self.leader = Gauge("loadmaster_leader", "1 while this replica leads", registry=registry)
        self.watch_last_event = Gauge(
            "loadmaster_watch_last_event_timestamp_seconds",
            "When the API server last told anything over the watch (events or bookmarks), Unix time; "
            "0: not yet",
            registry=registry,
        )
        self.build_info = Gauge(
            "loadmaster_build_info",
            "1, with the versions of what runs",
            ["version", "kopf_version", "python_version"],
            registry=registry,
        )
        self.build_info.labels(version, kopf_version, platform.python_version()).set(1)
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for outcome in OUTCOMES:
            self.reconcile_total.labels(PAIR, outcome)
        self.azure_budget.set(1)
        for labelled in (self.reconcile_duration, self.queue_depth, self.queue_wait):
            labelled.labels(PAIR)

    def metrics(self) -> list[MetricWrapperBase]:
        """All metrics, in the order of their definition."""
        return [value for value in vars(self).values() if isinstance(value, MetricWrapperBase)]

    # The queue (controller.workqueue.QueueObserver)

    def on_queue(self, depth: int) -> None:
        """So many custom resources wait."""
        self.queue_depth.labels(PAIR).set(depth)

    def on_visit_started(self, waited: float) -> None:
        """A visit begins after so many seconds."""
        self.queue_wait.labels(PAIR).observe(waited)

    def on_visit_ended(self, outcome: str, seconds: float) -> None:
        """A visit ended."""
        self.reconcile_total.labels(PAIR, outcome).inc()
        self.reconcile_duration.labels(PAIR).observe(seconds)

    # Pairs

    def on_pair(self, namespace: str, name: str, conditions: Iterable[tuple[str, str, str, bool]]) -> None:
        """The conditions of a pair: type, status, reason, and whether it is as it should be."""
        _remove(self.condition_reason, {"kind": PAIR, "namespace": namespace, "name": name})
        for kind, status, reason, wanted in conditions:
            for each in STATUSES:
                self.condition.labels(PAIR, namespace, name, kind, each).set(1 if each == status else 0)
            if not wanted:
                self.condition_reason.labels(PAIR, namespace, name, kind, reason).set(1)
        for section in SECTIONS:
            self.drift_total.labels(PAIR, namespace, name, section)

    def on_failover_expected(
        self, namespace: str, name: str, bounds: Mapping[tuple[str, str], float]
    ) -> None:
        """How long a failover takes, by failure and bound."""
        for (failure, bound), seconds in bounds.items():
            self.failover_expected.labels(namespace, name, failure, bound).set(seconds)

    def on_drift(self, namespace: str, name: str, section: str) -> None:
        """A write repaired what somebody else had changed."""
        self.drift_total.labels(PAIR, namespace, name, section).inc()

    def on_pair_gone(self, namespace: str, name: str) -> None:
        """Remove every series of a pair."""
        for metric in (self.condition, self.condition_reason, self.drift_total):
            _remove(metric, {"kind": PAIR, "namespace": namespace, "name": name})
        _remove(self.failover_expected, {"namespace": namespace, "pair": name})

    # Azure (implements azure.transport.RequestObserver)

    def on_request(self, method: str, resource_type: str, code: str, seconds: float) -> None:
        """A request was answered with this status, or failed for this reason."""
        self.azure_requests_total.labels(method, resource_type, code).inc()
        self.azure_request_duration.labels(method, resource_type).observe(seconds)
        self.azure_throttled_total.labels(method, resource_type)

    def on_throttled(self, method: str, resource_type: str, seconds: float) -> None:  # noqa: ARG002 - not counted
        """Azure refused a request and closed the gate for so many seconds."""
        self.azure_throttled_total.labels(method, resource_type).inc()

    def on_budget(self, ratio: float) -> None:
        """So much is left of the budget that was used last."""
        self.azure_budget.set(ratio)

    # The process

    def on_leader(self, *, leads: bool) -> None:
        """This replica leads, or does not."""
        self.leader.set(1 if leads else 0)

    def on_watch(self, timestamp: float) -> None:
        """The API server told something at this Unix time."""
        self.watch_last_event.set(timestamp)


def _remove(metric: MetricWrapperBase, labels: Mapping[str, Any]) -> None:
    metric.remove_by_labels(dict(labels))


def reference(metrics: OperatorMetrics) -> str:
    """The reference page of all metrics, in Markdown."""
    lines = [
        "# Metrics of the operator",
        "",
        "<!-- Generated from operator/loadmaster_ha/telemetry/operator.py by",
        "     `python -m loadmaster_ha.cli.reference`; do not edit. -->",
        "",
        "Served at `/metrics` on port 9090. Series with a namespace and name belong to one custom resource",
        "and end with it; only the leader has them.",
        "",
        "| Metric | Type | Labels | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    for metric in metrics.metrics():
        described = next(iter(metric.describe()))
        name = described.name + ("_total" if described.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 - there is no public way
        lines.append(f"| `{name}` | {described.type} | {labels} | {described.documentation} |")
    return "\n".join([*lines, ""])

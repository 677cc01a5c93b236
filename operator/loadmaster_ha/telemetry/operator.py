"""Metrics of the operator process. docs/reference/metrics.md is generated from what is defined here.

One `OperatorMetrics` has a registry of its own; what belongs to one pair each is in `pairs`. Series with
fixed label values exist from the start with 0, so that `rate()` and `absent()` mean something.
"""

import platform
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.units import Trigger
from loadmaster_ha.telemetry import pairs
from loadmaster_ha.telemetry.pairs import PAIR, PairMetrics, PairSight, Watched

UNITS: Final = "LoadMasterPairUnits"
"""Kind of visits to the units of a pair; those to its Azure side are of kind `LoadMasterPair`."""

OUTCOMES: Final = ("Changed", "NoChange", "Waiting", "Error")
POLLED: Final = ("Health", "Frontend", "Management", "Statistics", "RuleHealth")

RECONCILE_BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
REQUEST_BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
WATCH_BUCKETS: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Seconds."""


class OperatorMetrics:
    """All metrics of the operator, and the methods by which the other packages move them."""

    def __init__(self, *, version: str, kopf_version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        registry = self.registry
        self.pairs = PairMetrics()
        for collector in self.pairs.collectors:
            registry.register(collector)
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
        self.unit_requests_total = Counter(
            "loadmaster_unit_requests_total",
            "Calls of the units' management API, by command and what came of it (Ok, or why not)",
            ["command", "outcome"],
            registry=registry,
        )
        self.polls_total = Counter(
            "loadmaster_watch_polls_total",
            "What the operator has asked while watching, by what was asked (Health, Frontend, Management, "
            "Statistics, RuleHealth) and what came of it (an HTTP status, or the word for why there is none)",
            ["polled", "outcome"],
            registry=registry,
        )
        self.poll_delay = Histogram(
            "loadmaster_watch_delay_seconds",
            "How late a poll began",
            ["polled"],
            buckets=WATCH_BUCKETS,
            registry=registry,
        )
        self.watch_report = Histogram(
            "loadmaster_watch_report_seconds",
            "From the observation that made a difference to its being stored in status",
            buckets=WATCH_BUCKETS,
            registry=registry,
        )
        self.watched_pairs = Gauge(
            "loadmaster_watched_pairs", "Pairs whose units are watched now", registry=registry
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
        for kind in (PAIR, UNITS):
            for outcome in OUTCOMES:
                self.reconcile_total.labels(kind, outcome)
        self.azure_budget.set(1)
        for labelled in (self.reconcile_duration, self.queue_depth, self.queue_wait):
            for kind in (PAIR, UNITS):
                labelled.labels(kind)
        for polled in POLLED:
            self.poll_delay.labels(polled)

    def metrics(self) -> list[MetricWrapperBase]:
        """The metrics of the process, in the order of their definition."""
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

    def on_units_queue(self, depth: int) -> None:
        """So many pairs wait for a visit to their units."""
        self.queue_depth.labels(UNITS).set(depth)

    def on_units_visit_started(self, waited: float) -> None:
        """A visit to the units of a pair begins after so many seconds."""
        self.queue_wait.labels(UNITS).observe(waited)

    def on_units_visit_ended(self, outcome: str, seconds: float) -> None:
        """A visit to the units of a pair ended."""
        self.reconcile_total.labels(UNITS, outcome).inc()
        self.reconcile_duration.labels(UNITS).observe(seconds)

    # Pairs

    def on_pair(self, namespace: str, name: str, conditions: Iterable[tuple[str, str, str, bool]]) -> None:
        """The conditions of a pair: type, status, reason, and whether it is as it should be."""
        record = self.pairs.record(namespace, name)
        record.conditions, record.told = tuple(conditions), True

    def on_failover_expected(
        self, namespace: str, name: str, bounds: Mapping[tuple[str, str], float]
    ) -> None:
        """How long a failover takes, by failure and bound."""
        self.pairs.record(namespace, name).expected = dict(bounds)

    def on_drift(self, namespace: str, name: str, section: str) -> None:
        """A write repaired what somebody else had changed."""
        record = self.pairs.record(namespace, name)
        record.told = True
        record.drift[section] += 1

    def on_pair_gone(self, namespace: str, name: str) -> None:
        """Remove every series of a pair."""
        self.pairs.remove(namespace, name)

    # Watching. What comes late, about a pair that is not watched any more, counts for nothing.

    def on_watch_begun(self, namespace: str, name: str, *, last_failover: float | None = None) -> None:
        """The pair is watched from now on; its last failover (Unix time) was seen by an earlier process."""
        record = self.pairs.record(namespace, name)
        if record.watched is None:
            record.watched = Watched(last_failover=last_failover)

    def on_watch_ended(self, namespace: str, name: str) -> None:
        """The pair is not watched any more."""
        if self.pairs.watched(namespace, name) is not None:
            self.pairs.record(namespace, name).watched = None

    def on_sight(self, namespace: str, name: str, sight: PairSight) -> None:
        """What is seen of a pair now."""
        if (watched := self.pairs.watched(namespace, name)) is not None:
            watched.sight = sight

    def on_failover(self, namespace: str, name: str, target: Role, trigger: Trigger, at: float) -> None:
        """This unit took over from its partner at this Unix time."""
        if (watched := self.pairs.watched(namespace, name)) is not None:
            watched.failovers[target, trigger] += 1
            watched.last_failover = at

    def on_failover_measured(self, namespace: str, name: str, seconds: float) -> None:
        """It is known how long a failover took."""
        if (watched := self.pairs.watched(namespace, name)) is not None:
            watched.measured(seconds)

    def on_certificate(self, namespace: str, name: str, role: Role, expires: float) -> None:
        """The unit's management certificate expires at this Unix time."""
        if (watched := self.pairs.watched(namespace, name)) is not None:
            watched.certificates = {**watched.certificates, role: expires}

    def on_connections(self, namespace: str, name: str, role: Role, connections: int | None) -> None:
        """So many connections are open at a unit; None: not known."""
        if (watched := self.pairs.watched(namespace, name)) is None:
            return
        others = {each: count for each, count in watched.connections.items() if each is not role}
        watched.connections = others if connections is None else {**others, role: connections}

    def on_services(self, namespace: str, name: str, services: Mapping[str, bool]) -> None:
        """The published services of which it is known, and whether they are up."""
        if (watched := self.pairs.watched(namespace, name)) is not None:
            watched.services = dict(services)

    def on_reboot(self, namespace: str, name: str, role: Role) -> None:
        """The operator has had a unit rebooted."""
        if (watched := self.pairs.watched(namespace, name)) is not None:
            watched.reboots[role] += 1

    def on_watched_pairs(self, count: int) -> None:
        """So many pairs are watched."""
        self.watched_pairs.set(count)

    def on_poll_started(self, polled: str, late: float) -> None:
        """A poll begins, so many seconds after it was due."""
        self.poll_delay.labels(polled).observe(late)

    def on_poll_ended(self, polled: str, outcome: str) -> None:
        """A poll ended."""
        self.polls_total.labels(polled, outcome).inc()

    def on_reported(self, seconds: float) -> None:
        """So long after the observation its consequence was stored in status."""
        self.watch_report.observe(seconds)

    # The units (implements the management client's CallObserver)

    def on_unit_request(self, command: str, outcome: str, seconds: float) -> None:  # noqa: ARG002 - not measured
        """A call of a unit's management API ended."""
        self.unit_requests_total.labels(command, outcome).inc()

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


def reference(metrics: OperatorMetrics) -> str:
    """The reference page of all metrics, in Markdown."""
    lines = [
        "# Metrics of the operator",
        "",
        "<!-- Generated from operator/loadmaster_ha/telemetry/operator.py by",
        "     `python -m loadmaster_ha.cli.reference`; do not edit. -->",
        "",
        "Served at `/metrics` on port 9090. Series with a namespace and name belong to one custom resource",
        "and end with it; only the leader has them. Those about units are there for pairs whose units are",
        "managed (docs/watching.md), and absent while what they say is not known.",
        "",
        "| Metric | Type | Labels | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    for metric in metrics.metrics():
        described = next(iter(metric.describe()))
        name = described.name + ("_total" if described.type == "counter" else "")
        labels = metric._labelnames  # noqa: SLF001 - there is no public way
        lines.append(_row(name, described.type, labels, described.documentation))
    lines += [_row(each.name, each.type, each.all_labels, each.help) for each in pairs.DEFINITIONS]
    lines.append(_row(pairs.DURATION, "histogram", pairs.DURATION_LABELS, pairs.DURATION_HELP))
    return "\n".join([*lines, ""])


def _row(name: str, kind: str, labels: Iterable[str], meaning: str) -> str:
    return f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |"

"""Metrics of the node agent. docs/reference/agent-metrics.md is generated from the table here.

The agent counts in its own parts (the supervisor counts probes, the link refusals, the store operations), so
nothing is counted twice: at each scrape the node process hands over a `Reading`, and the table says what
becomes of it. What can be counted is there from the start with 0.
"""

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from loadmaster_ha.domain.ha import UnitState

Values = Mapping[tuple[str, ...], float]
"""By the values of the labels."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that the metrics say, at one instant.

    Times are Unix seconds, None where there is none yet.
    """

    version: str = ""
    mode: str = ""
    state: str = ""
    state_changes: Values = field(default_factory=dict)
    switchovers: Values = field(default_factory=dict)
    notices: Iterable[str] = ()
    partner_up: bool = False
    link_refused: Values = field(default_factory=dict)
    health_requests: Values = field(default_factory=dict)
    last_probe: float | None = None
    sync_operations: Values = field(default_factory=dict)
    sync_lag: float = 0.0
    sync_pending: int = 0
    sync_lost: int = 0
    sync_last_success: float | None = None
    haproxy_up: bool = False
    haproxy_starts: int = 0
    haproxy_reloads: Values = field(default_factory=dict)
    services_rejected: int = 0
    settings: Values = field(default_factory=dict)
    node_restarts: int = 0
    certificate_expiry: float = 0.0


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric."""

    name: str
    help: str
    read: Callable[[Reading], Values]
    labels: tuple[str, ...] = ()
    counter: bool = False

    def family(self) -> Metric:
        """Without samples."""
        kind = CounterMetricFamily if self.counter else GaugeMetricFamily
        return kind(self.name, self.help, labels=self.labels)


def _one(value: float | None) -> Values:
    return {} if value is None else {(): value}


DEFINITIONS: Final = (
    Definition(
        "loadmaster_agent_state",
        "1 for the state that the unit is in, 0 for the others",
        lambda reading: {(state.value,): float(state.value == reading.state) for state in UnitState},
        ("state",),
    ),
    Definition(
        "loadmaster_agent_role_changes_total",
        "Changes of the unit's state, by what it was, what it became and why",
        lambda reading: reading.state_changes,
        ("from", "to", "reason"),
        counter=True,
    ),
    Definition(
        "loadmaster_agent_switchovers_total",
        "Planned switch-overs and fail-backs that this unit took part in, by outcome (Done, Aborted)",
        lambda reading: reading.switchovers,
        ("outcome",),
        counter=True,
    ),
    Definition(
        "loadmaster_agent_notice",
        "1 for each thing that a person should know now (docs/agent.md lists them); absent when it is over",
        lambda reading: {(reason,): 1.0 for reason in reading.notices},
        ("reason",),
    ),
    Definition(
        "loadmaster_agent_partner_up",
        "1 while the partner link is there",
        lambda reading: _one(float(reading.partner_up)),
    ),
    Definition(
        "loadmaster_agent_partner_link_refused_total",
        "Handshakes of the partner link that were refused, by reason",
        lambda reading: reading.link_refused,
        ("reason",),
        counter=True,
    ),
    Definition(
        "loadmaster_agent_health_requests_total",
        "Answers of the health port, by who asked (balancer, partner, other) and status",
        lambda reading: reading.health_requests,
        ("source", "code"),
        counter=True,
    ),
    Definition(
        "loadmaster_agent_last_probe_timestamp_seconds",
        "When the balancer last probed this unit, Unix time; absent: not yet",
        lambda reading: _one(reading.last_probe),
    ),
    Definition(
        "loadmaster_agent_sync_operations_total",
        "Settings sent to and received from the partner, by what came of it",
        lambda reading: reading.sync_operations,
        ("direction", "outcome"),
        counter=True,
    ),
    Definition(
        "loadmaster_agent_sync_lag_seconds",
        "How long the oldest change of this unit has been waiting for the partner",
        lambda reading: _one(reading.sync_lag),
    ),
    Definition(
        "loadmaster_agent_sync_pending",
        "Settings of this unit that the partner is not known to have",
        lambda reading: _one(reading.sync_pending),
    ),
    Definition(
        "loadmaster_agent_sync_overruled_total",
        "Changes overruled by a concurrent change of the same setting, on either unit",
        lambda reading: _one(reading.sync_lost),
        counter=True,
    ),
    Definition(
        "loadmaster_agent_sync_last_success_timestamp_seconds",
        "When both units were last known to have the same settings, Unix time; absent: not yet",
        lambda reading: _one(reading.sync_last_success),
    ),
    Definition(
        "loadmaster_agent_haproxy_up",
        "1 while HAProxy answers a request that goes through it",
        lambda reading: _one(float(reading.haproxy_up)),
    ),
    Definition(
        "loadmaster_agent_haproxy_starts_total",
        "Starts of HAProxy since the agent's own",
        lambda reading: _one(reading.haproxy_starts),
        counter=True,
    ),
    Definition(
        "loadmaster_agent_haproxy_reloads_total",
        "Reloads of HAProxy, by outcome (ok, failed; refused: the check before prevented it)",
        lambda reading: (
            {(each,): 0.0 for each in ("ok", "failed", "refused")} | dict(reading.haproxy_reloads)
        ),
        ("outcome",),
        counter=True,
    ),
    Definition(
        "loadmaster_agent_services_rejected",
        "Virtual services that are not served as they are set; the log says why",
        lambda reading: _one(reading.services_rejected),
    ),
    Definition(
        "loadmaster_agent_settings",
        "Entities in the unit's settings, by kind",
        lambda reading: reading.settings,
        ("kind",),
    ),
    Definition(
        "loadmaster_agent_node_restarts_total",
        "Deaths of the node process since the agent's start",
        lambda reading: _one(reading.node_restarts),
        counter=True,
    ),
    Definition(
        "loadmaster_agent_certificate_expiry_timestamp_seconds",
        "When the management API's certificate expires, Unix time",
        lambda reading: _one(reading.certificate_expiry),
    ),
    Definition(
        "loadmaster_agent_build_info",
        "1, with the unit's configured role and the versions of what runs",
        lambda reading: {(reading.version, reading.mode, platform.python_version()): 1.0},
        ("version", "mode", "python_version"),
    ),
)


class AgentMetrics(Collector):
    """All metrics of one node agent; `read` is called at each scrape."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """The metrics without samples."""
        return [definition.family() for definition in DEFINITIONS]

    def collect(self) -> Iterable[Metric]:
        """The metrics of the moment."""
        reading = self._read()
        for definition in DEFINITIONS:
            family = definition.family()
            for labels, value in definition.read(reading).items():
                family.add_metric(labels, value)  # type: ignore[attr-defined]  # of both kinds of family
            yield family


def reference() -> str:
    """The reference page of all metrics, in Markdown."""
    lines = [
        "# Metrics of the node agent",
        "",
        "<!-- Generated from operator/loadmaster_ha/telemetry/agent.py by",
        "     `python -m loadmaster_ha.cli.reference`; do not edit. -->",
        "",
        "Served at `/metrics` on port 9101 of the first interface (`metrics.address`, `metrics.port`).",
        "",
        "| Metric | Type | Labels | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    for each in DEFINITIONS:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        lines.append(f"| `{each.name}` | {'counter' if each.counter else 'gauge'} | {labels} | {each.help} |")
    return "\n".join([*lines, ""])

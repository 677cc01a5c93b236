"""Metrics that belong to one pair each: made at the scrape, of a small record for each pair.

`operator.OperatorMetrics` owns it and is what the other packages tell. Client objects for every series would
take more memory than everything else that is known of a pair. A series exists as long as its pair does; what
is not known is absent; what can be counted is there from the start with 0.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.unit_changes import UnitSection
from loadmaster_ha.domain.units import Active, ObservedState, Trigger

PAIR: Final = "LoadMasterPair"
STATUSES: Final = ("True", "False", "Unknown")
SECTIONS: Final = (
    "PublicAddress",
    "LoadBalancer",
    "Interfaces",
    "SecurityGroups",
    *(section.value for section in UnitSection),
)
FAILOVER_BUCKETS: Final = (0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
"""Seconds."""

_ACTIVE: Final = {
    Active.MASTER: frozenset({Role.MASTER}),
    Active.SLAVE: frozenset({Role.SLAVE}),
    Active.BOTH: frozenset(Role),
    Active.NONE: frozenset[Role](),
}

Rows = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class PairSight:
    """What the watch lane sees of a pair now."""

    active: Active = Active.UNKNOWN
    states: Mapping[Role, ObservedState] = field(default_factory=lambda: MappingProxyType({}))
    frontend_up: bool | None = None
    """None: not asked, or not known."""
    firmware: Mapping[Role, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    """What kind of unit each is, and its firmware."""


@dataclass(slots=True)
class Watched:
    """What is counted and seen of a pair that is watched.

    A scrape reads it from another thread: mappings that are gone through are replaced, never changed.
    """

    sight: PairSight = field(default_factory=PairSight)
    failovers: Counter[tuple[Role, Trigger]] = field(default_factory=Counter)
    """By the unit that took over."""
    durations: list[int] = field(default_factory=lambda: [0] * (len(FAILOVER_BUCKETS) + 1))
    seconds: float = 0.0
    last_failover: float | None = None
    certificates: Mapping[Role, float] = field(default_factory=lambda: MappingProxyType({}))
    connections: Mapping[Role, float] = field(default_factory=lambda: MappingProxyType({}))
    services: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    reboots: Counter[Role] = field(default_factory=Counter)

    def measured(self, seconds: float) -> None:
        """A fail-over took so long."""
        self.durations[bisect_left(FAILOVER_BUCKETS, seconds)] += 1
        self.seconds += seconds


@dataclass(slots=True)
class Record:
    """What is kept of one pair."""

    conditions: tuple[tuple[str, str, str, bool], ...] = ()
    """Type, status, reason, and whether it is as it should be."""
    expected: Mapping[tuple[str, str], float] = field(default_factory=lambda: MappingProxyType({}))
    drift: Counter[str] = field(default_factory=Counter)
    told: bool = False
    """Its conditions were told: only then its drift is counted."""
    watched: Watched | None = None


def _conditions(record: Record) -> Rows:
    for kind, status, _, _ in record.conditions:
        for each in STATUSES:
            yield (kind, each), float(each == status)


def _active(watched: Watched) -> Rows:
    active = _ACTIVE.get(watched.sight.active)
    return () if active is None else (((role.value,), float(role in active)) for role in Role)


def _states(watched: Watched) -> Rows:
    for role, state in watched.sight.states.items():
        for each in ObservedState:
            yield (role.value, each.value), float(each is state)


def _failovers(watched: Watched) -> Rows:
    for role in Role:
        for trigger in Trigger:
            labels = (role.partner.value, role.value, trigger.value)
            yield labels, float(watched.failovers[role, trigger])


def _of_watched(read: Callable[[Watched], Rows]) -> Callable[[Record], Rows]:
    return lambda record: () if record.watched is None else read(record.watched)


def _one(value: float | None) -> Rows:
    return () if value is None else (((), float(value)),)


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric; its first labels name the pair."""

    name: str
    help: str
    read: Callable[[Record], Rows]
    labels: tuple[str, ...] = ()
    counter: bool = False
    kind: bool = False
    """The pair is named as custom resources of all kinds are: by `kind`, `namespace` and `name`."""

    @property
    def all_labels(self) -> tuple[str, ...]:
        """The names of all labels."""
        return (*(("kind", "namespace", "name") if self.kind else ("namespace", "pair")), *self.labels)

    @property
    def type(self) -> str:
        """In Prometheus' words."""
        return "counter" if self.counter else "gauge"

    def family(self) -> CounterMetricFamily | GaugeMetricFamily:
        """Without samples."""
        family = CounterMetricFamily if self.counter else GaugeMetricFamily
        return family(self.name, self.help, labels=self.all_labels)


DEFINITIONS: Final = (
    Definition(
        "loadmaster_condition",
        "Conditions of the custom resources: 1 for the status that holds, 0 for the two others",
        _conditions,
        ("type", "status"),
        kind=True,
    ),
    Definition(
        "loadmaster_condition_reason",
        "1 with the reason of each condition that is not as it should be; absent when all is well",
        lambda record: (((kind, reason), 1.0) for kind, _, reason, wanted in record.conditions if not wanted),
        ("type", "reason"),
        kind=True,
    ),
    Definition(
        "loadmaster_drift_total",
        "Writes made because Azure or a unit had changed although the manifest had not, by section of the "
        "set-up",
        lambda record: (((each,), float(record.drift[each])) for each in SECTIONS if record.told),
        ("section",),
        counter=True,
        kind=True,
    ),
    Definition(
        "loadmaster_failover_expected_seconds",
        "How long a failover takes with the pair's probe settings, by kind of failure (ProcessDied, Silent) "
        "and bound (Min, Max), for new connections",
        lambda record: record.expected.items(),
        ("failure", "bound"),
    ),
    Definition(
        "loadmaster_pair_active",
        "1 for a unit that is active, 0 for one that is not; absent while that is not known",
        _of_watched(_active),
        ("unit",),
    ),
    Definition(
        "loadmaster_unit_state",
        "1 for the state that a unit is in (Active, Standby, Unconnected, Failed, Unknown), 0 for the others",
        _of_watched(_states),
        ("unit", "state"),
    ),
    Definition(
        "loadmaster_failovers_total",
        "Changes of who is active, by what made them (Planned, ProcessDied, Silent, Failback, Unknown)",
        _of_watched(_failovers),
        ("from", "to", "trigger"),
        counter=True,
    ),
    Definition(
        "loadmaster_last_failover_timestamp_seconds",
        "When who is active changed last, Unix time; absent: never seen",
        _of_watched(lambda watched: _one(watched.last_failover)),
    ),
    Definition(
        "loadmaster_frontend_up",
        "1 while the balancer's address answers 200 on the check port, 0 while not; absent: not asked",
        _of_watched(
            lambda watched: _one(None if watched.sight.frontend_up is None else watched.sight.frontend_up)
        ),
    ),
    Definition(
        "loadmaster_unit_info",
        "1, with what kind of unit it is (Appliance, Agent) and its firmware",
        _of_watched(
            lambda watched: (((role.value, *found), 1.0) for role, found in watched.sight.firmware.items())
        ),
        ("unit", "kind", "firmware"),
    ),
    Definition(
        "loadmaster_unit_certificate_expiry_timestamp_seconds",
        "When the certificate of the unit's management interface expires, Unix time",
        _of_watched(lambda watched: (((role.value,), at) for role, at in watched.certificates.items())),
        ("unit",),
    ),
    Definition(
        "loadmaster_unit_connections",
        "Open connections of all virtual services of the unit, by its own statistics; absent while unknown",
        _of_watched(lambda watched: (((role.value,), count) for role, count in watched.connections.items())),
        ("unit",),
    ),
    Definition(
        "loadmaster_service_up",
        "1 while the active unit says that the virtual service is up, 0 while it says anything else; absent "
        "while unknown",
        _of_watched(lambda watched: (((name,), float(up)) for name, up in watched.services.items())),
        ("service",),
    ),
    Definition(
        "loadmaster_reboots_total",
        "Reboots of the unit that the operator has asked for",
        _of_watched(lambda watched: (((role.value,), float(watched.reboots[role])) for role in Role)),
        ("unit",),
        counter=True,
    ),
)

DURATION: Final = "loadmaster_failover_duration_seconds"
DURATION_HELP: Final = (
    "From the last good answer of the old unit to the first of the new one, as the operator saw it: at the "
    "frontend, else at the units. Each end is off by up to the time between two polls (1 s while something "
    "changes, else 5 s and a tenth), so the figure may be 6.6 s too long, and is never too short by more "
    "than the time of one answer"
)
DURATION_LABELS: Final = ("namespace", "pair")

Key = tuple[str, str]


class PairMetrics:
    """The records of all pairs, and the metrics that are made of them."""

    def __init__(self) -> None:
        self._records: dict[Key, Record] = {}

    @property
    def collectors(self) -> tuple[Collector, ...]:
        """One for each metric, so that a scrape of some of them does not make all."""
        return (*(_PairMetric(each, self._records) for each in DEFINITIONS), _Durations(self._records))

    def record(self, namespace: str, name: str) -> Record:
        """The record of a pair; made if there is none."""
        return self._records.setdefault((namespace, name), Record())

    def watched(self, namespace: str, name: str) -> Watched | None:
        """What is seen of a pair; None: it is not watched (any more), and nothing is to be counted."""
        record = self._records.get((namespace, name))
        return None if record is None else record.watched

    def remove(self, namespace: str, name: str) -> None:
        """Every series of the pair ends."""
        self._records.pop((namespace, name), None)


class _PairMetric(Collector):
    """One metric of all pairs. `collect` may run in a thread of its own beside the event loop."""

    def __init__(self, definition: Definition, records: Mapping[Key, Record]) -> None:
        self._definition = definition
        self._records = records

    def describe(self) -> Iterator[Metric]:
        """The metric without samples."""
        yield self._definition.family()

    def collect(self) -> Iterator[Metric]:
        """The metric as of the moment."""
        definition, family = self._definition, self._definition.family()
        for (namespace, name), record in list(self._records.items()):
            named = (PAIR, namespace, name) if definition.kind else (namespace, name)
            for labels, value in list(definition.read(record)):
                family.add_metric((*named, *labels), value)
        yield family


class _Durations(Collector):
    """How long fail-overs took, of all pairs."""

    def __init__(self, records: Mapping[Key, Record]) -> None:
        self._records = records

    def describe(self) -> Iterator[Metric]:
        """The metric without samples."""
        yield HistogramMetricFamily(DURATION, DURATION_HELP, labels=DURATION_LABELS)

    def collect(self) -> Iterator[Metric]:
        """The metric as of the moment."""
        durations = HistogramMetricFamily(DURATION, DURATION_HELP, labels=DURATION_LABELS)
        for key, record in list(self._records.items()):
            if record.watched is not None:
                durations.add_metric(key, _buckets(record.watched.durations), record.watched.seconds)
        yield durations


def _buckets(counts: list[int]) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in FAILOVER_BUCKETS), "+Inf"]
    return list(zip(bounds, map(float, accumulate(counts)), strict=True))

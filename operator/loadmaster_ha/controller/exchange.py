"""What the lanes of a pair tell each other, in memory: no status is read to know what a neighbour knows.

Each lane puts its own view here and reads the others'. A change that a lane has to act on wakes it, nothing
else does: what is read again and is the same wakes nobody. After a restart the exchange is empty, and the
stored status answers for addresses that Azure has not told yet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from loadmaster_ha.controller.azure_view import AzureView, from_manifest
from loadmaster_ha.controller.conditions import ConditionType, find
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.watching.model import (
    StoredWatch,
    WatchedService,
    WatchFacts,
    WatchSituation,
)
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Absent, Present, Reading, Unknown
from loadmaster_ha.domain.units import Active, UnitKind
from loadmaster_ha.domain.virtual_services import RealServer
from loadmaster_ha.planning.diagnosis.model import PairHealth
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.planning.units.marks import Marks
from loadmaster_ha.planning.units.publishing import is_managed

Wake = Callable[[PairKey], None]
Stored = Callable[[PairKey], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class UnitsView:
    """One pair as its units show it."""

    ready: frozenset[str] | None = None
    """Services that can answer; None: not known yet."""
    check_port: int | None = None
    """The port that probe and check rule in Azure shall have now; None: not known yet."""
    services_differ_since: float | None = None
    services_written_at: float | None = None
    """When virtual services or real servers were written last, on the monotonic clock."""
    endpoints: Mapping[str, tuple[RealServer, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """By service: the real servers that were looked up in Kubernetes, for the look at the ways to them."""
    changing: bool = False
    """A unit is being rebooted or reconfigured."""
    switching_to: Role | None = None
    settings: Mapping[Role, int] = field(default_factory=lambda: MappingProxyType({}))
    """Revision of its settings that a node agent told when the last look at it began."""
    cleaned: bool = False
    """The pair is being deleted, and nothing more is done for that on the units."""
    left: str = ""
    """What is left on the units then, on purpose; in words."""
    stuck: str = ""
    """The pair is being deleted, and this is why the units cannot be cleaned now."""


@dataclass
class _Entry:
    target: PairTarget | None = None
    azure: AzureView | None = None
    azure_is_clean: bool = False
    units: UnitsView = field(default_factory=UnitsView)
    serving: Reading[bool] = field(default_factory=Absent)
    seen: object = None
    settings: dict[Role, int] = field(default_factory=dict)
    """Revision of its settings that a node agent told last while it was watched; 0: it does not tell now."""


class Exchange:
    """The views of all pairs.

    Args:
        wake_azure: makes the Azure lane visit a pair.
        wake_units: makes the units lane visit a pair.
        refresh_watch: has the watch lane see what there is to watch now.
        stored: the status as it is known to be stored.
    """

    def __init__(self, *, wake_azure: Wake, wake_units: Wake, refresh_watch: Wake, stored: Stored) -> None:
        self._wake_azure = wake_azure
        self._wake_units = wake_units
        self._refresh_watch = refresh_watch
        self._stored = stored
        self._entries: dict[PairKey, _Entry] = {}

    # What the lanes tell

    def wanted(self, key: PairKey, target: PairTarget | None) -> None:
        """The manifest as it is now; None: it cannot be understood."""
        self._entry(key).target = target
        self._refresh_watch(key)

    def azure_seen(self, key: PairKey, view: AzureView) -> None:
        """What the Azure lane saw."""
        entry = self._entry(key)
        before, entry.azure = entry.azure, view
        self._refresh_watch(key)
        if before is None or _for_units(before) != _for_units(view):
            self._wake_units(key)

    def azure_cleaned(self, key: PairKey, *, cleaned: bool) -> None:
        """Of a pair that is being deleted: whether nothing is left in Azure."""
        entry = self._entry(key)
        before, entry.azure_is_clean = entry.azure_is_clean, cleaned
        if cleaned and not before:
            self._wake_units(key)

    def units_seen(self, key: PairKey, view: UnitsView) -> None:
        """What the units lane saw."""
        entry = self._entry(key)
        before, entry.units = entry.units, view
        self._refresh_watch(key)
        azure = entry.azure or AzureView()
        became_ready = azure.waiting & (view.ready or frozenset()) - (before.ready or frozenset())
        port_moves = view.check_port not in {None, before.check_port} and not _has_port(
            azure.ports, view.check_port
        )
        ended = (view.cleaned, bool(view.stuck)) != (before.cleaned, bool(before.stuck))
        if became_ready or port_moves or ended:
            self._wake_azure(key)
        if any(entry.settings.get(role, 0) > seen for role, seen in view.settings.items()):
            self._wake_units(key)  # changed since that look began, and told before it ended

    def watched(self, key: PairKey, situation: WatchSituation) -> None:
        """What the watch lane saw."""
        entry = self._entry(key)
        diagnosis = situation.diagnosis
        entry.serving = (
            Unknown("NotKnown", "nobody can tell whether the frontend is served")
            if diagnosis.serving is None
            else Present(diagnosis.serving)
        )
        before, entry.seen = entry.seen, (diagnosis.serving, dict(diagnosis.states))
        if before is not None and before != entry.seen:
            self._wake_units(key)

    def settings_told(self, key: PairKey, role: Role, revision: int | None) -> None:
        """The revision of its settings that a node agent has; None: it does not tell (any more)."""
        entry = self._entry(key)
        before, entry.settings[role] = entry.settings.get(role), revision or 0
        looked_at = entry.units.settings.get(role)
        if looked_at is None:
            return
        # Who was away may be another one, whatever its revision.
        news = revision is not None and (before == 0 or revision != looked_at)
        # Who announces nothing any more has to be looked at; one that we reboot is waited for anyway.
        silent = revision is None and bool(before) and not entry.units.changing
        if news or silent:
            self._wake_units(key)

    def settings_are_watched(self, key: PairKey) -> bool:
        """Whether both units announce each change of their settings, so that nobody need look for one."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        return all(entry.settings.get(role) and role in entry.units.settings for role in Role)

    def forget(self, key: PairKey) -> None:
        """The pair is gone."""
        self._entries.pop(key, None)

    # What the lanes ask

    def azure(self, key: PairKey, target: PairTarget) -> AzureView:
        """Azure's side, as far as it is known; addresses that nobody told yet as they are stored."""
        entry = self._entries.get(key)
        view = (entry.azure if entry is not None else None) or from_manifest(target)
        if view.addresses.keys() == set(Role) and isinstance(view.frontend, Present):
            return view
        return _with_stored(view, self._stored(key))

    def azure_is_clean(self, key: PairKey) -> bool:
        """Whether a pair that is being deleted has nothing left in Azure."""
        entry = self._entries.get(key)
        return entry is not None and entry.azure_is_clean

    def units(self, key: PairKey) -> UnitsView:
        """The units' side, as far as it is known."""
        entry = self._entries.get(key)
        return UnitsView() if entry is None else entry.units

    def frontend_serves(self, key: PairKey) -> Reading[bool]:
        """Whether somebody is served, as the watch lane saw it last."""
        entry = self._entries.get(key)
        return Absent() if entry is None else entry.serving

    def watch_facts(self, key: PairKey) -> WatchFacts | None:
        """What is to be watched of a pair; None: it is not managed, or goes."""
        entry = self._entries.get(key)
        if entry is None or entry.target is None or not is_managed(entry.target.spec):
            return None
        spec, units, azure = entry.target.spec, entry.units, self.azure(key, entry.target)
        marks = Marks(entry.target.identity)
        return WatchFacts(
            addresses=azure.addresses,
            check_port=_port_in_force(spec.health_check.port, units, azure),
            wanted_port=spec.health_check.port,
            preferred_host=spec.high_availability.preferred_host,
            frontend=azure.frontend.value if isinstance(azure.frontend, Present) else "",
            azure=azure.findings,
            health_rule=azure.health_rule,
            services=tuple(
                WatchedService(
                    each.name,
                    marks.nickname(each.name),
                    azure.paths.get(each.name, ()),
                )
                for each in spec.services
                if each.virtual_service is not None
            ),
            probe_seconds=spec.health_check.interval_seconds * (spec.health_check.threshold + 1),
            services_differ_since=units.services_differ_since,
            services_written_at=units.services_written_at,
            changing=units.changing,
            switching_to=units.switching_to,
        )

    def stored_watch(self, key: PairKey) -> StoredWatch:
        """What an earlier process said of who is active."""
        status = self._stored(key)
        rows = {Role(row["role"]): row for row in status.get("units") or ()}
        failover = status.get("lastFailover") or {}
        last, at = failover.get("to"), failover.get("time")
        health = find(status.get("conditions") or (), ConditionType.PAIR_HEALTHY)
        return StoredWatch(
            active=Active(status.get("active") or Active.UNKNOWN),
            kinds={role: UnitKind(row["kind"]) for role, row in rows.items() if row.get("kind")},
            last_failover_to=Role(last) if last in {role.value for role in Role} else None,
            last_failover_at=None if at is None else datetime.fromisoformat(at).timestamp(),
            services_down=health.get("reason") == PairHealth.SERVICE_UNREACHABLE,
        )

    def _entry(self, key: PairKey) -> _Entry:
        return self._entries.setdefault(key, _Entry())


def _for_units(view: AzureView) -> tuple[object, ...]:
    """What the units lane acts on."""
    return (
        dict(view.addresses),
        dict(view.arm_addresses),
        view.frontend,
        view.published,
        view.ports,
    )


def _port_in_force(wanted: int, units: UnitsView, azure: AzureView) -> int:
    """The check port to be asked: a new one of the manifest counts when Azure's probe shall have it.

    Until the units were looked at, that is the port which Azure has.
    """
    if units.check_port is not None:
        return units.check_port
    present = azure.ports.value if isinstance(azure.ports, Present) else frozenset()
    return next(iter(present)) if len(present) == 1 else wanted


def _has_port(ports: Reading[frozenset[int]], port: int | None) -> bool:
    return isinstance(ports, Present) and ports.value in ({port}, frozenset())


def _with_stored(view: AzureView, status: Mapping[str, Any]) -> AzureView:
    rows = {Role(row["role"]): row.get("address") for row in status.get("units") or ()}
    known = {role: address for role, address in rows.items() if address}
    frontend = (status.get("frontend") or {}).get("address")
    if not isinstance(view.frontend, Present) and frontend:
        view = replace(view, frontend=Present(frontend))
    return replace(view, addresses={**known, **view.addresses})

"""What the lane holds of each pair under watch, what it polls, and what it counts; no behaviour."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.watching.health_port import HealthPort
from loadmaster_ha.controller.watching.history import Report
from loadmaster_ha.controller.watching.management import Figures, UnitRounds
from loadmaster_ha.controller.watching.model import WatchSituation
from loadmaster_ha.controller.watching.pair_watch import PairWatch
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.units import Trigger
from loadmaster_ha.telemetry.pairs import PairSight


class Polled(StrEnum):
    """What is asked; label value of the lane's metrics."""

    HEALTH = "Health"
    FRONTEND = "Frontend"


class Poll(NamedTuple):
    """A key of the timetable: whose port is asked; the frontend's without a role."""

    polled: Polled
    key: PairKey
    role: Role | None = None


class WatchFigures(Figures, Protocol):
    """Where the lane's figures go; `telemetry.operator` implements it."""

    def on_watch_begun(self, namespace: str, name: str, *, last_failover: float | None = None) -> None:
        """The pair is watched from now on."""

    def on_watch_ended(self, namespace: str, name: str) -> None:
        """The pair is not watched any more."""

    def on_watched_pairs(self, count: int) -> None:
        """So many are watched."""

    def on_sight(self, namespace: str, name: str, sight: PairSight) -> None:
        """What is seen now."""

    def on_failover(self, namespace: str, name: str, target: Role, trigger: Trigger, at: float) -> None:
        """A unit took over."""

    def on_failover_measured(self, namespace: str, name: str, seconds: float) -> None:
        """It took so long."""

    def on_services(self, namespace: str, name: str, services: Mapping[str, bool]) -> None:
        """Which services are up."""

    def on_poll_started(self, polled: str, late: float) -> None:
        """A poll begins."""

    def on_reported(self, seconds: float) -> None:
        """So long from seeing to having stored."""


@dataclass(slots=True)
class Watched:
    """One pair under watch."""

    key: PairKey
    watch: PairWatch
    ports: dict[Role, HealthPort] = field(default_factory=dict)
    frontend: HealthPort | None = None
    rounds: dict[Role, UnitRounds] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    asking: dict[Role, set[asyncio.Task[None]]] = field(
        default_factory=lambda: {role: set() for role in Role}
    )
    """Those of `tasks` that work for a unit's rounds."""
    hurried_at: float = float("-inf")
    to_evaluate: bool = False
    situation: WatchSituation | None = None
    """The last one that was handed over, or waits to be."""
    waiting: WatchSituation | None = None
    observed_at: float = 0.0
    reports: list[Report] = field(default_factory=list)
    reported: asyncio.Event | None = None
    """Set when there is something in `reports`, if somebody waits for it."""
    telling: asyncio.Task[None] | None = None
    asking_azure: asyncio.Task[None] | None = None

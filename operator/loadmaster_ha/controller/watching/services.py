"""Which services of a pair are down, by what its active unit tells: what is believed, and when to look again.

Pure, one for each pair: `pair_watch` holds it, `management` asks. Of a virtual service that it has just been
given, or has just begun to serve, a unit says that it is down until it has heard of the real servers. So one
look is not believed: a service is down when it was seen so twice.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.loadmaster.observer import ServiceState
from loadmaster_ha.planning.diagnosis.model import DOWN

DOUBT_SECONDS: Final = 5.0
"""From the first look that shows a service down to one that is believed."""

CHECKED_WITHIN: Final = 10.0
"""Seconds after services were written during which a first look is doubted at least: a unit checks real
servers every 9 s at most often."""

DOWN_SECONDS: Final = 15.0
"""Between two looks while a service is down, so that it is told soon that it is up again."""

WRITTEN_SECONDS: Final = 2.0
"""From writing services to the next look."""

STALE_SECONDS: Final = 180.0
"""So old, an answer says nothing about now."""

_NOTHING: Final[Mapping[str, ServiceState]] = MappingProxyType({})
_NO_DOUBTS: Final[Mapping[str, float]] = MappingProxyType({})


@dataclass(slots=True)
class ServicesTrack:
    """See the module. Services are named by their nicknames, times are of one monotonic clock."""

    _role: Role | None = None
    """The unit that told last."""
    _told: Mapping[str, ServiceState] = field(default_factory=lambda: _NOTHING)
    """What is believed."""
    _heard_at: float = float("-inf")
    _doubts: Mapping[str, float] = field(default_factory=lambda: _NO_DOUBTS)
    """Services that the last look showed down for the first time, and from when on a look is believed."""
    _written_at: float = float("-inf")
    _soon: float | None = None
    """When to look at what was written."""

    def written(self, at: float) -> None:
        """Virtual services or real servers were written then."""
        if at > self._written_at:
            self._written_at = at
            # Who writes again and again does not put the look off.
            self._soon = self._soon or at + WRITTEN_SECONDS

    def heard(self, role: Role, states: Mapping[str, ServiceState], now: float) -> bool:
        """A unit told what it serves; whether that changes what is believed."""
        believed = self.states(now)
        doubts = self._doubts if role is self._role and believed is self._told else _NO_DOUBTS
        doubted_until = max(now + DOUBT_SECONDS, self._written_at + CHECKED_WITHIN)
        told, doubted = dict(states), {}
        for name in (each for each, state in states.items() if state.status in DOWN):
            known, until = believed.get(name), doubts.get(name, doubted_until)
            if until <= now or (known is not None and known.status in DOWN):
                continue
            doubted[name] = until
            if known is None:
                del told[name]
            else:
                told[name] = known
        news = self._role is None or told != believed
        self._role, self._told, self._heard_at = role, MappingProxyType(told), now
        self._doubts, self._soon = MappingProxyType(doubted) if doubted else _NO_DOUBTS, None
        return news

    def states(self, now: float) -> Mapping[str, ServiceState]:
        """What is believed now."""
        return self._told if now - self._heard_at <= STALE_SECONDS else _NOTHING

    def next_look(self, ours: Collection[str]) -> float | None:
        """When a look is wanted sooner than at rest; None: there is no need."""
        times = [until for name, until in self._doubts.items() if name in ours]
        if self._soon is not None:
            times.append(self._soon)
        if any(state.status in DOWN for name, state in self._told.items() if name in ours):
            times.append(self._heard_at + DOWN_SECONDS)
        return min(times, default=None)

    def is_sure(self, ours: Collection[str]) -> bool:
        """Whether a unit has told, and nothing of that is doubted."""
        return self._role is not None and self._doubts.keys().isdisjoint(ours)

"""Bugs that the schedules have to find: mistakes that synchronisations have really been shipped with."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest.mock import patch

from tests.simulation.sync.disk import MemoryDisk
from tests.simulation.sync.world import Parts, Unit

from loadmaster_ha.agent.settings import joining, merging, versions
from loadmaster_ha.agent.settings.comparing import Comparison
from loadmaster_ha.agent.settings.database import Row
from loadmaster_ha.agent.settings.merging import Outcome
from loadmaster_ha.agent.settings.model import is_local
from loadmaster_ha.agent.settings.replication import Replicator
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.agent.settings.versions import Entity, Seen

SETTINGS = "loadmaster_ha.agent.settings"


class WallClock(Parts):
    """Changes are ordered by the time of day of the unit that made them."""

    def store(self, unit: Unit) -> Store:
        class Timed(Store):
            @property
            def clock(self) -> int:
                return int(unit.wall() * 1000)

            @clock.setter
            def clock(self, value: int) -> None:
                pass

        return Timed(unit.disk.content)


class LazyDisk(MemoryDisk):
    """A write is on the disk only when the next one is."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: tuple[Sequence[Row], Mapping[str, str]] = (), {}

    def put(self, rows: Sequence[Row], about: Mapping[str, str]) -> None:
        super().put(*self._waiting)
        self._waiting = tuple(rows), dict(about)

    def lost_power(self) -> None:
        self._waiting = (), {}


class Forgetful(Replicator):
    """Sends changes and never compares."""

    def _compare(self, _session: Any, _now: float) -> list[dict[str, Any]]:
        return []


def expire(store: Store) -> int:
    """Tombstones go with time, whoever may still need them."""
    gone = list(store.tombstones)
    if gone:
        store.write(dict.fromkeys(gone), store.identity)
        store.pending.drop(gone)
    return len(gone)


def overwrite(store: Store, states: Mapping[Any, Entity], seen: Seen | None = None) -> Outcome:
    """What the partner has is what counts."""
    new = {address: entity for address, entity in states.items() if not is_local(address[0])}
    store.clock = max([store.clock, *(version.counter for each in new.values() for version in each.versions)])
    store.write(new, joining.replace(store.identity, seen=store.identity.seen.joined(seen or Seen())))
    return Outcome(applied=len(new))


def fields_of_all_lives(one: Entity, other: Entity) -> Entity:
    """Fields are merged whatever life they are of."""
    if one.gone is not None or other.gone is not None or one.born == other.born:
        return versions.merged(one, other)
    former, latter = sorted((one, other), key=lambda entity: entity.born)
    names = former.fields.keys() - latter.fields.keys()
    return Entity.make(latter.born, {**latter.fields, **{name: former.fields[name] for name in names}})


def mine_first(one: Entity, other: Entity) -> Entity:
    """Of two changes with the same count, this unit's wins."""
    if one.born == other.born and one.gone is None and other.gone is None:
        with patch(f"{SETTINGS}.versions._wins", lambda version, _, mine, __: version.counter > mine.counter):
            return versions.merged(one, other)
    if one.born.counter == other.born.counter:
        return one
    return versions.merged(one, other)


def claim_at_once(comparison: Comparison, message: Mapping[str, Any]) -> None:
    """Everything of the partner counts as seen before it has arrived."""
    original_compared(comparison, message)
    merging.take_in(comparison._store, {}, comparison._covers)


original_compared = Comparison._compared


@contextlib.contextmanager
def nothing() -> Iterator[None]:
    """No patch: the bug is in the parts."""
    yield


@contextlib.contextmanager
def expiring() -> Iterator[None]:
    """Tombstones expire, and are all that tells what was deleted."""
    with (
        patch.object(Store, "forget_tombstones", expire),
        patch(f"{SETTINGS}.comparing.deletions", lambda *_: {}),
        patch(f"{SETTINGS}.merging._past", lambda *_: False),
    ):
        yield


@contextlib.contextmanager
def all_kinds_alike() -> Iterator[None]:
    """The sender takes no kind for local."""
    with contextlib.ExitStack() as stack:
        for module in ("comparing", "comparison", "pending"):
            stack.enter_context(patch(f"{SETTINGS}.{module}.is_local", lambda _: False))
        yield


BUGS: Mapping[str, tuple[Callable[[], Parts], Callable[[], contextlib.AbstractContextManager[Any]]]] = {
    "ordered by the wall clock": (WallClock, nothing),
    "tombstones expire": (Parts, expiring),
    "acknowledged before it is on the disk": (lambda: Parts(disk=LazyDisk), nothing),
    "never compared": (lambda: Parts(make_replicator=Forgetful), nothing),
    "the comparison overwrites": (Parts, lambda: patch(f"{SETTINGS}.comparing.take_in", overwrite)),
    "fields of a former life come back": (
        Parts,
        lambda: patch(f"{SETTINGS}.merging.merged", fields_of_all_lives),
    ),
    "a tie goes to this side": (Parts, lambda: patch(f"{SETTINGS}.merging.merged", mine_first)),
    "an old image keeps its identity": (Parts, lambda: patch(f"{SETTINGS}.joining.renewal", lambda *_: None)),
    "seen is claimed too early": (Parts, lambda: patch.object(Comparison, "_compared", claim_at_once)),
    "local settings are sent": (Parts, all_kinds_alike),
}
"""By name: the parts of the world, and what is patched while it runs."""

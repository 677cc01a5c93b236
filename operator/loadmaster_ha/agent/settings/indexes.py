"""Numbers of virtual services and real servers: unique on a unit, the same on both (`Index`, `RsIndex`).

A new entity gets a number above all that are in use. In a pair the master takes odd numbers and the slave
even ones, so that both may create while they cannot hear each other. What still collides (two units that had
services before they became a pair) is settled the same way on both: who was created first keeps the number,
the others get new ones above all that are in use, in the order of their creation.

`Tidying` does that after a comparison, and takes away what lost its owner: a real server that one unit added
while the other deleted the service.
"""

import logging
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from loadmaster_ha.agent.settings.model import Change, Delete, Fields, Kind, Put
from loadmaster_ha.agent.settings.snapshot import Snapshot
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.agent.settings.versions import Version
from loadmaster_ha.domain.ha import Mode

log = logging.getLogger(__name__)

NUMBERED: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.VIRTUAL_SERVICE: "Index",
        Kind.REAL_SERVER: "RsIndex",
        Kind.GEO_CLUSTER: "Index",
        Kind.GEO_FQDN: "Index",
        Kind.GEO_MAP: "Index",
    }
)
"""The field with the number; an entity without it has none."""

OWNERS: Final[Mapping[Kind, Kind]] = MappingProxyType(
    {Kind.REAL_SERVER: Kind.VIRTUAL_SERVICE, Kind.GEO_MAP: Kind.GEO_FQDN}
)
"""Kinds whose keys begin with the key of their owner and a bar."""

_Orphan: TypeAlias = tuple[Kind, str, Version]


class _Entities(Protocol):
    def entities(self, kind: Kind, /) -> Mapping[str, Fields]: ...


def next_index(snapshot: _Entities, kind: Kind, mode: Mode = Mode.SINGLE) -> int:
    """The number for a new entity of this kind.

    Args:
        snapshot: as it is now.
        kind: one of `NUMBERED`.
        mode: this unit's; a master gets an odd number, a slave an even one.
    """
    number = max(_numbers(snapshot, kind).values(), default=0) + 1
    if mode is not Mode.SINGLE and number % 2 != (mode is Mode.MASTER):
        number += 1
    return number


def renumbered(snapshot: Snapshot) -> list[Put]:
    """The changes that make all numbers unique; none when they are."""
    changes = []
    for kind, field in NUMBERED.items():
        numbers = _numbers(snapshot, kind)
        if len(set(numbers.values())) == len(numbers):
            continue
        taken: set[int] = set()
        free = max(numbers.values()) + 1
        for _, key in sorted((snapshot.born(kind, key), key) for key in numbers):
            if numbers[key] in taken:
                changes.append(Put(kind, key, {field: free}))
                if kind is Kind.GEO_CLUSTER:
                    changes += _references(snapshot, key, numbers[key], free)
                free += 1
            taken.add(numbers[key])
    return changes


def _references(snapshot: Snapshot, cluster: str, old: int, new: int) -> Iterator[Put]:
    # Maps name their cluster by its number. Which of the two clusters is meant is told by where it was named:
    # on the unit that created the cluster, that number was no other's.
    creator = snapshot.born(Kind.GEO_CLUSTER, cluster).node
    for key, fields in snapshot.entities(Kind.GEO_MAP).items():
        entity = snapshot.entity((Kind.GEO_MAP, key))
        if fields.get("Cluster") == old and entity and entity.version("Cluster").node == creator:
            yield Put(Kind.GEO_MAP, key, {"Cluster": new})


def numbers_twice(snapshot: _Entities) -> str:
    """In words, a number that two entities have; empty when there is none."""
    for kind, field in NUMBERED.items():
        seen: dict[int, str] = {}
        for key, number in _numbers(snapshot, kind).items():
            if number in seen:
                return f"{field} {number} ({kind} {seen[number]} and {key})"
            seen[number] = key
    return ""


class Tidying:
    """What only shows when both units' settings have come together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._suspects: frozenset[_Orphan] = frozenset()

    def needed(self) -> bool:
        """Whether two entities have the same number."""
        return bool(renumbered(self._store.snapshot))

    def settle(self) -> None:
        """Everything the partner has is here: make numbers unique, take away what has no owner.

        An orphan goes at the second time it is seen: its owner may be on the way.

        Raises:
            StoreError: the disk is full or fails; nothing was changed.
        """
        snapshot = self._store.snapshot
        orphans = frozenset(_orphans(snapshot))
        changes: list[Change] = [*renumbered(snapshot)]
        changes += [Delete(kind, key) for kind, key, _ in orphans & self._suspects]
        self._suspects = orphans - self._suspects
        self._store.commit(changes)
        for change in changes:
            if isinstance(change, Put):
                what = f"got {dict(change.fields)}: both units had given the same number"
            else:
                what = "was deleted: the other unit deleted what it belongs to while it was added"
            log.warning("%s %s %s.", change.kind, change.key, what, extra={"reason": "Tidied"})


def _numbers(snapshot: _Entities, kind: Kind) -> dict[str, int]:
    field = NUMBERED[kind]
    found = {key: fields.get(field) for key, fields in snapshot.entities(kind).items()}
    return {key: number for key, number in found.items() if type(number) is int and number > 0}


def _orphans(snapshot: Snapshot) -> Iterator[_Orphan]:
    for kind, owner in OWNERS.items():
        owners = snapshot.entities(owner)
        for key in snapshot.entities(kind):
            if key.partition("|")[0] not in owners:
                yield kind, key, snapshot.born(kind, key)

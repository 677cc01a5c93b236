"""One comparison, seen by the unit that asks: what to ask next, and what to do with the answers.

It takes in what the partner has and this unit has not, or not as new, and finds what the partner deleted. The
partner makes comparisons of its own, so nothing is sent by this one. When it is complete, this unit has seen
all that the partner had seen at its beginning; nothing short of that may be claimed (`versions.Seen`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from loadmaster_ha.agent.settings import joining, wire
from loadmaster_ha.agent.settings.comparison import (
    bucket_digests,
    bucket_of,
    combined,
    differing,
    in_buckets,
    kind_digests,
)
from loadmaster_ha.agent.settings.merging import Outcome, deletions, take_in, tombstone
from loadmaster_ha.agent.settings.model import is_local
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.agent.settings.versions import Address, Entity, Seen, Version
from loadmaster_ha.agent.settings.wire import Message

WANTED_AT_ONCE: Final = 500
"""Entities asked for in one message."""


class Comparison:
    """From the first question to the last answer."""

    def __init__(self, store: Store, number: int, now: float, taken: Callable[[Outcome], None]) -> None:
        self._store = store
        self._taken = taken
        self.number = number
        self.heard = now
        """When the last answer came."""
        self.complete = False
        self.differences = 0
        """Entities that were not the same, as far as is known."""
        self._covers: Seen | None = None
        self._places: dict[str, list[int]] = {}
        self._wanted: dict[Address, None] = {}

    def question(self) -> Message:
        """The first one: a few hundred bytes when both hold the same."""
        return {
            "t": "compare",
            "n": self.number,
            "kinds": kind_digests(self._store),
            "seen": self._store.seen.to_json(),
        }

    def answered(self, message: Mapping[str, Any], now: float) -> list[Message]:
        """An answer came: the next question, none when it is complete (or the answer is an old one).

        Raises:
            ValueError: the answer is none.
            StoreError: the disk is full or fails.
        """
        if self.complete or message.get("n") != self.number:
            return []
        self.heard = now
        match message["t"]:
            case "compared" if self._covers is None:
                self._compared(message)
            case "listed":
                self._listed(message)
            case "state":
                self._state(message)
            case _:
                return []
        return self._next()

    def _compared(self, message: Mapping[str, Any]) -> None:
        seen = Seen.read(message.get("seen"))
        for kind, theirs in wire.buckets_from_json(message.get("kinds")).items():
            buckets = differing(bucket_digests(self._store, kind), theirs)
            if buckets and not is_local(kind):
                self._places[kind] = buckets
        self._covers = seen

    def _listed(self, message: Mapping[str, Any]) -> None:
        # What is listed, and what its sender had seen, are of one instant.
        seen = Seen.read(message.get("seen"))
        rows = wire.rows_from_json(message.get("rows"))
        answered = wire.places_from_json(message.get("kinds"))
        gone: dict[Address, Entity] = {}
        for kind, buckets in answered.items():
            asked = set(self._places.get(kind, ())) & set(buckets)
            self._places[kind] = [bucket for bucket in self._places.get(kind, ()) if bucket not in asked]
            mine = dict(in_buckets(self._store, kind, asked))
            missing = [address for address, entity in mine.items() if address not in rows and not entity.gone]
            gone.update(deletions(self._store, missing, seen))
            self.differences += len(missing)
            for address, row in rows.items():
                if address[0] == kind and bucket_of(address[1]) in asked:
                    self._row(address, row, mine.get(address), gone)
        self._take(gone)

    def _row(
        self, address: Address, row: str | Version, mine: Entity | None, gone: dict[Address, Entity]
    ) -> None:
        if isinstance(row, Version):
            gone[address] = tombstone(row)
        elif mine is None or mine.gone is not None or combined([mine.digest(address)]) != row:
            self._wanted[address] = None
            self.differences += 1

    def _state(self, message: Mapping[str, Any]) -> None:
        states = wire.entities_from_json(message.get("entities"))
        absent = wire.addresses_from_json(message.get("absent"))
        self._take(states)
        for address in (*states, *absent):
            self._wanted.pop(address, None)

    def _next(self) -> list[Message]:
        places = {kind: buckets for kind, buckets in self._places.items() if buckets}
        if places:
            return [{"t": "list", "n": self.number, "kinds": places}]
        if self._wanted:
            wanted = [list(address) for address in list(self._wanted)[:WANTED_AT_ONCE]]
            return [{"t": "want", "n": self.number, "keys": wanted}]
        if self._covers is not None:
            if self._store.identity.gives_way:
                joining.joined(self._store, self._covers)
            else:
                self._take({}, self._covers)
            self.complete = True
        return []

    def _take(self, states: Mapping[Address, Entity], seen: Seen | None = None) -> None:
        self._taken(take_in(self._store, states, seen))


def compared(store: Store, message: Mapping[str, Any], _limit: int) -> Message:
    """The answer to `compare`: the buckets of the kinds that are not the same.

    Raises:
        ValueError: the question is none.
    """
    mine, theirs = kind_digests(store), wire.kind_digests_from_json(message.get("kinds"))
    kinds = {
        kind: {str(bucket): digest for bucket, digest in bucket_digests(store, kind).items()}
        for kind in sorted(mine.keys() | theirs.keys())
        if mine.get(kind) != theirs.get(kind) and not is_local(kind)
    }
    return {
        "t": "compared",
        "n": wire.number(message, "n"),
        "kinds": kinds,
        "seen": store.seen.to_json(),
    }


def listed(store: Store, message: Mapping[str, Any], limit: int) -> Message:
    """The answer to `list`: what is in as many of the buckets as fit the message, at least one.

    Raises:
        ValueError: the question is none.
    """
    rows: list[list[Any]] = []
    answered: dict[str, list[int]] = {}
    room = limit
    for kind, buckets in wire.places_from_json(message.get("kinds")).items():
        for bucket in buckets:
            if is_local(kind):
                continue
            found = [_row(address, entity) for address, entity in in_buckets(store, kind, (bucket,))]
            room -= sum(len(row[0]) + 6 * len(row[1]) + 64 for row in found)
            if room < 0 and answered:
                break
            rows += found
            answered.setdefault(kind, []).append(bucket)
    return {
        "t": "listed",
        "n": wire.number(message, "n"),
        "kinds": answered,
        "rows": rows,
        "seen": store.seen.to_json(),
    }


def state(store: Store, message: Mapping[str, Any], limit: int) -> Message:
    """The answer to `want`: as many of the entities as fit the message, at least one.

    Raises:
        ValueError: the question is none.
    """
    present: list[tuple[Address, Entity]] = []
    absent: list[Address] = []
    for address in wire.addresses_from_json(message.get("keys")):
        entity = None if is_local(address[0]) else store.entity(address)
        if entity is None:
            absent.append(address)
        else:
            present.append((address, entity))
    portion = next(wire.packed(present, limit), [])
    return {
        "t": "state",
        "n": wire.number(message, "n"),
        "entities": [wire.entity_to_json(address, entity) for address, entity in portion],
        "absent": [list(address) for address in absent],
    }


def _row(address: Address, entity: Entity) -> list[Any]:
    told_by_birth = entity.gone is not None and not entity.buried
    shown: Any = list(entity.born) if told_by_birth else combined([entity.digest(address)])
    return [*address, shown]

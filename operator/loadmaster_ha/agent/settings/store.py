"""The settings of a unit: read as immutable snapshots, changed by commits that are on the disk on return.

`commit` blocks for one write to the disk (a few milliseconds). It is meant to be called from the event loop:
the health answers come from another process, so nobody waits that must not. All calls are of one thread.

The other half, what comes from the partner, is `merging`; versions and their rules are `versions`.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Self, TypeAlias

from loadmaster_ha.agent.settings.database import Backend, Database, Row
from loadmaster_ha.agent.settings.errors import (
    SettingRefused,
    StoreDamaged,
    StoreError,
    StoreFailed,
    StoreFull,
)
from loadmaster_ha.agent.settings.identity import Identity, new_node
from loadmaster_ha.agent.settings.model import Change, Kind, Put, is_local
from loadmaster_ha.agent.settings.pending import Pending
from loadmaster_ha.agent.settings.snapshot import Snapshot
from loadmaster_ha.agent.settings.versions import Address, Entity, Seen, Version, created

log = logging.getLogger(__name__)

ENTITY_LIMIT: Final = 96 * 1024
"""Bytes that one entity may take, with its versions: two of them fit a frame of the partner link."""

KEY_LIMIT: Final = 512
"""Characters of a key."""

TOMBSTONES_KEPT: Final = 10_000
"""Deletions remembered one by one; those that are older are told from what has been seen, if they can be."""

Watcher: TypeAlias = Callable[[frozenset[Kind]], None]
_KINDS: Final = frozenset(Kind)


class Store:
    """All settings of one unit."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        rows, about = backend.load()
        self._watchers: list[Watcher] = []
        self._tombstones: dict[Address, Entity] = {}
        living: dict[str, dict[str, Entity]] = {}
        for kind, key, body in rows:
            entity = _read(kind, key, body)
            if entity.gone is None:
                living.setdefault(kind, {})[key] = entity
            else:
                self._tombstones[kind, key] = entity
        self.snapshot = Snapshot(living)
        self.clock = self._written_clock = int(about.get("clock", "0"))
        """Counter of the last change that this unit knows of, its own or its partner's."""
        identity = Identity.from_text(about["identity"]) if "identity" in about else Identity(new_node())
        self.identity = identity.opened(self.clock)
        self._identity_written = False
        self.pending = Pending.of(self)
        self._note_start(new="identity" not in about)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store in this file, or make it (with an identity of its own).

        Raises:
            StoreError: it cannot be used; the message says why and what to do.
        """
        database = Database.open(path)
        try:
            return cls(database)
        except StoreError:
            database.close()
            raise
        except (ValueError, KeyError) as error:
            database.close()
            raise StoreDamaged(f"The settings in {path} are damaged: {error}.") from error

    def close(self) -> None:
        """Let others open the file."""
        self._backend.close()

    @property
    def node(self) -> str:
        """The identity of this unit's store."""
        return self.identity.node

    @property
    def seen(self) -> Seen:
        """Every change that this unit has taken in, its own too: what is on its disk, and no more."""
        return self.identity.seen.having(self.node, self._written_clock)

    @property
    def tombstones(self) -> Mapping[Address, Entity]:
        """Deletions that the partner may not know of."""
        return self._tombstones

    def entity(self, address: Address) -> Entity | None:
        """An entity or its tombstone, with versions; None when neither is known."""
        return self.snapshot.entity(address) or self._tombstones.get(address)

    def subscribe(self, watcher: Watcher) -> Callable[[], None]:
        """Call this after every commit, local or the partner's, with the kinds that changed.

        Returns:
            What ends it.
        """
        self._watchers.append(watcher)

        def end() -> None:
            with contextlib.suppress(ValueError):
                self._watchers.remove(watcher)

        return end

    def commit(self, changes: Sequence[Change], *, seed: bool = False) -> None:
        """Make all of the changes, in their order, or none; they are durable on return.

        What changes nothing is not written. With `seed` they are defaults that the unit gives itself: they
        only add what is not there (and was not deleted, as far as that is remembered).

        Raises:
            SettingRefused: a key, a value or an entity is not storable; nothing was changed.
            StoreError: the disk is full or fails; nothing was changed.
        """
        new: dict[Address, Entity] = {}
        # What this unit did itself it knows, also what this commit does.
        seen = self.identity.seen.having(self.node, self.clock + len(changes))
        for counter, change in enumerate(changes, self.clock + 1):
            address = (change.kind.value, change.key)
            version = Version(counter, self.node)
            before = new.get(address, self.entity(address))
            try:
                after = _after(change, before, version, seed=seed)
            except (TypeError, ValueError, RecursionError) as error:
                raise SettingRefused(f"A value of {address[0]} {change.key} has no JSON form.") from error
            if after is not before and after is not None:
                _check(address, after)
                new[address] = after.without(seen)
        if not new:
            return
        # Also after a write that failed: a counter is used once, whatever of it may have reached the disk.
        self.clock += len(changes)
        before_all = {address: self.entity(address) for address in new}
        self.write(new, self.identity)
        for address, entity in new.items():
            self.pending.changed(address, before_all[address], entity)
        self.notify(new)

    def write(self, new: Mapping[Address, Entity | None], identity: Identity) -> None:
        """Replace entities (None: forget them, tombstone and all) and the identity: on the disk, then here.

        For `merging`, `joining` and this module; the caller tells `pending` and the watchers.

        Raises:
            StoreError: the disk is full or fails; nothing was changed.
        """
        kept = {address: self._worth_keeping(address, entity, identity) for address, entity in new.items()}
        rows = [Row(*address, None if entity is None else entity.body) for address, entity in kept.items()]
        about = {"clock": str(self.clock)}
        if identity is not self.identity or not self._identity_written:
            about["identity"] = identity.to_text()
        self._backend.write(rows, about)
        self._written_clock = self.clock
        self.identity, self._identity_written = identity, True
        self._take(kept)

    def notify(self, addresses: Iterable[Address]) -> None:
        """Tell the watchers that these have changed."""
        kinds = frozenset(Kind(kind) for kind, _ in addresses if kind in _KINDS)
        for watcher in list(self._watchers):
            try:
                watcher(kinds)
            except Exception:
                # It is on the disk: whoever committed must not be told that it failed.
                log.exception("A change of the settings could not be followed up.")

    def partner_has(self, seen: Seen) -> None:
        """The partner says what it has taken in. Noted on the disk with the next write."""
        self.identity = replace(self.identity, partner_seen=seen)
        self._identity_written = False
        self.pending.partner_has(seen)

    def forget_tombstones(self) -> int:
        """Forget the deletions that everybody knows of; how many that were.

        A deletion may be forgotten once the partner has it and all births that it is about are among what
        this unit has seen: then whoever shows one of them again is told that it was deleted.

        Raises:
            StoreError: the disk is full or fails; nothing was changed.
        """
        seen, kept, forgotten = self.seen, [], []
        for address, entity in self._tombstones.items():
            covered = all(seen.covers(birth) for birth in entity.births)
            if covered and address not in self.pending:
                forgotten.append(address)
            else:
                kept.append((not covered, entity.gone, address))
        if len(kept) > TOMBSTONES_KEPT:
            # The oldest, and first those that can still be told from what was seen.
            forgotten += [address for _, _, address in sorted(kept)[: len(kept) - TOMBSTONES_KEPT]]
        if forgotten:
            self.write(dict.fromkeys(forgotten), self.identity)
            self.pending.drop(forgotten)
        return len(forgotten)

    def _worth_keeping(self, address: Address, entity: Entity | None, identity: Identity) -> Entity | None:
        # Nobody else has what is local, or what this unit had before it ever met another: nobody needs to be
        # told that it is gone, but of what it has buried.
        if entity is None or entity.gone is None or entity.buried:
            return entity
        unmet = identity.gives_way_with < 0 or entity.born.counter <= identity.gives_way_with
        unshared = (
            not identity.shared
            and unmet
            and entity.born.node == identity.node
            and not identity.partner_seen.covers(entity.born)
        )
        return None if unshared or is_local(address[0]) else entity

    def _take(self, new: Mapping[Address, Entity | None]) -> None:
        if not new:
            return
        living: dict[Address, Entity | None] = {}
        for address, entity in new.items():
            gone = entity is not None and entity.gone is not None
            living[address] = None if gone else entity
            self._tombstones.pop(address, None)
            if entity is not None and gone:
                self._tombstones[address] = entity
        self.snapshot = self.snapshot.changed(living)

    def _note_start(self, *, new: bool) -> None:
        try:
            self.write({}, self.identity)
        except (StoreFull, StoreFailed) as error:
            if new:
                raise
            # A unit that cannot write can serve; what has to be noted goes with the next write.
            log.warning("The settings can be read and not be changed. %s", error)


def _after(change: Change, before: Entity | None, version: Version, *, seed: bool) -> Entity | None:
    if not isinstance(change, Put):
        return before if before is None or before.gone is not None else before.deleted(version)
    if before is None:
        return created(change.fields, version)
    if before.gone is not None:
        return before if seed else created(change.fields, version, before.births)
    fields = change.fields
    if seed:
        fields = {name: value for name, value in fields.items() if name not in before.fields}
    present = {name: value for name, value in fields.items() if value is not None or name in before.fields}
    return before.put(present, version)


def _check(address: Address, entity: Entity) -> None:
    kind, key = address
    if not key or len(key) > KEY_LIMIT or not key.isprintable():
        raise SettingRefused(f"A {kind} needs a printable key of 1 to {KEY_LIMIT} characters.")
    if len(entity.body) > ENTITY_LIMIT:
        raise SettingRefused(
            f"The {kind} {key} is too long: {len(entity.body)} bytes with the versions of its fields; "
            f"{ENTITY_LIMIT} is the limit."
        )


def _read(kind: str, key: str, body: str | None) -> Entity:
    try:
        return Entity.read(body or "")
    except ValueError as error:
        raise ValueError(f"{kind} {key}: {error}") from error


def synchronised(store: Store) -> Iterator[tuple[Address, Entity]]:
    """All entities that the partner gets too, without tombstones."""
    for kind, entities in store.snapshot.kinds.items():
        if not is_local(kind):
            for key, entity in entities.items():
                yield (kind, key), entity

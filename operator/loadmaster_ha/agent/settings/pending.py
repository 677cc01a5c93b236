"""The changes made on this unit that its partner is not known to have.

They are what is sent, what the lag is measured by, and what tells a *concurrent* change from a later one: a
change that wins over one of these was made without knowing it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeAlias

from loadmaster_ha.agent.settings.model import is_local
from loadmaster_ha.agent.settings.versions import Address, Entity, Seen, Version

if TYPE_CHECKING:
    from loadmaster_ha.agent.settings.store import Store

LIFE: Final = ""
"""In place of a field's name: the entity was created or deleted."""


class Mark(NamedTuple):
    """One change."""

    mine: Version
    known: Version | None
    """The latest version of the same that this unit knew when it made it; None: there was nothing."""


Marks: TypeAlias = Mapping[str, Mark]


class Pending:
    """Changes by entity and field, oldest first."""

    def __init__(self) -> None:
        self._marks: dict[Address, dict[str, Mark]] = {}
        self.tracked = False
        """Off while there never was a partner: then everything is pending, and nothing is noted."""

    @classmethod
    def of(cls, store: "Store") -> Self:
        """What a store that was opened has to tell its last partner."""
        pending = cls()
        pending.refresh(store)
        return pending

    def refresh(self, store: "Store") -> None:
        """Find what is pending from what the partner says it has seen."""
        identity, marks_before = store.identity, self._marks
        self.tracked, self._marks = identity.shared, {}
        if not identity.shared:
            return
        everything = [((kind, key), e) for kind, es in store.snapshot.kinds.items() for key, e in es.items()]
        for address, entity in (*everything, *store.tombstones.items()):
            if not is_local(address[0]):
                marks = _unknown(entity, identity.node, identity.partner_seen)
                before = marks_before.get(address, {})
                marks = {
                    name: before[name] if name in before and before[name].mine == mark.mine else mark
                    for name, mark in marks.items()
                }
                if marks:
                    self._marks[address] = marks

    def __len__(self) -> int:
        return len(self._marks)

    def __iter__(self) -> Iterator[Address]:
        return iter(self._marks)

    def __contains__(self, address: object) -> bool:
        return address in self._marks

    def marks(self, address: Address) -> Marks:
        """What is pending of an entity."""
        return self._marks.get(address, {})

    def changed(self, address: Address, before: Entity | None, after: Entity) -> None:
        """This unit made this change."""
        if not self.tracked or is_local(address[0]):
            return
        marks = self._marks.setdefault(address, {})
        if after.gone is not None:
            marks.clear()
            marks[LIFE] = Mark(after.gone, None if before is None else max(before.versions))
        elif before is None or before.born != after.born:
            marks.clear()
            marks[LIFE] = Mark(after.born, None if before is None else max(before.versions))
        for name, version in after.changed.items():
            if before is None or before.born != after.born or before.changed.get(name) != version:
                known = before.version(name) if before is not None and name in before.fields else None
                marks[name] = Mark(version, known)
        if not marks:
            del self._marks[address]

    def acknowledged(self, address: Address, sent: Marks) -> None:
        """The partner has what was sent; what changed since then stays."""
        marks = self._marks.get(address)
        if marks is None:
            return
        for name, mark in sent.items():
            if name in marks and marks[name].mine <= mark.mine:
                del marks[name]
        if not marks:
            del self._marks[address]

    def partner_has(self, seen: Seen) -> None:
        """The partner says what it has taken in."""
        for address, marks in list(self._marks.items()):
            self.acknowledged(address, {name: mark for name, mark in marks.items() if seen.covers(mark.mine)})

    def drop(self, addresses: Iterable[Address]) -> None:
        """These need not be told any more."""
        for address in addresses:
            self._marks.pop(address, None)

    def overtaken(self, address: Address, now: Entity | None) -> None:
        """The partner's change was taken in: what it replaced is not pending any more."""
        marks = self._marks.get(address)
        if marks is None:
            return
        current = set() if now is None else set(now.versions)
        for name, mark in list(marks.items()):
            if mark.mine not in current:
                del marks[name]
        if not marks:
            del self._marks[address]


def _unknown(entity: Entity, node: str, seen: Seen) -> dict[str, Mark]:
    def unknown(version: Version) -> bool:
        return version.node == node and not seen.covers(version)

    # After a start it is not known any more what was there before: then only what is later is concurrent.
    marks = {name: Mark(version, version) for name, version in entity.changed.items() if unknown(version)}
    life = entity.gone or entity.born
    if unknown(life):
        marks[LIFE] = Mark(life, life)
    return marks

"""What people did to two units and what they may expect of it: the judge of the simulations.

It knows nothing of versions. It looks at what each unit *shows*, and notes for every change what its author
could know then (everything the unit had shown before, of this setting). From that follow the promises:

* both units show the same in the end;
* nothing is shown that somebody who knew it replaced or deleted;
* an acknowledged change that is not shown was lost to another change of the same setting whose author did
  not come before it.

A change whose unit died before it answered, or whose only disk was thrown away, may be there or not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Place: TypeAlias = tuple[str, str]
"""Kind and key."""

Shown: TypeAlias = Mapping[Place, Mapping[str, str]]
"""Fields by place; each value is written once, so it tells the operation."""


class Violation(AssertionError):  # noqa: N818 - it is what was found, not a failure of ours
    """A promise was broken."""


@dataclass(eq=False)
class Operation:
    """One change of one entity."""

    number: int
    place: Place
    fields: Mapping[str, str | None]
    """What it set; None took a field away."""
    life: bool
    """It created or deleted the entity, so it was about all fields."""
    deletes: bool
    before: frozenset[int]
    """Operations on the same settings that its author could know."""
    certain: bool = True
    """Acknowledged, and on a disk that is still there."""

    def about(self, name: str) -> bool:
        """Whether it changed this field, or all of them."""
        return self.life or name in self.fields


@dataclass
class Knowledge:
    """What one disk has shown: operations by place and field."""

    known: dict[tuple[Place, str], set[int]] = field(default_factory=dict)
    shown: dict[Place, dict[str, str]] = field(default_factory=dict)

    def copy(self) -> "Knowledge":
        """That of an image of the disk."""
        return Knowledge(
            {setting: set(numbers) for setting, numbers in self.known.items()},
            {place: dict(fields) for place, fields in self.shown.items()},
        )


LIFE = ""


class History:
    """All operations, and the judgement."""

    def __init__(self) -> None:
        self.operations: dict[int, Operation] = {}
        self._writer: dict[str, int] = {}

    def new(
        self, knowledge: Knowledge, place: Place, fields: Mapping[str, str | None], *, deletes: bool
    ) -> Operation:
        """Somebody is about to do this; call `look` before, `did` when it was done."""
        life = deletes or place not in knowledge.shown
        settings = [name for where, name in knowledge.known if where == place] if life else [*fields, LIFE]
        before: set[int] = set()
        for name in settings:
            before |= knowledge.known.get((place, name), set())
        operation = Operation(len(self.operations) + 1, place, fields, life, deletes, frozenset(before))
        self.operations[operation.number] = operation
        for value in fields.values():
            if value is not None:
                self._writer[value] = operation.number
        return operation

    def did(self, knowledge: Knowledge, operation: Operation) -> None:
        """It was acknowledged: from now on this disk's unit knows it."""
        names = (
            {name for where, name in knowledge.known if where == operation.place} if operation.life else set()
        )
        for name in {LIFE, *operation.fields, *names} if operation.life else set(operation.fields):
            knowledge.known.setdefault((operation.place, name), set()).update(
                operation.before, {operation.number}
            )

    def forget(self, operation: Operation) -> None:
        """It was refused: it never happened."""
        del self.operations[operation.number]

    def look(self, knowledge: Knowledge, shown: Shown) -> None:
        """This is what a unit shows; it learns from it."""
        for place in knowledge.shown.keys() - shown.keys():
            self._learn_deletion(knowledge, place)
        for place, fields in shown.items():
            former = knowledge.shown.get(place, {})
            for name, value in fields.items():
                if former.get(name) != value:
                    self._learn(knowledge, place, name, self.operations[self._writer[value]])
        knowledge.shown = {place: dict(fields) for place, fields in shown.items()}

    def only_left(self, kept: Knowledge) -> None:
        """All other disks are taken away: what this one has not shown may be lost."""
        for operation in self.operations.values():
            if not self._has(kept, operation):
                operation.certain = False

    def judge(self, shown: Shown, other: Shown) -> None:
        """The end: everything has been exchanged.

        Raises:
            Violation: a promise was broken.
        """
        if shown != other:
            raise Violation(f"The units differ: {_difference(shown, other)}")
        for place, fields in shown.items():
            for name, value in fields.items():
                self._not_outdated(place, name, value)
        for operation in self.operations.values():
            if operation.certain:
                self._not_lost(operation, shown.get(operation.place))

    def _not_outdated(self, place: Place, name: str, value: str) -> None:
        writer = self._writer[value]
        for operation in self.operations.values():
            about = operation.certain and operation.place == place and operation.about(name)
            if about and writer in operation.before:
                raise Violation(
                    f"{place} {name} is {value} again, which operation {operation.number} replaced."
                )

    def _not_lost(self, operation: Operation, shown: Mapping[str, str] | None) -> None:
        if operation.deletes:
            if shown is not None and not self._rivals(operation, None):
                raise Violation(
                    f"{operation.place} is there, though operation {operation.number} deleted it."
                )
            return
        for name, value in operation.fields.items():
            if (shown or {}).get(name) != value and not self._rivals(operation, name):
                raise Violation(f"{operation.place} {name}: {value} of operation {operation.number} is lost.")

    def _rivals(self, operation: Operation, name: str | None) -> Iterable[Operation]:
        return [
            other
            for other in self.operations.values()
            if other is not operation
            and other.place == operation.place
            and other.number not in operation.before
            and (other.life if name is None else other.about(name))
        ]

    def _learn(self, knowledge: Knowledge, place: Place, name: str, operation: Operation) -> None:
        for each in (name, LIFE) if operation.life else (name,):
            knowledge.known.setdefault((place, each), set()).update(operation.before, {operation.number})

    def _learn_deletion(self, knowledge: Knowledge, place: Place) -> None:
        known = {
            number for (where, _), numbers in knowledge.known.items() if where == place for number in numbers
        }
        candidates = [
            operation
            for operation in self.operations.values()
            if operation.deletes and operation.place == place and operation.before & known
        ]
        # Which of several it was cannot be seen; then nobody is held to knowing it.
        if len(candidates) == 1:
            operation = candidates[0]
            knowledge.known.setdefault((place, LIFE), set()).update(operation.before, {operation.number})

    @staticmethod
    def _has(knowledge: Knowledge, operation: Operation) -> bool:
        names = [LIFE] if operation.deletes else list(operation.fields)
        return all(operation.number in knowledge.known.get((operation.place, name), ()) for name in names)


def _difference(one: Shown, other: Shown) -> str:
    places = sorted(place for place in one.keys() | other.keys() if one.get(place) != other.get(place))
    return "; ".join(f"{place}: {one.get(place)} and {other.get(place)}" for place in places)

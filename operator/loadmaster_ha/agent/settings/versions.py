"""How two units agree: versions of settings, and what becomes of two states of one entity.

Pure. Time is Lamport's: every change counts one further than anything its unit has seen, so a later change of
somebody who knew the earlier one always wins, and of two that knew nothing of each other the same one wins on
both units. Wall clocks do not occur.

The rules, complete (docs/synchronisation.md tells them to people):

* An entity is told from its namesakes before and after it by `born`, the version of its creation. The later
  born wins as a whole: what was deleted and created anew has no field of its former life, and of two units
  that create the same entity at the same time one wins with all that it set.
* Between states of the same birth deletion wins: a change never brings back what the other unit deleted.
* Else each field is the one with the higher version.
* Who has *seen* a birth (`Seen`) and does not have the entity has deleted it. So nothing comes back, however
  old the state that is shown, and tombstones need not be kept for ever.
* A birth that was heard of and is not among what was seen, because its unit went away before a comparison, is
  told to be over by nothing but the later states of the entity: they carry it (`buried`) until it is seen.

`Entity` is immutable; `database` writes its `body`, `wire` sends it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from sys import intern
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self, TypeAlias

from loadmaster_ha.agent.settings.model import Fields, Json

Address: TypeAlias = tuple[str, str]
"""Kind and key of an entity. The kind is a text: a later release has kinds that this one does not know."""

COUNTER_LIMIT: Final = 2**53
"""Counters of versions end before this, so that any JSON reader gets them exactly."""

DIGEST_BYTES: Final = 16
BURIED_KEPT: Final = 8
"""Former births that an entity carries at most, the latest; there is one for each unit that went away in the
two minutes between two comparisons, having created what others deleted and created anew."""

_NODE_LENGTHS: Final = range(1, 65)
_UNCHANGED: Final[Mapping[str, Any]] = MappingProxyType({})
"""Of the many entities that are as they were created; one for all of them."""
_SHORT: Final = 32


class Version(NamedTuple):
    """When a change was made, in the order that both units see alike."""

    counter: int
    node: str
    """Identity of the unit that made the change."""

    @classmethod
    def read(cls, value: Any) -> Self:
        """From its JSON form, a list of the two.

        Raises:
            ValueError: it is none.
        """
        match value:
            case [int(counter), str(node)] if type(counter) is int and len(node) in _NODE_LENGTHS:
                if 0 <= counter < COUNTER_LIMIT:
                    return cls(counter, intern(node))
        raise ValueError("a version has a counter below 2**53 and a node")


class Seen:
    """Which changes a unit has taken in: per node, all up to this counter (a version vector)."""

    __slots__ = ("_counters",)

    def __init__(self, counters: Mapping[str, int] | None = None) -> None:
        self._counters = dict(counters or {})

    def covers(self, version: Version) -> bool:
        """Whether this change has been taken in."""
        return self._counters.get(version.node, -1) >= version.counter

    def get(self, node: str) -> int:
        """The counter up to which everything of this node is known; -1: nothing is."""
        return self._counters.get(node, -1)

    def joined(self, other: "Seen") -> "Seen":
        """What either has seen."""
        counters = dict(self._counters)
        for node, counter in other.to_json().items():
            counters[node] = max(counter, counters.get(node, -1))
        return Seen(counters)

    def having(self, node: str, counter: int) -> "Seen":
        """The same with another counter for this node."""
        return Seen({**self._counters, node: counter})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seen) and self._counters == other._counters

    def __hash__(self) -> int:
        return hash(frozenset(self._counters.items()))

    def __repr__(self) -> str:
        return f"Seen({self._counters})"

    def to_json(self) -> dict[str, int]:
        """As it travels and is stored."""
        return dict(self._counters)

    @classmethod
    def read(cls, value: Any) -> Self:
        """From its JSON form.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(value, dict) or not all(
            type(counter) is int and -1 <= counter < COUNTER_LIMIT for counter in value.values()
        ):
            raise ValueError("seen is an object of counters by node")
        return cls({intern(node): counter for node, counter in value.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Entity:
    """One entity with the version of each field; `gone` makes it a tombstone.

    Fields that never changed since the birth have its version, so only the others' are kept (`changed`).
    """

    born: Version
    fields: Mapping[str, Json]
    """None stands for a field that was taken away."""
    changed: Mapping[str, Version]
    gone: Version | None
    buried: tuple[Version, ...]
    """Births of former lives, as far as this unit has not seen them; in their order."""
    body: str = field(repr=False)
    """Canonical JSON of all of the above: what is stored and sent."""
    visible: Fields = field(repr=False)
    """The fields that are there, for readers."""

    @classmethod
    def make(
        cls,
        born: Version,
        fields: dict[str, Json],
        changed: Mapping[str, Version] | None = None,
        gone: Version | None = None,
        buried: Iterable[Version] = (),
    ) -> Self:
        """An entity of these parts; `fields` is its own from now on."""
        changed = {n: v for n, v in (changed or {}).items() if n in fields and v != born} or _UNCHANGED
        parts: dict[str, Any] = {"b": born, "f": fields}
        if changed:
            parts["c"] = changed
        if gone is not None:
            parts["g"] = gone
        buried = _latest(buried, born) if buried else ()
        if buried:
            parts["p"] = buried  # A release before this one passes it over.
        body = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
        there = fields
        if None in fields.values():
            there = {name: value for name, value in fields.items() if value is not None}
        return cls(born, fields, changed, gone, buried, body, MappingProxyType(there))

    @classmethod
    def read(cls, body: str) -> Self:
        """From its canonical JSON.

        Raises:
            ValueError: it is none.
        """
        parts = json.loads(body)
        if not isinstance(parts, dict):
            raise ValueError("an entity is an object")  # noqa: TRY004 - one error for all that is wrong
        return cls.from_parts(parts)

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any]) -> Self:
        """From the object that the canonical JSON is of.

        Raises:
            ValueError: it is none.
        """
        fields, changed, gone, buried = parts.get("f"), parts.get("c", {}), parts.get("g"), parts.get("p", [])
        if not isinstance(fields, dict) or not isinstance(changed, dict):
            raise ValueError("an entity has an object of fields, and one of versions")  # noqa: TRY004
        if not changed.keys() <= fields.keys():
            raise ValueError("an entity has a version of a field that it lacks")
        if not isinstance(buried, list):
            raise ValueError("the former births of an entity are a list")  # noqa: TRY004
        return cls.make(
            Version.read(parts.get("b")),
            {intern(name): _shared(value) for name, value in fields.items()},
            {intern(name): Version.read(version) for name, version in changed.items()},
            None if gone is None else Version.read(gone),
            [Version.read(birth) for birth in buried],
        )

    def version(self, name: str) -> Version:
        """When this field became what it is."""
        return self.changed.get(name, self.born)

    @property
    def versions(self) -> Iterable[Version]:
        """All that it was made of."""
        yield self.born
        yield from self.changed.values()
        if self.gone is not None:
            yield self.gone

    def put(self, fields: Fields, version: Version) -> "Entity":
        """With these fields set by that change; the same object when they are so already."""
        new = {name: value for name, value in fields.items() if not same(self.fields.get(name), value)}
        if not new:
            return self
        return Entity.make(
            self.born,
            {**self.fields, **{intern(name): _shared(value) for name, value in new.items()}},
            {**self.changed, **dict.fromkeys(new, version)},
            buried=self.buried,
        )

    def deleted(self, version: Version) -> "Entity":
        """Its tombstone."""
        return Entity.make(self.born, {}, {}, version, self.buried)

    @property
    def births(self) -> tuple[Version, ...]:
        """Its own, and those that it has buried."""
        return (*self.buried, self.born)

    def burying(self, births: Iterable[Version]) -> "Entity":
        """With these former births, and no others."""
        buried = _latest(births, self.born)
        if buried == self.buried:
            return self
        return Entity.make(self.born, dict(self.fields), self.changed, self.gone, buried)

    def without(self, seen: Seen) -> "Entity":
        """Not carrying the former births that are among what was seen: there they are remembered for good."""
        if not self.buried:
            return self
        return self.burying(birth for birth in self.buried if not seen.covers(birth))

    def digest(self, address: Address) -> int:
        """128 bits that differ when kind, key or anything else does, but for what is buried.

        Each unit lets go of that as soon as it has seen it, so two may hold the same with and without.
        """
        body = self.burying(()).body if self.buried else self.body
        text = f"{address[0]}\n{address[1]}\n{body}".encode()
        return int.from_bytes(blake2b(text, digest_size=DIGEST_BYTES).digest())


def created(fields: Fields, version: Version, buried: Iterable[Version] = ()) -> Entity:
    """A new entity, in the place of those with these births."""
    present = {intern(name): _shared(value) for name, value in fields.items() if value is not None}
    return Entity.make(version, present, buried=buried)


def merged(one: Entity, other: Entity) -> Entity:
    """What both units make of two states of an entity: the same, whichever way round they are given."""
    return _winner(one, other).burying((*one.births, *other.births))


def _winner(one: Entity, other: Entity) -> Entity:
    if one.born != other.born:
        return max(one, other, key=lambda entity: entity.born)
    if one.gone is not None or other.gone is not None:
        return max((one, other), key=lambda entity: entity.gone or _NEVER)
    fields = dict(one.fields)
    versions = {name: one.version(name) for name in fields}
    taken = False
    for name, value in other.fields.items():
        if name not in fields or _wins(other.version(name), value, versions[name], fields[name]):
            fields[name], versions[name], taken = value, other.version(name), True
    return Entity.make(one.born, fields, versions) if taken else one


def _latest(births: Iterable[Version], besides: Version) -> tuple[Version, ...]:
    return tuple(sorted({*births} - {besides})[-BURIED_KEPT:])


_NEVER: Final = Version(-1, "")


def _wins(version: Version, value: Json, other_version: Version, other_value: Json) -> bool:
    if version != other_version:
        return version > other_version
    # The same version with another value cannot be, unless a disk image was run twice at a time; even then
    # both units shall end with the same.
    return not same(value, other_value) and _text(value) > _text(other_value)


def same(one: Json, other: Json) -> bool:
    """Whether two values are the same for whoever reads them: 1, 1.0 and true are three."""
    return one is other or (type(one) is type(other) and _text(one) == _text(other))


def _text(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


def _shared(value: Json) -> Json:
    if isinstance(value, str):
        # A thousand services repeat the same few words; one object each keeps the store small.
        return intern(value) if type(value) is str and len(value) <= _SHORT else value
    # Whoever gave a list may go on using it.
    return json.loads(_text(value)) if isinstance(value, list | dict) else value

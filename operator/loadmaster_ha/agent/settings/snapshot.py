"""All settings at one instant. Snapshots never change and share what did not change between them."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from loadmaster_ha.agent.settings.model import Fields
from loadmaster_ha.agent.settings.versions import Address, Entity, Version

Kinds: TypeAlias = Mapping[str, Mapping[str, Entity]]
_EMPTY: Final[Mapping[str, Entity]] = MappingProxyType({})


class Snapshot:
    """What the store held after one commit."""

    __slots__ = ("_kinds",)

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds

    def entities(self, kind: str) -> Mapping[str, Fields]:
        """The entities of a kind by their keys; each with the fields that are set."""
        return _Visible(self._kinds.get(kind, _EMPTY))

    def get(self, kind: str, key: str) -> Fields | None:
        """The fields of one entity; None when there is none."""
        entity = self.entity((kind, key))
        return None if entity is None else entity.visible

    def born(self, kind: str, key: str) -> Version:
        """When an entity was created, in the order that both units see alike.

        Raises:
            KeyError: there is none.
        """
        return self._kinds[kind][key].born

    def entity(self, address: Address) -> Entity | None:
        """One entity with its versions; None when there is none."""
        kind, key = address
        return self._kinds.get(kind, _EMPTY).get(key)

    @property
    def kinds(self) -> Kinds:
        """Everything, with versions. Tombstones are not in it."""
        return self._kinds

    def changed(self, changes: Mapping[Address, Entity | None]) -> "Snapshot":
        """With these entities replaced, or taken out where None."""
        kinds = dict(self._kinds)
        for kind in {kind for kind, _ in changes}:
            kinds[kind] = dict(kinds.get(kind, _EMPTY))
        for (kind, key), entity in changes.items():
            of_kind = kinds[kind]
            assert isinstance(of_kind, dict)  # noqa: S101 - made so above, for the type checker
            if entity is None:
                of_kind.pop(key, None)
            else:
                of_kind[key] = entity
        return Snapshot(kinds)


class _Visible(Mapping[str, Fields]):
    __slots__ = ("_entities",)

    def __init__(self, entities: Mapping[str, Entity]) -> None:
        self._entities = entities

    def __getitem__(self, key: str) -> Fields:
        return self._entities[key].visible

    def __iter__(self) -> Iterator[str]:
        return iter(self._entities)

    def __len__(self) -> int:
        return len(self._entities)

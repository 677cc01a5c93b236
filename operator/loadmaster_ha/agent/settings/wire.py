"""The messages between two stores: JSON objects, each with its type in `t`.

`hello`, `welcome`, `ready`: who both are (`joining`). Then, in both directions at any time:

* `change` with entities, answered by `ack` once they are on the receiver's disk;
* a comparison, driven by who asks: `compare` -> `compared`, `list` -> `listed`, `want` -> `state`; what the
  answers leave out because a message has a size is asked for again;
* `seen`: what the sender has taken in.

An entity has its birth in `b`, fields in `f`, later versions of them in `c`, its deletion in `g`, and former
births that its sender has not seen in `p`, which the first release does not know.

A later release may add types, members, kinds and fields: unknown types and members are passed over, unknown
kinds and fields of entities are kept and handed on like those that are known.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from loadmaster_ha.agent.settings.versions import Address, Entity, Version

Message: TypeAlias = dict[str, Any]

PROTOCOL: Final = 1
OLDEST_PROTOCOL: Final = 1
"""The versions of the protocol that this release speaks; two releases use the highest that both do."""

_MARGIN: Final = 1024
"""Bytes of a message besides its entities."""


def entity_to_json(address: Address, entity: Entity) -> list[Any]:
    """As it travels; shares the entity's fields, which never change."""
    parts: dict[str, Any] = {"b": entity.born, "f": entity.fields}
    if entity.changed:
        parts["c"] = entity.changed
    if entity.gone is not None:
        parts["g"] = entity.gone
    if entity.buried:
        parts["p"] = entity.buried
    return [*address, parts]


def entities_from_json(value: Any) -> dict[Address, Entity]:
    """From the JSON form.

    Raises:
        ValueError: it is none.
    """
    return dict(_entity(item) for item in _list(value))


def _entity(item: Any) -> tuple[Address, Entity]:
    match item:
        case [str(kind), str(key), dict(parts)]:
            return (kind, key), Entity.from_parts(parts)
        case _:
            raise ValueError("an entity is kind, key and its parts")


def packed(entities: Iterable[tuple[Address, Entity]], limit: int) -> Iterator[list[tuple[Address, Entity]]]:
    """Entities in portions that fit a message of so many bytes; one that is longer goes alone."""
    portion: list[tuple[Address, Entity]] = []
    size = _MARGIN
    for address, entity in entities:
        length = size_of(address, entity)
        if portion and size + length > limit:
            yield portion
            portion, size = [], _MARGIN
        portion.append((address, entity))
        size += length
    if portion:
        yield portion


def size_of(address: Address, entity: Entity | None) -> int:
    """Bytes that an entity takes in a message."""
    return len(json.dumps(address)) + (0 if entity is None else len(entity.body)) + 8


def addresses_from_json(value: Any) -> list[Address]:
    """From a list of kind and key.

    Raises:
        ValueError: it is none.
    """
    addresses: list[Address] = []
    for item in _list(value):
        match item:
            case [str(kind), str(key)]:
                addresses.append((kind, key))
            case _:
                raise ValueError("an address is kind and key")
    return addresses


def rows_from_json(value: Any) -> dict[Address, str | Version]:
    """What a bucket holds: the digest of each entity, or the birth of what a tombstone stands for.

    A tombstone that has more to tell than its birth is shown by its digest, so that it is asked for.

    Raises:
        ValueError: it is none.
    """
    rows: dict[Address, str | Version] = {}
    for item in _list(value):
        match item:
            case [str(kind), str(key), str(digest)]:
                rows[kind, key] = digest
            case [str(kind), str(key), list(born)]:
                rows[kind, key] = Version.read(born)
            case _:
                raise ValueError("a row is kind, key and digest or birth")
    return rows


def kind_digests_from_json(value: Any) -> dict[str, str]:
    """From an object of digests by kind.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, dict) or not all(isinstance(digest, str) for digest in value.values()):
        raise ValueError("digests are an object by kind")
    return value


def buckets_from_json(value: Any) -> dict[str, dict[int, str]]:
    """From an object of objects: kind, bucket, digest.

    Raises:
        ValueError: it is none.
    """
    return {
        kind: {int(bucket): str(digest) for bucket, digest in _object(buckets).items()}
        for kind, buckets in _object(value).items()
    }


def places_from_json(value: Any) -> dict[str, list[int]]:
    """From an object of lists: kind, buckets.

    Raises:
        ValueError: it is none.
    """
    return {kind: [int(bucket) for bucket in _list(buckets)] for kind, buckets in _object(value).items()}


def number(message: Mapping[str, Any], name: str) -> int:
    """A whole number of a message.

    Raises:
        ValueError: it has none of this name.
    """
    value = message.get(name)
    if type(value) is not int:
        raise ValueError(f"{name} is a whole number")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a list is missing")  # noqa: TRY004 - one error for all that is wrong with a message
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object is missing")  # noqa: TRY004 - as above
    return value

"""Telling quickly whether two stores hold the same, and if not, where: digests by kind, by bucket, by entity.

The digest of a set of entities is the exclusive or of theirs, so that it needs no order. Tombstones do not
count: one unit may have forgotten what the other still keeps. Local kinds do not take part.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from zlib import crc32

from loadmaster_ha.agent.settings.model import is_local
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.agent.settings.versions import Address, Entity

BUCKETS: Final = 64
"""Parts of a kind, by a checksum of the key. Both units have to use the same number."""

_SHOWN: Final = 12
_FULL: Final = 16


def kind_digests(store: Store) -> dict[str, str]:
    """A digest for each synchronised kind that has entities."""
    return {
        kind: combined(entity.digest((kind, key)) for key, entity in entities.items())
        for kind, entities in store.snapshot.kinds.items()
        if entities and not is_local(kind)
    }


def bucket_digests(store: Store, kind: str) -> dict[int, str]:
    """A digest for each bucket of a kind that has entities."""
    digests: dict[int, list[int]] = {}
    for key, entity in store.snapshot.kinds.get(kind, {}).items():
        digests.setdefault(bucket_of(key), []).append(entity.digest((kind, key)))
    return {bucket: combined(each) for bucket, each in digests.items()}


def bucket_of(key: str) -> int:
    """The bucket that an entity is in."""
    return crc32(key.encode()) % BUCKETS


def in_buckets(store: Store, kind: str, buckets: Iterable[int]) -> Iterator[tuple[Address, Entity]]:
    """The entities of these buckets, and the tombstones that are kept."""
    wanted = frozenset(buckets)
    for key, entity in store.snapshot.kinds.get(kind, {}).items():
        if bucket_of(key) in wanted:
            yield (kind, key), entity
    for (its_kind, key), entity in store.tombstones.items():
        if its_kind == kind and bucket_of(key) in wanted:
            yield (kind, key), entity


def combined(digests: Iterable[int]) -> str:
    """The digest of a set of entities, as it travels; also of one."""
    total = 0
    for digest in digests:
        total ^= digest
    return b64encode(total.to_bytes(_FULL)[:_SHOWN]).decode()


def differing(mine: Mapping[int, str], theirs: Mapping[int, str]) -> list[int]:
    """The buckets in which two stores are not the same."""
    return sorted(bucket for bucket in mine.keys() | theirs.keys() if mine.get(bucket) != theirs.get(bucket))

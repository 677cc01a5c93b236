"""All pairs that the API server has told of: who was first, and whether an event is worth a visit.

`watch` feeds it; `pair` asks it for the older pairs, which win where two want the same thing. Kept in
memory, filled by a list before the first visit: nothing is decided while an older pair might be unknown.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from pydantic import ValidationError

from loadmaster_ha.controller.sharing import shared
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.pair import claims
from loadmaster_ha.planning.target import PairIdentity, PairTarget
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec


class PairKey(NamedTuple):
    """Namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class _Known:
    age: tuple[str, str]  # creation time (RFC 3339, UTC: sorts as text), then uid
    target: PairTarget | None
    mark: tuple[object, ...]
    version: str  # resourceVersion

    @property
    def uid(self) -> str:
        return self.age[1]


def key_of(body: Mapping[str, Any]) -> PairKey:
    """The key of a pair as the API server returned it."""
    return PairKey(body["metadata"]["namespace"], body["metadata"]["name"])


def target_of(body: Mapping[str, Any]) -> PairTarget:
    """What the planner is asked for.

    Raises:
        ValidationError: the spec is not one that this version understands (the CRD is of another version).
    """
    metadata = body["metadata"]
    identity = PairIdentity(metadata["namespace"], metadata["name"], metadata["uid"])
    return PairTarget(identity, _spec_of(body.get("spec") or {}))


_specs: WeakValueDictionary[bytes, LoadMasterPairSpec] = WeakValueDictionary()
"""What is understood of manifests that somebody holds, by a digest of them. Watch and lanes read each of them
again and again: they share one object (frozen), made once."""


def _spec_of(spec: Mapping[str, Any]) -> LoadMasterPairSpec:
    digest = hashlib.blake2b(json.dumps(spec, sort_keys=True).encode(), digest_size=20).digest()
    found = _specs.get(digest)
    if found is None:
        found = _specs[digest] = shared(LoadMasterPairSpec.model_validate(spec))
    return found


def is_managed(body: Mapping[str, Any]) -> bool:
    """Whether the operator takes care of the pair's units too: it has credentials for both."""
    spec = body.get("spec") or {}
    units = (spec.get(role.lower()) or {} for role in Role)
    return all((unit.get("management") or {}).get("credentialsSecretRef") for unit in units)


class Pairs:
    """The known pairs."""

    def __init__(self) -> None:
        self._known: dict[PairKey, _Known] = {}
        self._claimants: dict[ResourceID, tuple[PairKey, ...]] = {}
        """Who wants what: with a thousand pairs, no visit can look at all others."""
        self._contested: set[PairKey] = set()

    def update(self, body: Mapping[str, Any]) -> bool:
        """Take note of a pair; True when something about it changed that a visit may act on.

        Status does not count, or each visit would cause the next one by its own status.
        """
        key, metadata = key_of(body), body["metadata"]
        try:
            target = target_of(body)
        except ValidationError:
            target = None
        mark = (
            metadata["uid"],
            metadata.get("generation"),
            metadata.get("deletionTimestamp"),
            tuple(sorted((metadata.get("annotations") or {}).items())),
            tuple(metadata.get("finalizers") or ()) if metadata.get("deletionTimestamp") else (),
        )
        before = self._known.get(key)
        age, version = (metadata.get("creationTimestamp", ""), metadata["uid"]), metadata["resourceVersion"]
        if before is not None and before.uid != metadata["uid"] and _is_earlier(version, before.version):
            return False  # about a predecessor of the same name; events about two objects come in any order
        if before is None or before.mark != mark:
            self._claim(key, frozenset() if target is None else claims(target))
        self._known[key] = _Known(age, target, mark, version)
        return before is None or before.mark != mark

    def remove(self, body: Mapping[str, Any]) -> tuple[PairKey, ...] | None:
        """Forget a pair; returns those that a conflict held up and that should look again.

        None where the key is another pair's by now: events about two pairs of one name, one deleted and one
        created, come in any order.
        """
        key = key_of(body)
        known = self._known.get(key)
        if known is not None and known.uid != body["metadata"]["uid"]:
            return None
        self._claim(key, frozenset())
        self._known.pop(key, None)
        self._contested.discard(key)
        return tuple(self._contested)

    def older_than(self, key: PairKey) -> tuple[PairTarget, ...]:
        """The pairs that want what this one wants and were there before it, oldest first: they win."""
        mine = self._known.get(key)
        if mine is None or mine.target is None:
            return ()
        rivals = {other for claim in claims(mine.target) for other in self._claimants.get(claim, ())}
        found = sorted((self._known[rival] for rival in rivals), key=lambda each: each.age)
        return tuple(each.target for each in found if each.target is not None and each.age < mine.age)

    def _claim(self, key: PairKey, claimed: frozenset[ResourceID]) -> None:
        """This, and nothing that it wanted before."""
        known = self._known.get(key)
        for claim in claims(known.target) if known is not None and known.target is not None else ():
            left = tuple(each for each in self._claimants[claim] if each != key)
            if left:
                self._claimants[claim] = left
            else:
                del self._claimants[claim]
        for claim in claimed:
            self._claimants[claim] = (*self._claimants.get(claim, ()), key)

    def contest(self, key: PairKey, *, contested: bool) -> None:
        """Remember whether an older pair is in the way of this one."""
        if contested:
            self._contested.add(key)
        else:
            self._contested.discard(key)

    def target(self, key: PairKey) -> PairTarget | None:
        """The manifest of a pair; None: there is none, or it cannot be understood."""
        known = self._known.get(key)
        return None if known is None else known.target

    def keys(self) -> tuple[PairKey, ...]:
        """All known pairs."""
        return tuple(self._known)


def _is_earlier(version: str, other: str) -> bool:
    """Whether one resourceVersion is from before another; they are numbers wherever they can be compared."""
    return version.isdigit() and other.isdigit() and int(version) < int(other)

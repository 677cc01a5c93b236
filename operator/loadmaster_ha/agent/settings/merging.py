"""What the partner says about its settings becomes this unit's: the receiving half of the store.

Which state wins is `versions`' rule; here it is applied to a store, a batch in one transaction, and what was
lost on the way is told. `replication` is the caller.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from loadmaster_ha.agent.settings.model import is_local
from loadmaster_ha.agent.settings.pending import LIFE, Mark, Marks
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.agent.settings.versions import Address, Entity, Seen, Version, merged, same

log = logging.getLogger(__name__)

HERE: Final = "this unit"
PARTNER: Final = "the partner"


@dataclass(frozen=True, slots=True)
class Loss:
    """A change that a concurrent one overruled."""

    address: Address
    what: str
    """`field Idletime`, `its creation`, ..."""
    loser: str
    reason: str


@dataclass(slots=True)
class Outcome:
    """What came of a batch."""

    applied: int = 0
    unchanged: int = 0
    """Known already."""
    refused: int = 0
    """Of a kind that stays on each unit."""
    answers: dict[Address, Entity] = field(default_factory=dict)
    """What the partner does not know and should be told: above all that what it sent was deleted."""
    losses: list[Loss] = field(default_factory=list)


def take_in(store: Store, states: Mapping[Address, Entity], seen: Seen | None = None) -> Outcome:
    """Take the partner's states in, all or none; durable on return.

    Args:
        store: this unit's.
        states: entities and tombstones.
        seen: what the partner had seen when a comparison began that is complete with these states.

    Raises:
        StoreError: the disk is full or fails; nothing was changed.
    """
    outcome = Outcome()
    new: dict[Address, Entity] = {}
    latest = store.clock
    for address, incoming in states.items():
        if is_local(address[0]):
            outcome.refused += 1
            continue
        result = _resolve(store, address, incoming, outcome)
        latest = max(latest, *(version.counter for version in incoming.versions))
        if result is None:
            outcome.unchanged += 1
        else:
            new[address] = result
    identity = store.identity
    if seen is not None and (joined := identity.seen.joined(seen)) != identity.seen:
        identity = replace(identity, seen=joined)
    if new or identity is not store.identity:
        store.clock = max(store.clock, latest)
        store.write(new, identity)
    for address, entity in new.items():
        store.pending.overtaken(address, entity)
    if new:
        store.notify(new)
    outcome.applied = len(new)
    _tell(outcome.losses)
    return outcome


def deletions(store: Store, addresses: Iterable[Address], seen: Seen) -> dict[Address, Entity]:
    """Tombstones of what the partner had (by what it has seen) and has no more.

    Args:
        store: this unit's.
        addresses: what this unit has, and the partner has not.
        seen: what the partner had seen when that was found.
    """
    found = {}
    for address in addresses:
        entity = store.snapshot.entity(address)
        if entity is not None and seen.covers(entity.born):
            found[address] = tombstone(entity.born)
    return found


def tombstone(born: Version) -> Entity:
    """That an entity is gone, told by somebody who does not know by which change."""
    return Entity.make(born, {}, {}, born)


def _resolve(store: Store, address: Address, incoming: Entity, outcome: Outcome) -> Entity | None:
    local = store.entity(address)
    if local is not None and _yields(store, local):
        if incoming.gone is not None:
            # It stays, and is born anew with the joining; what the partner deleted is then buried in it.
            return _changed(local, local.burying((*local.buried, *incoming.births)).without(store.seen))
        outcome.losses.append(
            Loss(address, "all of it", HERE, "this unit is new and gave way to the partner")
        )
        return incoming
    if _past(store, local, incoming):
        if incoming.gone is None:
            outcome.answers[address] = tombstone(incoming.born) if local is None else local
        return None
    result = (incoming if local is None else merged(local, incoming)).without(store.seen)
    if local is not None:
        marks = store.pending.marks(address)
        outcome.losses += _losses(address, local, incoming, result, marks)
    return _changed(local, result)


def _changed(local: Entity | None, result: Entity) -> Entity | None:
    return None if local is not None and result.body == local.body else result


def _past(store: Store, local: Entity | None, incoming: Entity) -> bool:
    # Whether what is shown was here once, and was deleted or replaced since.
    if not store.seen.covers(incoming.born):
        return False
    return (
        local is None
        or local.born > incoming.born
        or (local.gone is not None and local.born != incoming.born)
    )


def _yields(store: Store, local: Entity) -> bool:
    identity = store.identity
    return (
        bool(identity.gives_way)
        and local.born.node == identity.node
        and local.born.counter <= identity.gives_way_with
        and not identity.partner_seen.covers(local.born)
    )


def _losses(
    address: Address, local: Entity, incoming: Entity, result: Entity, marks: Marks
) -> Iterable[Loss]:
    life = marks.get(LIFE)
    if result.born != local.born:
        if life is not None and local.gone is None:
            yield Loss(address, "its creation", HERE, "the partner created it too, and that takes precedence")
        elif local.gone is None and marks:
            yield Loss(address, _fields(marks), HERE, "the partner deleted it and created it anew")
    elif incoming.born != local.born:
        if life is not None and _unknown(incoming.born, life) and incoming.gone is None:
            yield Loss(
                address, "its creation", PARTNER, "this unit created it too, and that takes precedence"
            )
    elif result.gone is not None:
        yield from _lost_to_deletion(address, local, incoming, marks)
    else:
        yield from _lost_fields(address, local, incoming, result, marks)


def _lost_to_deletion(address: Address, local: Entity, incoming: Entity, marks: Marks) -> Iterable[Loss]:
    life = marks.get(LIFE)
    if local.gone is None and marks:
        yield Loss(address, _fields(marks), HERE, "the partner deleted it")
    elif local.gone is not None and incoming.gone is None and life is not None:
        late = [name for name, version in incoming.changed.items() if _unknown(version, life)]
        if late:
            yield Loss(address, f"field {', '.join(sorted(late))}", PARTNER, "this unit deleted it")


def _lost_fields(
    address: Address, local: Entity, incoming: Entity, result: Entity, marks: Marks
) -> Iterable[Loss]:
    for name, mark in marks.items():
        if name not in incoming.fields or name not in local.fields:
            continue
        if same(incoming.fields[name], local.fields[name]):
            continue
        if result.version(name) != local.version(name):
            yield Loss(
                address, f"field {name}", HERE, "the partner changed it too, and that takes precedence"
            )
        elif _unknown(incoming.version(name), mark):
            yield Loss(
                address, f"field {name}", PARTNER, "this unit changed it too, and that takes precedence"
            )


def _unknown(theirs: Version, mark: Mark) -> bool:
    # Whether a state that lost is a change made at the same time, and not merely what was there before.
    return mark.known is None or theirs > mark.known


def _fields(marks: Marks) -> str:
    names = sorted(name for name in marks if name != LIFE)
    return f"field {', '.join(names)}" if names else "its creation"


def _tell(losses: Iterable[Loss]) -> None:
    for loss in losses:
        kind, key = loss.address
        log.warning(
            "Lost to a concurrent change: %s %s, %s, changed on %s; %s.",
            kind,
            key,
            loss.what,
            loss.loser,
            loss.reason,
            extra={
                "kind": kind,
                "key": key,
                "what": loss.what,
                "loser": loss.loser,
                "reason": "LostToConcurrent",
            },
        )

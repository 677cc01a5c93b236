"""Two stores meet: who are they to each other, and does one of them have to give way or take a new name?

Before anything of the settings is sent, each side says who it is (`Greeting`), and the other answers what
it knows of it (`Welcome`). From these, and nothing else:

* A *newcomer*, whose settings nobody else ever had, gives way: where both have the same setting, the other's
  counts; what only the newcomer has is added. Of two newcomers the one that has fewer changes gives way. So
  a replaced or new unit never overwrites the one that has been running.
* A store that was put back to an earlier state (a disk image) counts from that state on again, and its
  changes would be taken for the old ones that had these numbers. It is found by its *lives*, the marks of its
  starts: the partner knows one that it does not. It takes a new identity, also for what was changed since.
* Two stores with the same identity are copies of one image: they take new ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from loadmaster_ha.agent.settings.identity import Identity, Lives, new_node, read_lives
from loadmaster_ha.agent.settings.pending import Pending
from loadmaster_ha.agent.settings.store import Store, living
from loadmaster_ha.agent.settings.versions import Address, Entity, Seen, Version


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a store says of itself."""

    node: str
    clock: int
    seen: Seen
    lives: Lives
    shared: bool
    gave_way: str

    @classmethod
    def of(cls, store: Store) -> "Greeting":
        """This store's."""
        identity = store.identity
        return cls(
            node=store.node,
            clock=store.seen.get(store.node),
            seen=store.seen,
            lives=identity.lives,
            shared=identity.shared,
            gave_way=identity.gave_way,
        )

    def to_json(self) -> dict[str, Any]:
        """As it travels."""
        return {
            "node": self.node,
            "clock": self.clock,
            "seen": self.seen.to_json(),
            "lives": [list(life) for life in self.lives],
            "shared": self.shared,
            "gave_way": self.gave_way,
        }

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "Greeting":
        """From its JSON form; names that it does not know are a later release's.

        Raises:
            ValueError: it is none.
        """
        node, clock, shared, gave_way = (value.get(name) for name in ("node", "clock", "shared", "gave_way"))
        match node, clock, shared, gave_way:
            case str(), int(), bool(), str():
                seen, lives = Seen.read(value.get("seen")), read_lives(value.get("lives"))
                return cls(node, clock, seen, lives, shared, gave_way)
        raise ValueError("a greeting says who it is from, its clock, and what became of its settings")


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a store knows of the one that greeted it."""

    lives: Lives
    counter: int
    """Up to which it has seen the other's changes."""

    @classmethod
    def to(cls, store: Store, greeting: Greeting) -> "Welcome":
        """This store's answer."""
        return cls(store.identity.lives_of(greeting.node), store.identity.seen.get(greeting.node))

    def to_json(self) -> dict[str, Any]:
        """As it travels."""
        return {"lives": [list(life) for life in self.lives], "counter": self.counter}

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "Welcome":
        """From its JSON form.

        Raises:
            ValueError: it is none.
        """
        counter = value.get("counter")
        if type(counter) is not int:
            raise ValueError("a welcome tells a counter")
        return cls(read_lives(value.get("lives")), counter)


def divided_at(mine: Lives, others: Lives) -> int | None:
    """The clock at which two accounts of one store's life part; None when they do not, or share nothing."""
    known, marks = {mark for mark, _ in others}, {mark for mark, _ in mine}
    if not known & marks:
        return None
    beyond = _after_common(mine, known), _after_common(others, marks)
    return min((clock for clock in beyond if clock is not None), default=None)


def renewal(store: Store, sent: Greeting, partner: Greeting, welcome: Welcome) -> int | None:
    """Up to which counter this store may keep its changes under its identity; None: it may keep all."""
    acknowledged = store.identity.partner_seen.get(store.node)
    if partner.node == sent.node:
        division = divided_at(sent.lives, partner.lives)
        return acknowledged if division is None else division
    own_marks = {mark for mark, _ in sent.lives}
    if welcome.lives and welcome.lives[-1][0] not in own_marks:
        division = divided_at(sent.lives, welcome.lives)
        if division is not None:
            return division
        # Nothing in common: so many starts apart, or so old an image, that the marks do not reach.
        if welcome.lives[-1][1] > sent.lives[0][1]:
            return acknowledged
    return acknowledged if welcome.counter > sent.clock else None


def renew(store: Store, upto: int) -> None:
    """Take a new identity, also for the changes of this store after that counter.

    Raises:
        StoreError: the disk is full or fails; nothing was changed.
    """
    old, new = store.node, new_node()

    def renamed(version: Version) -> Version:
        own = version.node == old and version.counter > upto
        return version._replace(node=new) if own else version

    everything = [*living(store, synchronised=True), *store.tombstones.items()]
    identity = Identity(
        node=new,
        seen=store.identity.seen.having(old, upto),
        shared=True,
        gave_way=store.identity.gave_way,
        peer_lives=store.identity.peer_lives,
    ).opened(store.clock)
    store.write(_rewritten(everything, renamed), identity)
    store.pending = Pending.of(store)


def gives_way(sent: Greeting, partner: Greeting) -> bool:
    """Whether this store's settings yield to the partner's where both have one."""
    if sent.shared:
        return False
    if partner.shared:
        return partner.gave_way != sent.node
    return (partner.clock, partner.node) > (sent.clock, sent.node)


def meet(store: Store, sent: Greeting, partner: Greeting) -> None:
    """Note who the partner is, before any setting travels; give way to it as a newcomer has to.

    Raises:
        StoreError: the disk is full or fails; nothing was changed.
    """
    identity = store.identity
    changes: dict[Address, Entity | None] = {}
    if gives_way(sent, partner):
        changes = _rewritten(living(store, synchronised=True), lambda version: version._replace(rank=0))
        identity = replace(identity, gave_way=partner.node)
    identity = replace(identity, shared=True, partner=partner.node, partner_seen=partner.seen).knowing(
        partner.node, partner.lives
    )
    if changes or identity != store.identity:
        store.write(changes, identity)
    store.pending.refresh(store)


def _after_common(lives: Lives, known: set[str]) -> int | None:
    last = max(index for index, (mark, _) in enumerate(lives) if mark in known)
    return lives[last + 1][1] if last + 1 < len(lives) else None


def _rewritten(entities: Any, rewrite: Any) -> dict[Address, Entity | None]:
    return {
        address: Entity.make(
            rewrite(entity.born),
            dict(entity.fields),
            {name: rewrite(version) for name, version in entity.changed.items()},
            None if entity.gone is None else rewrite(entity.gone),
        )
        for address, entity in entities
        if any(rewrite(version) != version for version in entity.versions)
    }

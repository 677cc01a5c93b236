"""Two stores meet: who are they to each other, and does one of them have to give way or take a new name?

Before anything of the settings is sent, each side says who it is (`Greeting`), and the other answers what
it knows of it (`Welcome`). From these, and nothing else:

* A *newcomer*, whose settings nobody else ever had, gives way: it takes in everything of the other before it
  says anything of its own; where both have an entity, the other's counts; what only the newcomer has is
  added. Of two newcomers the one that has made fewer changes gives way. So a replaced or new unit never
  overwrites the one that has been running.
* A store that was put back to an earlier state (a disk image) counts from that state on again, and its
  changes would be taken for the old ones that had these numbers. It is found by its *lives*, the marks of its
  starts, and by its numbers: the partner knows a mark, or has a change, that it does not know itself. It
  takes a new identity, also for what was changed since.
* Two stores with the same identity are copies of one image: they take new ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from loadmaster_ha.agent.settings.identity import Lives, life_name, new_node, read_lives
from loadmaster_ha.agent.settings.store import Store, synchronised
from loadmaster_ha.agent.settings.versions import Address, Entity, Seen, Version, created


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a store says of itself."""

    node: str
    clock: int
    seen: Seen
    lives: Lives
    shared: bool
    gives_way: str
    former: tuple[tuple[str, Lives], ...] = ()
    """Identities that it had before, and their lives."""

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
            gives_way=identity.gives_way,
            former=tuple((node, identity.lives_of(node)) for node in identity.former),
        )

    def to_json(self) -> dict[str, Any]:
        """As it travels."""
        return {
            "node": self.node,
            "clock": self.clock,
            "seen": self.seen.to_json(),
            "lives": _lives_to_json(self.lives),
            "shared": self.shared,
            "gives_way": self.gives_way,
            "former": [[node, _lives_to_json(lives)] for node, lives in self.former],
        }

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "Greeting":
        """From its JSON form; names that it does not know are a later release's.

        Raises:
            ValueError: it is none.
        """
        names = "node", "clock", "shared", "gives_way", "former"
        match tuple(value.get(name) for name in names):
            case str(node), int(clock), bool(shared), str(gives_way), [*former]:
                seen, lives = Seen.read(value.get("seen")), read_lives(value.get("lives"))
                return cls(
                    node, clock, seen, lives, shared, gives_way, tuple(_former(each) for each in former)
                )
        raise ValueError("a greeting says who it is from, its clock, and what became of its settings")


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a store knows of the one that greeted it."""

    lives: Lives
    counter: int
    """Up to which it has seen the other's changes."""
    retired: bool
    """The identity was given up by who had it."""
    newest: int = -1
    """The other's latest change that it has, though it may lack earlier ones; -1: none."""

    @classmethod
    def to(cls, store: Store, greeting: Greeting) -> "Welcome":
        """This store's answer."""
        identity, node = store.identity, greeting.node
        lives, seen, retired = identity.lives_of(node), identity.seen.get(node), node in identity.retired
        # Under a name that both have, it is this store's own changes; they are told apart by new names.
        return cls(lives, seen, retired, -1 if node == store.node else _newest(store, node))

    def to_json(self) -> dict[str, Any]:
        """As it travels."""
        lives = _lives_to_json(self.lives)
        return {"lives": lives, "counter": self.counter, "retired": self.retired, "newest": self.newest}

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "Welcome":
        """From its JSON form.

        Raises:
            ValueError: it is none.
        """
        # A release before this one does not tell the newest.
        match value.get("counter"), value.get("retired"), value.get("newest", -1):
            case int(counter), bool(retired), int(newest):
                return cls(read_lives(value.get("lives")), counter, retired, newest)
        raise ValueError("a welcome tells counters, and whether the identity is retired")


def divided_at(mine: Lives, others: Lives) -> int | None:
    """The clock at which two accounts of one store's life part; None when they do not, or share nothing."""
    known, marks = {mark for mark, _ in others}, {mark for mark, _ in mine}
    if not known & marks:
        return None
    beyond = _after_common(mine, known), _after_common(others, marks)
    return min((clock for clock in beyond if clock is not None), default=None)


def renewal(store: Store, sent: Greeting, partner: Greeting, welcome: Welcome) -> int | None:
    """Up to which counter this store may keep its changes under its identity; None: it may keep all."""
    others = partner.lives if partner.node == sent.node else welcome.lives
    if not (partner.node == sent.node or welcome.retired or _divided(sent, welcome)):
        return None
    division = divided_at(sent.lives, others)
    if division is None:
        # Without a mark in common: what the partner is known to have was not changed since.
        division = store.identity.partner_seen.get(store.node)
    # What the partner has under this name; it may have given other names to what came after.
    return min(division, welcome.counter) if welcome.retired else division


def _divided(sent: Greeting, welcome: Welcome) -> bool:
    known, marks = {mark for mark, _ in welcome.lives}, {mark for mark, _ in sent.lives}
    # Who has met this store has heard of a life before it heard of any change made in it.
    unheard = [clock for mark, clock in sent.lives if mark not in known] if known & marks else []
    # A partner that lacks something of before has seen all only up to that, whatever else it has.
    if max(welcome.counter, welcome.newest) > min([sent.clock, *unheard]):
        return True
    # Starts before the first of those that are kept tell nothing.
    return any(mark not in marks and clock >= sent.lives[0][1] for mark, clock in welcome.lives)


def renew(store: Store, upto: int) -> None:
    """Take a new identity; the changes after that counter get the names of the lives they were made in.

    Raises:
        StoreError: the disk is full or fails; nothing was changed.
    """
    renamed, seen = _by_lives(store, upto)
    everything = [*synchronised(store), *store.tombstones.items()]
    _write(store, _rewritten(everything, renamed), new_node(), seen)


def gives_way(sent: Greeting, partner: Greeting) -> bool:
    """Whether this store's settings yield to the partner's where both have one."""
    if sent.shared:
        return False
    if sent.gives_way == partner.node:
        return True
    if partner.shared:
        return True
    return partner.gives_way != sent.node and (partner.clock, partner.node) > (sent.clock, sent.node)


def meet(store: Store, sent: Greeting, partner: Greeting) -> None:
    """Note who the partner is, before any setting travels.

    Raises:
        StoreError: the disk is full or fails; nothing was changed.
    """
    # What was sent may be of before it was shared: the partner has joined since.
    yields = not store.identity.shared and gives_way(sent, partner)
    identity = replace(
        store.identity,
        shared=not yields,
        gives_way=partner.node if yields else "",
        gives_way_with=_first_met(store) if yields else -1,
        partner=partner.node,
        partner_seen=partner.seen,
    )
    identity = identity.knowing(partner.node, partner.lives).retiring(partner.former)
    if identity != store.identity:
        store.write({}, identity)
    store.pending.refresh(store)


def _newest(store: Store, node: str) -> int:
    versions = (
        version
        for _, entity in (*synchronised(store), *store.tombstones.items())
        for version in entity.versions
    )
    return max((version.counter for version in versions if version.node == node), default=-1)


def _first_met(store: Store) -> int:
    before = store.identity.gives_way_with
    return store.seen.get(store.node) if before < 0 else before


def joined(store: Store, seen: Seen) -> None:
    """A newcomer has taken in all of the partner's: from now on it is one of the two.

    What it has of its own is born anew, under a new identity and later than all of the partner's. So nobody
    ever saw what it was before, and a deletion by the partner of long ago is not about it.

    Args:
        store: the newcomer's.
        seen: what the partner had seen.

    Raises:
        StoreError: the disk is full or fails; nothing was changed.
    """
    old, new = store.node, new_node()
    store.clock += 1
    birth = Version(store.clock, new)
    known = store.identity.partner_seen.joined(seen)
    _, seen_by_lives = _by_lives(store, store.seen.get(old))
    own: dict[Address, Entity | None] = {
        address: created(entity.fields, birth, entity.buried)
        for address, entity in synchronised(store)
        if entity.born.node == old and not known.covers(entity.born)
    }
    _write(store, own, new, seen_by_lives.joined(seen))


def _by_lives(store: Store, upto: int) -> tuple[Callable[[Version], Version], Seen]:
    # How this store's changes are called after it has given up its name, and what it has seen by these names.
    node, lives, clock = store.node, store.identity.lives, store.seen.get(store.node)

    def renamed(version: Version) -> Version:
        own = version.node == node and version.counter > upto
        return version._replace(node=life_name(node, lives, version.counter)) if own else version

    seen = store.identity.seen.having(node, upto)
    for _, end in (*lives[1:], ("", clock)):
        seen = seen.joined(Seen({life_name(node, lives, end): end}))
    return renamed, seen


def _write(store: Store, changes: Mapping[Address, Entity | None], node: str, seen: Seen) -> None:
    identity = store.identity.renewed(node, store.clock)
    identity = replace(identity, seen=seen, shared=True, gives_way="", gives_way_with=-1)
    store.write(changes, identity)
    store.pending.refresh(store)


def _former(item: Any) -> tuple[str, Lives]:
    match item:
        case [str(node), lives]:
            return node, read_lives(lives)
    raise ValueError("a former identity has lives")


def _lives_to_json(lives: Lives) -> list[list[Any]]:
    return [list(life) for life in lives]


def _after_common(lives: Lives, known: set[str]) -> int | None:
    last = max(index for index, (mark, _) in enumerate(lives) if mark in known)
    return lives[last + 1][1] if last + 1 < len(lives) else None


def _rewritten(
    entities: Iterable[tuple[Address, Entity]], rewrite: Callable[[Version], Version]
) -> dict[Address, Entity | None]:
    return {
        address: Entity.make(
            rewrite(entity.born),
            dict(entity.fields),
            {name: rewrite(version) for name, version in entity.changed.items()},
            None if entity.gone is None else rewrite(entity.gone),
            entity.buried,
        )
        for address, entity in entities
        if any(rewrite(version) != version for version in entity.versions)
    }

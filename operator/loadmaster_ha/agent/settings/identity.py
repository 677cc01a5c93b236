"""Who a store is, and what it knows about who knows what: kept in the store's file beside the settings.

A store has an identity of its own (`node`), made at random, which is no address and no role: a replaced unit
is somebody else, even with the same name. `joining` says when it takes a new one.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from secrets import token_hex
from typing import Any, Final, Self, TypeAlias

from loadmaster_ha.agent.settings.versions import Seen

Lives: TypeAlias = tuple[tuple[str, int], ...]
"""One entry for each time that a store was opened: a random mark, and the clock at that time."""

LIVES_KEPT: Final = 32
PEERS_KEPT: Final = 16
FORMER_KEPT: Final = 4


def new_node() -> str:
    """An identity nobody else has."""
    return token_hex(8)


def life_name(node: str, lives: Lives, counter: int) -> str:
    """The name that changes of one life of a store go by, once the store's own name is ambiguous.

    It is the same wherever the change has got to: in the store itself, in images of it and in copies.
    """
    mark = next((mark for mark, clock in reversed(lives) if clock < counter), "")
    return blake2b(f"{node}/{mark}".encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Identity:
    """What a store keeps about itself and its partner, besides the clock."""

    node: str
    seen: Seen = field(default_factory=Seen)
    """What it has taken in from others; its own changes it knows up to its clock."""
    lives: Lives = ()
    shared: bool = False
    """Whether any other store can have settings of this one."""
    gives_way: str = ""
    """The node whose settings take precedence while this one, being new, takes them in."""
    gives_way_with: int = -1
    """The clock when this one first met somebody to give way to: what it did later, it did knowing better."""
    partner: str = ""
    """The node that it last synchronised with."""
    partner_seen: Seen = field(default_factory=Seen)
    """What the partner has taken in, as far as it has told."""
    peer_lives: tuple[tuple[str, Lives], ...] = ()
    """The lives of the last few partners, and of former identities of either, latest last."""
    former: tuple[str, ...] = ()
    """Identities that this store had before."""
    retired: tuple[str, ...] = ()
    """Identities that nobody has any more: who still says so is an old image."""

    def opened(self, clock: int) -> Self:
        """After another start."""
        return replace(self, lives=(*self.lives, (token_hex(8), clock))[-LIVES_KEPT:])

    def lives_of(self, node: str) -> Lives:
        """What a partner told of its lives; empty when it never did."""
        return next((lives for name, lives in self.peer_lives if name == node), ())

    def knowing(self, node: str, lives: Lives) -> Self:
        """With what a partner tells of its lives. Copies of one store may tell of different ones."""
        both = dict.fromkeys((*self.lives_of(node), *lives))
        together = tuple(sorted(both, key=lambda life: life[1]))[-LIVES_KEPT:]
        others = tuple(entry for entry in self.peer_lives if entry[0] != node)
        return replace(self, peer_lives=(*others, (node, together))[-PEERS_KEPT:])

    def retiring(self, former: Iterable[tuple[str, Lives]]) -> Self:
        """With what is told of identities that somebody had before."""
        identity, retired = self, dict.fromkeys(self.retired)
        for node, lives in former:
            identity = identity.knowing(node, lives)
            retired.pop(node, None)
            retired[node] = None
        return replace(identity, retired=tuple(retired)[-PEERS_KEPT:])

    def renewed(self, node: str, clock: int) -> Self:
        """Under another name; this one is nobody's any more."""
        former = (*self.former, self.node)[-FORMER_KEPT:]
        identity = replace(self, node=node, former=former, lives=())
        return identity.retiring([(self.node, self.lives)]).opened(clock)

    def to_text(self) -> str:
        """As stored."""
        return json.dumps(
            {
                "node": self.node,
                "seen": self.seen.to_json(),
                "lives": self.lives,
                "shared": self.shared,
                "gives_way": self.gives_way,
                "gives_way_with": self.gives_way_with,
                "partner": self.partner,
                "partner_seen": self.partner_seen.to_json(),
                "peer_lives": self.peer_lives,
                "former": self.former,
                "retired": self.retired,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """From the stored form.

        Raises:
            ValueError, KeyError: it is none.
        """
        parts = json.loads(text)
        return cls(
            node=parts["node"],
            seen=Seen.read(parts["seen"]),
            lives=read_lives(parts["lives"]),
            shared=parts["shared"],
            gives_way=parts["gives_way"],
            gives_way_with=parts["gives_way_with"],
            partner=parts["partner"],
            partner_seen=Seen.read(parts["partner_seen"]),
            peer_lives=tuple((node, read_lives(lives)) for node, lives in parts["peer_lives"]),
            former=tuple(parts["former"]),
            retired=tuple(parts["retired"]),
        )


def read_lives(value: Any) -> Lives:
    """From the JSON form.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, list) or len(value) > LIVES_KEPT:
        raise ValueError(f"lives are a list of at most {LIVES_KEPT}")
    lives = []
    for entry in value:
        if not isinstance(entry, list | tuple) or len(entry) != 2:
            raise ValueError("a life is a mark and a clock")
        mark, clock = entry
        if not isinstance(mark, str) or type(clock) is not int:
            raise ValueError("a life is a mark and a clock")
        lives.append((mark, clock))
    return tuple(lives)

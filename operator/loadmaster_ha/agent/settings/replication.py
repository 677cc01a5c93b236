"""The synchronisation of two stores, without I/O: what to say when, and what to do with what is said.

The node process feeds it (`connected`, `received`, `changed`, `tick`, `disconnected`) and sends what it
returns over the partner link. Changes go out at once; every two minutes, and when the link comes up, each
unit compares with its partner (guide, 1: both directions, no force update). Nothing is taken for known by
the partner before it said that it has it on its disk. Messages may be lost, doubled or late; those of a
former connection are passed over.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from types import MappingProxyType
from typing import Any, Final

from loadmaster_ha.agent.settings import comparing, joining, wire
from loadmaster_ha.agent.settings.comparing import Comparison
from loadmaster_ha.agent.settings.errors import StoreError
from loadmaster_ha.agent.settings.indexes import Tidying
from loadmaster_ha.agent.settings.joining import Greeting, Welcome
from loadmaster_ha.agent.settings.merging import Outcome, take_in
from loadmaster_ha.agent.settings.pending import Marks
from loadmaster_ha.agent.settings.status import Direction, Result, Status
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.agent.settings.versions import Address, Entity, Seen
from loadmaster_ha.agent.settings.wire import Message

log = logging.getLogger(__name__)

COMPARE_EVERY: Final = 120.0
"""Seconds between full comparisons (guide, 10.6: "every two minutes")."""

FRAME_LIMIT: Final = 128 * 1024
"""Bytes of a message; entities are put together up to this. More would hardly be faster, and take memory."""

WINDOW: Final = 2
"""Messages with changes that may be unacknowledged: more would only wait in queues, and take memory."""

PATIENCE: Final = 10.0
"""Seconds without an answer after which something is said again."""

_SOON: Final = 1.0
_PROTOCOLS: Final = [wire.OLDEST_PROTOCOL, wire.PROTOCOL]


_QUESTIONS: Final[Mapping[str, Callable[[Store, Mapping[str, Any], int], Message]]] = MappingProxyType(
    {"compare": comparing.compared, "list": comparing.listed, "want": comparing.state}
)


@dataclass(slots=True)
class _Session:
    """One connection, from `connected` to `disconnected`."""

    began: float
    mark: str = ""
    """Of the last hello; the partner's messages bear it."""
    sent: Greeting | None = None
    theirs: Greeting | None = None
    their_mark: str = ""
    welcome: Welcome | None = None
    protocol: int = 0
    told_ready: bool = False
    """This side has looked at the partner's welcome and may stay who it is."""
    heard_ready: bool = False
    met: bool = False
    """Both are ready: settings may travel."""
    backlog: dict[Address, Marks] = field(default_factory=dict)
    """What was pending when they met: the partner's comparison fetches it."""
    flying: dict[int, tuple[float, Mapping[Address, Marks]]] = field(default_factory=dict)
    """Changes sent and not acknowledged: when, and what."""
    comparison: Comparison | None = None
    answers: list[Message] = field(default_factory=list)
    """What the comparison under way found that the partner should know."""
    compared: float | None = None
    told_seen: Seen | None = None


class Replicator:
    """One unit's half."""

    def __init__(self, store: Store, *, frame_limit: int = FRAME_LIMIT) -> None:
        self._store = store
        self._limit = frame_limit
        self._session: _Session | None = None
        self._numbers = 0
        self._since: dict[Address, float] = {}
        self._tidying = Tidying(store)
        self._success: float | None = None
        self._differences = 0
        self._lost = 0
        self._problem = ""
        self._operations: Counter[tuple[Direction, Result]] = Counter()

    def connected(self, now: float) -> list[Message]:
        """The partner link is up and authenticated."""
        self._session = _Session(now)
        return [self._hello(self._session)]

    def disconnected(self) -> None:
        """The partner link is gone."""
        self._session = None

    def changed(self, now: float) -> list[Message]:
        """The store was committed to."""
        self._clock_pending(now)
        session = self._session
        return [] if session is None or not session.met else self._addressed(self._flush(session, now))

    def tick(self, now: float) -> list[Message]:
        """Time has passed; call it about once a second."""
        self._clock_pending(now)
        session = self._session
        if session is None:
            return []
        if not session.met:
            if now - session.began < PATIENCE:
                return []
            session.began = now
            return [self._hello(session)]
        for number, (sent, _) in list(session.flying.items()):
            if now - sent >= PATIENCE:
                del session.flying[number]
                self._count(Direction.SENT, Result.UNANSWERED)
        messages = self._flush(session, now)
        if session.comparison is not None and now - session.comparison.heard >= PATIENCE:
            session.comparison = None
            self._problem = "The partner does not answer a comparison of the settings."
        if session.comparison is None and (
            session.compared is None or now >= session.compared + COMPARE_EVERY
        ):
            messages += self._compare(session, now)
        return self._addressed(messages)

    def received(self, message: Mapping[str, Any], now: float) -> list[Message]:
        """The partner said this; what to say to it."""
        session = self._session
        if session is None:
            return []
        try:
            return self._understood(session, message, now)
        except (ValueError, TypeError, RecursionError) as error:
            self._count(Direction.RECEIVED, Result.MALFORMED)
            self._problem = f"The partner sent a message that cannot be read: {error}."
            log.warning("A synchronisation message of type %s was refused: %s.", message.get("t"), error)
        except StoreError as error:
            self._count(Direction.RECEIVED, Result.FAILED)
            self._problem = f"The partner's settings could not be stored. {error}"
            log.error("%s", self._problem)  # noqa: TRY400 - the text says all; a stack would not help
        return []

    def status(self, now: float) -> Status:
        """How the synchronisation stands."""
        session = self._session
        oldest = min((self._since.get(address, now) for address in self._store.pending), default=now)
        return Status(
            connected=session is not None and session.met,
            partner=self._store.identity.partner,
            protocol=0 if session is None else session.protocol,
            lag=now - oldest,
            pending=len(self._store.pending),
            last_success=self._success,
            differences=self._differences,
            lost=self._lost,
            operations=dict(self._operations),
            problem=self._problem,
        )

    def _understood(self, session: _Session, message: Mapping[str, Any], now: float) -> list[Message]:
        kind = message.get("t")
        if kind == "hello":
            return self._greeted(session, message)
        if message.get("to") != session.mark:
            return []  # Of a former connection.
        match kind:
            case "welcome":
                return self._welcomed(session, message, now)
            case "ready":
                session.heard_ready = True
                return self._meet(session, now)
            case "incompatible":
                self._incompatible(message.get("speaks"))
                return []
        return self._addressed(self._talk(session, message, now)) if session.met else []

    def _talk(self, session: _Session, message: Mapping[str, Any], now: float) -> list[Message]:
        kind = str(message.get("t"))
        if kind in _QUESTIONS:
            return self._answer(kind, message, now)
        match kind:
            case "change":
                return self._take_change(session, message, now)
            case "ack":
                return self._acknowledged(session, wire.number(message, "n"), now)
            case "compared" | "listed" | "state":
                return self._compared(session, message, now)
            case "seen":
                self._partner_has(Seen.read(message.get("seen")), now)
            case "later" if session.comparison is not None:
                session.comparison, session.compared = None, now + _SOON - COMPARE_EVERY
        return []  # Also for a type that a later release added.

    def _answer(self, kind: str, message: Mapping[str, Any], now: float) -> list[Message]:
        if self._store.identity.gives_way:
            return [{"t": "later"}] if kind == "compare" else []
        if kind == "compare":
            self._partner_has(Seen.read(message.get("seen")), now)
        return [_QUESTIONS[kind](self._store, message, self._limit)]

    # Who is there

    def _hello(self, session: _Session) -> Message:
        session.sent, session.mark = Greeting.of(self._store), token_hex(8)
        session.welcome, session.told_ready, session.met = None, False, False
        return {
            "t": "hello",
            "protocol": _PROTOCOLS,
            "mark": session.mark,
            **session.sent.to_json(),
        }

    def _greeted(self, session: _Session, message: Mapping[str, Any]) -> list[Message]:
        match message.get("protocol"), message.get("mark"):
            case [int(oldest), int(newest)], str(mark):
                pass
            case _:
                raise ValueError("a hello has a range of protocols and a mark")
        session.theirs, session.their_mark = Greeting.read(message), mark
        session.heard_ready, session.met, session.comparison, session.flying = False, False, None, {}
        session.protocol = min(newest, wire.PROTOCOL)
        if session.protocol < max(oldest, wire.OLDEST_PROTOCOL):
            self._incompatible([oldest, newest])
            return [{"t": "incompatible", "to": mark, "speaks": _PROTOCOLS}]
        welcome = Welcome.to(self._store, session.theirs).to_json()
        messages: list[Message] = [{"t": "welcome", **welcome}]
        # The partner starts anew, and may have missed it.
        return self._addressed([*messages, {"t": "ready"}] if session.told_ready else messages)

    def _incompatible(self, theirs: Any) -> None:
        problem = (
            f"The settings are not synchronised: the partner speaks versions {theirs} of the protocol, this "
            f"release {_PROTOCOLS}. Bring both units to releases next to each other."
        )
        if problem != self._problem:
            log.error("%s", problem)
        self._problem = problem

    def _welcomed(self, session: _Session, message: Mapping[str, Any], now: float) -> list[Message]:
        session.welcome = Welcome.read(message)
        return self._meet(session, now)

    def _meet(self, session: _Session, now: float) -> list[Message]:
        if session.sent is None or session.theirs is None or session.welcome is None or session.met:
            return []
        messages: list[Message] = []
        if not session.told_ready:
            upto = joining.renewal(self._store, session.sent, session.theirs, session.welcome)
            if upto is not None:
                joining.renew(self._store, upto)
                log.warning("This store was put back to an earlier state or copied; it took a new identity.")
                return [self._hello(session)]
            session.told_ready = True
            messages = self._addressed([{"t": "ready"}])
        if session.heard_ready:
            joining.meet(self._store, session.sent, session.theirs)
            session.met = True
            session.compared = None
            session.backlog = {each: dict(self._store.pending.marks(each)) for each in self._store.pending}
            messages += self._addressed(self._compare(session, now))
        return messages

    # Changes, at once

    def _flush(self, session: _Session, now: float) -> list[Message]:
        if self._store.identity.gives_way or len(session.flying) >= WINDOW:
            return []
        flying = {address: marks for _, sent in session.flying.values() for address, marks in sent.items()}
        due: list[tuple[Address, Entity]] = []
        for address in self._store.pending:
            marks = self._store.pending.marks(address)
            entity = self._store.entity(address)
            if entity is not None and marks not in (flying.get(address), session.backlog.get(address)):
                due.append((address, entity))
        messages = []
        for portion in wire.packed(due, self._limit):
            if len(session.flying) >= WINDOW:
                break
            number = self._next_number()
            sent = {address: dict(self._store.pending.marks(address)) for address, _ in portion}
            session.flying[number] = now, sent
            messages.append(_change(number, portion))
        return messages

    def _acknowledged(self, session: _Session, number: int, now: float) -> list[Message]:
        flown = session.flying.pop(number, None)
        if flown is None:
            return []
        for address, marks in flown[1].items():
            self._store.pending.acknowledged(address, marks)
        self._count(Direction.SENT, Result.ACKNOWLEDGED, len(flown[1]))
        self._clock_pending(now)
        if not self._store.pending:
            self._succeeded(now)
        return self._flush(session, now)

    def _take_change(self, session: _Session, message: Mapping[str, Any], now: float) -> list[Message]:
        outcome = take_in(self._store, wire.entities_from_json(message.get("entities")))
        answers = self._took(outcome)
        # Only now: what was acknowledged is on the disk.
        messages: list[Message] = [{"t": "ack", "n": wire.number(message, "n")}]
        if self._tidying.needed():
            messages += self._compare(session, now)
        return messages + answers

    def _took(self, outcome: Outcome) -> list[Message]:
        self._count(Direction.RECEIVED, Result.APPLIED, outcome.applied)
        self._count(Direction.RECEIVED, Result.UNCHANGED, outcome.unchanged)
        self._count(Direction.RECEIVED, Result.REFUSED, outcome.refused)
        self._lost += len(outcome.losses)
        portions = wire.packed(outcome.answers.items(), self._limit)
        return [_change(self._next_number(), portion) for portion in portions]

    def _partner_has(self, seen: Seen, now: float) -> None:
        self._store.partner_has(seen)
        self._clock_pending(now)
        self._forget()

    # Comparisons

    def _compare(self, session: _Session, now: float) -> list[Message]:
        if session.comparison is not None:
            return []
        session.answers.clear()

        def taken(outcome: Outcome) -> None:
            session.answers.extend(self._took(outcome))

        session.comparison = Comparison(self._store, self._next_number(), now, taken)
        session.told_seen = self._store.seen
        return [session.comparison.question()]

    def _compared(self, session: _Session, message: Mapping[str, Any], now: float) -> list[Message]:
        comparison = session.comparison
        if comparison is None:
            return []
        messages = comparison.answered(message, now) + session.answers
        session.answers.clear()
        if comparison.complete:
            session.comparison, session.compared = None, now
            self._differences, self._problem = comparison.differences, ""
            self._succeeded(now)
            self._tidying.settle()
            self._forget()
            if session.sent is None or session.sent.node != self._store.node:
                return [self._hello(session)]  # It has joined, and has another identity now.
            if self._store.seen != session.told_seen:
                session.told_seen = self._store.seen
                messages.append({"t": "seen", "seen": session.told_seen.to_json()})
            messages += self._flush(session, now)
        return messages

    def _forget(self) -> None:
        with contextlib.suppress(StoreError):  # It can wait until there is room.
            self._store.forget_tombstones()

    # Counting

    def _clock_pending(self, now: float) -> None:
        pending = self._store.pending
        self._since = {address: self._since.get(address, now) for address in pending}

    def _succeeded(self, now: float) -> None:
        self._success = now

    def _count(self, direction: Direction, result: Result, by: int = 1) -> None:
        if by:
            self._operations[direction, result] += by

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _addressed(self, messages: Iterable[Message]) -> list[Message]:
        session = self._session
        return [] if session is None else [{**message, "to": session.their_mark} for message in messages]


def _change(number: int, portion: Iterable[tuple[Address, Entity]]) -> Message:
    entities = [wire.entity_to_json(address, entity) for address, entity in portion]
    return {"t": "change", "n": number, "entities": entities}

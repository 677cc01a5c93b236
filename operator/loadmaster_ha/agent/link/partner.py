"""The link to the partner: dials and listens, keeps one authenticated connection, says when it is lost.

Both units listen, and both dial while there is no link, so it comes about whichever direction a firewall
allows. If two connections come about at once, both units keep the one that was dialled by the unit with the
lower certificate fingerprint. What heartbeats (kind `report`) and settings (`sync`) mean is not known here.

`run` never fails because of the network, the partner, or settings that make no sense; it says in `status` and
`counters` what is the matter, and goes on trying.
"""

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from loadmaster_ha.agent.certificates import Identity, short_form
from loadmaster_ha.agent.ha.model import LinkEnd
from loadmaster_ha.agent.link import tls
from loadmaster_ha.agent.link.connection import Connection, Ended, Peer, Stream, authenticate, ended_by
from loadmaster_ha.agent.link.counters import Counters, Unauthorised, explain
from loadmaster_ha.agent.link.dialling import dial
from loadmaster_ha.agent.link.framing import Message
from loadmaster_ha.agent.link.handshake import HandshakeFailed, Own, Refusal, Side
from loadmaster_ha.agent.link.listening import Listener
from loadmaster_ha.agent.link.secret import KeyRing

log = logging.getLogger(__name__)

KINDS: Final = frozenset({"report", "sync"})
"""Messages that this release knows; others are counted and ignored."""

HANDSHAKE_SECONDS: Final = 4.0
"""TCP, TLS and the proofs together. Shorter than SETTLING_SECONDS: see `_replaces`."""

SETTLING_SECONDS: Final = 5.0
"""For so long after it was established a link may be one of two that were dialled at once."""

REPLACEMENT_SECONDS: Final = 1.0
"""How long a link that the partner gave up for another one may take to be replaced by it."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
REFUSED_PAUSE: Final = 5.0
"""Seconds between dials: after the first failure, at most, and when a person has to change something."""

_WRONG_SECRET_DELAY = 1.0
_END_OF = {
    Refusal.VERSION: LinkEnd.INCOMPATIBLE,
    Refusal.PROTOCOL: LinkEnd.INCOMPATIBLE,
    Refusal.NO_SECRET: LinkEnd.UNAUTHORISED,
    Refusal.SECRET: LinkEnd.UNAUTHORISED,
    Refusal.SAME_CERTIFICATE: LinkEnd.UNAUTHORISED,
}


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Where the link goes. May be other ones at any time: `PartnerLink.refresh`."""

    address: str
    """This unit's own address; listens on it, dials from it."""
    port: int
    """The same on both units (6973)."""
    partner: str | None
    """Its address; None: no link is wanted, and nothing listens."""
    secret: str | None

    def __repr__(self) -> str:
        """Without the secret."""
        return f"LinkSettings({self.address!r}, {self.port}, partner={self.partner!r})"


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What a person wants to know about the link."""

    connected: bool
    peer: Peer | None
    since: float | None
    """Monotonic seconds."""
    message: str


class Handlers(Protocol):
    """What the owner of the link does about its news. Called in the event loop; must not block."""

    def up(self, peer: Peer) -> None:
        """The link is there. Again without `down`: it was replaced, and what was under way may be lost."""

    def down(self, end: LinkEnd) -> None:
        """The link ended, or an attempt to make it failed (told each time)."""

    def message(self, kind: str, body: dict[str, Any]) -> None:
        """A message of a known kind arrived."""


class PartnerLink:
    """The link of this unit to its partner.

    Args:
        identity: the unit's link certificate (`tls.link_identity`).
        settings: asked whenever a connection is made or arrives.
        handlers: told about the link.
        agent_version: told to the partner.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        identity: Identity,
        settings: Callable[[], LinkSettings],
        handlers: Handlers,
        *,
        agent_version: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = Counters()
        self._fingerprint = identity.fingerprint
        self._agent_version = agent_version
        self._client_tls = tls.client_context(identity)
        self._settings = settings
        self._handlers = handlers
        self._clock = clock
        self._instance = os.urandom(16).hex()
        self._unauthorised = Unauthorised(self.counters, clock)
        self._keys = KeyRing()
        self._current: Connection | None = None
        self._used = settings()
        self._changed = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._replacement: asyncio.TimerHandle | None = None
        self._listener = Listener(
            tls.server_context(identity),
            settings,
            self._arrived,
            unauthorised=self._unauthorised,
            counters=self.counters,
            clock=clock,
            patience=HANDSHAKE_SECONDS,
        )

    async def run(self) -> None:
        """Keep the link until cancelled; then tell the partner that this unit stops."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listener.run())
                tasks.create_task(self._dial_for_ever())
        finally:
            await self._close_all()

    def send(self, kind: str, body: Mapping[str, Any]) -> bool:
        """Send a message without ever blocking; False (and counted): no link, or no room to wait in.

        Raises:
            MessageTooLong: whoever made it must divide it (`framing.LONGEST_MESSAGE`).
        """
        if self._current is None:
            self.counters.dropped += 1
            return False
        return self._current.send(kind, body)

    def refresh(self) -> None:
        """The settings may have changed: end a link that is not to these any more, and try at once."""
        settings, used = self._settings(), self._used
        if settings == used:
            return
        self._used = settings
        self._keys.forget()
        self._listener.refresh()
        if self._current is not None:
            self._current.close("reconfigured")
        self._changed.set()

    def status(self) -> LinkStatus:
        """How the link is, and if there is none, why."""
        settings, now = self._settings(), self._clock()
        if (current := self._current) is not None:
            peer = current.peer
            message = f"linked with {peer.address} (agent {peer.agent_version}, protocol {peer.protocol})"
            return LinkStatus(connected=True, peer=peer, since=current.since, message=message)
        if settings.partner is None:
            message = "no partner is set"
        elif settings.secret is None:
            message = "no Partner Shared Secret is set on this unit"
        else:
            message = explain(self.counters, settings.partner, settings.port, now)
        if self._listener.problem:
            message = f"{message}; {self._listener.problem}"
        return LinkStatus(connected=False, peer=None, since=None, message=message)

    async def _dial_for_ever(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._changed.clear()
            settings = self._settings()
            if self._current is not None or settings.partner is None or settings.secret is None:
                await self._changed.wait()
                pause = FIRST_PAUSE
                continue
            end = await self._dial(settings, settings.partner)
            if end is None:
                pause = FIRST_PAUSE
                continue
            waits_for_a_person = end in (LinkEnd.UNAUTHORISED, LinkEnd.INCOMPATIBLE)
            await self._rest(REFUSED_PAUSE if waits_for_a_person else pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    async def _rest(self, seconds: float) -> None:
        """Wait about so long, or until something has changed; not in step with the partner."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds * random.uniform(0.5, 1.0)):  # noqa: S311 - spreads dials
                await self._changed.wait()

    async def _dial(self, settings: LinkSettings, partner: str) -> LinkEnd | None:
        """Make a connection; None when there is a link now, through this one or another."""
        self.counters.dials += 1
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                stream = await dial(settings.address, partner, settings.port, self._client_tls)
                connection = await self._greet(stream, Side.DIALLER, partner, settings)
        except HandshakeFailed as failure:
            return self._failed(Ended(_END_OF[failure.reason], str(failure)))
        except TimeoutError:
            return self._failed(Ended(LinkEnd.TIMEOUT, f"no answer within {HANDSHAKE_SECONDS:.0f} s"))
        except OSError as error:
            return self._failed(ended_by(error))
        self._admit(connection, settings)
        return None

    async def _arrived(self, stream: Stream, address: str) -> None:
        """Somebody connected from the partner's address (`listening` has seen to that)."""
        settings = self._settings()
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                connection = await self._greet(stream, Side.LISTENER, address, settings)
        except HandshakeFailed as failure:
            if failure.reason in (Refusal.SECRET, Refusal.NO_SECRET):
                self._unauthorised.connection_from(address, str(failure))
            else:
                log.warning("Refused a connection of the partner %s: %s", address, failure)
        except OSError as error:
            log.debug("A connection from %s came to nothing: %s", address, error)
        else:
            self._admit(connection, settings)

    async def _greet(self, stream: Stream, side: Side, address: str, settings: LinkSettings) -> Connection:
        """Have both sides prove themselves; closes the stream if they do not."""
        try:
            peer = tls.peer_fingerprint(stream.tls)
            key = await self._keys.key(settings.secret, self._fingerprint, peer)
            own = Own(self._fingerprint, self._agent_version, self._instance, os.urandom(32))
            agreed = await authenticate(stream, side, own, peer, key)
        except HandshakeFailed as failure:
            self.counters.refused[failure.reason.value] += 1
            if failure.reason is Refusal.SECRET and not failure.by_partner:
                await asyncio.sleep(_WRONG_SECRET_DELAY)  # who guesses has to wait
            await stream.close(failure.farewell())
            raise
        except BaseException:
            stream.abort()
            raise
        hello = agreed.hello
        return Connection(
            stream,
            Peer(address, peer, hello.instance, hello.agent_version, agreed.version),
            side,
            counters=self.counters,
            receive=self._received,
            clock=self._clock,
        )

    def _admit(self, connection: Connection, settings: LinkSettings) -> None:
        """A connection is authenticated by these settings: it becomes the link, or it is one too many."""
        self.counters.established += 1
        current = self._current
        if settings != self._settings():  # changed meanwhile: by the new ones it may not be the partner
            connection.close("reconfigured")
        elif current is not None and not self._replaces(connection, current):
            connection.close("surplus")
        else:
            self._current = connection
            if current is not None:
                current.close("surplus")
            if self._replacement is not None:
                self._replacement.cancel()
                self._replacement = None
            peer = connection.peer
            log.info(
                "Linked with the partner %s (certificate %s, agent %s, protocol %d)",
                peer.address,
                short_form(peer.fingerprint),
                peer.agent_version,
                peer.protocol,
            )
            self.counters.last_end, self.counters.last_error = None, ""
            self._tell(lambda: self._handlers.up(peer))
        task = asyncio.get_running_loop().create_task(self._carry(connection))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    def _replaces(self, new: Connection, current: Connection) -> bool:
        """Whether the new connection becomes the link instead of the current one; both units decide alike.

        Who has a link does not dial, and a dial is over within HANDSHAKE_SECONDS. So a connection that comes
        later than SETTLING_SECONDS after the current one was established is of a partner that has lost it,
        and likewise one of another process. Otherwise both have dialled at once.
        """
        if new.peer.instance != current.peer.instance or new.side is current.side:
            return True
        if self._clock() - current.since > SETTLING_SECONDS:
            return True
        lower = self._fingerprint < new.peer.fingerprint
        return lower is (new.side is Side.DIALLER)

    async def _carry(self, connection: Connection) -> None:
        ended = await connection.run()
        if connection is not self._current:
            return
        self._current = None
        if ended.surplus:  # the other one is established there already, and here in a moment
            loop = asyncio.get_running_loop()
            self._replacement = loop.call_later(REPLACEMENT_SECONDS, self._lost, ended)
        else:
            self._lost(ended)

    def _lost(self, ended: Ended) -> None:
        self._replacement = None
        self._failed(ended)
        self._changed.set()

    def _failed(self, ended: Ended) -> LinkEnd | None:
        """There is no link, and why; None if there is one after all, through the partner's dial."""
        if self._current is not None:
            return None
        counters = self.counters
        counters.ends[ended.end] += 1
        if ended.detail != counters.last_error:  # the same again is no news
            log.warning("No link with the partner %s: %s", self._settings().partner, ended.detail)
        counters.last_end, counters.last_error = ended.end, ended.detail
        self._tell(lambda: self._handlers.down(ended.end))
        return ended.end

    def _received(self, connection: Connection, message: Message) -> None:
        if connection is not self._current:  # replaced; what it still brings is sent again over the other
            return
        if message.kind not in KINDS:
            self.counters.unknown_kinds += 1
            return
        self._tell(lambda: self._handlers.message(message.kind, message.body))

    def _tell(self, news: Callable[[], None]) -> None:
        try:
            news()
        except Exception:
            log.exception("The partner link's news could not be dealt with")

    async def _close_all(self) -> None:
        current, self._current = self._current, None
        if self._replacement is not None:
            self._replacement.cancel()
        if current is not None:
            current.close("stopping")
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=1.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

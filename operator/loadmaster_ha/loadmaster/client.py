"""The management client: one unit, called one command at a time, at a pace that it can take.

`UnitClient.call` is all that the rest of the operator knows of it; every failure is a `UnitFault`. The parts:
`connections` (HTTP and TLS), `trust`, `pacing`, `version_choice`, `http_messages` (requests), `replies`
(answers), and the wire itself (`v1`, `v2`). Node agents and appliances are called in the same way.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from loadmaster_ha.loadmaster import http_messages, recognition, redaction, replies, version_choice
from loadmaster_ha.loadmaster.answers import Answer
from loadmaster_ha.loadmaster.calling import NO_PARAMETERS
from loadmaster_ha.loadmaster.calls import Asked, Call
from loadmaster_ha.loadmaster.connections import Connections, Endpoint, Exchange
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.http_messages import HttpReply, HttpRequest
from loadmaster_ha.loadmaster.pacing import Pace
from loadmaster_ha.loadmaster.shapes import Access, Command
from loadmaster_ha.loadmaster.trust import SeenCertificate, Trust
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.loadmaster.values import Json, Version
from loadmaster_ha.loadmaster.version_choice import Offer

_LOG: Final = logging.getLogger(__name__)
DONE: Final = "Ok"
"""Outcome of a call that worked; otherwise it is the fault's reason."""
BOOT_SECONDS: Final = 300.0
"""How long a unit may be away after it was told to restart (guide, 10.4: about five minutes)."""
SHORT_SECONDS: Final = 2.0
"""How long an answer is waited for at first of a unit that was told to restart: who goes down may take a
connection and never answer, and meanwhile nobody else can ask whether it is back."""
SHORT_SHARE: Final = 0.2
"""Of the time since it was told to: so that a unit that is slow after its start is heard all the same."""
_LARGE: Final = 256 * 1024
"""Bytes of an answer that is read in a thread: half a second of work must not hold the process up."""

_MAY_DIE: Final = frozenset({"reboot", "shutdown"})
"""Their reply is optional: the connection may just end."""
_NEW_FIRMWARE: Final = frozenset({"reboot", "installpatch", "restorepatch", "restore"})
"""After these the unit may offer something else."""
_NO_ANSWER: Final = frozenset(
    {FaultReason.RATE_LIMITED, FaultReason.ANSWER_LOST, FaultReason.TIMED_OUT, FaultReason.UNAVAILABLE}
)
_STARTING: Final = frozenset(
    {
        FaultReason.REFUSED,
        FaultReason.UNREACHABLE,
        FaultReason.TIMED_OUT,
        FaultReason.RATE_LIMITED,
        FaultReason.ANSWER_LOST,
    }
)
"""How a unit behaves that was told to restart, before it is sent anything that it might do."""
_AWAY: Final = frozenset(
    {FaultReason.REFUSED, FaultReason.UNREACHABLE, FaultReason.BOOTING, FaultReason.API_DISABLED}
)
"""It may come back with other firmware, or as another unit."""
_NO_V2: Final = frozenset({FaultReason.API_DISABLED, FaultReason.UNKNOWN_COMMAND, FaultReason.MALFORMED})
"""How a unit without v2 may answer to it. Not documented."""
_NO_SESSIONS: Final = _NO_V2 | {FaultReason.UNAUTHORIZED}
"""How a unit may answer to v2 while its Session Management is off, which v2 needs. Not documented."""


class CallObserver(Protocol):
    """Told of each request that goes to a unit (metric `loadmaster_unit_requests_total`)."""

    def on_unit_request(self, command: str, outcome: str, seconds: float) -> None:
        """A command of the catalogue, `Ok` or the reason of the fault, and how long it took."""


class UnitClient:
    """The management API of one unit.

    Args:
        endpoint: where it is.
        trust: how its certificate is verified.
        credentials: who calls. After a 401 this client refuses to call again: make another one with other
            credentials.
        connections: shared by all clients of a process; without, the client has its own and closes it.
        observer: told of each request.
        version: the only one to speak; None: the better one of those that the unit offers.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        trust: Trust,
        credentials: UnitCredentials,
        *,
        connections: Connections | None = None,
        observer: CallObserver | None = None,
        version: Version | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self.trust = trust
        self.certificate: SeenCertificate | None = None
        """The certificate of the last connection that carried a request: it was trusted."""
        self._credentials = credentials
        self._connections = connections or Connections()
        self._owns_connections = connections is None
        self._observer = observer
        self._clock = clock
        self._pace = Pace(clock())
        self._turn = asyncio.Lock()
        self._choosing = asyncio.Lock()
        self._only = version
        self._offer: Offer | None = None
        self._version: Version | None = None
        self._v2_worked = False
        self._locked_out: str | None = None
        self._restarted: float | None = None
        """When it was told to restart; None once it has answered again after it was away."""
        self._went_down = False

    async def call(
        self,
        command: str,
        parameters: Mapping[str, Json] = NO_PARAMETERS,
        *,
        data: bytes | None = None,
        seconds: float | None = None,
        background: bool = False,
    ) -> Answer:
        """Do a command, after those that wait for this unit already.

        After a dropped connection, what the unit has not seen and what only reads is tried a second time.
        Nothing else is ever repeated.

        Args:
            command: of the catalogue (`loadmaster.commands`).
            parameters: canonical values by name; only what is here is sent.
            data: a file, for the commands that take one.
            seconds: for the whole answer, from when it is this call's turn; default: as the command needs.
            background: it can be put off while others work with the unit (`pacing`).

        Raises:
            UnitFault: it did not work; `sent` tells whether the unit may have done it all the same.
            ValueError: there is no such command.
        """
        wanted = Call.of(command, parameters, data, seconds)
        if background:
            await self._put_off()
            wanted = replace(wanted, background=True)
        async with self._turn:
            return await self._carry_out(wanted)

    async def watch_call(
        self,
        command: str,
        parameters: Mapping[str, Json] = NO_PARAMETERS,
        *,
        seconds: float | None = None,
        background: bool = False,
    ) -> Answer:
        """As `call`, but at once, beside the call that is under way, on a connection of its own.

        For what waits long at the unit (`agentwatch`, `agentswitchover`); the pace holds here too.
        """
        wanted = Call.of(command, parameters, None, seconds)
        if background:
            await self._put_off()
        return await self._carry_out(replace(wanted, waits=True, background=background))

    async def begin(
        self,
        command: str,
        parameters: Mapping[str, Json] = NO_PARAMETERS,
        *,
        seconds: float | None = None,
        background: bool = False,
    ) -> Asked:
        """As `watch_call`, but only up to the question: nobody has to wait for the answer in a coroutine.

        What goes wrong with it is told by `Asked.answer`, which also tries a second time where `call` would.

        Raises:
            UnitFault: the unit is not asked at all: it has refused these credentials, or does not tell how.
        """
        wanted = replace(Call.of(command, parameters, None, seconds), waits=True, background=background)
        if background:
            await self._put_off()
        version = Version.V1 if wanted.command.v1_only else await self._chosen()
        await self._until_paced()
        self._may_start(wanted)
        exchange = Exchange(self.endpoint, self.trust, self._saw)
        asked = Asked(self, wanted, version, exchange, self._clock())
        try:
            request = self._request(version, wanted)
            asked.question = await self._connections.begin(exchange, request, seconds=wanted.seconds)
        except UnitFault as fault:
            asked.fault = fault
        except asyncio.CancelledError:
            self.give_up(asked)
            raise
        return asked

    async def answer(self, asked: Asked) -> Answer:
        """What came of a question that is settled; raises as `call`."""
        return await self._carry_out(asked.call, asked)

    def give_up(self, asked: Asked) -> None:
        """Nobody wants to know what came of a question."""
        if asked.question is not None:
            asked.question.give_up()
        self._tell(asked.call, "Cancelled", self._clock() - asked.started)

    async def offer(self, *, background: bool = False) -> Offer:
        """The unit's firmware and commands, as of when they were last asked for.

        Raises:
            UnitFault: they had to be asked for, and that did not work.
        """
        if background and self._offer is None:
            await self._put_off()
        async with self._turn, self._choosing:
            if self._offer is None:
                self._version = await self._choose()
            if self._offer is None:
                raise UnitFault(FaultReason.BOOTING, f"{self.endpoint} was restarted meanwhile.")
            return self._offer

    @property
    def is_locked_out(self) -> bool:
        """Whether the unit has refused the credentials (401): this client does not call it any more."""
        return self._locked_out is not None

    def lock_out(self, why: str) -> None:
        """Never call: an earlier client, of another process, was refused with the same credentials."""
        self._locked_out = why

    def forget(self) -> None:
        """Ask for the unit's offer again before the next call: it was restarted, updated or replaced."""
        self._offer = None
        self._version = None
        self._v2_worked = False

    async def close(self) -> None:
        """Close what is this client's own."""
        if self._owns_connections:
            await self._connections.close()

    # Which version

    async def _carry_out(self, call: Call, asked: Asked | None = None) -> Answer:
        """Do a call, of which the first attempt may be under way."""
        if asked is not None:
            version = asked.version
        else:
            version = Version.V1 if call.command.v1_only else await self._chosen()
        try:
            return await self._in_version(version, call, asked)
        except UnitFault as fault:
            if fault.reason is not FaultReason.API_DISABLED or call.command.v1_only:
                raise
            # 404: perhaps it offers another version now. Nothing was done, so that it may be tried again.
            other = await self._chosen()
            if other is version:
                raise
            return await self._in_version(other, call)

    async def _in_version(self, version: Version, call: Call, asked: Asked | None = None) -> Answer:
        on_trial = self._on_trial(version)
        try:
            answer = await self._attempts(version, call, asked)
        except UnitFault as fault:
            if not on_trial or fault.sent or fault.reason not in _NO_SESSIONS:
                raise
            _LOG.info("%s does not take API v2 (%s): v1 is used.", self.endpoint, fault.reason.value)
            self._version = Version.V1
            return await self._attempts(Version.V1, call)
        self._v2_worked = self._v2_worked or version is Version.V2
        return answer

    def _on_trial(self, version: Version) -> bool:
        """Whether v2 is tried with user and password that v1 has just taken.

        A refusal then says nothing against them.
        """
        untried = self._only is None and not self._v2_worked
        return version is Version.V2 and untried and not self._credentials.apikey

    async def _chosen(self) -> Version:
        async with self._choosing:
            if self._version is None:
                self._version = self._only or await self._choose()
            return self._version

    async def _choose(self) -> Version:
        """Ask for the unit's offer, and choose the version by it."""
        call = Call.of("listapi")
        version = self._only or version_choice.first_to_ask(self._credentials)
        try:
            answer = await self._attempts(version, call)
        except UnitFault as fault:
            if version is Version.V1 or self._only or fault.reason not in _NO_V2:
                raise
            version = Version.V1
            answer = await self._attempts(version, call)
        self._offer = version_choice.read_offer(answer.fields or {})
        self._v2_worked = version is Version.V2
        return self._only or self._offer.version

    # Attempts

    async def _attempts(self, version: Version, call: Call, asked: Asked | None = None) -> Answer:
        """One attempt, and a second one where that can do no harm."""
        try:
            return await self._attempt(version, call, asked)
        except UnitFault as fault:
            if fault.reason is not FaultReason.RATE_LIMITED or fault.sent:
                raise
        return await self._attempt(version, call)

    async def _attempt(self, version: Version, call: Call, asked: Asked | None = None) -> Answer:
        if asked is None:
            await self._until_paced()
            self._may_start(call)
        started = self._clock() if asked is None else asked.started
        outcome = DONE
        try:
            answer = await self._exchange(version, call, asked)
        except UnitFault as fault:
            outcome = fault.reason.value
            self._learn_from_fault(fault, on_trial=self._on_trial(version))
            raise
        except asyncio.CancelledError:
            outcome = "Cancelled"
            raise
        finally:
            self._tell(call, outcome, self._clock() - started)
        self._learn(call.command, answer)
        return answer

    def _may_start(self, call: Call) -> None:
        """Begin an attempt, if the unit takes these credentials.

        Raises:
            UnitFault: it does not.
        """
        if self._locked_out is not None:
            raise UnitFault(FaultReason.UNAUTHORIZED, self._locked_out)
        self._pace.started(self._clock(), background=call.background)

    async def _put_off(self) -> None:
        """Wait, outside of the queue of those who work with the unit, until they leave it alone."""
        since = now = self._clock()
        while (wait := self._pace.wait_in_background(now, since)) > 0:
            await asyncio.sleep(wait)
            now = self._clock()

    async def _until_paced(self) -> None:
        while True:
            wait = self._pace.wait(self._clock())
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    def _request(self, version: Version, call: Call) -> HttpRequest:
        try:
            return http_messages.build(version, call.command, call.parameters, self._credentials, call.data)
        except ValueError as problem:
            raise UnitFault(
                FaultReason.INVALID_REQUEST, f"{call.command.name} cannot be sent: a value is no text."
            ) from problem

    async def _exchange(self, version: Version, call: Call, asked: Asked | None) -> Answer:
        command = call.command
        try:
            reply = await (self._reply(version, call) if asked is None else self._reply_to(asked))
            return await self._read(version, call, reply)
        except UnitFault as fault:
            if fault.sent and command.name in _MAY_DIE and fault.reason in _NO_ANSWER:
                return Answer(text="The unit went down without an answer.")
            if fault.reason is FaultReason.REFUSED:  # nobody is there who could count calls
                self._pace.restarted()
            raise self._as_the_caller_sees(fault, command) from fault.__cause__

    async def _reply(self, version: Version, call: Call) -> HttpReply:
        request = self._request(version, call)
        exchange = Exchange(self.endpoint, self.trust, self._saw)
        return await self._connections.exchange(exchange, request, seconds=self._seconds(call))

    async def _reply_to(self, asked: Asked) -> HttpReply:
        if asked.fault is not None:
            raise asked.fault
        assert asked.question is not None  # noqa: S101 - there is one or the other
        return await self._connections.finish(asked.question)

    async def _read(self, version: Version, call: Call, reply: HttpReply) -> Answer:
        def redact(text: str) -> str:
            return self._redacted(redaction.scrubbed(text, call.secrets))

        arguments = (version, call.command, reply, str(self.endpoint), redact)
        if len(reply.content) > _LARGE:
            return await asyncio.to_thread(replies.read, *arguments)
        return replies.read(*arguments)

    def _as_the_caller_sees(self, fault: UnitFault, command: Command) -> UnitFault:
        """The fault with what is known besides: what the command was, and that the unit restarts."""
        reason = fault.reason
        sent = fault.sent and command.access is not Access.READ
        if reason is FaultReason.RATE_LIMITED and sent:
            reason = FaultReason.ANSWER_LOST
        if self._restarting and reason in _STARTING and not sent:
            reason = FaultReason.BOOTING
        return UnitFault(
            reason, fault.message, sent=sent, seen_fingerprint=fault.seen_fingerprint, said=fault.said
        )

    def _seconds(self, call: Call) -> float:
        """How long the call may take now."""
        if not self._restarting or call.waits or call.command.access is not Access.READ:
            return call.seconds
        since = self._clock() - (self._restarted or 0.0)
        return min(call.seconds, max(SHORT_SECONDS, SHORT_SHARE * since))

    @property
    def _restarting(self) -> bool:
        """Whether it was told to restart, and has not been away and back yet."""
        return self._restarted is not None and self._clock() - self._restarted < BOOT_SECONDS

    # What is learned on the way

    def _saw(self, certificate: SeenCertificate) -> None:
        self.certificate = certificate

    def _learn(self, command: Command, answer: Answer) -> None:
        if command.name in _MAY_DIE:
            self._restarted, self._went_down = self._clock(), False
        elif self._went_down:
            self._restarted, self._went_down = None, False
            self._pace.restarted()
        said = (answer.fields or {}).get("version")
        updated = self._offer is not None and isinstance(said, str) and said.strip() != self._offer.firmware
        if command.name in _NEW_FIRMWARE or updated:
            self.forget()

    def _learn_from_fault(self, fault: UnitFault, *, on_trial: bool) -> None:
        if fault.reason in {FaultReason.RATE_LIMITED, FaultReason.ANSWER_LOST}:
            self._pace.back_off(self._clock())
        if on_trial:
            return
        if fault.reason in _AWAY:
            self._went_down = self._went_down or self._restarting
            self.forget()
        if fault.reason is FaultReason.UNAUTHORIZED:
            self._locked_out = fault.message

    def _tell(self, call: Call, outcome: str, seconds: float) -> None:
        if self._observer is not None:
            self._observer.on_unit_request(call.command.name, outcome, seconds)
        if _LOG.isEnabledFor(logging.DEBUG):
            shown = redaction.of_parameters(call.parameters, call.command)
            told = self._redacted(", ".join(f"{name}={value!r}" for name, value in shown.items()))
            _LOG.debug(
                "%s: %s(%s) %s in %.0f ms.", self.endpoint, call.command.name, told, outcome, seconds * 1000
            )

    def _redacted(self, text: str) -> str:
        return recognition.shortened(self._credentials.scrub(redaction.of_text(text)))

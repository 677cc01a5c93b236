"""Asking one unit's management API, round after round; nothing here writes.

A node agent is asked by long poll: it answers at once when something changes, else after half a minute, and
what else is asked goes over the same connection in between, before it has become idle. Of a pair at rest only
the standby keeps a question, since it answers for changes of its partner too; the active one is asked every
half minute (`PairWatch.told_by_partner`). An appliance is asked every half minute by five short calls, and in
between for its state alone while something changes. Statistics, and of the active unit what serves, are read
every minute; what serves is also looked at between two rounds when that matters (`services`). `lane` has one
`UnitRounds` for each unit; `tracking` keeps what is heard.

What waits, for an agent's answer or for the next round, waits as a callback and in no task: two thousand
stacks of coroutines would be a third of what the process holds.
"""

import asyncio
import contextvars
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.watching.model import UnitsSource
from loadmaster_ha.controller.watching.pair_watch import PairWatch
from loadmaster_ha.controller.watching.statistics import connections
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present, Unknown
from loadmaster_ha.domain.units import AgentStatus, ObservedState, UnitKind
from loadmaster_ha.loadmaster import observer
from loadmaster_ha.loadmaster.calling import Caller, Waiting
from loadmaster_ha.loadmaster.faults import UnitFault
from loadmaster_ha.loadmaster.observer import AgentSaid, Look

log = logging.getLogger(__name__)

ROUND_SECONDS: Final = 30.0
"""Between two rounds; and how long an agent may keep a question, give or take `JITTER`."""

SHORTEST_FIRST: Final = 0.1
"""Share of that time for the first question, which takes any time from here to the whole, so that questions
begun together at a start do not end together ever after."""

RESTLESS_ROUND_SECONDS: Final = 5.0
"""Between two questions for the state of an appliance, and after a fault, while something changes."""

SOON: Final = 2.0
"""Seconds at most after which an active agent is asked again whose partner has not been asked yet."""

TOLD_WITHIN: Final = 0.1
"""Seconds within which an agent is asked of which its partner has told; spread, since a thousand may be."""

STATISTICS_SECONDS: Final = 60.0

LEAST_BETWEEN_LOOKS: Final = 5.0
"""Seconds at least between two looks at what serves, however much is written."""

FIRST_PAUSE: Final = 2.0
"""After the first fault in a row; then twice as long each time, up to a round."""

JITTER: Final = 0.1

_BARE: Final = contextvars.Context()
"""For timers: one for all, instead of a copy of the context of whoever sets each."""


def patience(*, first: bool, dice: Callable[[], float] = random.random) -> int:
    """How long an agent may keep a question, or until it is asked again, seconds."""
    least, most = (SHORTEST_FIRST, 1.0) if first else (1 - JITTER, 1 + JITTER)
    return int(ROUND_SECONDS * (least + (most - least) * dice()))


def until_look(seconds: float, *, dice: Callable[[], float] = random.random) -> float:
    """How long to wait for a look that is wanted in so many seconds: spread, and never less than that."""
    return max(seconds, TOLD_WITHIN) * (1 + 2 * JITTER * dice())


Work: TypeAlias = Callable[[], Coroutine[None, None, None]]


class Figures(Protocol):
    """Where figures go; `telemetry.operator` implements it."""

    def on_poll_ended(self, polled: str, outcome: str) -> None:
        """A poll ended."""

    def on_certificate(self, namespace: str, name: str, role: Role, expires: float) -> None:
        """The unit's certificate expires then."""

    def on_connections(self, namespace: str, name: str, role: Role, connections: int | None) -> None:
        """So many connections are open."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all rounds of a process share."""

    units: UnitsSource
    figures: Figures
    looks: asyncio.Semaphore
    """Bounds how many units are asked everything at the same time."""
    clock: Callable[[], float]
    heard: Callable[[PairKey, bool], None]
    """Something was heard of a pair, and whether it is news."""
    settings_told: Callable[[PairKey, Role, int | None], None]
    """Which revision of its settings an agent has; None: it does not tell (any more)."""
    work: Callable[[PairKey, Role, Work], None]
    """Run this as a task of the pair's, which ends with it."""


class UnitRounds:
    """See the module.

    Args:
        key: the pair.
        role: which of its units.
        watch: what is heard goes there.
        around: what all share.
    """

    def __init__(self, key: PairKey, role: Role, watch: PairWatch, around: Surroundings) -> None:
        self._key, self._role, self._watch, self._around = key, role, watch, around
        self._track = watch.units[role]
        self._faults = 0
        self._settings_at = self._statistics_at = self._services_at = float("-inf")
        self._caller: Caller | None = None
        """The client that the unit was looked at with."""
        self._known: AgentStatus | None = None
        """What an agent said last; its revision is what the next question waits beyond."""
        self._waited = False
        """A question was kept by this unit already."""
        self._waiting: Waiting | None = None
        """The question that an agent keeps."""
        self._timer: asyncio.TimerHandle | None = None
        """Until the next round."""
        self._pause = 0.0
        """How long that is; 0: it was hurried."""
        self._services_timer: asyncio.TimerHandle | None = None
        """Until what serves is looked at between two rounds."""
        self._over = False

    def begin(self) -> None:
        """Ask from now on."""
        self._timer = None
        if not self._over:
            self._around.work(self._key, self._role, self._work)

    def end(self) -> None:
        """Ask no more; a task under way is for the caller to cancel."""
        self._over = True
        for timer in (self._timer, self._services_timer):
            if timer is not None:
                timer.cancel()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.give_up()

    def hurry(self) -> None:
        """Something happened: do not wait for the next round."""
        if self._timer is None or not self._pause:
            return
        # Whoever hurries does so for what begins now; never twice at once. An agent is asked at once: it is
        # the partner who has told.
        least = 0.0 if self._known is not None else min(self._pause, RESTLESS_ROUND_SECONDS) / 10
        soon = random.uniform(least, 2 * least or TOLD_WITHIN)  # noqa: S311
        self._pause = 0.0
        loop = asyncio.get_running_loop()
        if loop.time() + soon < self._timer.when():
            self._timer.cancel()
            self._timer = loop.call_later(soon, self.begin, context=_BARE)

    def mind_services(self) -> None:
        """Have what serves looked at as soon as `PairWatch` wants it; without need there is no timer."""
        if self._services_timer is not None:
            self._services_timer.cancel()
            self._services_timer = None
        due = self._watch.look_at_services if self._serves else None
        if due is None or self._over:
            return
        pause = until_look(max(due, self._services_at + LEAST_BETWEEN_LOOKS) - self._now())
        loop = asyncio.get_running_loop()
        self._services_timer = loop.call_later(pause, self._begin_to_look, context=_BARE)

    async def _work(self) -> None:
        """Ask until there is something to wait for; what is waited for begins it again."""
        while True:
            pause = await self._turn()
            if self._waiting is not None:
                self._waiting.whenever_settled(self.begin)
                return
            if pause > 0:
                self._pause = pause
                self._timer = asyncio.get_running_loop().call_later(pause, self.begin, context=_BARE)
                return

    async def _turn(self) -> float:
        """Ask, or hear what an agent answers; seconds until the next time."""
        waiting, self._waiting = self._waiting, None
        try:
            return await (self._round() if waiting is None else self._answered(waiting))
        except UnitFault as fault:
            # Without its remedy: the diagnosis has one of its own.
            return self._failed(Unknown(fault.reason.value, fault.message))
        except Exception:
            # One unit's odd answer must not end the watch on all others.
            log.exception("A unit was not understood: this is a bug")
            return self._failed(Unknown("NotUnderstood", "Its answers were not understood; see the log."))

    async def _round(self) -> float:
        """Ask once, or begin to wait for an agent; seconds until the next time.

        Raises:
            UnitFault: it could not be asked.
        """
        found = await self._around.units.caller(self._key, self._role)
        if not isinstance(found, Present):
            unknown = found if isinstance(found, Unknown) else Unknown("NotManaged", "It has no credentials.")
            return self._failed(unknown)
        caller = found.value
        if caller is not self._caller or self._track.kind is None or self._faults:
            await self._look(caller)
        elif self._known is not None:
            seconds = 0 if self._told_by_partner() else patience(first=not self._waited)
            self._waiting = await observer.begin_to_watch(caller, self._known.revision, seconds)
            return 0.0
        else:
            await self._ask_appliance(caller)
        return await self._asked(caller)

    async def _answered(self, waiting: Waiting) -> float:
        """An agent answers the question that it kept; as `_round`."""
        caller, known = self._caller, self._known
        assert caller is not None  # noqa: S101 - who was asked
        assert known is not None  # noqa: S101 - an agent
        self._waited = True
        await self._said(caller, known, await observer.agent_said(waiting))
        return await self._asked(caller)

    async def _asked(self, caller: Caller) -> float:
        """The unit has answered; what else is read of it from time to time."""
        self._faults = 0
        await self._statistics(caller)
        self._certificate(caller)
        self._ended("Ok")
        if self._known is None:
            return self._calm_or(ROUND_SECONDS)
        if self._told_by_partner():
            return float(patience(first=not self._waited))
        # At a start the partner is asked in a moment, and perhaps this unit need not keep a question then.
        return SOON * random.uniform(0.5, 1.0) if self._watch.may_be_told_by_partner(self._role) else 0.0  # noqa: S311

    async def _look(self, caller: Caller) -> None:
        self._caller = None
        async with self._around.looks:
            look = await observer.look(caller)
        self._caller = caller
        self._took(look)

    def _took(self, look: Look) -> None:
        self._known = look.agent if look.kind is UnitKind.AGENT else None
        self._settings_at = self._now()
        self._settings_told(self._known)
        self._heard(news=self._track.heard_look(look, self._now()))

    async def _said(self, caller: Caller, known: AgentStatus, said: AgentSaid) -> None:
        """An agent said something, perhaps the same as before (`known`)."""
        status = said.status
        if status.boot_time != known.boot_time:
            self._settings_told(None)
            await self._look(caller)  # it is another program now, perhaps
            return
        self._known = status
        changed = status.settings_revision != known.settings_revision
        self._settings_told(status)
        if self._track.heard_agent(status, self._now()):
            if status.state is ObservedState.ACTIVE:
                self._services_at = float("-inf")
            self._heard(news=True)
        settings = said.settings
        if settings is None and (changed or self._now() - self._settings_at >= ROUND_SECONDS * (1 - JITTER)):
            settings = await observer.settings_of(caller)
        if settings is not None:
            self._settings_at = self._now()
            self._heard(news=self._track.heard_settings(settings))

    def _told_by_partner(self) -> bool:
        return self._watch.told_by_partner(self._role, self._now())

    async def _ask_appliance(self, caller: Caller) -> None:
        if self._now() - self._settings_at >= ROUND_SECONDS * (1 - JITTER):
            await self._look(caller)
        else:
            state = await observer.state_of(caller)
            self._heard(news=self._track.heard_state(state, self._now()))

    async def _statistics(self, caller: Caller) -> None:
        """Read what is counted, and what serves if this unit is the one that does."""
        now = self._now()
        if now - self._statistics_at >= STATISTICS_SECONDS:
            # The first time at any time within the period, so that a thousand pairs do not do it together.
            first = self._statistics_at == float("-inf")
            self._statistics_at = now - STATISTICS_SECONDS * random.random() if first else now  # noqa: S311
            answer = await caller.call("stats")
            self._around.figures.on_connections(*self._key, self._role, connections(answer.fields))
            self._around.figures.on_poll_ended("Statistics", "Ok")
        if self._serves and now - self._services_at >= STATISTICS_SECONDS:
            await self._services(caller)

    @property
    def _serves(self) -> bool:
        """Whether it is the active one, and has something to serve."""
        told = self._track.management
        active = isinstance(told, Present) and told.value is ObservedState.ACTIVE
        return active and bool(self._watch.facts.services)

    async def _services(self, caller: Caller) -> None:
        self._services_at = self._now()
        states = await observer.service_states(caller)
        self._heard(news=self._watch.heard_services(self._role, states, self._now()))
        self.mind_services()

    def _begin_to_look(self) -> None:
        self._services_timer = None
        if not self._over:
            self._around.work(self._key, self._role, self._look_between)

    async def _look_between(self) -> None:
        """Look at what serves between two rounds. What is wrong with the unit is for its rounds to tell."""
        caller = self._caller
        if caller is None or not self._serves:
            return
        try:
            await self._services(caller)
        except UnitFault:
            self._services_at = float("-inf")
        except Exception:
            log.exception("What a unit serves was not understood: this is a bug")
            self._services_at = float("-inf")

    def _certificate(self, caller: Caller) -> None:
        seen = caller.certificate
        if seen is not None and seen.not_after is not None:
            self._around.figures.on_certificate(*self._key, self._role, seen.not_after.timestamp())

    def _settings_told(self, status: AgentStatus | None) -> None:
        revision = None if status is None else status.settings_revision
        self._around.settings_told(self._key, self._role, revision)

    def _failed(self, fault: Unknown) -> float:
        """The unit could not be asked; seconds until the next try."""
        self._faults += 1
        self._caller = self._known = None
        self._settings_told(None)
        self._services_at = float("-inf")
        self._around.figures.on_connections(*self._key, self._role, None)
        self._heard(news=self._track.unmanageable(fault, self._now()))
        self._ended(fault.reason)
        return self._calm_or(min(ROUND_SECONDS, FIRST_PAUSE * 2.0 ** min(self._faults - 1, 10)))

    def _calm_or(self, seconds: float) -> float:
        if self._watch.restless(self._now()):
            seconds = min(seconds, RESTLESS_ROUND_SECONDS)
        return seconds * (1 - JITTER + 2 * JITTER * random.random())  # noqa: S311 - spreads load

    def _heard(self, *, news: bool) -> None:
        self._watch.noted(news=news, now=self._now())
        self._around.heard(self._key, news)

    def _ended(self, outcome: str) -> None:
        self._around.figures.on_poll_ended("Management", outcome)

    def _now(self) -> float:
        return self._around.clock()

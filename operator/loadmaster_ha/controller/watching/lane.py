"""The watch lane: asks all watched pairs, and carries out what each one's `pair_watch` says.

It has no place in the queues of visits and waits for none of them. What is due is begun from a timer of its
own; statuses and Events go to the board in the background, the latest first, so that a slow API server delays
what is written and never what is seen.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.watching.descriptors import allow_many
from loadmaster_ha.controller.watching.health_port import CannotAsk, HealthPort, Said
from loadmaster_ha.controller.watching.history import Report
from loadmaster_ha.controller.watching.management import Surroundings, UnitRounds, Work
from loadmaster_ha.controller.watching.model import (
    AzureSource,
    Board,
    FactsSource,
    UnitsSource,
    WatchFacts,
)
from loadmaster_ha.controller.watching.pair_watch import PairWatch
from loadmaster_ha.controller.watching.schedule import Pace, Timetable
from loadmaster_ha.controller.watching.telling import ask_azure, tell
from loadmaster_ha.controller.watching.watched import Poll, Polled, Watched, WatchFigures
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.telemetry.logs import about

log = logging.getLogger(__name__)

PACE: Final = Pace(calm=5.0, fast=1.0)
"""Of health ports and frontends; 5 s is the probe's own."""

MOST_POLLS: Final = 256
"""Polls of health ports and frontends under way at the same time."""

MOST_LOOKS: Final = 16

MOST_RESTLESS: Final = 100
"""Pairs that are polled at the fast pace at a time. When a zone fails, all of them change at once: each is
looked at once more, and those beyond this number keep the calm pace: the lane must not be its own flood."""

EVALUATED_EVERY: Final = 10.0
"""Seconds after which a pair is thought about again without news: time alone can be news."""

HURRIED_EVERY: Final = 0.5
"""Seconds between two rounds of hurried polls of one pair, however much happens."""

_TICK: Final = 0.005
"""Seconds. What is due within a tick is begun together."""


class WatchLane:
    """See the module.

    Args:
        facts: what the other lanes know.
        units: how units are called.
        azure: how Azure is asked.
        board: who writes status.
        figures: where metrics go.
        clock: monotonic seconds.
        wall: Unix seconds.
    """

    def __init__(
        self,
        *,
        facts: FactsSource,
        units: UnitsSource,
        azure: AzureSource,
        board: Board,
        figures: WatchFigures,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._facts, self._azure, self._board, self._figures = facts, azure, board, figures
        self._clock, self._wall = clock, wall
        looks = asyncio.Semaphore(MOST_LOOKS)
        self._around = Surroundings(
            units, figures, looks, clock, self._heard, facts.settings_told, self._work
        )
        self._watched: dict[PairKey, Watched] = {}
        self._timetable: Timetable[Poll] = Timetable()
        self._polls: set[asyncio.Task[None]] = set()
        self._restless: dict[PairKey, float] = {}
        """Until when the pairs that were hastened last are polled at the fast pace."""
        self._timer: asyncio.TimerHandle | None = None
        self._running = False
        self._failure: asyncio.Future[None] | None = None

    # From outside

    def refresh(self, key: PairKey) -> None:
        """Something about the pair may have changed: begin, go on with, or end watching it."""
        facts = self._facts.watch_facts(key)
        watched = self._watched.get(key)
        if facts is None:
            self.forget(key)
        elif watched is None:
            if self._running:
                self._begin(key, facts)
        elif watched.watch.facts != facts:
            self._learn(watched, facts)

    def ask_anew(self, key: PairKey, role: Role, *, another: bool) -> None:
        """A unit is to be asked by another client from now on.

        Args:
            key: the pair.
            role: which of its units.
            another: what was heard so far was perhaps of another unit, and is forgotten.
        """
        # Later: it may be the rounds themselves that have asked for the client.
        asyncio.get_running_loop().call_soon(self._ask_anew, key, role, another)

    def forget(self, key: PairKey) -> None:
        """Watch this pair no more."""
        watched = self._watched.pop(key, None)
        if watched is None:
            return
        self._end(watched)
        self._restless.pop(key, None)
        self._figures.on_watch_ended(*key)
        self._figures.on_watched_pairs(len(self._watched))

    async def run(self) -> None:
        """Watch until cancelled. Pairs are told by `refresh`.

        Raises:
            LeaseLost: this process may not write any more.
        """
        allow_many()
        self._running = True
        self._failure = asyncio.get_running_loop().create_future()
        try:
            await self._failure
        finally:
            self._running = False
            tasks = [task for watched in self._watched.values() for task in self._end(watched)]
            for key in list(self._watched):
                self._figures.on_watch_ended(*key)
            self._watched.clear()
            self._figures.on_watched_pairs(0)
            if self._timer is not None:
                self._timer.cancel()
            for task in self._polls:
                task.cancel()
            await asyncio.gather(*self._polls, *tasks, return_exceptions=True)

    # One pair: begun, changed, ended

    def _begin(self, key: PairKey, facts: WatchFacts) -> None:
        stored = self._facts.stored_watch(key)
        watch = PairWatch(facts, stored, self._clock())
        watched = self._watched[key] = Watched(key, watch)
        self._figures.on_watch_begun(*key, last_failover=stored.last_failover_at)
        self._figures.on_watched_pairs(len(self._watched))
        self._aim(watched)
        for role in Role:
            self._ask_unit(watched, role)

    def _ask_unit(self, watched: Watched, role: Role) -> None:
        watched.rounds[role] = UnitRounds(watched.key, role, watched.watch, self._around)
        watched.rounds[role].begin()

    def _ask_anew(self, key: PairKey, role: Role, another: bool) -> None:  # noqa: FBT001 - a callback
        watched = self._watched.get(key)
        if watched is None:
            return
        watched.rounds[role].end()
        for task in watched.asking[role]:
            task.cancel()
        if another:
            watched.watch.another_unit(role, self._clock())
        self._ask_unit(watched, role)

    def _work(self, key: PairKey, role: Role, work: Work) -> None:
        """Work on one unit, for its rounds."""
        watched = self._watched[key]
        task = self._own(
            watched, asyncio.create_task(self._in_context(key, work), name=f"watch {key} {role}")
        )
        watched.asking[role].add(task)
        task.add_done_callback(watched.asking[role].discard)

    @staticmethod
    async def _in_context(key: PairKey, work: Work) -> None:
        with about(namespace=key.namespace, name=key.name):
            await work()

    def _learn(self, watched: Watched, facts: WatchFacts) -> None:
        was_restless = watched.watch.restless(self._clock())
        if watched.watch.learn(facts):
            self._aim(watched)
        for rounds in watched.rounds.values():
            rounds.mind_services()
        if watched.watch.restless(self._clock()) and not was_restless:
            self._hurry(watched)
        self._evaluate_soon(watched)

    def _aim(self, watched: Watched) -> None:
        """Make the polls fit addresses and port."""
        facts, now = watched.watch.facts, self._clock()
        for role in Role:
            self._replace(watched.ports.pop(role, None))
            poll = Poll(Polled.HEALTH, watched.key, role)
            if address := facts.addresses.get(role):
                watched.ports[role] = HealthPort(address, facts.check_port)
                self._timetable.add(poll, PACE, now)
            else:
                self._timetable.remove(poll)
        self._replace(watched.frontend)
        poll = Poll(Polled.FRONTEND, watched.key)
        if facts.frontend:
            watched.frontend = HealthPort(facts.frontend, facts.check_port, keep=False)
            self._timetable.add(poll, PACE, now)
        else:
            watched.frontend = None
            self._timetable.remove(poll)
        self._arm()

    @staticmethod
    def _replace(port: HealthPort | None) -> None:
        if port is not None:
            port.close()

    def _end(self, watched: Watched) -> list[asyncio.Task[None]]:
        for poll in self._polls_of(watched.key):
            self._timetable.remove(poll)
        for port in (*watched.ports.values(), watched.frontend):
            self._replace(port)
        for rounds in watched.rounds.values():
            rounds.end()
        tasks = list(watched.tasks)
        for task in tasks:
            task.cancel()
        return tasks

    @staticmethod
    def _polls_of(key: PairKey) -> tuple[Poll, ...]:
        return (*(Poll(Polled.HEALTH, key, role) for role in Role), Poll(Polled.FRONTEND, key))

    def _own(self, watched: Watched, task: asyncio.Task[None]) -> asyncio.Task[None]:
        """Keep a task of a pair, which ends with it; what kills it ends the lane."""
        watched.tasks.add(task)
        task.add_done_callback(watched.tasks.discard)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (problem := task.exception()) is None:
            return
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(problem)

    # Polls

    def _arm(self) -> None:
        """Set the timer for what is due next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._timetable.next_due()
        if due is not None and len(self._polls) < MOST_POLLS and self._running:
            delay = max(_TICK, due - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._dispatch)

    def _dispatch(self) -> None:
        self._timer = None
        while len(self._polls) < MOST_POLLS and (turn := self._timetable.take(self._clock())) is not None:
            self._start(turn.key, turn.late)
        self._arm()

    def _start(self, poll: Poll, late: float) -> None:
        watched = self._watched[poll.key]
        if poll.role is not None and not watched.watch.units[poll.role].gate.open:
            self._timetable.end(poll, self._clock())
            return
        port = watched.frontend if poll.role is None else watched.ports[poll.role]
        assert port is not None  # noqa: S101 - in the timetable only as long as there is one
        self._figures.on_poll_started(poll.polled.value, late)
        task = asyncio.create_task(self._ask(watched, poll, port))
        self._polls.add(task)
        task.add_done_callback(self._polled)

    def _polled(self, task: asyncio.Task[None]) -> None:
        self._polls.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.error("A poll failed in a way that nobody expected: this is a bug", exc_info=problem)
        if self._timer is None:
            self._arm()

    async def _ask(self, watched: Watched, poll: Poll, port: HealthPort) -> None:
        try:
            said = await port.ask()
        except CannotAsk as problem:
            log.warning("Polls fail for lack of means of this process: %s", problem)
            self._figures.on_poll_ended(poll.polled.value, "CannotAsk")
            return
        finally:
            now = self._clock()
            self._timetable.end(poll, now)
        self._figures.on_poll_ended(poll.polled.value, _outcome(said))
        aimed_at = watched.frontend if poll.role is None else watched.ports.get(poll.role)
        if self._watched.get(poll.key) is not watched or port is not aimed_at:
            port.close()
            return
        if poll.role is None:
            news = watched.watch.heard_frontend(said, now)
        else:
            news = watched.watch.heard_health(poll.role, said, now)
        self._heard(poll.key, news)

    def _heard(self, key: PairKey, news: bool) -> None:  # noqa: FBT001 - a callback
        watched = self._watched.get(key)
        if watched is None:
            return
        now = self._clock()
        if news and watched.watch.restless(now):
            self._hurry(watched)
        restless = watched.watch.restless(now)
        if news or now - watched.watch.evaluated_at >= (PACE.fast if restless else EVALUATED_EVERY):
            self._evaluate_soon(watched)

    def _hurry(self, watched: Watched) -> None:
        """Look at everything of the pair, and more often for a while."""
        now = self._clock()
        hasten = self._may_hasten(watched.key, now, watched.watch.restless_until)
        for poll in self._polls_of(watched.key):
            if hasten:
                self._timetable.hasten(poll, now, watched.watch.restless_until)
            if now - watched.hurried_at >= HURRIED_EVERY:
                self._timetable.hurry(poll, now)
        if now - watched.hurried_at >= HURRIED_EVERY:
            watched.hurried_at = now
            for rounds in watched.rounds.values():
                rounds.hurry()
        self._arm()

    def _may_hasten(self, key: PairKey, now: float, until: float) -> bool:
        if key not in self._restless and len(self._restless) >= MOST_RESTLESS:
            for each in [each for each, end in self._restless.items() if end <= now]:
                del self._restless[each]
            if len(self._restless) >= MOST_RESTLESS:
                return False
        self._restless[key] = until
        return True

    # What is made of it

    def _evaluate_soon(self, watched: Watched) -> None:
        if not watched.to_evaluate:
            watched.to_evaluate = True
            asyncio.get_running_loop().call_soon(self._evaluate, watched)

    def _evaluate(self, watched: Watched) -> None:
        key, watch, now = watched.key, watched.watch, self._clock()
        if self._watched.get(key) is watched:
            self.refresh(key)
        watched.to_evaluate = False
        if self._watched.get(key) is not watched or not watch.settled(now):
            return
        with about(namespace=key.namespace, name=key.name):
            try:
                verdict = watch.evaluate(now, self._wall())
            except Exception:
                log.exception("A pair could not be diagnosed: this is a bug")
                return
        self._figures.on_sight(*key, verdict.sight)
        services = {each.name: each.status == "Up" for each in watch.services(now) if each.status}
        self._figures.on_services(*key, services)
        for report in verdict.reports:
            self._count(key, report)
        watched.reports += verdict.reports
        if verdict.reports and watched.reported is not None:
            watched.reported.set()
        if verdict.situation != watched.situation:
            watched.situation = watched.waiting = verdict.situation
            watched.observed_at = max(watch.news_at, now - EVALUATED_EVERY)
            self._facts.watched(key, verdict.situation)
        if (watched.waiting or watched.reports) and watched.telling is None:
            telling = tell(watched, self._board, self._figures, self._clock)
            watched.telling = self._own(watched, asyncio.create_task(telling, name=f"tell {key}"))
        if verdict.ask_azure and watched.asking_azure is None:
            asking = asyncio.create_task(self._ask_azure(watched), name=f"rule health {key}")
            watched.asking_azure = self._own(watched, asking)

    def _count(self, key: PairKey, report: Report) -> None:
        failover = report.failover
        if report.first:
            self._figures.on_failover(*key, failover.target, failover.trigger, failover.at)
        if report.measured and failover.seconds is not None:
            self._figures.on_failover_measured(*key, failover.seconds)

    async def _ask_azure(self, watched: Watched) -> None:
        try:
            found = await ask_azure(watched, self._azure, self._figures)
            self._heard(watched.key, watched.watch.heard_azure(found, self._clock()))
        finally:
            watched.asking_azure = None


def _outcome(said: Said) -> str:
    if said.silence is not None:
        return said.silence.value
    return str(said.code)

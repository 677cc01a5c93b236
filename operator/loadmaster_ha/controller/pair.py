"""One visit to a pair: gather, observe, plan, apply at most one change, tell.

`process` gives it to the work queue. Decisions about Azure are made in `planning`, their words in `status`;
here is only the order of things. A visit never waits for a long-running operation: it is written down in
status before anything else happens and looked at in later visits, also by a successor of this process.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, assert_never

from pydantic import ValidationError

from loadmaster_ha.azure.credentials import SignInRefused
from loadmaster_ha.azure.outcomes import Done, Operation, Outcome, Outdated, Refused, Running, TryLater
from loadmaster_ha.azure.session import AzureSession, AzureUnreachable
from loadmaster_ha.controller import deletion
from loadmaster_ha.controller.azure_view import view_of
from loadmaster_ha.controller.conditions import ConditionStatus, ConditionType, Reason
from loadmaster_ha.controller.credentials import CredentialsProblem, PairSessions
from loadmaster_ha.controller.exchange import Exchange
from loadmaster_ha.controller.finalizer import hold_on, let_go
from loadmaster_ha.controller.gating import publishable, put_off, unpublished, with_paths
from loadmaster_ha.controller.kubernetes import JSON, Kubernetes, KubernetesError
from loadmaster_ha.controller.lease import LeaseLost
from loadmaster_ha.controller.registry import PairKey, Pairs, target_of
from loadmaster_ha.controller.repetition import ENOUGH, what_for
from loadmaster_ha.controller.report import Reporter
from loadmaster_ha.controller.status import Obstacle, Situation, differences
from loadmaster_ha.controller.visiting import Visitor
from loadmaster_ha.controller.work import FINALIZER, FORCE_DELETE, Course, Memory, Work
from loadmaster_ha.controller.workqueue import Next, Visit, VisitOutcome
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.changes import Change, Plan, may_follow
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.pair import conflicts, frontend_address, needs, plan, plan_deletion
from loadmaster_ha.planning.real_server_paths import by_service
from loadmaster_ha.planning.units.publishing import is_managed
from loadmaster_ha.resources.loadmasterpair import Deletion

log = logging.getLogger(__name__)

CALM_AGE: Final = 60.0
"""Seconds. So old a reading may be when we look without cause: many pairs share one list."""

UNSURE_SECONDS: Final = 0.5
"""Taken off the age of a reading: `azure.session` lets one through that began a moment earlier."""

FRESH_AGE: Final = 5.0
"""Seconds. So old a reading may be when something is decided on it; each write is guarded by its etag."""

REFUSED_SECONDS: Final = 60.0
"""How often credentials that do not work are looked at again."""


class PairController(Visitor):
    """Visits pairs. One instance serves all; the queue never visits one twice at a time."""

    def __init__(
        self,
        *,
        kubernetes: Kubernetes,
        sessions: PairSessions,
        pairs: Pairs,
        reporter: Reporter,
        permit: Callable[[], None],
        exchange: Exchange,
        calm_age: float = CALM_AGE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(log)
        self._kubernetes = kubernetes
        self._sessions = sessions
        self._pairs = pairs
        self._report = reporter
        self._permit = permit
        self._exchange = exchange
        self._calm_age = calm_age
        self._clock = clock
        self._memories: dict[PairKey, Memory] = {}

    async def forget(self, key: PairKey) -> None:
        """The pair is gone. A visit under way keeps its session, and may still tell: then it is forgotten."""
        if key in self._visited:
            self._leaving.add(key)
            return
        self._leaving.discard(key)
        self._memories.pop(key, None)
        self._report.gone(key)
        await self._sessions.forget(key)

    async def _visit(self, visit: Visit[PairKey]) -> Next:
        body = await self._kubernetes.get_pair(*visit.key)
        if body is None:
            await self.forget(visit.key)
            return Next(VisitOutcome.NO_CHANGE, gone=True)
        uid = str(body["metadata"]["uid"])
        memory = self._memories.get(visit.key)
        known = memory is not None and memory.uid == uid
        if memory is None or memory.uid != uid:
            memory = self._memories[visit.key] = Memory(uid)
        try:
            target = target_of(body)
        except ValidationError as invalid:
            return await self._not_understood(body, invalid)
        work = Work(visit.key, body, target, memory, visit.woken, known, visit.woken_for)
        if work.deleting and FINALIZER not in work.finalizers:
            return Next(VisitOutcome.NO_CHANGE)  # it goes when others have let go of it
        situation, following = await self._try(work)
        if work.deleting:
            self._exchange.azure_cleaned(work.key, cleaned=deletion.is_clean(situation))
        units = self._exchange.units(work.key) if is_managed(target.spec) else None
        if work.deleting and (farewell := deletion.farewell(work, situation, units)) is not None:
            await self._report.event(work.body, farewell)
            await let_go(self._kubernetes, work.body)
            return Next(VisitOutcome.CHANGED)
        await self._report.situation(work, situation)
        return replace(following, progress=work.progress)

    async def _try(self, work: Work) -> tuple[Situation, Next]:
        """Do what there is to do, and turn everything that goes wrong into words."""
        try:
            return await self._do(work)
        except (CredentialsProblem, SignInRefused) as problem:
            reason = problem.reason if isinstance(problem, CredentialsProblem) else Reason.SIGN_IN_REFUSED
            told = problem.message
            if work.deleting and isinstance(problem, CredentialsProblem):
                told = deletion.advice_about_azure(problem)
            obstacle = Obstacle(reason, told, blocking=True)
            following = Next(VisitOutcome.WAITING, after=REFUSED_SECONDS)
        except AzureUnreachable as problem:
            told = _in_words(problem)
            if not work.memory.trouble:  # at the beginning of an outage, not at every attempt
                log.warning("%s", told)
            obstacle = Obstacle(Reason.AZURE_UNREACHABLE, told)
            following = Next(VisitOutcome.WAITING)
        except (LeaseLost, KubernetesError):
            raise
        except Exception as problem:
            log.exception("A visit failed in a way that nobody expected: this is a bug")
            bug = (
                f"The operator has a bug ({type(problem).__name__}); its log has the details. It tries again."
            )
            obstacle, following = Obstacle(Reason.INTERNAL_ERROR, bug), Next(VisitOutcome.ERROR)
        work.memory.episode, work.memory.trouble, work.memory.course = None, True, None
        return work.situation(obstacle=obstacle, operation=work.operation), following

    async def _do(self, work: Work) -> tuple[Situation, Next]:
        """Look at what runs, observe, plan, and apply the first change."""
        self._report.failover(work)
        azure, orphan = work.target.spec.azure, work.target.spec.policy.deletion is Deletion.ORPHAN
        session = await self._sessions.get(work.key, azure, woken=work.woken, deleting=work.deleting)
        if (operation := work.operation) is not None:
            outcome = await session.look(operation)
            if not isinstance(outcome, Done):
                return await self._not_done_yet(work, operation, outcome)
            work.progress = True
        planned = _rest_of_course(work) or await self._plan(work, session)
        if planned.changes and work.situation().held is None and not (work.deleting and orphan):
            return await self._apply(work, session, planned)
        return await self._nothing_to_apply(work, planned)

    async def _plan(self, work: Work, session: AzureSession) -> Plan:
        """Observe and plan, on readings fresh enough for what follows from them."""
        memory, now = work.memory, self._clock()
        if memory.episode is not None and now - memory.episode < CALM_AGE:
            return await self._observe(work, session, now - memory.episode)
        age = self._age(work)
        planned = await self._observe(work, session, age)
        if not planned.converged and age > FRESH_AGE:
            planned = await self._observe(work, session, FRESH_AGE)
        memory.trouble = not planned.converged
        memory.episode = now if planned.changes else None
        # Drift stays drift until it is repaired, also while nothing may be written.
        synced = work.stored(ConditionType.AZURE_SYNCED) is ConditionStatus.TRUE or memory.drifting
        # What the units became ready for is no drift either: Azure is wanted otherwise than before.
        same = memory.wanted is None or memory.wanted == work.publish
        memory.drifting = bool(planned.changes) and work.seen and synced and same and not work.deleting
        return planned

    def _age(self, work: Work) -> float:
        """So many seconds old a reading may be at first."""
        # After a start all pairs are new to us, but nothing has happened to those that know their status.
        if work.woken and not (work.seen and not work.known):
            # What was read while it waited for its turn is new enough: many that come at once share that.
            return min(max(0.0, work.woken_for - UNSURE_SECONDS), self._calm_age)
        # What could not be read is not to be believed for long either, or the end of an outage is missed.
        return min(FRESH_AGE, self._calm_age) if work.memory.trouble else self._calm_age

    async def _observe(self, work: Work, session: AzureSession, max_age: float) -> Plan:
        target = work.target
        observation = await session.observe(partial(needs, target), max_age=max_age)
        work.observation = observation
        older = self._pairs.older_than(work.key)
        if work.deleting:
            planned = plan_deletion(target, observation, older)
            self._exchange.azure_seen(work.key, view_of(target, observation, planned))
            return planned
        units = self._exchange.units(work.key)
        work.publish, waiting = publishable(target, units, observation)
        work.unpublished = unpublished(target, work.publish, waiting)
        work.put_off = put_off(target, work.publish)
        planned = plan(target, observation, publish=work.publish)
        paths = by_service(Layout(target), observation, units.endpoints)
        planned = with_paths(planned, paths, units.endpoints)
        view = view_of(target, observation, planned, waiting=waiting, paths=paths)
        self._exchange.azure_seen(work.key, view)
        if (address := frontend_address(target, observation)) is not None:
            work.status_fields["frontend"] = {"address": address}
        elif planned.waiting and "frontend" in work.status:
            work.status_fields["frontend"] = work.status["frontend"]  # not readable now: AzureSynced says so
        found = conflicts(target, older)
        self._pairs.contest(work.key, contested=bool(found))
        if found:
            held_back = (*planned.changes, *planned.held_back)
            return Plan(findings=(*found, *planned.findings), held_back=held_back)
        return planned

    async def _apply(self, work: Work, session: AzureSession, planned: Plan) -> tuple[Situation, Next]:
        """Carry out the first change of the plan."""
        change, memory = planned.changes[0], work.memory
        if (pause := _pause(work, change)) is not None:
            memory.course, memory.episode = None, None
            undone = work.situation(plan=planned, obstacle=_undone(work, change))
            return undone, Next(VisitOutcome.WAITING, after=pause)
        applied = (*(memory.course.applied if memory.course is not None else ()), change)
        memory.course = None
        work.progress, memory.tried = work.progress or memory.tried != what_for(change), what_for(change)
        if not work.deleting:
            await self._hold_on(work)
        troubled = work.stored(ConditionType.RECONCILING), work.stored(ConditionType.STALLED)
        if not work.seen or ConditionStatus.TRUE not in troubled:  # else it would flap with each try
            await self._report.situation(work, work.situation(plan=planned))
        log.info("Writing to Azure: %s", differences([change]), extra={"resource": str(change.resource)})
        outcome = await session.apply(change, permit=self._permit)
        if isinstance(outcome, Done | Running):
            memory.course = Course(work.generation, applied, planned.changes[1:])
            memory.repetition.made(change)
            await self._report.change(work, change)
        if isinstance(outcome, Running) and outcome.after <= 0:  # most likely over already
            operation, outcome = outcome.operation, await session.look(outcome.operation)
            if not isinstance(outcome, Done | Running):
                await self._tell_failure(work, operation, outcome)
        if isinstance(outcome, Done):
            memory.outdated, work.progress = 0, True
            rest = replace(planned, changes=planned.changes[1:])
            # The end is told by the visit that has observed it.
            told = work.situation(plan=rest if rest.changes else planned, obstacle=_undone(work, change))
            return told, Next(VisitOutcome.CHANGED, after=0)
        return _not_done(work, planned, outcome, change.resource)

    async def _not_done_yet(
        self, work: Work, operation: Operation, outcome: Outcome
    ) -> tuple[Situation, Next]:
        """An operation of an earlier visit still runs, or has come to a bad end."""
        if isinstance(outcome, Running | Done):
            return _not_done(work, Plan(), outcome, operation.resource)
        await self._tell_failure(work, operation, outcome)
        return _not_done(work, None, outcome, operation.resource)

    async def _tell_failure(
        self, work: Work, operation: Operation, outcome: Outdated | TryLater | Refused
    ) -> None:
        """Azure had accepted a write and did not bring it to its end."""
        log.warning("Azure did not finish %s %s: %s", operation.verb, operation.resource, outcome.message)
        work.memory.repetition.failed()
        await self._report.failed_operation(work, operation, outcome.reason, outcome.message)

    async def _nothing_to_apply(self, work: Work, planned: Plan) -> tuple[Situation, Next]:
        """Converged, held back on purpose, or kept from it."""
        work.memory.episode, work.memory.outdated, work.memory.course = None, 0, None
        if planned.converged:
            work.memory.repetition.clear()
            work.memory.wanted = work.publish
        situation = work.situation(plan=planned)
        if planned.blocking or planned.waiting:
            return situation, Next(VisitOutcome.WAITING)
        if planned.converged and situation.held is None and not work.deleting:
            await self._hold_on(work)
        return situation, Next(VisitOutcome.NO_CHANGE)

    async def _not_understood(self, body: JSON, invalid: ValidationError) -> Next:
        """The manifest cannot be read: nothing is done, and only force lets it go."""
        metadata = body["metadata"]
        forced = (metadata.get("annotations") or {}).get(FORCE_DELETE) == "true"
        if metadata.get("deletionTimestamp") and forced:
            await self._report.event(body, deletion.INVALID)
            await let_go(self._kubernetes, body)
            return Next(VisitOutcome.CHANGED)
        await self._report.invalid(body, invalid)
        return Next(VisitOutcome.WAITING)

    async def _hold_on(self, work: Work) -> None:
        """Before anything in Azure is ours: see to it that we get to clean up."""
        if work.target.spec.policy.deletion is Deletion.DELETE:
            work.body = await hold_on(self._kubernetes, work.body)


def _in_words(problem: AzureUnreachable) -> str:
    return (
        f"Azure cannot be read ({problem.reason}): {problem.message.rstrip('.')}. It is tried again. If that "
        "does not help, check the way out of the network, the proxy, and the operator's --azure-ca-file."
    )


def _rest_of_course(work: Work) -> Plan | None:
    """What remains of the plan under way, as long as its next change may follow without a look at Azure.

    None else, and then Azure is observed and the plan made anew: at the end of the plan too.
    """
    course = work.memory.course
    current = course is not None and not work.woken and course.generation == work.generation
    if course is None or not (current and course.rest and may_follow(course.rest[0], course.applied)):
        work.memory.course = None
        return None
    return Plan(changes=course.rest)


def _not_done(
    work: Work, planned: Plan | None, outcome: Outcome, resource: ResourceID
) -> tuple[Situation, Next]:
    """What a write of `resource`, or the look at one, means that has not come to its good end."""
    if isinstance(outcome, Running):
        running = work.situation(plan=planned, operation=outcome.operation)
        return running, Next(VisitOutcome.CHANGED, after=outcome.after)
    if isinstance(outcome, Done):
        return work.situation(plan=planned), Next(VisitOutcome.CHANGED, after=0)
    work.memory.episode, work.memory.course = None, None
    after: float | None = None
    match outcome:
        case Outdated(reason, message):
            work.memory.outdated += 1
            obstacle = Obstacle(Reason.CHANGED_MEANWHILE, f"{reason}: {message} It is read and planned anew.")
            after = 0.0 if work.memory.outdated <= 1 else None
        case TryLater(reason, message, after):
            obstacle = Obstacle(reason, f"Could not change {resource} yet: {message}")
        case Refused(reason, message):
            obstacle = Obstacle(reason, f"Azure refused a change of {resource}: {message}", blocking=True)
        case _:
            assert_never(outcome)
    following = Next(VisitOutcome.WAITING, after=after, grows=isinstance(outcome, TryLater))
    return work.situation(plan=planned, obstacle=obstacle), following


def _pause(work: Work, change: Change) -> float | None:
    """Seconds to wait because this change does not last; None when it may be made now."""
    memory = work.memory
    if memory.generation != work.generation:
        memory.generation = work.generation
        memory.repetition.clear()
    return memory.repetition.pause(change)


def _undone(work: Work, change: Change) -> Obstacle | None:
    """What to tell of a change that was made several times and did not last."""
    times = work.memory.repetition.times(change)
    if times < ENOUGH:
        return None
    message = (
        f"{change.resource} was written {times} times as wanted and is otherwise again each time. Find out "
        "who else writes to it (the activity log of the resource) and let one of the two have it. It is "
        f"tried again with growing pauses. {differences([change])}"
    )
    return Obstacle(Reason.NOT_CONVERGING, message)

"""One visit to a pair: gather, observe, plan, apply at most one change, tell. Everything is read again at
each visit.

`process` gives it to the work queue. Decisions about Azure are made in `planning`, their words in `status`;
here is only the order of things. A visit never waits for a long-running operation: it is written down in
status before anything else happens and looked at in later visits, also by a successor of this process.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from pydantic import ValidationError

from loadmaster_ha.azure.credentials import SignInRefused
from loadmaster_ha.azure.outcomes import Done, Operation, Outcome, Outdated, Refused, Running, TryLater
from loadmaster_ha.azure.session import AzureSession, AzureUnreachable
from loadmaster_ha.controller import events
from loadmaster_ha.controller.conditions import WANTED, ConditionStatus, ConditionType, Reason, find
from loadmaster_ha.controller.credentials import CredentialsProblem, PairSessions
from loadmaster_ha.controller.kubernetes import JSON, Kubernetes, KubernetesError
from loadmaster_ha.controller.lease import LeaseLost
from loadmaster_ha.controller.logs import about
from loadmaster_ha.controller.registry import PairKey, Pairs, target_of
from loadmaster_ha.controller.status import Obstacle, Situation, differences, render, same
from loadmaster_ha.controller.workqueue import Next, Visit, VisitOutcome
from loadmaster_ha.planning.arm import InvalidResourceID, ResourceID
from loadmaster_ha.planning.changes import Change, Plan
from loadmaster_ha.planning.failover import Bounds
from loadmaster_ha.planning.observation import Observation
from loadmaster_ha.planning.pair import (
    conflicts,
    expected_failover,
    frontend_address,
    left_behind,
    needs,
    plan,
    plan_deletion,
)
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.resources.loadmasterpair import Deletion, Mode
from loadmaster_ha.telemetry.operator import OperatorMetrics

log = logging.getLogger(__name__)

FINALIZER: Final = "loadmaster.dev/azure-cleanup"
SUSPEND: Final = "loadmaster.dev/suspend"
FORCE_DELETE: Final = "loadmaster.dev/force-delete"

CALM_AGE: Final = 60.0
"""Seconds. So old a reading may be when we look without cause: many pairs share one list."""

FRESH_AGE: Final = 5.0
"""Seconds. So old a reading may be when something is decided on it; every write is guarded by its etag
besides."""

REFUSED_SECONDS: Final = 60.0
"""How often credentials that do not work are looked at again."""


@dataclass
class _Memory:
    """What is kept of a pair between visits. Losing it costs a few reads, never correctness."""

    episode: float | None = None
    """When the readings were fresh on which a series of changes began; later steps may use what was read
    since."""

    drifting: bool = False
    """The series repairs what somebody changed in Azure, the manifest did not change."""

    outdated: int = 0
    """How often in a row somebody was faster than we."""


@dataclass
class _Work:
    """One visit."""

    key: PairKey
    body: JSON
    target: PairTarget
    memory: _Memory
    woken: bool
    known: bool
    status_fields: dict[str, Any] = field(default_factory=dict)
    observation: Observation | None = None

    @property
    def annotations(self) -> JSON:
        return self.body["metadata"].get("annotations") or {}

    @property
    def status(self) -> JSON:
        return self.body.get("status") or {}

    @property
    def generation(self) -> int:
        return int(self.body["metadata"]["generation"])

    @property
    def deleting(self) -> bool:
        return bool(self.body["metadata"].get("deletionTimestamp"))

    @property
    def forced(self) -> bool:
        return bool(self.annotations.get(FORCE_DELETE) == "true")

    @property
    def finalizers(self) -> list[str]:
        return list(self.body["metadata"].get("finalizers") or ())

    @property
    def seen(self) -> bool:
        """Whether the stored conditions are about the present manifest."""
        return bool(self.status.get("observedGeneration") == self.generation)

    def stored(self, kind: ConditionType) -> ConditionStatus | None:
        found = find(self.status.get("conditions") or (), kind).get("status")
        return ConditionStatus(found) if found else None

    def situation(self, **more: Any) -> Situation:
        """What is known so far, with what came of the visit."""
        suspended = ""
        if self.target.spec.suspend:
            suspended = "spec.suspend"
        elif self.annotations.get(SUSPEND) == "true":
            suspended = f"the annotation {SUSPEND}"
        return Situation(
            generation=self.generation,
            suspended=suspended,
            observing=self.target.spec.policy.mode is Mode.OBSERVE,
            deleting=self.deleting,
            status_fields=self.status_fields,
            **more,
        )


class PairController:
    """Visits pairs. One instance serves all; the queue sees to it that no pair is visited twice at a time."""

    def __init__(
        self,
        *,
        kubernetes: Kubernetes,
        sessions: PairSessions,
        pairs: Pairs,
        recorder: events.Recorder,
        metrics: OperatorMetrics,
        permit: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kubernetes = kubernetes
        self._sessions = sessions
        self._pairs = pairs
        self._recorder = recorder
        self._metrics = metrics
        self._permit = permit
        self._clock = clock
        self._memories: dict[PairKey, _Memory] = {}

    async def visit(self, visit: Visit[PairKey]) -> Next:
        """Visit one pair; what the queue calls."""
        with about(namespace=visit.key.namespace, name=visit.key.name):
            try:
                return await self._visit(visit)
            except LeaseLost as lost:
                log.error("Nothing more is written: %s", lost)  # noqa: TRY400 - the process ends anyway
            except KubernetesError as problem:
                log.warning("The visit broke off, the Kubernetes API said: %s", problem)
            return Next(VisitOutcome.ERROR)

    async def forget(self, key: PairKey) -> None:
        """The pair is gone."""
        self._memories.pop(key, None)
        self._metrics.on_pair_gone(key.namespace, key.name)
        await self._sessions.forget(key)

    async def _visit(self, visit: Visit[PairKey]) -> Next:
        body = await self._kubernetes.get_pair(*visit.key)
        if body is None:
            await self.forget(visit.key)
            return Next(VisitOutcome.NO_CHANGE, gone=True)
        known = visit.key in self._memories
        memory = self._memories.setdefault(visit.key, _Memory())
        try:
            target = target_of(body)
        except ValidationError as invalid:
            return await self._tell_invalid(body, invalid)
        work = _Work(visit.key, body, target, memory, visit.woken, known)
        if work.deleting and FINALIZER not in work.finalizers:
            return Next(VisitOutcome.NO_CHANGE)
        try:
            situation, after = await self._work(work)
        except (LeaseLost, KubernetesError):
            raise
        except Exception as problem:
            log.exception("A visit failed in a way that nobody expected: this is a bug")
            message = (
                f"The operator has a bug ({type(problem).__name__}); its log has the details. It tries again."
            )
            situation = work.situation(obstacle=Obstacle(Reason.INTERNAL_ERROR, message))
            after = Next(VisitOutcome.ERROR)
        if work.deleting and await self._let_go(work, situation):
            return Next(VisitOutcome.CHANGED)
        await self._report(work, situation)
        return after

    async def _work(self, work: _Work) -> tuple[Situation, Next]:
        """Everything between reading the pair and telling about it."""
        if work.deleting and work.target.spec.policy.deletion is Deletion.ORPHAN:
            return work.situation(plan=Plan()), Next(VisitOutcome.CHANGED)
        self._expect_failover(work)
        try:
            session = await self._sessions.get(
                work.key, work.target.spec.azure, woken=work.woken, deleting=work.deleting
            )
            if (operation := _stored_operation(work.status)) is not None:
                outcome = await session.look(operation)
                if not isinstance(outcome, Done):
                    return await self._after_look(work, operation, outcome)
            planned = await self._plan(work, session)
            if planned.changes and work.situation().held is None:
                return await self._apply(work, session, planned)
        except (CredentialsProblem, SignInRefused) as problem:
            reason = problem.reason if isinstance(problem, CredentialsProblem) else Reason.SIGN_IN_REFUSED
            stuck = work.situation(obstacle=Obstacle(reason, problem.message, blocking=True))
            return stuck, Next(VisitOutcome.WAITING, after=REFUSED_SECONDS)
        except AzureUnreachable as problem:
            return work.situation(obstacle=Obstacle(Reason.AZURE_UNREACHABLE, str(problem))), Next(
                VisitOutcome.WAITING
            )
        return await self._nothing_to_apply(work, planned)

    async def _plan(self, work: _Work, session: AzureSession) -> Plan:
        """Observe and plan, on readings fresh enough for what follows from them."""
        memory, now = work.memory, self._clock()
        if memory.episode is not None and now - memory.episode < CALM_AGE:
            return await self._observe(work, session, now - memory.episode)
        # After a start everything is new to us, but nothing has happened to a pair that was told about
        # before.
        touched = work.woken and not (work.seen and not work.known)
        planned = await self._observe(work, session, 0.0 if touched else CALM_AGE)
        if not planned.converged and not touched:
            planned = await self._observe(work, session, FRESH_AGE)
        memory.episode = now if planned.changes else None
        synced = work.stored(ConditionType.AZURE_SYNCED) is ConditionStatus.TRUE
        memory.drifting = bool(planned.changes) and work.seen and synced and not work.deleting
        return planned

    async def _observe(self, work: _Work, session: AzureSession, max_age: float) -> Plan:
        target = work.target
        work.observation = await session.observe(partial(needs, target), max_age=max_age)
        if work.deleting:
            return plan_deletion(target, work.observation)
        if (address := frontend_address(target, work.observation)) is not None:
            work.status_fields["frontend"] = {"address": address}
        planned = plan(target, work.observation)
        if planned.waiting and "frontend" in work.status and address is None:
            work.status_fields["frontend"] = work.status["frontend"]  # could not be read; AzureSynced says so
        found = conflicts(target, self._pairs.older_than(work.key))
        self._pairs.contest(work.key, contested=bool(found))
        if found:
            held = (*planned.changes, *planned.held_back)
            return Plan(findings=(*found, *planned.findings), held_back=held)
        return planned

    async def _apply(self, work: _Work, session: AzureSession, planned: Plan) -> tuple[Situation, Next]:
        """Carry out the first change of the plan."""
        change, remaining = planned.changes[0], replace(planned, changes=planned.changes[1:])
        if not work.deleting:
            await self._hold_on(work)
        calm = ConditionStatus.TRUE not in (
            work.stored(ConditionType.RECONCILING),
            work.stored(ConditionType.STALLED),
        )
        if calm or not work.seen:
            await self._report(work, work.situation(plan=planned))
        log.info("Writing to Azure: %s", differences([change]), extra={"resource": str(change.resource)})
        outcome = await session.apply(change, permit=self._permit)
        if isinstance(outcome, Done | Running):
            await self._tell_change(work, change)
        if isinstance(outcome, Running) and outcome.after <= 0:  # most likely over already
            outcome = await session.look(outcome.operation)
        if isinstance(outcome, Done):
            work.memory.outdated = 0
            return work.situation(plan=remaining), Next(VisitOutcome.CHANGED, after=0)
        return self._not_done(work, planned, outcome)

    def _not_done(self, work: _Work, planned: Plan | None, outcome: Outcome) -> tuple[Situation, Next]:
        """What a write, or the look at one, means that has not come to its good end."""
        match outcome:
            case Running(operation, after):
                return work.situation(plan=planned, operation=operation), Next(
                    VisitOutcome.CHANGED, after=after
                )
            case Outdated(reason, message):
                work.memory.episode = None
                work.memory.outdated += 1
                obstacle = Obstacle(
                    Reason.CHANGED_MEANWHILE, f"{reason}: {message} It is read and planned anew."
                )
                after_next = 0.0 if work.memory.outdated <= 1 else None
                return work.situation(plan=planned, obstacle=obstacle), Next(
                    VisitOutcome.WAITING, after=after_next
                )
            case TryLater(reason, message, after):
                work.memory.episode = None
                return (
                    work.situation(plan=planned, obstacle=Obstacle(reason, message)),
                    Next(VisitOutcome.WAITING, after=after),
                )
            case Refused(reason, message):
                work.memory.episode = None
                obstacle = Obstacle(reason, message, blocking=True)
                return work.situation(plan=planned, obstacle=obstacle), Next(VisitOutcome.WAITING)
            case Done():
                return work.situation(plan=planned), Next(VisitOutcome.CHANGED, after=0)

    async def _after_look(
        self, work: _Work, operation: Operation, outcome: Outcome
    ) -> tuple[Situation, Next]:
        if not isinstance(outcome, Running):
            await self._recorder.record(
                work.body,
                events.operation_failed(
                    operation, getattr(outcome, "reason", ""), getattr(outcome, "message", "")
                ),
            )
        return self._not_done(work, None if not isinstance(outcome, Running) else Plan(), outcome)

    async def _nothing_to_apply(self, work: _Work, planned: Plan) -> tuple[Situation, Next]:
        """Converged, held back on purpose, or kept from it."""
        work.memory.episode, work.memory.outdated = None, 0
        situation = work.situation(plan=planned)
        if planned.blocking or planned.waiting:
            return situation, Next(VisitOutcome.WAITING)
        if planned.converged and situation.held is None and not work.deleting:
            await self._hold_on(work)
        return situation, Next(VisitOutcome.NO_CHANGE)

    # Kubernetes

    async def _hold_on(self, work: _Work) -> None:
        """Before anything in Azure is ours: see to it that we get to clean up."""
        if work.target.spec.policy.deletion is Deletion.DELETE and FINALIZER not in work.finalizers:
            work.body = await self._kubernetes.set_finalizers(work.body, [*work.finalizers, FINALIZER])

    async def _let_go(self, work: _Work, situation: Situation) -> bool:
        """Remove our finalizer if nothing is left to do, or nothing more is to be tried. True when it is
        removed."""
        stuck = situation.blocking or situation.waiting
        if work.target.spec.policy.deletion is Deletion.ORPHAN:
            note = "spec.policy.deletion is Orphan: everything in Azure stays as it is."
            event = events.Event("Orphaned", note, "deletion", action="Delete")
        elif (
            situation.plan is not None
            and situation.plan.converged
            and situation.operation is None
            and stuck is None
        ):
            event = events.Event(
                "Deleted", "Nothing of this pair is left in Azure.", "deletion", action="Delete"
            )
        elif work.forced and stuck is not None:
            note = f"Given up because of {stuck.reason}. May be left in Azure: {self._may_be_left(work)}"
            event = events.Event("ForceDeleted", note, "deletion", warning=True, action="Delete")
        else:
            return False
        await self._recorder.record(work.body, event)
        kept = [finalizer for finalizer in work.finalizers if finalizer != FINALIZER]
        await self._kubernetes.set_finalizers(work.body, kept)
        return True

    def _may_be_left(self, work: _Work) -> str:
        """What may stay in Azure: what was seen of ours, else where to look."""
        if work.observation is not None and (left := left_behind(work.target, work.observation)):
            return ", ".join(str(resource) for resource in left)
        spec = work.target.spec
        interfaces = [each.resource for unit in (spec.master, spec.slave) for each in unit.network_interfaces]
        return (
            f"in resource group {spec.azure.resource_group} of subscription {spec.azure.subscription_id}: load balancer "
            f"{spec.load_balancer.name}, memberships of the interfaces {', '.join(interfaces)}, rules named "
            f"lm_{work.key.name}_* in security groups"
        )

    async def _report(self, work: _Work, situation: Situation) -> None:
        """Store the status if it differs from what is stored, with an Event for each transition."""
        status = render(situation, work.status, now=_now())
        self._measure(work.key, status)
        if same(work.status, status):
            return
        for event in events.transitions(work.status.get("conditions") or (), status["conditions"]):
            await self._recorder.record(work.body, event)
        try:
            stored = await self._kubernetes.apply_status(work.body, status)
        except KubernetesError as problem:
            if problem.status not in {404, 409}:  # deleted meanwhile, or another pair of the same name
                raise
        else:
            work.body = stored

    async def _tell_change(self, work: _Work, change: Change) -> None:
        drift = work.memory.drifting
        if drift:
            self._metrics.on_drift(*work.key, change.section.value)
        occasion = f"{work.generation} {change.if_match}"
        await self._recorder.record(work.body, events.change_applied(change, drift=drift, occasion=occasion))

    async def _tell_invalid(self, body: JSON, invalid: ValidationError) -> Next:
        """The schema let something through that this version does not understand."""
        metadata = body["metadata"]
        finalizers = list(metadata.get("finalizers") or ())
        if (
            metadata.get("deletionTimestamp")
            and (metadata.get("annotations") or {}).get(FORCE_DELETE) == "true"
        ):
            note = "Given up because of InvalidSpec. What is left in Azure carries the tag or prefix of this pair."
            await self._recorder.record(
                body, events.Event("ForceDeleted", note, "deletion", warning=True, action="Delete")
            )
            await self._kubernetes.set_finalizers(body, [each for each in finalizers if each != FINALIZER])
            return Next(VisitOutcome.CHANGED)
        first = invalid.errors()[0]
        where = ".".join(["spec", *(str(part) for part in first["loc"])])
        message = f"{where}: {first['msg']}. Correct the manifest, or install the CRD that belongs to this operator."
        key = PairKey(metadata["namespace"], metadata["name"])
        status = render(
            Situation(
                generation=int(metadata["generation"]),
                deleting=bool(metadata.get("deletionTimestamp")),
                obstacle=Obstacle(Reason.INVALID_SPEC, message, blocking=True),
            ),
            body.get("status") or {},
            now=_now(),
        )
        self._measure(key, status)
        if not same(body.get("status") or {}, status):
            await self._kubernetes.apply_status(body, status)
        return Next(VisitOutcome.WAITING)

    # Figures

    def _measure(self, key: PairKey, status: JSON) -> None:
        conditions = [
            (
                each["type"],
                each["status"],
                each["reason"],
                WANTED[ConditionType(each["type"])] == each["status"],
            )
            for each in status["conditions"]
        ]
        self._metrics.on_pair(key.namespace, key.name, conditions)

    def _expect_failover(self, work: _Work) -> None:
        expected = expected_failover(work.target.spec.health_check)
        bounds = {
            ("ProcessDied", "Min"): expected.process_died.min,
            ("ProcessDied", "Max"): expected.process_died.max,
            ("Silent", "Min"): expected.silent.min,
            ("Silent", "Max"): expected.silent.max,
        }
        self._metrics.on_failover_expected(*work.key, bounds)
        work.status_fields["expectedFailover"] = {
            "processDiedSeconds": _whole(expected.process_died),
            "silentSeconds": _whole(expected.silent),
        }


def _stored_operation(status: JSON) -> Operation | None:
    """The long-running operation that status tells of."""
    found = ((status.get("azure") or {}).get("operations") or [None])[0]
    if found is None:
        return None
    try:
        return Operation(
            ResourceID.parse(found["resource"]), found["verb"], found["url"], found["style"], found["started"]
        )
    except (InvalidResourceID, KeyError):
        log.warning("The operation in status cannot be read; Azure is observed instead")
        return None


def _whole(bounds: Bounds) -> dict[str, int]:
    return {"min": math.floor(bounds.min), "max": math.ceil(bounds.max)}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

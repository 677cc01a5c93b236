"""One visit to the units of a pair: gather, observe both, plan, apply, tell.

`process` gives it to a work queue of its own. Decisions are made in `planning.units`; here is only the order
of things. A change of the HA settings and a reboot are followed by a new look, after a reboot not at the
partner, which was read a moment before; services go in batches. Neighbours: `writing`, `switching`, `drift`,
`model`; `board` stores what came of it, `exchange` tells the other lanes.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from loadmaster_ha.controller.azure_view import AzureView, frontend_to_be
from loadmaster_ha.controller.board import Board
from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.exchange import Exchange, UnitsView
from loadmaster_ha.controller.finding_words import reported
from loadmaster_ha.controller.kubernetes import JSON, Kubernetes, KubernetesError
from loadmaster_ha.controller.lease import LeaseLost
from loadmaster_ha.controller.registry import PairKey, Pairs, target_of
from loadmaster_ha.controller.secrets import SecretProblem
from loadmaster_ha.controller.status import Obstacle, joined
from loadmaster_ha.controller.status_units import UnitRow, UnitsSituation, stored_records, stored_refusal
from loadmaster_ha.controller.turns import in_turns
from loadmaster_ha.controller.units import drift
from loadmaster_ha.controller.units.likeness import differ
from loadmaster_ha.controller.units.model import (
    Inputs,
    Observe,
    Sessions,
    UnitsMemory,
    UnitsWork,
)
from loadmaster_ha.controller.units.rebooting import LOOKED_EVERY, Returns, waits_only
from loadmaster_ha.controller.units.switching import Switching
from loadmaster_ha.controller.units.writing import Course, Writing
from loadmaster_ha.controller.visiting import Visitor
from loadmaster_ha.controller.work import FINALIZER
from loadmaster_ha.controller.workqueue import Next, Visit, VisitOutcome
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present, Reading, Unknown
from loadmaster_ha.domain.unit_changes import Reboot
from loadmaster_ha.domain.units import UnitFacts
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.observer import what_lasts
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.pair import conflicts
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.planning.units.check_port import azure_check_port
from loadmaster_ha.planning.units.marks import Marks
from loadmaster_ha.planning.units.observation import (
    LONGEST_REBOOT_SECONDS,
    UnitRecord,
    UnitsObservation,
    UnitsTarget,
)
from loadmaster_ha.planning.units.pair import plan, plan_deletion
from loadmaster_ha.planning.units.preconditions import are_one
from loadmaster_ha.planning.units.publishing import is_managed
from loadmaster_ha.planning.units.reasons import Reason as UnitReason
from loadmaster_ha.resources.loadmasterpair import Deletion

log = logging.getLogger(__name__)

WATCHED_SECONDS: Final = 300.0
"""Between two looks at units that announce each change of their settings (the watch lane hears it)."""

SOON_SECONDS: Final = 1.0
"""How often a switch-over under way is looked at, and the least time between two looks."""


class UnitsController(Visitor):
    """Visits the units of pairs. One instance serves all; the queue never visits a pair twice at a time."""

    def __init__(
        self,
        *,
        kubernetes: Kubernetes,
        pairs: Pairs,
        board: Board,
        exchange: Exchange,
        sessions: Sessions,
        inputs: Inputs,
        observe: Observe,
        returns: Returns,
        writing: Writing,
        switching: Switching,
        probe_source: str,
        longest_reboot: float = LONGEST_REBOOT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(log)
        self._kubernetes = kubernetes
        self._pairs = pairs
        self._board = board
        self._exchange = exchange
        self._sessions = sessions
        self._inputs = inputs
        self._observe = observe
        self._returns = returns
        self._writing = writing
        self._switching = switching
        self._probe_source = probe_source
        self._longest_reboot = longest_reboot
        self._clock = clock
        self._memories: dict[PairKey, UnitsMemory] = {}

    def knows(self, key: PairKey) -> bool:
        """Whether the pair's units were visited."""
        return key in self._memories

    async def forget(self, key: PairKey) -> None:
        """The pair is gone, or not managed any more. A visit under way ends first."""
        if key in self._visited:
            self._leaving.add(key)
            return
        self._leaving.discard(key)
        self._memories.pop(key, None)
        self._returns.forget(key)
        await self._switching.forget(key)
        await self._sessions.forget(key)

    async def close(self) -> None:
        """End what goes on beside the visits."""
        self._returns.close()
        await self._switching.close()

    async def _visit(self, visit: Visit[PairKey]) -> Next:
        key = visit.key
        body = await self._kubernetes.get_pair(*key)
        if body is None:
            self._leaving.add(key)
            return Next(VisitOutcome.NO_CHANGE, gone=True)
        try:
            target = target_of(body)
        except ValidationError:  # the Azure lane tells it
            return Next(VisitOutcome.WAITING)
        if not is_managed(target.spec):
            self._leaving.add(key)
            return Next(VisitOutcome.NO_CHANGE, gone=True)
        work = self._begin(key, body, target)
        work.woken = visit.woken
        if work.deleting and not self._cleans_up(work):
            return Next(VisitOutcome.NO_CHANGE)
        situation, following = await self._try(work)
        if not await self._board.units(work.body, situation):
            return Next(VisitOutcome.NO_CHANGE, gone=True)
        self._tell_lanes(work, situation)
        await self._switching.finish(work)
        return self._in_time(key, following)

    def _in_time(self, key: PairKey, following: Next) -> Next:
        """When nothing is to be done: look again much later if the units announce what changes."""
        if following == Next(VisitOutcome.NO_CHANGE) and self._exchange.settings_are_watched(key):
            return replace(following, after=WATCHED_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - a spread
        return following

    def _begin(self, key: PairKey, body: JSON, target: PairTarget) -> UnitsWork:
        uid = str(body["metadata"]["uid"])
        memory = self._memories.get(key)
        if memory is None or memory.uid != uid:
            memory = self._memories[key] = UnitsMemory(uid)
        self._exchange.wanted(key, target)
        work = UnitsWork(key, body, target, memory)
        if memory.generation != work.generation:
            memory.generation = work.generation
            memory.repetition.clear()
        looked = (work.generation, work.deleting, tuple(sorted(work.annotations.items())))
        work.touched, memory.looked = memory.looked not in {None, looked}, looked
        records = stored_records(body.get("status") or {})
        azure = self._exchange.azure(key, target)
        for role in Role:
            address = azure.addresses.get(role, "")
            refusal = stored_refusal(body.get("status") or {}, role)
            work.rows[role] = UnitRow(address, record=records.get(role, UnitRecord()), refusal=refusal)
        return work

    def _cleans_up(self, work: UnitsWork) -> bool:
        deletes = work.target.spec.policy.deletion is Deletion.DELETE
        return deletes and FINALIZER in (work.body["metadata"].get("finalizers") or ())

    async def _try(self, work: UnitsWork) -> tuple[UnitsSituation, Next]:
        """Do what there is to do, and turn everything that goes wrong into words."""
        try:
            return await self._do(work)
        except (LeaseLost, KubernetesError):
            raise
        except Exception as problem:
            log.exception("A visit failed in a way that nobody expected: this is a bug")
            bug = (
                f"The operator has a bug ({type(problem).__name__}); its log has the details. It tries again."
            )
            return work.situation(obstacle=Obstacle(Reason.INTERNAL_ERROR, bug)), Next(VisitOutcome.ERROR)

    async def _do(self, work: UnitsWork) -> tuple[UnitsSituation, Next]:
        """Look at both units, plan, and apply."""
        azure = self._exchange.azure(work.key, work.target)
        if work.deleting and not self._exchange.azure_is_clean(work.key):
            first = Obstacle(Reason.CLEANING_UP, "What is ours in Azure is removed first.")
            return work.situation(obstacle=first), Next(VisitOutcome.NO_CHANGE)
        if found := conflicts(work.target, self._pairs.older_than(work.key)):
            return work.situation(obstacle=joined(found, blocking=True), cleaned=work.deleting), Next(
                VisitOutcome.NO_CHANGE
            )
        if (waiting := await self._waits_on(work, azure)) is not None:
            return waiting, Next(VisitOutcome.WAITING, after=LOOKED_EVERY)
        await self._look(work, azure)
        if await self._switching.go_on(work, now=self._clock()):
            return work.situation(), Next(VisitOutcome.WAITING, after=SOON_SECONDS)
        assert work.plan is not None  # noqa: S101 - `_look` has made it
        self._remember(work)
        if work.plan.changes and not work.held:
            course = await self._writing.apply(work)
            return self._after_writes(work, course)
        return self._nothing_to_write(work)

    async def _waits_on(self, work: UnitsWork, azure: AzureView) -> UnitsSituation | None:
        """What was told before, if nothing but a reboot is waited for and it is not over; else None."""
        memory = work.memory
        if work.woken or not waits_only(memory, self._clock()):
            return None
        for role in memory.reboots:
            client = await self._client(work, role, azure.addresses.get(role))
            if not isinstance(client, Present) or await self._is_back(work, role, client.value):
                return None
        return memory.waiting

    async def _is_back(self, work: UnitsWork, role: Role, client: Caller) -> bool:
        """Whether a unit can be looked at: it was not told to reboot, or that is over."""
        told = work.memory.reboots.get(role)
        return told is None or await self._returns.is_back(work.key, role, told, client)

    async def _look(self, work: UnitsWork, azure: AzureView) -> None:
        """Read everything, and make the plan of it."""
        work.still = self._still(work)
        gathered, readings = await asyncio.gather(
            in_turns(self._inputs.gather(work.target, fresh=work.touched)),
            asyncio.gather(*(in_turns(self._read(work, role, azure)) for role in Role)),
        )
        work.gathered, work.facts = gathered, dict(zip(Role, readings, strict=True))
        work.memory.looked_at, work.memory.waiting = self._clock(), None
        self._seen(work)
        work.wanted = UnitsTarget(
            pair=work.target,
            addresses=azure.addresses,
            arm_addresses=azure.arm_addresses,
            frontend=frontend_to_be(work.target, azure),
            secret_version=gathered.secret_version,
            certificates=gathered.certificates,
            endpoints=gathered.endpoints,
            probe_source=self._probe_source,
            longest_reboot=self._longest_reboot,
        )
        work.observation = UnitsObservation(
            units=work.facts,
            records={role: work.record(role) for role in Role},
            published=azure.published,
            frontend_serves=self._exchange.frontend_serves(work.key),
            ports=azure.ports,
            reboots=dict(work.memory.reboots),
            draining_since=dict(work.memory.draining),
        )
        planner = plan_deletion if work.deleting else plan
        found = planner(work.wanted, work.observation, now=self._clock())
        work.plan = replace(found, findings=(*found.findings, *gathered.findings))

    def _still(self, work: UnitsWork) -> Mapping[Role, UnitFacts]:
        """The units that are as the last visit has read them a moment ago."""
        found, work.memory.still = work.memory.still, {}
        recent = self._clock() - work.memory.looked_at < SOON_SECONDS
        return found if recent and not work.woken else {}

    async def _read(self, work: UnitsWork, role: Role, azure: AzureView) -> Reading[UnitFacts]:
        """One unit; what keeps from it is said with its name and address."""
        address = azure.addresses.get(role)
        client = await self._client(work, role, address)
        work.clients[role] = client
        if not isinstance(client, Present):
            return Unknown(client.reason, client.message)
        if not await self._is_back(work, role, client.value):
            return Unknown(FaultReason.BOOTING.value, "it was told to reboot")
        if (as_it_was := work.still.get(role)) is not None:
            return Present(as_it_was)
        terminates = any(
            each.virtual_service and each.virtual_service.tls for each in work.target.spec.services
        )
        marks = Marks(work.target.identity)
        caller, known = work.memory.known.get(role, (None, None))
        try:
            facts = await self._observe(
                client.value,
                role,
                services=True,
                certificates=terminates or work.deleting,
                of_interest=marks.owns_certificate,
                known=known if caller is client.value else None,
            )
        except UnitFault as fault:
            if fault.seen_fingerprint:
                work.rows[role] = replace(work.rows[role], fingerprint=fault.seen_fingerprint)
            if role not in work.memory.reboots:
                self._returns.expect(work.key, role, client.value, fault)
            return Unknown(fault.reason.value, str(fault))
        finally:
            work.rows[role] = replace(work.rows[role], refusal=self._sessions.refusal(work.key, role))
        work.memory.known[role] = client.value, what_lasts(facts)
        self._see_certificate(work, role, client.value)
        return Present(facts)

    async def _client(self, work: UnitsWork, role: Role, address: str | None) -> Reading[Caller]:
        unit = Layout(work.target).unit(role)
        if address is None and unit.management.address is None:
            return Unknown(UnitReason.ADDRESS_UNKNOWN, f"The address of the {role.lower()} is not known yet")
        try:
            return Present(
                await self._sessions.get(
                    work.key, role, unit, address or "", fresh=work.touched, deleting=work.deleting
                )
            )
        except SecretProblem as problem:
            return Unknown(problem.reason.value, problem.message)

    def _see_certificate(self, work: UnitsWork, role: Role, client: Caller) -> None:
        seen = client.certificate
        if seen is not None:
            work.rows[role] = replace(work.rows[role], fingerprint=seen.fingerprint)
            self._writing.certificate_seen(work.key, role, seen)

    def _seen(self, work: UnitsWork) -> None:
        """Take over into rows and memory what the units told."""
        memory = work.memory
        mistaken = are_one(work.present.values())  # neither is forgotten for that
        for role, facts in work.present.items():
            told = memory.reboots.get(role)
            if told is not None and told.boot != facts.boot:
                del memory.reboots[role]
            if role not in memory.reboots:
                self._returns.forget(work.key, role)
            row = work.rows[role]
            keeps = mistaken or row.record.identity == facts.identity
            record = row.record if keeps else UnitRecord(facts.identity)
            work.rows[role] = replace(row, kind=facts.kind, firmware=facts.firmware, record=record)
        since = memory.differ_since
        different = differ(work.present, self._exchange.azure(work.key, work.target).arm_addresses)
        memory.differ_since = (self._clock() if since is None else since) if different else None

    def _remember(self, work: UnitsWork) -> None:
        """What the next visit has to know of this plan."""
        memory, found, now = work.memory, work.plan, self._clock()
        if found is None:
            return
        memory.draining = {name: memory.draining.get(name, now) for name in found.draining}
        if not (found.changes or found.held_back):
            # What was written has lasted, whatever else stands in the way of other things.
            memory.outdated = 0
            memory.repetition.clear()
        drift.remember(work, found)

    def _after_writes(self, work: UnitsWork, course: Course) -> tuple[UnitsSituation, Next]:
        situation = work.situation(obstacle=course.obstacle)
        if course.obstacle is None:
            if all(isinstance(each, Reboot) for each in work.made):
                told = {each.role for each in work.made}
                work.memory.still = {role: facts for role, facts in work.present.items() if role not in told}
            return situation, Next(VisitOutcome.CHANGED, after=course.after, progress=True)
        return situation, Next(VisitOutcome.WAITING, after=course.after, progress=course.progress)

    def _nothing_to_write(self, work: UnitsWork) -> tuple[UnitsSituation, Next]:
        """As wanted, held back on purpose, or kept from it."""
        found = work.plan
        assert found is not None  # noqa: S101 - who calls has it
        cleaned = work.deleting and found.converged
        situation = work.situation(cleaned=cleaned)
        if work.memory.reboots:
            work.memory.waiting = situation
            return situation, Next(VisitOutcome.WAITING, after=LOOKED_EVERY)
        if found.look_again is not None:
            return situation, Next(VisitOutcome.WAITING, after=max(SOON_SECONDS, found.look_again))
        if found.blocking or found.waiting:
            return situation, Next(VisitOutcome.WAITING)
        return situation, Next(VisitOutcome.NO_CHANGE)

    def _tell_lanes(self, work: UnitsWork, situation: UnitsSituation) -> None:
        """What the Azure and the watch lane have to know."""
        before = self._exchange.units(work.key)
        stuck = situation.blocking or situation.waiting
        ready, port = before.ready, before.check_port
        if work.plan is not None and work.wanted is not None and work.observation is not None:
            ready = work.ready_services
            port = azure_check_port(work.wanted, work.observation)
        endpoints = before.endpoints
        if work.wanted is not None:
            found = {name: getattr(each, "value", None) for name, each in work.wanted.endpoints.items()}
            endpoints = {name: servers for name, servers in found.items() if servers}
        memory = work.memory
        handover = memory.handover
        self._exchange.units_seen(
            work.key,
            UnitsView(
                ready=ready,
                check_port=port,
                endpoints=endpoints,
                services_differ_since=memory.differ_since,
                services_written_at=self._clock() if work.wrote_services else before.services_written_at,
                changing=bool(memory.reboots) or bool(situation.changes and not work.held),
                switching_to=handover.to if handover is not None else None,
                settings=MappingProxyType(work.settings_seen),
                cleaned=situation.cleaned,
                left=reported(work.plan.warnings) if situation.cleaned and work.plan else "",
                stuck=f"{stuck.reason}: {stuck.message}" if work.deleting and stuck is not None else "",
            ),
        )

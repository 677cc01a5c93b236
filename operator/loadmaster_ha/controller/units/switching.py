"""Planned switch-overs on request: the annotation `loadmaster.dev/switchover-to`.

Decided in `planning.units.switchover`. The agent's call takes up to three minutes and is made beside the
visits; nothing else is written to the units meanwhile. When it is over: outcome and gap into status, an
Event, and then the annotation is removed. A process that dies in between leaves the annotation, and the next
one decides anew: one that is still under way is waited for, who is active already needs no second one (what
was stored of it is told, or that it is so, without a gap that nobody saw), and one that was aborted may be
tried again, since it makes before it breaks.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from loadmaster_ha.controller.board import Board
from loadmaster_ha.controller.events import Event
from loadmaster_ha.controller.kubernetes import FIELD_MANAGER, Kubernetes, KubernetesError, pairs_path
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.units.frontend_gap import Attempts, ports_of, settling, watching
from loadmaster_ha.controller.units.model import Handover, Permit, UnitsMemory, UnitsWork
from loadmaster_ha.controller.work import SWITCHOVER_TO
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Absent, Present
from loadmaster_ha.loadmaster.agent_orders import SwitchoverAnswer
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.faults import UnitFault
from loadmaster_ha.planning.units.switchover import Decision, Verdict, decide
from loadmaster_ha.resources.status import MAX_TEXT, SwitchoverOutcome, SwitchoverStatus

log = logging.getLogger(__name__)

_EVENTS: Final = {
    SwitchoverOutcome.DONE: ("SwitchedOver", False),
    SwitchoverOutcome.ABORTED: ("SwitchoverAborted", True),
    SwitchoverOutcome.REFUSED: ("SwitchoverRefused", True),
}

_SECOND: Final = 1.0
"""What times in status and ages told by agents are rounded to."""

Order = Callable[[Caller, Role], Awaitable[SwitchoverAnswer]]
Watching = Callable[[str, Sequence[int], int], AbstractAsyncContextManager[Attempts]]


class Switching:
    """Switch-overs of all pairs."""

    def __init__(
        self,
        *,
        kubernetes: Kubernetes,
        board: Board,
        permit: Permit,
        order: Order,
        wake: Callable[[PairKey], None],
        watching: Watching = watching,
    ) -> None:
        self._kubernetes = kubernetes
        self._board = board
        self._permit = permit
        self._order = order
        self._wake = wake
        self._watching = watching
        self._tasks: dict[PairKey, asyncio.Task[None]] = {}
        self._seen: set[PairKey] = set()
        """Pairs that this process has visited: what is asked for from then on nobody has answered before."""

    async def go_on(self, work: UnitsWork, *, now: float) -> bool:
        """Begin what is asked for, or see how it goes; True while a switch-over is under way.

        Raises:
            LeaseLost: this process may not write any more.
        """
        memory, first = work.memory, work.key not in self._seen
        self._seen.add(work.key)
        if memory.handover is not None and memory.handover.joined and memory.handover.outcome is None:
            memory.handover = None  # to be decided anew
        if memory.handover is None and work.switchover_to is not None and not work.deleting:
            self._begin(work, work.switchover_to, now, first=first)
        if memory.handover is None:
            return False
        work.switchover = memory.handover.outcome
        return memory.handover.outcome is None

    async def finish(self, work: UnitsWork) -> None:
        """The outcome is stored: tell it, and take the request away.

        Raises:
            LeaseLost: this process may not write any more.
        """
        handover = work.memory.handover
        if handover is None or handover.outcome is None or work.switchover is None:
            return
        outcome = handover.outcome
        reason, warning = _EVENTS[outcome.outcome]
        gap = "" if outcome.gap_seconds is None else f" {_gap_in_words(outcome.gap_seconds)}"
        note = f"To the {handover.requested}: {outcome.reason}.{gap}"
        await self._board.event(work.key, Event(reason, note, outcome.time, warning=warning, action="Switch"))
        try:
            await self._remove_request(work, handover.requested)
        except KubernetesError as problem:
            if problem.status not in {404, 409, 422}:  # gone, or another request by now
                raise
        work.memory.handover = None
        self._wake(work.key)

    async def forget(self, key: PairKey) -> None:
        """The pair is gone."""
        self._seen.discard(key)
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """End waiting for agents; what they were told they do all the same."""
        for key in list(self._tasks):
            await self.forget(key)

    def _begin(self, work: UnitsWork, requested: str, now: float, *, first: bool) -> None:
        role = next((each for each in Role if each.value.lower() == requested.strip().lower()), None)
        if role is None:
            told = f"{requested!r} is no unit: the annotation {SWITCHOVER_TO} takes master or slave"
            self._end(work.memory, Handover(requested[:32], Role.MASTER, time.time()), False, told)
            return
        handover = Handover(requested[:32], role, time.time())
        decision = self._decide(work, role, now)
        if decision.verdict is Verdict.START and decision.ask is not None:
            client = work.clients.get(decision.ask)
            if isinstance(client, Present):
                self._permit()
                work.memory.handover = handover
                log.info("A planned switch-over begins", extra={"to": role.value})
                run = self._run(work, handover, client.value)
                self._tasks[work.key] = asyncio.create_task(run, name=f"switch-over of {work.key}")
                return
        if decision.verdict is Verdict.UNDER_WAY:
            work.memory.handover = replace(handover, joined=True)
            return
        done = decision.verdict is Verdict.DONE
        if done and first and (stored := _stored(work, handover)) is not None:
            work.memory.handover = replace(handover, outcome=stored)
            return
        self._end(work.memory, handover, done, decision.reason)

    def _decide(self, work: UnitsWork, role: Role, now: float) -> Decision:
        if work.held:
            return Decision(Verdict.REFUSED, "the pair is suspended or policy.mode is Observe")
        if work.wanted is None or work.observation is None or work.plan is None:
            return Decision(Verdict.REFUSED, "the units could not be looked at")
        return decide(work.wanted, work.observation, role, work.plan, now=now)

    def _end(self, memory: UnitsMemory, handover: Handover, done: bool, reason: str) -> None:  # noqa: FBT001
        outcome = SwitchoverOutcome.DONE if done else SwitchoverOutcome.REFUSED
        memory.handover = replace(handover, outcome=_status(handover, outcome, reason, None))

    async def _run(self, work: UnitsWork, handover: Handover, client: Caller) -> None:
        """Have the agent switch over, and note what came of it."""
        key, memory, target = work.key, work.memory, work.target
        wanted = work.wanted.frontend if work.wanted is not None else Absent()
        frontend = wanted.value if isinstance(wanted, Present) else ""
        gap: float | None = None
        try:
            async with self._watching(frontend, ports_of(target), target.spec.health_check.port) as seen:
                answer = await self._order(client, handover.to)
                if answer.done:
                    await asyncio.sleep(settling(target))
            outcome = SwitchoverOutcome.DONE if answer.done else SwitchoverOutcome.ABORTED
            reason, gap = answer.detail or answer.reason, seen.gap()
        except UnitFault as fault:
            outcome, reason = SwitchoverOutcome.ABORTED, str(fault)
            if fault.sent:
                reason += " It may have switched over all the same: see status.active."
        memory.handover = replace(handover, outcome=_status(handover, outcome, reason.rstrip(". "), gap))
        self._wake(key)

    async def _remove_request(self, work: UnitsWork, requested: str) -> None:
        """Remove the annotation, if it is still the one that was answered."""
        path = f"/metadata/annotations/{SWITCHOVER_TO.replace('/', '~1')}"
        value = work.switchover_to
        if value is None or value[:32] != requested:
            return
        await self._kubernetes.request(
            "PATCH",
            f"{pairs_path(work.key.namespace)}/{work.key.name}",
            body=[{"op": "test", "path": path, "value": value}, {"op": "remove", "path": path}],
            content_type="application/json-patch+json",
            query={"fieldManager": FIELD_MANAGER},
        )


def _stored(work: UnitsWork, handover: Handover) -> SwitchoverStatus | None:
    """What an earlier process has stored of this very switch-over, and may not have told."""
    found = (work.body.get("status") or {}).get("lastSwitchover") or {}
    agent = work.present[handover.to].agent
    if agent is None or agent.active_seconds is None or found.get("requested") != handover.requested:
        return None
    told = SwitchoverStatus.model_validate(found)
    ended = datetime.fromisoformat(str(found["time"])).timestamp()
    its = ended > handover.began - agent.active_seconds - _SECOND
    return told if told.outcome is SwitchoverOutcome.DONE and its else None


def _gap_in_words(seconds: float) -> str:
    if not seconds:
        return "The frontend answered all the time."
    return f"For {seconds:g} s the frontend did not answer."


def _status(
    handover: Handover, outcome: SwitchoverOutcome, reason: str, gap: float | None
) -> SwitchoverStatus:
    return SwitchoverStatus.model_validate(
        {
            "requested": handover.requested,
            "outcome": outcome,
            "reason": reason[:MAX_TEXT],
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "gapSeconds": None if gap is None else round(gap, 3),
        }
    )

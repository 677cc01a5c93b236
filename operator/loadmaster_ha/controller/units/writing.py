"""Carrying out what is planned for the units: HA settings in a row, services in batches, a reboot alone.

Each write is read back before the next one. Only two fresh units, which nobody can miss, are set up in
another way: `first_setup`. What has to be remembered of a write is stored by `strokes`.
"""

import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from loadmaster_ha.controller import events
from loadmaster_ha.controller.board import Board
from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.finalizer import hold_on
from loadmaster_ha.controller.kubernetes import Kubernetes
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.repetition import ENOUGH, Repetition
from loadmaster_ha.controller.status import Obstacle
from loadmaster_ha.controller.unit_words import summary
from loadmaster_ha.controller.units.first_setup import FirstSetUp, ReadBack, are_fresh
from loadmaster_ha.controller.units.model import Permit, UnitsWork, Write
from loadmaster_ha.controller.units.strokes import Strokes, with_mode, with_secret
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import (
    Reboot,
    UnitChange,
    UnitSection,
    WriteMode,
    WriteSharedSecret,
    section_of,
)
from loadmaster_ha.loadmaster.faults import UnitFault
from loadmaster_ha.loadmaster.trust import SeenCertificate
from loadmaster_ha.loadmaster.write_errors import OutdatedPlanError, WriteError
from loadmaster_ha.planning.units.reasons import NEEDS_A_PERSON
from loadmaster_ha.resources.loadmasterpair import Deletion
from loadmaster_ha.telemetry.operator import OperatorMetrics

log = logging.getLogger(__name__)

BATCH: Final = 50
"""Changes of services in one visit; at ten calls a second some seconds of work."""

BATCH_SECONDS: Final = 15.0

OUTDATED: Final = 3
"""So often in a row a plan may turn out to be outdated before a pause is made."""


@dataclass(frozen=True, slots=True)
class Course:
    """What came of carrying out (the beginning of) a plan. `after`: when to look again; None: backoff."""

    obstacle: Obstacle | None = None
    after: float | None = 0.0
    progress: bool = False


class Writing:
    """Writes to units, and tells about it."""

    def __init__(
        self,
        *,
        kubernetes: Kubernetes,
        board: Board,
        metrics: OperatorMetrics,
        permit: Permit,
        write: Write,
        carry_out: Write,
        read_back: ReadBack,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kubernetes = kubernetes
        self._board = board
        self._metrics = metrics
        self._clock = clock
        self._strokes = Strokes(board, metrics, permit, write, clock)
        self._first_setup = FirstSetUp(self._strokes, carry_out, read_back)

    def certificate_seen(self, key: PairKey, role: Role, seen: SeenCertificate) -> None:
        """A unit showed a certificate that is trusted."""
        if seen.not_after is not None:
            self._metrics.on_certificate(*key, role, seen.not_after.timestamp())

    async def apply(self, work: UnitsWork) -> Course:
        """Carry out the beginning of the plan.

        Raises:
            KubernetesError: what has to be stored before a write could not be.
            LeaseLost: this process may not write any more.
        """
        plan = work.plan
        if plan is None or not plan.changes:
            return Course()
        first, *_ = plan.changes
        if (pause := work.memory.repetition.pause(first)) is not None:
            return Course(_undone(work, [first]), after=pause)
        if not work.deleting:
            await self._hold_on(work)
        done: list[UnitChange] = []
        work.made = done
        try:
            await self._make(work, done)
        except OutdatedPlanError as outdated:
            return self._outdated(work, str(outdated), progress=bool(done))
        except WriteError as kept:
            return Course(_obstacle(work, kept.reason, str(kept)), after=None, progress=bool(done))
        except UnitFault as fault:
            blocking = fault.reason.value in NEEDS_A_PERSON
            told = _obstacle(work, fault.reason.value, str(fault), blocking=blocking)
            return Course(told, after=None, progress=bool(done))
        finally:
            await self._tell(work, done)
        work.memory.outdated = 0
        return Course(_undone(work, done), progress=True)

    async def _make(self, work: UnitsWork, done: list[UnitChange]) -> None:
        """Make changes one by one; `done` gets those that were carried out."""
        planned, set_up = work.plan.changes if work.plan else (), are_fresh(work)
        changes = self._in_time(_batch(planned, work.memory.repetition, set_up=set_up))
        if set_up:
            await self._first_setup.make(work, changes, done)
            return
        for change in changes:
            client = work.clients.get(change.role)
            if not isinstance(client, Present):
                break
            if isinstance(change, WriteMode):
                await self._strokes.store(work, {change.role: with_mode(work, change)})
            await self._strokes.make(work, client.value, change)
            done.append(change)
            if isinstance(change, WriteSharedSecret):
                await self._strokes.store(work, {change.role: with_secret(work, change)})

    def _in_time(self, changes: Iterable[UnitChange]) -> Iterator[UnitChange]:
        """The changes for which there is time in one visit."""
        until = self._clock() + BATCH_SECONDS
        return itertools.takewhile(lambda _: self._clock() <= until, changes)

    async def _hold_on(self, work: UnitsWork) -> None:
        """Before anything on the units is ours: see to it that we get to clean up."""
        if work.target.spec.policy.deletion is Deletion.DELETE:
            work.body = await hold_on(self._kubernetes, work.body)

    async def _tell(self, work: UnitsWork, done: list[UnitChange]) -> None:
        """An Event for each kind of change that was made, and the count of drift."""
        groups: defaultdict[tuple[Role, str], list[UnitChange]] = defaultdict(list)
        for change in done:
            drift = work.memory.drifting and not isinstance(change, Reboot)
            if drift:
                self._metrics.on_drift(*work.key, section_of(change).value)
            groups[change.role, "DriftRepaired" if drift else events.UNIT_CHANGES[type(change)]].append(
                change
            )
        for (role, reason), changes in groups.items():
            warning = reason == "DriftRepaired"
            occasion = f"{work.generation} {role} {self._clock()}"
            note = summary(changes)
            event = events.Event(reason, note, occasion, warning=warning, action="Write")
            await self._board.event(work.key, event)

    def _outdated(self, work: UnitsWork, message: str, *, progress: bool) -> Course:
        """What was planned is not so any more: look again, at once at first."""
        memory = work.memory
        memory.outdated = 0 if progress else memory.outdated + 1
        log.info("A plan is outdated: %s", message)
        if memory.outdated <= OUTDATED:
            return Course(progress=progress)
        return Course(
            Obstacle(Reason.CHANGED_MEANWHILE, f"{message} It is read and planned anew."), after=None
        )


def _batch(
    changes: tuple[UnitChange, ...], repetition: Repetition[UnitChange], *, set_up: bool
) -> Iterator[UnitChange]:
    """What is written before the next look: all HA settings, or the services that come first, or one reboot.

    The plan has simulated each change after those before it. One that was made again and again and did not
    last has a pause of its own before it, and those after it wait. With `set_up` the reboot follows the
    settings.
    """
    settings = section_of(changes[0]) is UnitSection.HIGH_AVAILABILITY if changes else False
    for number, change in enumerate(changes[:BATCH]):
        repeated, reboots = repetition.times(change) >= ENOUGH, isinstance(change, Reboot)
        alone = repeated or (reboots and not set_up)
        if number and (alone or settings is not (section_of(change) is UnitSection.HIGH_AVAILABILITY)):
            return
        yield change
        if alone or reboots:
            return


def _obstacle(work: UnitsWork, reason: str, message: str, *, blocking: bool = False) -> Obstacle:
    plan = work.plan
    what = f" To be done: {summary(plan.changes)}" if plan is not None and plan.changes else ""
    return Obstacle(reason, f"{message}{what}", blocking)


def _undone(work: UnitsWork, changes: Sequence[UnitChange]) -> Obstacle | None:
    """What to tell of changes one of which was made several times and did not last."""
    change = max(changes, key=work.memory.repetition.times, default=None)
    if change is None or (times := work.memory.repetition.times(change)) < ENOUGH:
        return None
    message = (
        f"The {change.role.lower()} was written to {times} times as wanted and is otherwise again each time. "
        "Find out who else changes it (its log of administrative changes) and let one of both have it. It is "
        f"tried again with growing pauses. {summary([change])}"
    )
    return Obstacle(Reason.NOT_CONVERGING, message)

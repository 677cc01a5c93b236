"""Carrying out what is planned for the units: HA settings in a row, services in batches, a reboot alone.

Each write is read back before the next one. Only two fresh units, which nobody can miss, are set up at once:
all settings in a row, read back together, and then the first reboot, which they are for.

What has to be remembered because no unit tells it is stored in status, each at the moment at which a crash
before or after does no harm: that the mode is being written *before* it is (a reboot too many is owed at
worst, and only while the mode is not as wanted anyway), which secret was written *after* it was (it is
written once more at worst). The Lease is asked before every write.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from loadmaster_ha.controller import events
from loadmaster_ha.controller.board import Board
from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.finalizer import hold_on
from loadmaster_ha.controller.kubernetes import Kubernetes, KubernetesError
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.repetition import ENOUGH, Repetition
from loadmaster_ha.controller.status import Obstacle
from loadmaster_ha.controller.unit_words import summary
from loadmaster_ha.controller.units.model import Permit, UnitsWork, Write
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import (
    Reboot,
    UnitChange,
    UnitSection,
    WriteMode,
    WriteSharedSecret,
    section_of,
)
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.faults import UnitFault
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.loadmaster.trust import SeenCertificate
from loadmaster_ha.loadmaster.write_errors import OutdatedPlanError, WriteError
from loadmaster_ha.planning.units.observation import RebootUnderWay, UnitRecord
from loadmaster_ha.planning.units.reasons import NEEDS_A_PERSON
from loadmaster_ha.planning.units.words import in_words
from loadmaster_ha.resources.loadmasterpair import Deletion
from loadmaster_ha.telemetry.operator import OperatorMetrics

log = logging.getLogger(__name__)

BATCH: Final = 50
"""Changes of services in one visit; at ten calls a second some seconds of work."""

BATCH_SECONDS: Final = 15.0

OUTDATED: Final = 3
"""So often in a row a plan may turn out to be outdated before a pause is made."""


ReadBack = Callable[[Caller, Sequence[UnitChange]], Awaitable[None]]
"""Compares settings of one unit with what it says now; as `loadmaster.writer.read_back`."""


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
        self._permit = permit
        self._write = write
        self._carry_out = carry_out
        self._read_back = read_back
        self._clock = clock

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
        plan, until, together = work.plan, self._clock() + BATCH_SECONDS, _are_fresh(work)
        unread: list[UnitChange] = []
        changes = () if plan is None else plan.changes
        for change in _batch(changes, work.memory.repetition, set_up=together):
            client = work.clients.get(change.role)
            if not isinstance(client, Present) or self._clock() > until:
                break
            if isinstance(change, Reboot):
                await self._compare(work, unread, done)
                unread = []
            await self._before(work, change, together=together)
            log.info("Writing to a unit: %s", in_words(change), extra={"unit": change.role.value})
            self._permit()
            work.memory.repetition.made(change)
            await self._send(work, client.value, change, together=together)
            if together and not isinstance(change, Reboot):
                unread.append(change)
            done.append(change)
            await self._after(work, change, together=together)
        await self._compare(work, unread, done)

    async def _send(self, work: UnitsWork, client: Caller, change: UnitChange, *, together: bool) -> None:
        material = work.gathered.material if work.gathered is not None else Material()
        if not isinstance(change, Reboot):
            await (self._carry_out if together else self._write)(client, change, material)
            return
        # From here on it may be away, whatever becomes of the answer.
        work.memory.reboots[change.role] = RebootUnderWay(change.boot, self._clock())
        try:
            await self._write(client, change, material)
        except UnitFault as fault:
            if not fault.sent:  # a reboot that the unit has not even heard of is none
                work.memory.reboots.pop(change.role, None)
            raise

    async def _compare(self, work: UnitsWork, unread: Sequence[UnitChange], done: list[UnitChange]) -> None:
        """Read back what was written without that."""
        for role in Role:
            client = work.clients.get(role)
            written = [change for change in unread if change.role is role]
            if not written or not isinstance(client, Present):
                continue
            try:
                await self._read_back(client.value, written)
            except WriteError:
                done[:] = [change for change in done if change not in written]
                raise

    async def _before(self, work: UnitsWork, change: UnitChange, *, together: bool) -> None:
        if not isinstance(change, WriteMode):
            return
        modes = _modes(work) if together else [change]
        if not together or any(work.record(each.role).mode_written_at_boot != each.boot for each in modes):
            records = {
                each.role: replace(work.record(each.role), mode_written_at_boot=each.boot) for each in modes
            }
            await self._record(work, records)

    async def _after(self, work: UnitsWork, change: UnitChange, *, together: bool) -> None:
        if isinstance(change, WriteSharedSecret):
            record = replace(work.record(change.role), secret_version=change.version)
            # It is stored with the modes when those are next; else at once.
            await self._record(work, {change.role: record}, store=not (together and _modes(work)))
        if isinstance(change, Reboot):
            self._metrics.on_reboot(*work.key, change.role)

    async def _record(
        self, work: UnitsWork, records: Mapping[Role, UnitRecord], *, store: bool = True
    ) -> None:
        """Store what has to be remembered of units, and go on only when it is stored."""
        for role, record in records.items():
            work.rows[role] = replace(work.rows[role], record=record)
        if store and not await self._board.units(work.body, work.situation()):
            raise KubernetesError(404, "NotFound", f"{work.key} is gone: nothing more is written")

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


def _are_fresh(work: UnitsWork) -> bool:
    """Whether both units are, and run, in single mode without services: nobody is served by them."""
    units = work.present.values()
    return len(units) == len(Role) and all(
        each.settings.mode is each.mode_in_force is Mode.SINGLE and each.services == Present(())
        for each in units
    )


def _modes(work: UnitsWork) -> list[WriteMode]:
    return [each for each in (work.plan.changes if work.plan else ()) if isinstance(each, WriteMode)]


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

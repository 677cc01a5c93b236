"""Single writes to a unit, and what has to be remembered of them because no unit tells it.

It is stored in status, each at the moment at which a crash before or after does no harm: that the mode is
being written *before* it is (a reboot too many is owed at worst, and only while the mode is not as wanted
anyway), which secret was written *after* it was (it is written once more at worst). The Lease is asked before
every write. `writing` and `first_setup` say what is written in which order.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from loadmaster_ha.controller.board import Board
from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.units.model import Permit, UnitsWork, Write
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.unit_changes import Reboot, UnitChange, WriteMode, WriteSharedSecret
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.faults import UnitFault
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.planning.units.observation import RebootUnderWay, UnitRecord
from loadmaster_ha.planning.units.words import in_words
from loadmaster_ha.telemetry.operator import OperatorMetrics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Strokes:
    """See the module."""

    board: Board
    metrics: OperatorMetrics
    permit: Permit
    write: Write
    clock: Callable[[], float]

    async def make(
        self, work: UnitsWork, client: Caller, change: UnitChange, by: Write | None = None
    ) -> None:
        """Make one change; by another write than the usual one, which reads back. A reboot is always that.

        Raises:
            LeaseLost: this process may not write any more.
            UnitFault, WriteError: it was not made, or not kept.
        """
        log.info("Writing to a unit: %s", in_words(change), extra={"unit": change.role.value})
        self.permit()
        work.memory.repetition.made(change)
        material = work.gathered.material if work.gathered is not None else Material()
        if not isinstance(change, Reboot):
            await (by or self.write)(client, change, material)
            return
        # From here on it may be away, whatever becomes of the answer.
        work.memory.reboots[change.role] = RebootUnderWay(change.boot, self.clock())
        try:
            await self.write(client, change, material)
        except UnitFault as fault:
            if not fault.sent:  # a reboot that the unit has not even heard of is none
                work.memory.reboots.pop(change.role, None)
            raise
        self.metrics.on_reboot(*work.key, change.role)

    async def store(self, work: UnitsWork, records: Mapping[Role, UnitRecord]) -> None:
        """Store what has to be remembered of units, and go on only when it is stored.

        Raises:
            KubernetesError: it could not be.
        """
        remember(work, records)
        if not await self.board.units(work.body, work.situation()):
            raise KubernetesError(404, "NotFound", f"{work.key} is gone: nothing more is written")


def remember(work: UnitsWork, records: Mapping[Role, UnitRecord]) -> None:
    """Take over what is to be stored with whatever is stored next."""
    for role, record in records.items():
        work.rows[role] = replace(work.rows[role], record=record)


def with_mode(work: UnitsWork, change: WriteMode) -> UnitRecord:
    """What to remember of a unit whose mode is about to be written."""
    return replace(work.record(change.role), mode_written_at_boot=change.boot)


def with_secret(work: UnitsWork, change: WriteSharedSecret) -> UnitRecord:
    """What to remember of a unit whose shared secret was written."""
    return replace(work.record(change.role), secret_version=change.version)

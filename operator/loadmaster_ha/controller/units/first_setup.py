"""The first set-up of two fresh units, which nobody can miss: everything at once.

All HA settings of both are written in a row, without a look in between, and read back together; then the
first reboot, which they are for, follows. Any other change is made by `writing`, which calls this.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from loadmaster_ha.controller.units.model import UnitsWork, Write
from loadmaster_ha.controller.units.strokes import Strokes, remember, with_mode, with_secret
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import Reboot, UnitChange, WriteMode, WriteSharedSecret
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.write_errors import WriteError

ReadBack = Callable[[Caller, Sequence[UnitChange]], Awaitable[None]]
"""Compares settings of one unit with what it says now; as `loadmaster.writer.read_back`."""


def are_fresh(work: UnitsWork) -> bool:
    """Whether both units are, and run, in single mode without services: nobody is served by them."""
    units = work.present.values()
    return len(units) == len(Role) and all(
        each.settings.mode is each.mode_in_force is Mode.SINGLE and each.services == Present(())
        for each in units
    )


@dataclass(frozen=True, slots=True)
class FirstSetUp:
    """See the module. `carry_out` writes without reading back."""

    strokes: Strokes
    carry_out: Write
    read_back: ReadBack

    async def make(self, work: UnitsWork, changes: Iterable[UnitChange], done: list[UnitChange]) -> None:
        """Make the changes; `done` gets those that were carried out and, as far as that was looked at, kept.

        Raises:
            KubernetesError, LeaseLost, UnitFault, WriteError: the rest was not made.
        """
        unread: list[UnitChange] = []
        for change in changes:
            client = work.clients.get(change.role)
            if not isinstance(client, Present):
                break
            if isinstance(change, Reboot):
                await self._compare(work, unread, done)
                unread = []
            elif isinstance(change, WriteMode):
                await self._store_all_modes(work)
            await self.strokes.make(work, client.value, change, self.carry_out)
            done.append(change)
            if not isinstance(change, Reboot):
                unread.append(change)
            if isinstance(change, WriteSharedSecret):
                await self._keep_secret(work, change)
        await self._compare(work, unread, done)

    async def _store_all_modes(self, work: UnitsWork) -> None:
        """Both modes are stored at once, with the secrets that were written before them."""
        records = {each.role: with_mode(work, each) for each in _modes(work)}
        if any(work.record(role) != record for role, record in records.items()):
            await self.strokes.store(work, records)

    async def _keep_secret(self, work: UnitsWork, change: WriteSharedSecret) -> None:
        records = {change.role: with_secret(work, change)}
        if _modes(work):
            remember(work, records)  # stored with them, which are next
        else:
            await self.strokes.store(work, records)

    async def _compare(self, work: UnitsWork, unread: Sequence[UnitChange], done: list[UnitChange]) -> None:
        """Read back what was written without that."""
        for role in Role:
            client = work.clients.get(role)
            written = [change for change in unread if change.role is role]
            if not written or not isinstance(client, Present):
                continue
            try:
                await self.read_back(client.value, written)
            except WriteError:
                done[:] = [change for change in done if change not in written]
                raise


def _modes(work: UnitsWork) -> list[WriteMode]:
    return [each for each in (work.plan.changes if work.plan else ()) if isinstance(each, WriteMode)]

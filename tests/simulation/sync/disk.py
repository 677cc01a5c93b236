"""A store's file in memory, with a disk that fills up and machines that die at any write."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Self

from loadmaster_ha.agent.settings.database import Row
from loadmaster_ha.agent.settings.errors import StoreFull


class Dies(Enum):
    """When, at its next write, the process is killed."""

    BEFORE = "before it is on the disk"
    AFTER = "after it is on the disk, before anybody is told"


class Killed(BaseException):
    """`kill -9`; no handler of the product may catch it."""


class MemoryDisk:
    """What outlives the process."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], str] = {}
        self._about: dict[str, str] = {}
        self.full = False
        self.dies: Dies | None = None

    def copy(self) -> Self:
        """An image of it."""
        other = type(self)()
        other._rows, other._about = dict(self._rows), dict(self._about)
        return other

    def load(self) -> tuple[Iterable[Row], Mapping[str, str]]:
        """As `Backend` says."""
        return [Row(kind, key, body) for (kind, key), body in self._rows.items()], dict(self._about)

    def write(self, rows: Sequence[Row], about: Mapping[str, str]) -> None:
        """As `Backend` says."""
        dies, self.dies = self.dies, None
        if dies is Dies.BEFORE:
            raise Killed
        if self.full:
            raise StoreFull("no room (made up)")
        self.put(rows, about)
        if dies is Dies.AFTER:
            raise Killed

    def put(self, rows: Sequence[Row], about: Mapping[str, str]) -> None:
        """It is on the disk now."""
        for kind, key, body in rows:
            if body is None:
                self._rows.pop((kind, key), None)
            else:
                self._rows[kind, key] = body
        self._about.update(about)

    def lost_power(self) -> None:
        """The machine is gone with what was not on the disk: nothing, as `write` is synchronous."""

    def close(self) -> None:
        """As `Backend` says."""

"""Notices a change that is made again and again and does not last: it is undone, or Azure stores another.

Without this two tools that disagree, or a field that Azure writes differently from how it was sent, would be
written as fast as Azure (or a unit) answers. The lanes ask before each write.
"""

from collections.abc import Callable
from typing import Final, Generic, TypeAlias, TypeVar

from loadmaster_ha.planning.changes import Change, Put

ENOUGH: Final = 3
"""So often is the same change made without a pause."""

LONGEST_PAUSE: Final = 300.0
"""Seconds."""

What: TypeAlias = tuple[str, ...]
"""What a change is for: the resource, the fields and what they are to be."""


C = TypeVar("C")


class Repetition(Generic[C]):
    """Counts changes by what they are for, as `what_for` tells."""

    def __init__(self, what_for: Callable[[C], What]) -> None:
        self._what_for = what_for
        self._made: dict[What, int] = {}
        self._last: What | None = None
        self._paused: What | None = None

    def pause(self, change: C) -> float | None:
        """Seconds to wait before this change is made once more; None: it may be made now.

        After each pause it may be made once.
        """
        what = self._what_for(change)
        made = self._made.get(what, 0)
        if made < ENOUGH or self._paused == what:
            self._paused = None
            return None
        self._paused = what
        return min(LONGEST_PAUSE, 2.0**made)

    def times(self, change: C) -> int:
        """How often this change has been made."""
        return self._made.get(self._what_for(change), 0)

    def made(self, change: C) -> None:
        """Azure has accepted the change."""
        self._last = self._what_for(change)
        self._made[self._last] = self._made.get(self._last, 0) + 1

    def failed(self) -> None:
        """What Azure accepted last it could not carry out after all: that was no change."""
        if self._last in self._made:
            self._made[self._last] -= 1
        self._last = None

    def clear(self) -> None:
        """All is as it should be, or something else is wanted now."""
        self._made.clear()
        self._last = self._paused = None


def what_for(change: Change) -> What:
    """The same for two changes that bring about the same, whatever they find there."""
    if isinstance(change, Put):
        fields = (f"{each.path} {each.want}" for each in change.differences)
        return ("PUT", str(change.resource).lower(), *fields)
    return ("DELETE", str(change.resource).lower())

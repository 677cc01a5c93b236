"""Changes one after another, each on what the one before leaves, each checked; what a plan is made with."""

from collections.abc import Iterable
from dataclasses import replace

from loadmaster_ha.domain.unit_changes import UnitChange
from loadmaster_ha.planning.units import invariants, simulate
from loadmaster_ha.planning.units.situation import Situation


class Steps:
    """The planned changes so far, and what the pair would be after them."""

    def __init__(self, situation: Situation, *, deleting: bool = False) -> None:
        self._deleting = deleting
        self.situation = situation
        self.done: list[UnitChange] = []

    def add(self, change: UnitChange | None) -> None:
        """Plan one more; None is nothing.

        Raises:
            InvariantViolated: it must not be applied: a bug of the planner's.
        """
        if change is None:
            return
        after = replace(self.situation, observation=simulate.after(self.situation.observation, change))
        invariants.verify(self.situation, change, after, deleting=self._deleting)
        self.situation = after
        self.done.append(change)

    def add_all(self, changes: Iterable[UnitChange]) -> None:
        """Plan several, in order."""
        for change in changes:
            self.add(change)

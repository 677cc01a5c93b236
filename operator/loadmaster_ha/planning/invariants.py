"""What must hold after every single change; a guard against bugs of the planner itself."""

from loadmaster_ha.planning.changes import Change
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.observation import Observation


class InvariantViolated(Exception):  # noqa: N818 - a state of affairs, as its name says
    """A planned change would break an invariant; nothing of the plan may be applied."""


def verify(layout: Layout, before: Observation, change: Change, after: Observation) -> None:
    """Check one planned change."""
    del layout, before, change, after

"""How the synchronisation stands, for the API, the metrics and `loadmaster-agent status`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Direction(StrEnum):
    """Which way an operation went."""

    SENT = "Sent"
    RECEIVED = "Received"


class Result(StrEnum):
    """What came of it. Sent ones are acknowledged or unanswered, received ones all others."""

    ACKNOWLEDGED = "Acknowledged"
    UNANSWERED = "Unanswered"
    """It is said again."""
    APPLIED = "Applied"
    UNCHANGED = "Unchanged"
    """Known already."""
    REFUSED = "Refused"
    """Of a kind that stays on each unit."""
    MALFORMED = "Malformed"
    FAILED = "Failed"
    """The disk is full or fails."""


OPERATIONS = tuple(
    (Direction.SENT if result in (Result.ACKNOWLEDGED, Result.UNANSWERED) else Direction.RECEIVED, result)
    for result in Result
)
"""The combinations that there are."""


@dataclass(frozen=True, slots=True)
class Status:
    """Times are seconds of the caller's monotonic clock."""

    connected: bool
    """The partner is there and settings may travel."""
    partner: str
    """Identity of the store last met."""
    protocol: int
    """Version of the protocol in use; 0 before the first hello."""
    lag: float
    """How long the oldest change of this unit has been waiting for the partner, in seconds."""
    pending: int
    """Entities with changes of this unit that the partner is not known to have."""
    last_success: float | None
    """When a comparison was last completed, or the partner last acknowledged all there was."""
    differences: int
    """Entities that the last comparison found to differ (it fetched them)."""
    lost: int
    """Changes overruled by concurrent ones, of either unit, since the start."""
    operations: Mapping[tuple[Direction, Result], int] = field(default_factory=dict)
    """Since the start: entities, except for messages that were malformed, failed or unanswered."""
    problem: str = ""
    """What is wrong, in words; empty when nothing is."""

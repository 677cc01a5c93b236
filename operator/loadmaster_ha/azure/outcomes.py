"""What came of one write to ARM, or of one look at a long-running operation.

The controller decides by the type alone; `reason` and `message` go to people.
"""

from dataclasses import dataclass
from typing import TypeAlias

from loadmaster_ha.planning.arm import ResourceID


@dataclass(frozen=True, slots=True)
class Operation:
    """A long-running operation as plain data, to be looked at again, also by another process.

    `url` is opaque and complete (signature parameters included); `style` is the header it came from:
    `AsyncOperation`, `Location`, or `Resource` (the resource's own provisioningState is polled).
    """

    resource: ResourceID
    verb: str
    url: str
    style: str
    started: str  # RFC 3339


@dataclass(frozen=True, slots=True)
class Done:
    """The write is complete."""


@dataclass(frozen=True, slots=True)
class Running:
    """The write was accepted and goes on; look again after `after` seconds."""

    operation: Operation
    after: float


@dataclass(frozen=True, slots=True)
class Outdated:
    """Somebody else wrote in between, or our operation was superseded: observe and plan again at once."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class TryLater:
    """Throttled, locked, busy, unreachable, or a fault of Azure's: the same again after `after` seconds.

    `throttled` tells real throttling (which closes the gate for all pairs of the credential) from a mere
    lock.
    """

    reason: str
    message: str
    after: float
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Azure will say no until somebody changes something (validation, policy, quota, rights)."""

    reason: str
    message: str


Outcome: TypeAlias = Done | Running | Outdated | TryLater | Refused

"""How long a fail-over takes, as the probe's settings promise it (Azure: Load Balancer health probes)."""

from dataclasses import dataclass

from loadmaster_ha.resources.loadmasterpair import HealthCheck

LONGEST_WAIT_SECONDS = 30
"""A probe waits for its answer for one interval, but no longer than this."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The shortest and the longest time, in seconds."""

    min: float
    max: float


@dataclass(frozen=True, slots=True)
class ExpectedFailover:
    """Time until new connections go to the other unit, counted from the failure of the active one."""

    process_died: Bounds
    """The unit answers, but not 200 (or refuses the connection): one answer decides."""

    silent: Bounds
    """The unit does not answer at all: `threshold` probes have to go unanswered."""


def expected(check: HealthCheck) -> ExpectedFailover:
    """What to expect with this health check."""
    interval = float(check.interval_seconds)
    silence = (check.threshold - 1) * interval + min(interval, LONGEST_WAIT_SECONDS)
    return ExpectedFailover(Bounds(0.0, interval), Bounds(silence, interval + silence))

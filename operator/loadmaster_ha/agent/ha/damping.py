"""Damping of fail-backs: a master that comes and goes has to be well for longer and longer.

Counted are the times that this unit became active; the delay doubles with each in the last ten minutes. A
fail-over is never damped: who can serve alone serves at once.
"""

from loadmaster_ha.agent.ha import timing
from loadmaster_ha.agent.ha.work import Work


def became_active(work: Work) -> None:
    """Count it."""
    oldest = work.now - timing.DAMPING_WINDOW
    work.activations = (*(at for at in work.activations if at > oldest), work.now)


def delay(work: Work) -> float:
    """How long the master has to be well before it takes over again."""
    oldest = work.now - timing.DAMPING_WINDOW
    recent = sum(1 for at in work.activations if at > oldest)
    return timing.failback_delay(work.configuration, recent)

"""What has to be true before the first write: chains of small checks, each of which returns findings.

`check` is the whole chain; `obstacles` holds what matters only when something is to be written;
`check_readable` is what deletion asks. The reasons are in `planning.reasons`.
"""

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.observation import Observation


def check(layout: Layout, observation: Observation) -> tuple[Finding, ...]:
    """Everything that stands against the pair, or is a risk."""
    del layout, observation
    return ()


def obstacles(layout: Layout, observation: Observation) -> tuple[Finding, ...]:
    """What stands against a write now."""
    del layout, observation
    return ()


def check_readable(layout: Layout, observation: Observation) -> tuple[Finding, ...]:
    """What deletion cannot see."""
    del layout, observation
    return ()

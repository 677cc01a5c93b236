"""What a node agent has to know of the balancer, and an appliance's API has no word for (`agentsetparams`).

The frontend is for its witness, where probes come from, their interval and threshold for switch-overs.
"""

from collections.abc import Iterator
from typing import Any, Final

from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import WriteAgentInputs
from loadmaster_ha.planning.units.observation import UnitsTarget
from loadmaster_ha.planning.units.situation import Situation

_NAMES: Final = {
    "frontend": "frontend",
    "probe_source": "source of probes",
    "probe_interval": "interval of probes",
    "probe_threshold": "threshold of probes",
}


def plan_agent_inputs(situation: Situation) -> Iterator[WriteAgentInputs]:
    """One write for each node agent that knows something else; what is not known yet is not sent."""
    want = _wanted(situation.target)
    for member in situation.in_order():
        have = member.facts.inputs
        if not member.is_agent or have is None:
            continue
        different = {name: value for name, value in want.items() if getattr(have, name) != value}
        if different:
            differences = tuple(
                Difference(f"spec.{member.role.lower()}: {_NAMES[name]}", getattr(have, name), value)
                for name, value in different.items()
            )
            yield WriteAgentInputs(member.role, **different, differences=differences)


def _wanted(target: UnitsTarget) -> dict[str, Any]:
    check = target.pair.spec.health_check
    found: dict[str, Any] = {
        "probe_source": target.probe_source,
        "probe_interval": check.interval_seconds,
        "probe_threshold": check.threshold,
    }
    if isinstance(target.frontend, Present):
        found["frontend"] = target.frontend.value
    return found

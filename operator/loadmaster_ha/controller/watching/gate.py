"""Whether the operator may ask a unit's health port.

An appliance is Unconnected until somebody has polled its check port (guide, 10.2), and nothing says that it
looks at who asks. A poll of ours could end that state although the balancer never came: the fault that most
often keeps a pair from working would be masked. So an appliance's port is left alone until its own `hastatus`
says that it has been polled, and again from the first unanswered question on: it may have been restarted.
A node agent tells the balancer's probes by their source address, so that anybody may ask it.
"""

from dataclasses import dataclass
from typing import Final

from loadmaster_ha.domain.ha import Mode
from loadmaster_ha.domain.units import ObservedState, UnitKind

_POLLED: Final = frozenset({ObservedState.ACTIVE, ObservedState.STANDBY, ObservedState.FAILED})


@dataclass(slots=True)
class Gate:
    """For one unit. Shut until it is known what the unit is."""

    kind: UnitKind | None = None
    _polled: bool = False
    _boot: str = ""

    @property
    def open(self) -> bool:
        """Whether the health port may be asked now."""
        return self.kind is UnitKind.AGENT or (self.kind is UnitKind.APPLIANCE and self._polled)

    def told(self, kind: UnitKind, mode: Mode | None, state: ObservedState, boot: str) -> None:
        """The management API told what the unit is and does.

        Args:
            kind: appliance or agent.
            mode: what it runs as; an appliance in single mode has no health page.
            state: by `hastatus`.
            boot: since when it runs, in its own words.
        """
        self.kind, self._boot = kind, boot
        self._polled = state in _POLLED and mode not in (None, Mode.SINGLE)

    def state_told(self, state: ObservedState) -> None:
        """The management API told the state alone: that may shut the gate, and never opens it."""
        self._polled = self._polled and state in _POLLED

    def unanswered(self) -> None:
        """The health port, or the management API, did not answer."""
        self._polled = False

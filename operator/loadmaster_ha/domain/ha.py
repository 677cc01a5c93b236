"""Roles and ports of a LoadMaster HA pair, as Kemp's guide "LoadMaster HA for Azure" names them.

A *role* is fixed by configuration and never changes; who is active at the moment is a *state*, not a role.
"""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """The two units of a pair. The vendor's newer words are First and Second."""

    MASTER = "Master"
    SLAVE = "Slave"

    @property
    def partner(self) -> "Role":
        """The other unit's role."""
        return Role.SLAVE if self is Role.MASTER else Role.MASTER


class Mode(StrEnum):
    """What a unit is configured to be (guide, 7: "Azure HA Mode"); `SINGLE` is a unit without a partner."""

    SINGLE = "Single"
    MASTER = "Master"
    SLAVE = "Slave"

    @property
    def role(self) -> Role | None:
        """The role in a pair; None in single mode."""
        return None if self is Mode.SINGLE else Role(self.value)


class UnitState(StrEnum):
    """What a unit does at the moment, as the guide names it (10.1, 10.2); its role is something else."""

    UNCONNECTED = "Unconnected"
    """The balancer has not probed it since it started."""

    ACTIVE = "Active"
    STANDBY = "Standby"
    FAILED = "Failed"
    """It cannot serve: its data plane is down or stuck, or its configuration forbids it."""


class PreferredHost(StrEnum):
    """Who is active when both could be (guide, 7 step 4: "Switch to Preferred Server")."""

    MASTER = "Master"
    """Prefer Master: the master takes over again when it is back. The default."""

    NONE = "None"
    """No Preferred Host: who is active stays active until it fails."""


PROBE_SOURCE: Final = "168.63.129.16"
"""The address that Azure's load balancer probes from."""

HEALTH_CHECK_PORT: Final = 8444
"""Where a unit answers the balancer's probe (guide, 5.3 and 7)."""

MANAGEMENT_PORT: Final = 8443
"""Web user interface and management API (guide, 2)."""

SSH_PORT: Final = 22

SYNCHRONISATION_PORT: Final = 6973
"""Settings synchronisation between the units; the guide says twice that it must not be blocked."""

AGENT_METRICS_PORT: Final = 9101

PROBE_FORBIDDEN_PORTS: Final = frozenset({19, 21, 25, 70, 110, 119, 143, 220, 993})
"""Ports on which Azure refuses an HTTP probe."""

CHECK_PORT_FORBIDDEN: Final = PROBE_FORBIDDEN_PORTS | {
    SSH_PORT,
    SYNCHRONISATION_PORT,
    MANAGEMENT_PORT,
    AGENT_METRICS_PORT,
}
"""Ports that cannot be the health check port: Azure's list and those that a unit already uses."""

"""What one emulator is told at its start: flags of `loadmaster-emulator serve`, or arguments of a test.

`disputed` are the points on which Microsoft's own pages disagree or are silent: one switch each, with the
reading that the newest page supports as default. Tests of a client should hold under both positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TENANT = "99999999-8888-7777-6666-555555555555"
PROBE_SOURCE = "168.63.129.16"
"""Where Azure's balancers probe from."""
LOOPBACK_PROBE_SOURCE = "127.63.129.16"
"""The same for networks on loopback, where the real address cannot be used."""


@dataclass(frozen=True, slots=True)
class Disputed:
    """Readings of points that Azure's documentation leaves open."""

    whole_put_clears_admin_state: bool = False
    """Whether a PUT of the balancer without `loadBalancerBackendAddresses` clears admin states."""
    echoed_pool_addresses_refused: bool = False
    """Whether NIC members sent back in `loadBalancerBackendAddresses` are a 400 even under their own names.

    `az` sends them so with every change of a balancer; azurerm #7691, with scale sets, was refused.
    """
    ha_ports_excludes_nat_rules: bool = False
    """Whether an HA-ports rule also excludes inbound NAT rules on its members (older page: yes)."""
    idle_timeout_100: bool = True
    """Whether idle timeouts go up to 100 minutes (newest page) or to 30 (API description)."""
    frontend_move_refused: bool = True
    """Whether changing the subnet of an existing frontend is refused (the exact error is not documented)."""
    probe_reset_is_answer: bool = True
    """Whether a TCP reset takes a member down at once, like any answer but 200, or counts as silence."""
    probe_one_answer_suffices: bool = True
    """Whether one 200 brings a member back, or as many in a row as `probeThreshold` says."""
    probe_fluctuating_wait: bool = False
    """Whether a member that went down repeatedly needs more 200s in a row to come back."""
    probe_security_rules_late: bool = False
    """Whether a security rule that blocks the probe acts only after three intervals."""


DISPUTED_NAMES = tuple(item.name for item in fields(Disputed))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set from outside. Durations are in seconds."""

    host: str = "127.0.0.1"
    port: int = 8453
    state_dir: Path | None = None
    subscriptions: tuple[str, ...] = (DEFAULT_SUBSCRIPTION,)
    latency: float = 0.0
    """How long a long-running operation takes; 0: done when the next request arrives."""
    latency_by_type: dict[str, float] = field(default_factory=dict)
    """Overrides by lower-case resource type, for example `microsoft.network/loadbalancers`."""
    retry_after: int | None = None
    """`Retry-After` on the answers of running operations; `None`: no such header (often so in Azure)."""
    page_size: int = 1000
    traffic_log: Path | None = None
    """A file that every ARM request and its answer is appended to."""
    throttle: float = 0.0
    """Factor on Azure's request budgets; 1 is Azure's, 0.5 half of it, 0 switches throttling off."""
    disputed: Disputed = Disputed()
    data_plane: bool = False
    """Whether balancers probe and forward for real."""
    allow_loopback_networks: bool = False
    """Whether virtual networks may lie in 127.0.0.0/8, which Azure refuses."""
    probe_source: str = PROBE_SOURCE
    """Where probes come from."""
    probe_interval: float | None = None
    """Seconds between probes instead of `intervalInSeconds`; for tests only."""
    idle_timeout: float | None = None
    """Seconds after which idle flows end, instead of `idleTimeoutInMinutes`; for tests only."""
    transparent: bool = False
    """Whether to use addresses that are not on this host (`IP_TRANSPARENT`): for network namespaces."""

    def latency_of(self, kind: str) -> float:
        """Return the latency of operations on the resource type `kind` (`Namespace/type`)."""
        return self.latency_by_type.get(kind.lower(), self.latency)

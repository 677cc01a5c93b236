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

    def latency_of(self, kind: str) -> float:
        """Return the latency of operations on the resource type `kind` (`Namespace/type`)."""
        return self.latency_by_type.get(kind.lower(), self.latency)

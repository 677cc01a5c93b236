"""What a plan for the units consists of; `high_availability` and `services` make parts, `pair` joins them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from loadmaster_ha.domain.findings import Finding, WithFindings
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.unit_changes import UnitChange


@dataclass(frozen=True, slots=True)
class UnitPlan(WithFindings):
    """What is to be done on the units, in order, and what stands against it.

    With a `BLOCKING` or `WAITING` finding the changes that it holds back are in `held_back`, so that status
    can show what would be done. A finding about a service holds back only what concerns that service.
    """

    changes: tuple[UnitChange, ...] = ()
    findings: tuple[Finding, ...] = ()
    held_back: tuple[UnitChange, ...] = ()
    reboots_owed: Mapping[Role, str] = field(default_factory=lambda: MappingProxyType({}))
    """Units that have to be rebooted by somebody (or wait for it), and why, in words."""
    ready_services: frozenset[str] = frozenset()
    """Services that can answer, each with its place on the units (`publishing.place_of`): the balancer may
    publish them there."""
    ready_when_made: frozenset[str] = frozenset()
    """Those that can answer once all `changes` but reboots are made and read back, in the same words: nobody
    has to look at the unit once more to know it."""
    draining: frozenset[str] = frozenset()
    """What takes its time now (real servers and services that are drained, new real servers that have not
    been checked yet). The controller remembers since when each has been named without a break and brings
    that with the next observation: `since = {name: since.get(name, now) for name in plan.draining}`."""
    look_again: float | None = None
    """Seconds after which there may be more to do without anything happening (a drain that ends)."""

    @property
    def converged(self) -> bool:
        """Nothing to do, nothing owed and nothing in the way."""
        return not (self.changes or self.held_back or self.blocking or self.waiting or self.reboots_owed)

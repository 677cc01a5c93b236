"""The planner's entry points: what has to be known and done to bring one pair about in Azure.

Pure: values in, values out. The plan is made on an observation and holds every remaining change in order; the
controller applies the first, observes, and plans again, so every write may be the last one before a crash.
Order: public address, openings in security groups, interfaces leave, balancer, interfaces join, closings.
Invariants (`invariants`) are checked after every planned change.
"""

from collections.abc import Sequence
from dataclasses import replace

from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.planning import (
    balancer,
    failover,
    interfaces,
    invariants,
    prerequisites,
    removal,
    security_groups,
    simulate,
)
from loadmaster_ha.planning import needs as needed
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.bodies import properties
from loadmaster_ha.planning.changes import Change, Plan
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.observation import Need, Observation
from loadmaster_ha.planning.public_address import plan_public_address
from loadmaster_ha.planning.reasons import Reason, finding
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.resources.loadmasterpair import Adoption, HealthCheck


def needs(target: PairTarget, observation: Observation) -> frozenset[Need]:
    """All ids that should be known, given what is known so far; ask again after each round of reads."""
    return needed.all_needs(Layout(target), observation)


def plan(target: PairTarget, observation: Observation, *, publish: PairTarget | None = None) -> Plan:
    """All remaining changes in order, and what stands against them.

    Args:
        target: the pair as the manifest wants it; what stands against it is told in its terms.
        observation: what is known of Azure.
        publish: what of it may be brought about now (`units.publishing.held_back`); None: everything.

    Raises:
        InvariantViolated: a change would break what must hold after every single one: a bug of the planner's.
    """
    layout = Layout(target)
    findings = prerequisites.check(layout, observation)
    try:
        changes = _changes(layout if publish is None else Layout(publish), observation)
    except security_groups.NoFreePriority as error:
        full = finding(Reason.NO_FREE_PRIORITY, error.group, f"There is {error}")
        return Plan(findings=(*findings, full))
    if changes:
        findings = (*findings, *prerequisites.obstacles(layout, observation))
    return _held_or_free(changes, findings)


def plan_deletion(target: PairTarget, observation: Observation, older: Sequence[PairTarget] = ()) -> Plan:
    """All remaining changes until nothing of ours is left; converged when that is so.

    Where an `older` pair claims the same balancer or interface, entries are ours only in a balancer that
    carries our uid: in one without a tag they may just as well be the older pair's, of the same name in
    another namespace.

    Raises:
        InvariantViolated: a change would touch what is not ours: a bug of the planner's.
    """
    layout = Layout(_only_what_is_marked(target) if conflicts(target, older) else target)
    findings = prerequisites.check_readable(layout, observation)
    steps = _Steps(layout, observation, deleting=True)
    steps.add_all(removal.plan_interface_removal(layout, observation))
    steps.add(removal.plan_balancer_removal(layout, steps.observation))
    steps.add_all(security_groups.plan_removal(layout, steps.observation))
    steps.add(removal.plan_address_removal(layout, steps.observation))
    return _held_or_free(tuple(steps.done), findings)


def _only_what_is_marked(target: PairTarget) -> PairTarget:
    policy = target.spec.policy.model_copy(update={"adoption": Adoption.NEVER})
    return replace(target, spec=target.spec.model_copy(update={"policy": policy}))


def left_behind(target: PairTarget, observation: Observation) -> tuple[ResourceID, ...]:
    """What of ours is there, or may be there where it could not be read: for who lets go without deleting."""
    return tuple(removal.remaining(Layout(target), observation))


def frontend_address(target: PairTarget, observation: Observation) -> str | None:
    """The IPv4 address that clients use, None while Azure has not given one."""
    layout = Layout(target)
    if layout.public_address is not None:
        address = observation.get(layout.public_address)
        found = None if address is None else address.properties.get("ipAddress")
    else:
        entry = balancer.our_frontend(layout, observation.get(layout.balancer))
        found = properties(entry or {}).get("privateIPAddress")
    return None if found is None or ":" in str(found) else str(found)


def expected_failover(health_check: HealthCheck) -> failover.ExpectedFailover:
    """How long a fail-over takes with this health check."""
    return failover.expected(health_check)


def claims(target: PairTarget) -> frozenset[ResourceID]:
    """What a pair wants for itself: its balancer and its interfaces. `conflicts` can only be about these."""
    layout = Layout(target)
    return frozenset({layout.balancer, *(attachment.interface for attachment in layout.attachments)})


def conflicts(target: PairTarget, others: Sequence[PairTarget]) -> tuple[Finding, ...]:
    """What this pair claims that an older pair of the cluster has: the balancer, an interface, or a unit."""
    layout = Layout(target)
    return tuple(found for other in others for found in _conflicts_with(layout, Layout(other)))


def _conflicts_with(layout: Layout, other: Layout) -> list[Finding]:
    name = f"{other.identity.namespace}/{other.identity.name}"
    found = []
    if layout.balancer == other.balancer:
        what = f"Load balancer {layout.balancer} is that of LoadMasterPair {name}"
        found.append(finding(Reason.CONFLICTING_PAIR, "spec.loadBalancer.name", what))
    theirs = {attachment.interface for attachment in other.attachments}
    for attachment in layout.attachments:
        if attachment.interface in theirs:
            what = f"Interface {attachment.interface} is used by LoadMasterPair {name}"
            found.append(finding(Reason.CONFLICTING_PAIR, attachment.path, what))
    managed = {_managed_at(other, role) for role in Role}
    for role in Role:
        endpoint = _managed_at(layout, role)
        if endpoint is not None and endpoint in managed:
            what = f"The unit managed at {endpoint[0]}:{endpoint[1]} belongs to LoadMasterPair {name}"
            found.append(finding(Reason.CONFLICTING_PAIR, f"spec.{role.lower()}.management", what))
    return found


def _managed_at(layout: Layout, role: Role) -> tuple[str, int] | None:
    """Where the operator manages a unit, as far as the manifest says it; None where it does not."""
    unit = layout.unit(role)
    address = unit.management.address or unit.address
    if address is None or unit.management.credentials_secret_ref is None:
        return None
    return address, unit.management.port


class _Steps:
    """Changes one after another, each on what the one before leaves, each checked."""

    def __init__(self, layout: Layout, observation: Observation, *, deleting: bool = False) -> None:
        self._layout, self._deleting = layout, deleting
        self.observation = observation
        self.done: list[Change] = []

    def add(self, change: Change | None) -> None:
        if change is None:
            return
        after = simulate.after(self.observation, change)
        invariants.verify(self._layout, self.observation, change, after, deleting=self._deleting)
        self.observation = after
        self.done.append(change)

    def add_all(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self.add(change)

    def add_in_any_order(self, changes: Sequence[Change]) -> None:
        """Independent changes, each when the invariants allow it: what opens comes before what closes."""
        pending = list(changes)
        while pending:
            chosen = next((change for change in pending if self._fits(change)), pending[0])
            pending.remove(chosen)
            self.add(chosen)

    def _fits(self, change: Change) -> bool:
        try:
            after = simulate.after(self.observation, change)
            invariants.verify(self._layout, self.observation, change, after, deleting=self._deleting)
        except invariants.InvariantViolated:
            return False
        return True


def _changes(layout: Layout, observation: Observation) -> tuple[Change, ...]:
    if observation.get(layout.balancer) is None and not observation.is_absent(layout.balancer):
        return ()
    steps = _Steps(layout, observation)
    steps.add(plan_public_address(layout, observation))
    balancer_change = balancer.plan_balancer(layout, observation)
    memberships = interfaces.wanted_memberships(layout, observation)
    leaving = interfaces.plan_leaving(
        layout, observation, memberships, balancer_changes=balancer_change is not None
    )
    joining = interfaces.plan_joining(layout, observation, memberships)
    in_use = bool(balancer_change or leaving or joining)
    steps.add_in_any_order(security_groups.plan_openings(layout, observation, in_use=in_use))
    steps.add_all(leaving)
    steps.add(balancer_change)
    steps.add_all(interfaces.plan_joining(layout, steps.observation, memberships))
    steps.add_in_any_order(security_groups.plan_openings(layout, steps.observation, in_use=False))
    steps.add_all(security_groups.plan_closings(layout, steps.observation))
    return tuple(steps.done)


def _held_or_free(changes: tuple[Change, ...], findings: tuple[Finding, ...]) -> Plan:
    if any(found.severity is not Severity.WARNING for found in findings):
        return Plan(findings=findings, held_back=changes)
    return Plan(changes=changes, findings=findings)

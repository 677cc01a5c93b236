"""Planning the virtual services of one pair: what is written on the unit that takes writes, in which order.

Written is the active unit; synchronisation does the other (guide, 3.2). While none is active but both are
unconnected, which is how a pair begins, it is the master: an unconnected unit takes writes in full (guide,
7), and so the virtual services are there before the balancer is told of them. The slave may still be in the
reboot that the first set-up asks for.

Order: certificate, virtual service, real servers, service by service; then what goes. A service that cannot
be planned holds up no other. The plan holds every remaining change; each can be the last one before a crash.
Neighbours: `published_service` plans one service, `leaving` those that are to go, `publishing` ties the order
to Azure's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.domain.unit_changes import DeleteService, ModifyService, UnitChange
from loadmaster_ha.domain.units import ObservedState, UnitFacts, UnitKind
from loadmaster_ha.domain.virtual_services import VirtualService
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.units import certificates, leaving, limits
from loadmaster_ha.planning.units.marks import Marks, Whose
from loadmaster_ha.planning.units.observation import UnitsObservation, UnitsTarget
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.planning.units.published_service import plan_service
from loadmaster_ha.planning.units.publishing import place_of
from loadmaster_ha.planning.units.service_reasons import ServiceReason, finding
from loadmaster_ha.planning.units.service_view import View
from loadmaster_ha.resources.loadmasterpair import Deletion

SUBJECT: Final = "spec.services"


def plan_services(
    target: UnitsTarget, observation: UnitsObservation, *, active: Role | None, now: float
) -> UnitPlan:
    """All remaining changes of certificates, virtual services and real servers, in order.

    Args:
        target: what is wanted.
        observation: what is known.
        active: the active unit; None where there is none, or more than one, or it is not known.
        now: the controller's monotonic clock, in seconds.
    """
    return _plan(target, observation, active=active, now=now, deleting=False)


def plan_services_deletion(
    target: UnitsTarget, observation: UnitsObservation, *, active: Role | None, now: float
) -> UnitPlan:
    """All remaining changes until nothing of ours is left on the units; converged when that is so.

    Nothing goes while Azure leads to it, so this ends after the Azure side is gone. With `policy.deletion:
    Orphan` everything stays.
    """
    if target.pair.spec.policy.deletion is Deletion.ORPHAN:
        return UnitPlan()
    return _plan(target, observation, active=active, now=now, deleting=True)


def unit_that_takes_writes(observation: UnitsObservation, active: Role | None) -> Role | None:
    """The unit to write to: the active one, else the master of a pair that has not been probed yet."""
    known = {role: each.value for role, each in observation.units.items() if isinstance(each, Present)}
    if active is not None:
        facts = known.get(active)
        return active if facts is not None and _is_paired(facts) else None
    fresh = {
        role
        for role, facts in known.items()
        if facts.state is ObservedState.UNCONNECTED and _is_paired(facts)
    }
    if Role.SLAVE in observation.reboots and Role.SLAVE not in known and not _is_served(observation):
        fresh.add(Role.SLAVE)  # it was told to by us, which it is only while it is not the one who serves
    return Role.MASTER if len(fresh) == len(Role) else None


def _is_served(observation: UnitsObservation) -> bool:
    """Whether somebody is known to answer behind the frontend."""
    serves = observation.frontend_serves
    return isinstance(serves, Present) and serves.value


def _is_paired(facts: UnitFacts) -> bool:
    """Whether the unit runs as one of a pair, so that what is written to it reaches the other."""
    return (facts.mode_in_force or facts.settings.mode) is not Mode.SINGLE


def _plan(
    target: UnitsTarget, observation: UnitsObservation, *, active: Role | None, now: float, deleting: bool
) -> UnitPlan:
    known = {role: each.value for role, each in observation.units.items() if isinstance(each, Present)}
    writer = unit_that_takes_writes(observation, active)
    if not _is_concerned(target, known.values(), deleting=deleting):
        return UnitPlan()
    role = writer or next((each for each in (active, *Role) if each in known), None)
    if role is None:
        return UnitPlan(findings=(*_told(target, None, deleting=deleting), _no_writer(observation, active)))
    facts = known[role]
    if not isinstance(facts.services, Present):
        unread = _services_unread(role, facts.services)
        return UnitPlan(findings=(*_told(target, facts.kind, deleting=deleting), unread))
    view = View(target, observation, role, facts, facts.services.value, now)
    plan = _of_parts(view, deleting=deleting)
    if writer is not None or not plan.changes:
        return plan
    findings = (*plan.findings, _no_writer(observation, active))
    ready = plan.ready_services
    return replace(plan, changes=(), held_back=plan.changes, findings=findings, ready_when_made=ready)


def _of_parts(view: View, *, deleting: bool) -> UnitPlan:
    services = enumerate(() if deleting else view.spec.services)
    published = [
        (service, plan_service(view, index, service))
        for index, service in services
        if service.virtual_service is not None
    ]
    parts = [part for _, part in published]
    parts.append(leaving.plan_leaving(view, parts, deleting=deleting))
    changes = [change for part in parts for change in part.changes]
    changes += _unused_certificates(view, changes, deleting=deleting)
    waits = [part.look_again for part in parts if part.look_again is not None]
    layout = Layout(view.target.pair)
    return UnitPlan(
        changes=tuple(changes),
        findings=tuple(found for part in parts for found in part.findings),
        ready_services=frozenset(place_of(layout, service) for service, part in published if part.ready),
        ready_when_made=frozenset(
            place_of(layout, service) for service, part in published if part.ready or part.ready_when_made
        ),
        draining=frozenset(name for part in parts for name in part.draining),
        look_again=min(waits, default=None),
    )


def _unused_certificates(
    view: View, changes: Iterable[UnitChange], *, deleting: bool
) -> Iterator[UnitChange]:
    needed = (
        certificates.name_of(view.target, service)
        for service in (() if deleting else view.spec.services)
        if service.virtual_service is not None and service.virtual_service.tls is not None
    )
    after = _after(view.services, changes)
    return certificates.unused(view.marks, view.role, view.facts.certificates, needed, after)


def _after(services: Iterable[VirtualService], changes: Iterable[UnitChange]) -> Iterator[VirtualService]:
    """The virtual services that are there now, as they are when the changes are made."""
    gone = {change.service.key for change in changes if isinstance(change, DeleteService)}
    modified = {change.have.key: change.want for change in changes if isinstance(change, ModifyService)}
    return (modified.get(each.key, each) for each in services if each.key not in gone)


def _is_concerned(target: UnitsTarget, units: Iterable[UnitFacts], *, deleting: bool) -> bool:
    """Whether there is, or may be, anything of ours on the units, or is to be."""
    if not deleting and any(each.virtual_service is not None for each in target.pair.spec.services):
        return True
    marks = Marks(target.pair.identity)
    return any(_may_hold_ours(marks, facts, deleting=deleting) for facts in units)


def _may_hold_ours(marks: Marks, facts: UnitFacts, *, deleting: bool) -> bool:
    if not isinstance(facts.services, Present):
        return deleting or isinstance(facts.services, Unknown)  # else nobody asked for them
    if any(marks.whose(each.nickname) is Whose.OURS for each in facts.services.value):
        return True
    store = facts.certificates
    return isinstance(store, Present) and any(marks.owns_certificate(each.name) for each in store.value)


def _told(target: UnitsTarget, kind: UnitKind | None, *, deleting: bool) -> Iterator[Finding]:
    """What can be told of the manifest without a unit."""
    if deleting:
        return
    for index, service in enumerate(target.pair.spec.services):
        yield from limits.refusals(target, index, service, kind)


def _no_writer(observation: UnitsObservation, active: Role | None) -> Finding:
    what = "No unit is known to be active"
    if active is not None:
        reading = observation.units.get(active, Absent())
        what = f"The active unit, the {active.lower()}, does not run as one of a pair yet"
        if not isinstance(reading, Present):
            what = f"The active unit, the {active.lower()}, could not be read: {reading.reason}"
            what = f"{what}: {reading.message}" if reading.message else what
    return finding(ServiceReason.NO_UNIT_TAKES_WRITES, SUBJECT, what)


def _services_unread(role: Role, reading: Absent | Unknown) -> Finding:
    why = "they have not been read yet"
    if isinstance(reading, Unknown):
        why = f"{reading.reason}: {reading.message}"
    what = f"The virtual services of the {role.lower()} are not known: {why}"
    return finding(ServiceReason.SERVICES_UNKNOWN, SUBJECT, what)

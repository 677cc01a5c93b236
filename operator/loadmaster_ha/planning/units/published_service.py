"""One published service on one unit: may it be there, and what has to be done for it, in order."""

from collections.abc import Sequence
from dataclasses import replace

from loadmaster_ha.domain.reading import Absent, Present, Reading
from loadmaster_ha.domain.unit_changes import AddService, ModifyService
from loadmaster_ha.domain.virtual_services import RealServer, ServiceKey, VirtualService
from loadmaster_ha.planning.units import limits
from loadmaster_ha.planning.units.certificates import NOT_READ, CertificatePlan, plan_certificate
from loadmaster_ha.planning.units.marks import Whose, service_of
from loadmaster_ha.planning.units.real_servers import Pace, first_check_of, plan_real_servers
from loadmaster_ha.planning.units.service_reasons import ServiceReason, finding
from loadmaster_ha.planning.units.service_view import Part, View
from loadmaster_ha.planning.units.virtual_services import (
    goal,
    service_differences,
    wanted_real_server,
    wanted_service,
)
from loadmaster_ha.resources.policy import Adoption
from loadmaster_ha.resources.services import Service
from loadmaster_ha.resources.virtual_services import VirtualService as Wanted


def plan_service(view: View, index: int, service: Service) -> Part:
    """Plan one entry of `spec.services` that has a `virtualService`."""
    part = Part(name=service.name, path=f"spec.services[{index}]")
    wanted = service.virtual_service
    part.findings.extend(limits.refusals(view.target, index, service, view.facts.kind))
    key = view.key_of(service)
    if wanted is None or part.findings:
        return part
    if key is None:
        what = f"The address of the {view.role.lower()} on {view.arm_of(service)} is not known"
        part.findings.append(finding(ServiceReason.ADDRESS_UNKNOWN, part.path, what))
        return part
    if not _is_free(view, service, key, part):
        return part
    have = view.by_key.get(key)
    certificate = _certificate(view, service, wanted, part)
    want = wanted_service(
        service,
        wanted,
        address=key.address,
        nickname=view.marks.nickname(service.name),
        certificate=None if certificate is None else certificate.name,
    )
    servers = _real_servers(view, service, wanted, part)
    part.settled = have is not None and view.marks.whose(have.nickname) is Whose.OURS
    current = _virtual_service(view, have, want, certificate, part)
    if current is not None:
        _plan_servers(view, wanted, current, servers, part)
    part.ready = _is_ready(have, want, certificate, part)
    possible = certificate is None or certificate.usable
    part.ready_when_made = possible and _can_answer(current, servers)
    return part


def _virtual_service(
    view: View,
    have: VirtualService | None,
    want: VirtualService,
    certificate: CertificatePlan | None,
    part: Part,
) -> VirtualService | None:
    """Add or modify the virtual service; gives it as it is then, None where it cannot be made now."""
    possible = certificate is None or certificate.usable
    if certificate is not None and certificate.change is not None:
        part.changes.append(certificate.change)
    if have is None:
        if possible:
            part.changes.append(AddService(view.role, want))
        return want if possible else None
    want = goal(have, want)
    if not possible:
        want = replace(want, tls=have.tls, type=have.type)
    if have.enabled and not want.enabled and view.is_led_to(part.name, have.key):
        want = replace(want, enabled=True)
        what = f"Virtual service {have.nickname} ({have.key}) is to be disabled"
        part.findings.append(
            finding(ServiceReason.STILL_PUBLISHED, f"{part.path}.virtualService.enabled", what)
        )
    if found := service_differences(have, want):
        part.changes.append(ModifyService(view.role, have, want, found))
    return want


def _is_ready(
    have: VirtualService | None, want: VirtualService, certificate: CertificatePlan | None, part: Part
) -> bool:
    """Whether what is on the unit now can answer."""
    return (
        part.settled
        and have is not None
        and have.enabled
        and want.enabled
        and (have.tls is None) is (certificate is None)
        and (certificate is None or certificate.stored)
        and any(each.enabled for each in have.real_servers)
    )


def _can_answer(planned: VirtualService | None, servers: Sequence[RealServer] | None) -> bool:
    """Whether a virtual service that is as planned, with these real servers, can answer."""
    if planned is None or not planned.enabled:
        return False
    return any(each.enabled for each in (planned.real_servers if servers is None else servers))


def _is_free(view: View, service: Service, key: ServiceKey, part: Part) -> bool:
    """Whether the place is ours to use; else says why not."""
    have = view.by_key.get(key)
    if have is None:
        beside = next((each for each in view.services if _covers(each, key)), None)
        if beside is None:
            return True
        what = f"Virtual service {_called(beside)} has {key} as a further port, which {service.name!r} needs"
        part.findings.append(finding(ServiceReason.VIRTUAL_SERVICE_CLASH, part.path, what))
        return False
    whose = view.marks.whose(have.nickname)
    if whose is Whose.OURS:
        return _is_left(view, service, have, part)
    if whose is Whose.NAMESAKE:
        if view.spec.policy.adoption is Adoption.ALWAYS:
            return True
        what = (
            f"Virtual service {_called(have)} on {key}, where {service.name!r} is to be, belongs to another"
        )
        part.findings.append(finding(ServiceReason.OWNED_BY_OTHER, part.path, what))
        return False
    nickname = view.marks.nickname(service.name)
    what = f"Virtual service {_called(have)} is on {key}, where {service.name!r} ({nickname}) is to be"
    part.findings.append(finding(ServiceReason.VIRTUAL_SERVICE_CLASH, part.path, what))
    return False


def _is_left(view: View, service: Service, have: VirtualService, part: Part) -> bool:
    """Whether a place that one of ours has is this service's own."""
    owner = service_of(have.nickname)
    if owner == service.name:
        return True
    entry = view.manifest.get(owner or "")
    what = f"Service {service.name!r} waits for {have.key}, which {_called(have)} has"
    if entry is not None and entry.virtual_service is None:
        part.findings.append(finding(ServiceReason.VIRTUAL_SERVICE_CLASH, part.path, what))
    elif _is_exchange(view, service.name, entry):
        part.findings.append(finding(ServiceReason.PORT_EXCHANGE, part.path, what))
    else:
        part.findings.append(finding(ServiceReason.PORT_STILL_IN_USE, part.path, what))
    return False


def _is_exchange(view: View, start: str, entry: Service | None) -> bool:
    """Whether the one that has the place waits, over others perhaps, for the one that wants it."""
    seen: set[str] = set()
    while entry is not None and entry.name not in seen:
        seen.add(entry.name)
        key = view.key_of(entry)
        blocker = None if key is None else view.by_key.get(key)
        owner = None if blocker is None else service_of(blocker.nickname)
        if owner == start:
            return True
        entry = view.manifest.get(owner or "")
    return False


def _covers(service: VirtualService, key: ServiceKey) -> bool:
    return (
        service.key.address == key.address
        and service.key.protocol is key.protocol
        and key.port in service.extra_ports
    )


def _called(service: VirtualService) -> str:
    return repr(service.nickname) if service.nickname else f"without a nickname ({service.key})"


def _certificate(view: View, service: Service, wanted: Wanted, part: Part) -> CertificatePlan | None:
    if wanted.tls is None:
        return None
    subject = f"{part.path}.virtualService.tls.certificateSecretRef"
    found = plan_certificate(view.target, service, subject, view.role, view.facts.certificates)
    part.findings.extend(found.findings)
    return found


def _real_servers(view: View, service: Service, wanted: Wanted, part: Part) -> Sequence[RealServer] | None:
    """The real servers wanted; None where they are not known, and those on the unit stay."""
    path = f"{part.path}.virtualService"
    reading: Reading[tuple[RealServer, ...]]
    if wanted.real_servers_from is None:
        path = f"{path}.realServers"
        reading = Present(tuple(wanted_real_server(each) for each in wanted.real_servers))
    else:
        path = f"{path}.realServersFrom"
        reading = view.target.endpoints.get(service.name, NOT_READ)
    if isinstance(reading, Present):
        if not any(each.enabled for each in reading.value):
            what = f"Service {service.name!r} has no real server that takes connections"
            part.findings.append(finding(ServiceReason.NO_REAL_SERVERS, path, what))
        return reading.value
    if isinstance(reading, Absent):
        what = reading.message or f"The Kubernetes Service of {service.name!r} does not exist"
        part.findings.append(finding(ServiceReason.REAL_SERVERS_NOT_FOUND, path, what))
        return None
    what = f"The real servers of {service.name!r} are not known: {reading.reason}: {reading.message}"
    part.findings.append(finding(ServiceReason.REAL_SERVERS_UNKNOWN, path, what))
    return None


def _plan_servers(
    view: View, wanted: Wanted, current: VirtualService, servers: Sequence[RealServer] | None, part: Part
) -> None:
    if servers is None:
        return
    pace = Pace(
        drain_seconds=wanted.drain_seconds,
        first_check=first_check_of(current.check),
        since=view.observation.draining_since,
        now=view.now,
    )
    plan = plan_real_servers(view.role, view.facts.kind, current, servers, pace)
    part.changes.extend(plan.changes)
    part.draining |= plan.draining
    part.wait(plan.look_again)

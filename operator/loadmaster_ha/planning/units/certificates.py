"""The certificates of services that terminate TLS: which are written, replaced and taken away on a unit.

Compared by the fingerprint of the leaf certificate. A renewal takes the place of the old one under the same
name, so that no service has to be changed and no connection is lost; what no service uses any more goes last.
One that clients would refuse for its dates takes nobody's place.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.fingerprints import plain
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Absent, Present, Reading, Unknown
from loadmaster_ha.domain.unit_changes import DeleteCertificate, PutCertificate
from loadmaster_ha.domain.units import Certificate
from loadmaster_ha.domain.virtual_services import VirtualService
from loadmaster_ha.planning.units.marks import Marks
from loadmaster_ha.planning.units.observation import UnitsTarget
from loadmaster_ha.planning.units.service_reasons import ServiceReason, finding
from loadmaster_ha.resources.services import Service

NOT_READ: Unknown = Unknown("NotRead", "it has not been read yet")


@dataclass(frozen=True, slots=True)
class CertificatePlan:
    """What has to be done for the certificate of one service."""

    name: str
    """Its name on the unit."""
    stored: bool
    """Whether the unit has one of that name now."""
    change: PutCertificate | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the service may name it once the change is made."""
        return self.stored or self.change is not None


def plan_certificate(
    target: UnitsTarget,
    service: Service,
    subject: str,
    role: Role,
    store: Reading[tuple[Certificate, ...]],
) -> CertificatePlan:
    """Bring the certificate of a service to a unit, or say why that cannot be done now.

    Args:
        target: with the certificate that is wanted.
        service: whose `virtualService` terminates TLS.
        subject: the field path of the reference.
        role: the unit.
        store: what it has.
    """
    wanted = target.certificates.get(service.name, NOT_READ)
    name = name_of(target, service)
    found = {each.name: each for each in store.value} if isinstance(store, Present) else {}
    have = found.get(name)
    stored = have is not None
    if not isinstance(wanted, Present):
        return CertificatePlan(name, stored, None, (_missing(service, subject, wanted, stored=stored),))
    if not isinstance(store, Present):
        return CertificatePlan(name, stored, None, (_unread(service, subject, role, store),))
    if have is not None and have.fingerprint is None:
        what = f"Certificate {name} of the {role.lower()} cannot be read back"
        told = finding(ServiceReason.CERTIFICATE_NOT_COMPARABLE, subject, what)
        return CertificatePlan(name, stored, None, (told,))
    if have is not None and plain(have.fingerprint or "") == plain(wanted.value.fingerprint):
        return CertificatePlan(name, stored)
    if stored and wanted.value.untimely:
        return CertificatePlan(name, stored)  # `CertificateExpired` tells of it
    return CertificatePlan(
        name, stored, PutCertificate(role, name, wanted.value.fingerprint, replaces=stored)
    )


def unused(
    marks: Marks,
    role: Role,
    store: Reading[tuple[Certificate, ...]],
    needed: Iterable[str],
    services: Iterable[VirtualService],
) -> Iterator[DeleteCertificate]:
    """Certificates of ours that nobody needs.

    Args:
        marks: how ours are recognised.
        role: the unit.
        store: what it has.
        needed: names that the manifest needs.
        services: the virtual services as they will be, also those of others.
    """
    if not isinstance(store, Present):
        return
    kept = {*needed, *(name for each in services if each.tls for name in each.tls.certificates)}
    for each in store.value:
        if marks.owns_certificate(each.name) and each.name not in kept:
            yield DeleteCertificate(role, each.name)


def name_of(target: UnitsTarget, service: Service) -> str:
    """The name that the certificate of a service has on the units, whether it can be read or not."""
    wanted = target.certificates.get(service.name, NOT_READ)
    if isinstance(wanted, Present):
        return wanted.value.name
    return Marks(target.pair.identity).certificate(service.name)


def _missing(service: Service, subject: str, wanted: Absent | Unknown, *, stored: bool) -> Finding:
    if isinstance(wanted, Absent):
        why = wanted.message or "the Secret does not exist"
        has = "keeps the certificate that is on the units" if stored else "has no certificate"
        what = f"Service {service.name!r} {has}: {why}"
        return finding(ServiceReason.CERTIFICATE_NOT_FOUND, subject, what)
    what = f"The certificate of service {service.name!r} could not be read: {wanted.reason}: {wanted.message}"
    return finding(ServiceReason.CERTIFICATE_UNKNOWN, subject, what)


def _unread(service: Service, subject: str, role: Role, store: Absent | Unknown) -> Finding:
    why = f"{store.reason}: {store.message}" if isinstance(store, Unknown) else NOT_READ.message
    what = f"Whether the {role.lower()} has the certificate of service {service.name!r} is not known: {why}"
    return finding(ServiceReason.CERTIFICATE_UNKNOWN, subject, what)

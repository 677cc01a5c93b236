"""Every reason that planning services gives: stable words for scripts, with what each means and what to do.

The table of `docs/services.md` is made from here (a test holds the two together).
"""

from enum import StrEnum
from typing import Final

from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.planning.reasons import Explanation

_B, _W, _I = Severity.BLOCKING, Severity.WAITING, Severity.WARNING


class ServiceReason(StrEnum):
    """Reasons of findings about services."""

    NOT_POSSIBLE = "ServiceNotPossible"
    PORT_RESERVED = "ServicePortReserved"
    REAL_SERVER_LOOP = "RealServerIsService"
    VIRTUAL_SERVICE_CLASH = "VirtualServiceClash"
    OWNED_BY_OTHER = "VirtualServiceOwnedByOther"
    PORT_EXCHANGE = "ServicePortsExchanged"
    PORT_STILL_IN_USE = "ServicePortStillInUse"
    CERTIFICATE_NOT_FOUND = "CertificateNotFound"
    CERTIFICATE_UNKNOWN = "CertificateUnknown"
    CERTIFICATE_NOT_COMPARABLE = "CertificateNotComparable"
    CERTIFICATE_EXPIRED = "CertificateExpired"
    CERTIFICATE_EXPIRES_SOON = "CertificateExpiresSoon"
    REAL_SERVERS_NOT_FOUND = "RealServersNotFound"
    REAL_SERVERS_UNKNOWN = "RealServersUnknown"
    NO_REAL_SERVERS = "NoRealServers"
    NO_UNIT_TAKES_WRITES = "NoUnitTakesWrites"
    SERVICES_UNKNOWN = "ServicesUnknown"
    ADDRESS_UNKNOWN = "ServiceAddressUnknown"
    STILL_PUBLISHED = "StillPublished"
    DRAINING = "Draining"
    LEFT_ALONE = "VirtualServiceLeftAlone"


CATALOGUE: Final[dict[ServiceReason, Explanation]] = {
    ServiceReason.NOT_POSSIBLE: Explanation(
        _B,
        "The units cannot do what the service asks for: node agents forward TCP only and check connections, "
        "not hosts; cookies and headers need a type that reads requests.",
        "Change the field that the message names; nothing of this service is written before.",
    ),
    ServiceReason.PORT_RESERVED: Explanation(
        _B,
        "The service's port on the units is one that they need themselves: 22, 8443 and the management port, "
        "6973, the check port, 9101 on node agents.",
        "Give the service another backendPort.",
    ),
    ServiceReason.REAL_SERVER_LOOP: Explanation(
        _B,
        "A real server is the virtual service itself, so every connection would go round and round.",
        "Name the server behind it, or another port.",
    ),
    ServiceReason.VIRTUAL_SERVICE_CLASH: Explanation(
        _B,
        "The unit has a virtual service at this address and port that is not ours. It is not touched.",
        "Delete it, choose another backendPort, leave virtualService out of the manifest, or hand it over: "
        "give it the nickname that the message names.",
    ),
    ServiceReason.OWNED_BY_OTHER: Explanation(
        _B,
        "The virtual service at this address and port belongs to a LoadMasterPair of the same name: of "
        "another namespace or cluster, or one that was deleted without its services.",
        "Correct the manifest, delete the other pair, or take over with policy.adoption: Always.",
    ),
    ServiceReason.PORT_EXCHANGE: Explanation(
        _B,
        "Services have exchanged their backend ports: none can move before another has.",
        "Move one of them to a free backendPort first, and to the wanted one afterwards.",
    ),
    ServiceReason.PORT_STILL_IN_USE: Explanation(
        _W,
        "Another service of this pair still has the port and is on its way to another one, or away.",
        "Nothing: it goes on when the port is free.",
    ),
    ServiceReason.CERTIFICATE_NOT_FOUND: Explanation(
        _B,
        "The Secret with the certificate does not exist or has no usable certificate and key. A certificate "
        "that is on the units already goes on being served.",
        "Create or correct the Secret (type kubernetes.io/tls, keys tls.crt and tls.key).",
    ),
    ServiceReason.CERTIFICATE_UNKNOWN: Explanation(
        _W,
        "The Secret with the certificate, or the certificates of the unit, could not be read. What is on the "
        "unit stays.",
        "Nothing, if it passes; the message says what was answered.",
    ),
    ServiceReason.CERTIFICATE_NOT_COMPARABLE: Explanation(
        _I,
        "The unit does not let its certificate be read, so it cannot be told whether it is the one of the "
        "Secret. It is left as it is.",
        "Look at what the service presents; to have it written anew, delete it on the unit while no service "
        "uses it.",
    ),
    ServiceReason.CERTIFICATE_EXPIRED: Explanation(
        _I,
        "The certificate in the Secret has expired or is not valid yet: clients refuse it. It does not take "
        "the place of another one on the units; where there is none, the service is kept up with it.",
        "Renew the certificate; with cert-manager see the events of its Certificate.",
    ),
    ServiceReason.CERTIFICATE_EXPIRES_SOON: Explanation(
        _I,
        "The certificate in the Secret expires within seven days (or a sixth of its life, if that is less) "
        "and has not been renewed yet.",
        "Find out why it is not renewed; with cert-manager see the events of its Certificate.",
    ),
    ServiceReason.REAL_SERVERS_NOT_FOUND: Explanation(
        _B,
        "The Kubernetes Service that the real servers come from does not exist or has no such port. The real "
        "servers on the unit stay; its health checks say which of them can serve.",
        "Correct realServersFrom.service, or create the Service.",
    ),
    ServiceReason.REAL_SERVERS_UNKNOWN: Explanation(
        _W,
        "The endpoints or nodes that the real servers come from could not be read. The real servers on the "
        "unit stay.",
        "Nothing, if it passes; the message says what was answered.",
    ),
    ServiceReason.NO_REAL_SERVERS: Explanation(
        _I,
        "There is no real server that takes connections, so the service cannot answer. It is not published "
        "before it has one; a published one stays published, and those that were there are removed.",
        "Name real servers, or see why no endpoint of the Service is ready.",
    ),
    ServiceReason.NO_UNIT_TAKES_WRITES: Explanation(
        _W,
        "Services are written to the active unit only, and none is known to be active.",
        "See PairHealthy for why. It goes on by itself when one is.",
    ),
    ServiceReason.SERVICES_UNKNOWN: Explanation(
        _W,
        "The virtual services of the active unit could not be read.",
        "Nothing, if it passes; the message says what the unit answered.",
    ),
    ServiceReason.ADDRESS_UNKNOWN: Explanation(
        _W,
        "The unit's address on the service's interface is not known yet.",
        "Nothing, if it passes; else see AzureSynced for why the interface cannot be read.",
    ),
    ServiceReason.STILL_PUBLISHED: Explanation(
        _W,
        "A virtual service is to go (or to be disabled), but Azure still leads to it, or cannot be seen.",
        "Nothing: it goes when the rule and the opening are gone; AzureSynced says what keeps them.",
    ),
    ServiceReason.DRAINING: Explanation(
        _W,
        "A virtual service or real server that is to go gets no new connections and is given time to end "
        "those it has.",
        "Nothing: it is removed when drainSeconds are over.",
    ),
    ServiceReason.LEFT_ALONE: Explanation(
        _I,
        "The manifest has no virtualService any more for a service that is still published. The virtual "
        "service that was made for it stays, with its real servers, and is not looked after any more.",
        "Give it another nickname on the unit to take it over, or take the whole service out of the "
        "manifest to have it removed.",
    ),
}


def finding(reason: ServiceReason, subject: str, what: str) -> Finding:
    """A finding: where, what is wrong, followed by the reason's remedy."""
    explanation = CATALOGUE[reason]
    if subject.startswith("spec.") and subject not in what:
        what = f"{subject}: {what}"
    return Finding(reason.value, f"{what.rstrip('.')}. {explanation.remedy}", explanation.severity, subject)


def reasons_table() -> str:
    """The catalogue as the table of the documentation."""
    lines = ["| Reason | Effect | What it means | What to do |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{reason}` | {explained.severity} | {explained.meaning} | {explained.remedy} |"
        for reason, explained in CATALOGUE.items()
    ]
    return "\n".join(lines)

"""The typed changes of a unit: `planning.units` plans them, `loadmaster.writer` carries them out, one by one.

Secrets are not in here: a change names what is to be written by a digest, and the writer is given the
material. So a change can be logged, compared and shown.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.ha import Mode, PreferredHost, Role
from loadmaster_ha.domain.virtual_services import RealServer, VirtualService


class UnitSection(StrEnum):
    """The part of a unit's set-up that a change belongs to; label value of `loadmaster_drift_total`."""

    HIGH_AVAILABILITY = "HighAvailability"
    VIRTUAL_SERVICES = "VirtualServices"
    CERTIFICATES = "Certificates"


@dataclass(frozen=True, slots=True)
class WriteSharedSecret:
    """Set the Partner Shared Secret. It cannot be read back: written once per version and unit identity."""

    role: Role
    version: str
    """Digest of what is written, as recorded in status."""


@dataclass(frozen=True, slots=True)
class WriteMode:
    """Set the HA mode (guide, 7 step 3). In force after a reboot."""

    role: Role
    mode: Mode
    boot: str
    """`UnitFacts.boot` when it was planned: recorded before the write, so that the reboot is owed until the
    unit says another one."""
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteParameters:
    """Set HA parameters; what is None is not sent and stays."""

    role: Role
    partner: str | None = None
    port: int | None = None
    preferred_host: PreferredHost | None = None
    all_interfaces: bool | None = None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteAgentInputs:
    """Tell a node agent about the balancer; what is None is not sent and stays."""

    role: Role
    frontend: str | None = None
    probe_source: str | None = None
    probe_interval: int | None = None
    probe_threshold: int | None = None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Reboot:
    """Restart the unit. `why` is for people."""

    role: Role
    boot: str
    """`UnitFacts.boot` when it was planned."""
    why: str


@dataclass(frozen=True, slots=True)
class PutCertificate:
    """Install or replace a certificate with its key. `fingerprint` (SHA-256, hex) tells which material."""

    role: Role
    name: str
    fingerprint: str
    replaces: bool


@dataclass(frozen=True, slots=True)
class DeleteCertificate:
    """Remove a certificate of ours that no service uses any more."""

    role: Role
    name: str


@dataclass(frozen=True, slots=True)
class AddService:
    """Create a virtual service, without its real servers; they follow one by one."""

    role: Role
    service: VirtualService
    """`index` is 0: the unit gives it."""


@dataclass(frozen=True, slots=True)
class ModifyService:
    """Change a virtual service: only the fields in which `want` differs from `have` are sent."""

    role: Role
    have: VirtualService
    want: VirtualService
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class DeleteService:
    """Remove a virtual service with its real servers."""

    role: Role
    service: VirtualService
    why: str


@dataclass(frozen=True, slots=True)
class AddRealServer:
    """Put a real server behind a virtual service."""

    role: Role
    service: VirtualService
    """As observed (its index addresses it)."""
    server: RealServer
    """`index` is 0: the unit gives it."""


@dataclass(frozen=True, slots=True)
class ModifyRealServer:
    """Change a real server: only the fields in which `want` differs from `have` are sent."""

    role: Role
    service: VirtualService
    have: RealServer
    want: RealServer
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class DeleteRealServer:
    """Take a real server away."""

    role: Role
    service: VirtualService
    server: RealServer
    why: str


UnitChange: TypeAlias = (
    WriteSharedSecret
    | WriteMode
    | WriteParameters
    | WriteAgentInputs
    | Reboot
    | PutCertificate
    | DeleteCertificate
    | AddService
    | ModifyService
    | DeleteService
    | AddRealServer
    | ModifyRealServer
    | DeleteRealServer
)

_CERTIFICATES = (PutCertificate, DeleteCertificate)
_HIGH_AVAILABILITY = (WriteSharedSecret, WriteMode, WriteParameters, WriteAgentInputs, Reboot)


def section_of(change: UnitChange) -> UnitSection:
    """The part of the set-up that the change belongs to."""
    if isinstance(change, _HIGH_AVAILABILITY):
        return UnitSection.HIGH_AVAILABILITY
    return UnitSection.CERTIFICATES if isinstance(change, _CERTIFICATES) else UnitSection.VIRTUAL_SERVICES

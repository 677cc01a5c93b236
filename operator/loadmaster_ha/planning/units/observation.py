"""What the units' planner is asked for and what it knows: immutable values, gathered by the controller."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from loadmaster_ha.domain.ha import PROBE_SOURCE, Role
from loadmaster_ha.domain.reading import Absent, Reading
from loadmaster_ha.domain.units import UnitFacts
from loadmaster_ha.domain.virtual_services import Protocol, RealServer
from loadmaster_ha.planning.target import PairTarget

LONGEST_REBOOT_SECONDS: Final = 900.0
"""Where the operator is not told else; the guide (10.4) says that five minutes are usual."""


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """What status remembers of a unit because it cannot be read back (`status.units[]`)."""

    identity: str = ""
    """The unit that the rest is about; of another one nothing is remembered."""
    secret_version: str = ""
    """Digest of the Partner Shared Secret that was written to it last."""
    mode_written_at_boot: str = ""
    """`UnitFacts.boot` at the last write of the HA mode: while it is the same, a reboot is owed."""


@dataclass(frozen=True, slots=True)
class RebootUnderWay:
    """A unit was told to reboot and has not been seen with another boot yet."""

    boot: str
    """`UnitFacts.boot` before it."""
    since: float
    """When it was told, on the controller's monotonic clock."""


@dataclass(frozen=True, slots=True)
class WantedCertificate:
    """A certificate that a service needs. `name` is its name on the units (ours, derived from the pair's)."""

    name: str
    fingerprint: str
    """SHA-256 of the leaf certificate, lower-case hex."""
    not_after: str = ""
    """RFC 3339."""
    untimely: bool = False
    """It has expired, or is not valid yet."""


@dataclass(frozen=True, slots=True)
class Publication:
    """Something of ours in Azure that leads, or lets in, to a published service on the units."""

    service: str
    """Its name in the manifest, also of one that the manifest no longer has."""
    protocol: Protocol
    port: int | None
    """On the units; None: every port."""
    arm: str | None = None
    """The units' interface, by its name in the manifest; None: cannot be told."""
    cut: bool = False
    """`service` is only the beginning of the name: names in Azure are cut where they would be too long."""


@dataclass(frozen=True, slots=True)
class UnitsTarget:
    """What the units of one pair shall be, with everything that the manifest only refers to."""

    pair: PairTarget
    addresses: Mapping[Role, str]
    """The units' own addresses (the partner's view), from the manifest or Azure."""
    arm_addresses: Mapping[tuple[Role, str], str]
    """The units' address on each interface, by its name in the manifest."""
    frontend: Reading[str] = field(default_factory=Absent)
    """The balancer's address."""
    secret_version: Reading[str] = field(default_factory=Absent)
    """Digest of the wanted Partner Shared Secret; `Absent`: the manifest wants none; `Unknown` with the
    reason `SharedSecretNotFound` or `SharedSecretInvalid`: a person has to do something."""
    certificates: Mapping[str, Reading[WantedCertificate]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """By service: the certificate of each service that terminates TLS."""
    endpoints: Mapping[str, Reading[tuple[RealServer, ...]]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """By service: the real servers of each service whose manifest refers to Kubernetes for them."""
    probe_source: str = PROBE_SOURCE
    """Where the balancer's probes come from; another address in emulated clouds only."""
    longest_reboot: float = LONGEST_REBOOT_SECONDS
    """Seconds after which a person is asked to look at a unit that was told to reboot."""


@dataclass(frozen=True, slots=True)
class UnitsObservation:
    """Everything known about the units of one pair at one time."""

    units: Mapping[Role, Reading[UnitFacts]]
    records: Mapping[Role, UnitRecord] = field(default_factory=lambda: MappingProxyType({}))
    published: Reading[frozenset[Publication]] = field(default_factory=Absent)
    """What the balancer or a security group of ours still has of services of ours, also of those that the
    manifest no longer has (`publishing.published`); `Absent`: Azure has not been observed yet."""
    frontend_serves: Reading[bool] = field(default_factory=Absent)
    """Whether the frontend answers on the check port now (somebody is served); `Absent`: not asked."""
    ports: Reading[frozenset[int]] = field(default_factory=Absent)
    """The check ports of our probe and rule in Azure; empty: there is neither."""
    reboots: Mapping[Role, RebootUnderWay] = field(default_factory=lambda: MappingProxyType({}))
    """What the operator told units and has not seen the end of; forgotten when it restarts."""
    draining_since: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """What takes its time on the units, as `UnitPlan.draining` of the last plan named it -> the time (of the
    controller's monotonic clock) since when it has been named in every plan."""

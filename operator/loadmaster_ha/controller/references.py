"""Which pair refers to which objects of Kubernetes, and who has to look when one of them changes.

Pure: an index kept by whoever learns of pairs. Only managed pairs (both units have credentials) refer to
anything here; the Secret of `spec.azure` belongs to the Azure lane.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec, Unit
from loadmaster_ha.resources.virtual_services import KubernetesRealServers


class Kind(StrEnum):
    """What is referred to."""

    SECRET = "Secret"  # noqa: S105 - a kind
    SERVICE = "Service"
    """A Service with its EndpointSlices."""
    NODES = "Nodes"
    """All nodes; without namespace and name."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One object (or all nodes) that a manifest refers to."""

    kind: Kind
    namespace: str = ""
    name: str = ""


NODES = Reference(Kind.NODES)


def references_of(namespace: str, spec: LoadMasterPairSpec) -> frozenset[Reference]:
    """Everything that the units' side of a manifest refers to; empty for a pair that is not managed."""
    if not all(unit.management.credentials_secret_ref for unit in (spec.master, spec.slave)):
        return frozenset()
    return frozenset((*_secrets(namespace, spec), *_sources(namespace, spec)))


def _secrets(namespace: str, spec: LoadMasterPairSpec) -> Iterator[Reference]:
    return (Reference(Kind.SECRET, namespace, name) for name in _secret_names(spec))


def _secret_names(spec: LoadMasterPairSpec) -> Iterator[str]:
    yield from _of_unit(spec.master)
    yield from _of_unit(spec.slave)
    if spec.high_availability.shared_secret_ref is not None:
        yield spec.high_availability.shared_secret_ref.name
    for service in spec.services:
        if service.virtual_service is not None and service.virtual_service.tls is not None:
            yield service.virtual_service.tls.certificate_secret_ref.name


def _of_unit(unit: Unit) -> Iterator[str]:
    management = unit.management
    if management.credentials_secret_ref is not None:
        yield management.credentials_secret_ref.name
    if management.tls.ca_secret_ref is not None:
        yield management.tls.ca_secret_ref.name


def _sources(namespace: str, spec: LoadMasterPairSpec) -> Iterator[Reference]:
    for service in spec.services:
        virtual = service.virtual_service
        if virtual is None or virtual.real_servers_from is None:
            continue
        yield Reference(Kind.SERVICE, namespace, virtual.real_servers_from.service.name)
        if virtual.real_servers_from.mode is KubernetesRealServers.NODES:
            yield NODES


class References:
    """The index, both ways."""

    def __init__(self) -> None:
        self._of: dict[PairKey, frozenset[Reference]] = {}
        self._holders: defaultdict[Reference, set[PairKey]] = defaultdict(set)

    def put(self, pair: PairKey, references: frozenset[Reference]) -> bool:
        """Replace what a pair refers to; whether anything has changed."""
        before = self._of.get(pair, frozenset())
        if before == references:
            return False
        for reference in before - references:
            self._holders[reference].discard(pair)
            if not self._holders[reference]:
                del self._holders[reference]
        for reference in references - before:
            self._holders[reference].add(pair)
        if references:
            self._of[pair] = references
        else:
            self._of.pop(pair, None)
        return True

    def remove(self, pair: PairKey) -> bool:
        """The pair is gone; whether it referred to anything."""
        return self.put(pair, frozenset())

    def holders(self, reference: Reference) -> frozenset[PairKey]:
        """The pairs that refer to an object."""
        return frozenset(self._holders.get(reference, ()))

    def in_use(self, kind: Kind) -> frozenset[Reference]:
        """Every object of a kind that some pair refers to."""
        return frozenset(reference for reference in self._holders if reference.kind is kind)

"""What a manifest only refers to, gathered for the units' planner: shared secret, certificates, endpoints.

Secrets leave here in two forms: a digest or fingerprint for plans, status and comparison, and the material
itself, which cannot be printed, for the writer. Neighbours: `secrets` and `cluster_view` read Kubernetes,
`tls_secrets` and `endpoints` understand what they read, `planning.units.observation` has the types.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from loadmaster_ha.controller import tls_secrets
from loadmaster_ha.controller.cluster_view import ClusterView
from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.endpoints import real_servers
from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.secrets import SecretContent, SecretName, SecretProblem, Secrets, about
from loadmaster_ha.controller.tls_secrets import TlsMaterial, TlsSecretInvalid
from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.reading import Absent, Present, Reading, Unknown
from loadmaster_ha.domain.virtual_services import RealServer
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.planning.units import service_reasons, shared_secret
from loadmaster_ha.planning.units.marks import Marks
from loadmaster_ha.planning.units.observation import WantedCertificate
from loadmaster_ha.planning.units.reasons import Reason as UnitReason
from loadmaster_ha.resources.services import Service
from loadmaster_ha.resources.virtual_services import KubernetesRealServers

log = logging.getLogger(__name__)

EXPIRES_SOON: Final = timedelta(days=7)
EXPIRES_SOON_SHARE: Final = 1 / 6
"""Whichever is less of the two; cert-manager renews when a third of the time is left."""

_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1}
"""About 50 ms and 16 MiB for one try: RFC 7914's figures for interactive use."""
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything, by service where there are several."""

    secret_version: Reading[str] = field(default_factory=Absent)
    certificates: Mapping[str, Reading[WantedCertificate]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    endpoints: Mapping[str, Reading[tuple[RealServer, ...]]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    findings: tuple[Finding, ...] = ()
    """Risks that hold nothing up: certificates that have expired or soon will."""
    material: Material = field(default_factory=Material)
    """For the writer: the secrets themselves."""


class UnitInputs:
    """Gathers, and remembers what is costly to make anew.

    Args:
        secrets: Secrets by name.
        cluster: Services, endpoints and nodes.
        now: the time, to tell what has expired.
    """

    def __init__(
        self,
        secrets: Secrets,
        cluster: ClusterView,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._secrets = secrets
        self._cluster = cluster
        self._now = now
        self._versions: dict[PairKey, tuple[str, str, str]] = {}
        self._hashing = asyncio.Lock()
        self._certificates: dict[PairKey, dict[SecretName, _Understood]] = {}

    async def gather(self, target: PairTarget, *, fresh: bool = False) -> Gathered:
        """Everything that the units' side of a manifest refers to.

        What cannot be read or used is `Unknown` or `Absent` with words that name the field: one bad Secret
        holds nothing else up. `fresh` reads Secrets anew: somebody has touched the pair.
        """
        key = PairKey(target.identity.namespace, target.identity.name)
        secret, version = await self._shared_secret(target, fresh=fresh)
        understood: dict[SecretName, _Understood] = {}
        certificates: dict[str, Reading[WantedCertificate]] = {}
        pems: dict[str, str] = {}
        findings: list[Finding] = []
        for index, service in enumerate(target.spec.services):
            found = await self._certificate(target, index, service, understood, fresh=fresh)
            if found is None:
                continue
            certificates[service.name] = found.wanted
            findings += found.findings
            if isinstance(found.wanted, Present) and found.material is not None:
                pems[found.wanted.value.name] = found.material.pem
        self._certificates[key] = understood
        return Gathered(
            version,
            MappingProxyType(certificates),
            MappingProxyType(dict(self._endpoints(target))),
            tuple(findings),
            Material(
                shared_secret=secret or None,
                shared_secret_version=version.value if isinstance(version, Present) else "",
                certificates=pems,
            ),
        )

    def forget(self, pair: PairKey) -> None:
        """The pair is gone."""
        self._versions.pop(pair, None)
        self._certificates.pop(pair, None)

    async def _shared_secret(self, target: PairTarget, *, fresh: bool) -> tuple[str, Reading[str]]:
        reference = target.spec.high_availability.shared_secret_ref
        if reference is None:
            return "", Absent("NotWanted", f"{shared_secret.SUBJECT} is not set.")
        name = SecretName(target.identity.namespace, reference.name)
        try:
            content = await self._secrets.read(name, shared_secret.SUBJECT, fresh=fresh)
        except SecretProblem as problem:
            return "", Unknown(_SHARED_SECRET_REASONS[problem.reason].value, problem.problem)
        except KubernetesError as problem:
            return "", Unknown(UnitReason.SHARED_SECRET_NOT_READ.value, str(problem))
        secret = _checked_secret(content, reference.key, about(name, shared_secret.SUBJECT))
        if isinstance(secret, Unknown):
            return "", secret
        return secret, Present(await self._version(target, secret))

    async def _version(self, target: PairTarget, secret: str) -> str:
        """What tells this secret from another one, made so that it is of little help in guessing it.

        It stands in status, which more people can read than the Secret: a plain hash would let them try out
        words. The pair's uid is the salt.
        """
        identity = target.identity
        key = PairKey(identity.namespace, identity.name)
        known = self._versions.get(key)
        if known is not None and known[:2] == (identity.uid, secret):
            return known[2]
        async with self._hashing:  # one at a time, for the memory that it takes
            version = await asyncio.to_thread(digest, secret, identity.uid)
        self._versions[key] = (identity.uid, secret, version)
        return version

    async def _certificate(
        self,
        target: PairTarget,
        index: int,
        service: Service,
        understood: "dict[SecretName, _Understood]",
        *,
        fresh: bool,
    ) -> "_FoundCertificate | None":
        if service.virtual_service is None or service.virtual_service.tls is None:
            return None
        reference = service.virtual_service.tls.certificate_secret_ref
        path = f"spec.services[{index}].virtualService.tls.certificateSecretRef"
        name = SecretName(target.identity.namespace, reference.name)
        try:
            content = await self._secrets.read(name, path, fresh=fresh)
        except SecretProblem as problem:
            kind = Unknown if problem.reason is Reason.SECRET_UNREADABLE else Absent
            return _FoundCertificate(kind(problem.reason.value, problem.problem))
        except KubernetesError as problem:
            return _FoundCertificate(Unknown("KubernetesUnreachable", str(problem)))
        key = PairKey(target.identity.namespace, target.identity.name)
        known = understood.get(name) or self._certificates.get(key, {}).get(name)
        understood[name] = known if known is not None and known.of == content else _understand(content)
        material = understood[name].found
        if isinstance(material, str):
            message = f"{about(name, path)}: {material}."
            return _FoundCertificate(Absent(Reason.SECRET_INVALID.value, message))
        wanted = WantedCertificate(
            Marks(target.identity).certificate(service.name),
            material.fingerprint,
            tls_secrets.rfc3339(material.not_after),
            untimely=material.problem_at(self._now()) is not None,
        )
        return _FoundCertificate(Present(wanted), material, self._time_of(material, about(name, path), path))

    def _time_of(self, material: TlsMaterial, where: str, path: str) -> tuple[Finding, ...]:
        now = self._now()
        wrong = material.problem_at(now)
        if wrong is not None:
            return (service_reasons.finding(_EXPIRED, path, f"{where}: the certificate {wrong}"),)
        left = material.not_after - now
        if left < min(EXPIRES_SOON, (material.not_after - material.not_before) * EXPIRES_SOON_SHARE):
            days = left.days
            span = f"less than {days + 1} days" if days else "less than a day"
            what = f"{where}: the certificate is valid for {span} more"
            return (service_reasons.finding(_EXPIRES_SOON, path, what),)
        return ()

    def _endpoints(self, target: PairTarget) -> Mapping[str, Reading[tuple[RealServer, ...]]]:
        found: dict[str, Reading[tuple[RealServer, ...]]] = {}
        for service in target.spec.services:
            virtual = service.virtual_service
            if virtual is None or virtual.real_servers_from is None:
                continue
            wanted = virtual.real_servers_from
            nodes = wanted.mode is KubernetesRealServers.NODES
            namespace = target.identity.namespace
            facts = self._cluster.facts(namespace, wanted.service.name, nodes=nodes)
            found[service.name] = (
                real_servers(wanted, namespace, service.protocol, facts.value)
                if isinstance(facts, Present)
                else facts
            )
        return found


_EXPIRED: Final = service_reasons.ServiceReason.CERTIFICATE_EXPIRED
_EXPIRES_SOON: Final = service_reasons.ServiceReason.CERTIFICATE_EXPIRES_SOON


@dataclass(frozen=True, slots=True)
class _Understood:
    """What is in a Secret, or what is wrong with it."""

    of: SecretContent
    found: TlsMaterial | str


def _understand(content: SecretContent) -> _Understood:
    try:
        material = tls_secrets.read(
            content.data.get(tls_secrets.CERTIFICATE_KEY, b""), content.data.get(tls_secrets.PRIVATE_KEY, b"")
        )
    except TlsSecretInvalid as problem:
        return _Understood(content, str(problem))
    return _Understood(content, material)


@dataclass(frozen=True, slots=True)
class _FoundCertificate:
    wanted: Reading[WantedCertificate]
    material: TlsMaterial | None = None
    findings: tuple[Finding, ...] = ()


_SHARED_SECRET_REASONS: Final = {
    Reason.SECRET_NOT_FOUND: UnitReason.SHARED_SECRET_NOT_FOUND,
    Reason.SECRET_INVALID: UnitReason.SHARED_SECRET_INVALID,
    Reason.SECRET_UNREADABLE: UnitReason.SHARED_SECRET_NOT_READ,
}


def _checked_secret(content: SecretContent, key: str, where: str) -> str | Unknown:
    """The Partner Shared Secret out of its Secret, if units would take it."""
    if key not in content.data:
        has = ", ".join(sorted(content.data)) or "none"
        message = f"{where} has no key {key} (its keys: {has})."
        return Unknown(UnitReason.SHARED_SECRET_NOT_FOUND.value, message)
    try:
        secret = content.data[key].decode("ascii")
        wrong = shared_secret.problem_with(secret)
    except UnicodeDecodeError:
        secret, wrong = "", "it has a character that is no ASCII"
    if wrong is not None:
        message = f"{where}: units would refuse the value of {key}: {wrong}."
        return Unknown(UnitReason.SHARED_SECRET_INVALID.value, message)
    return secret


def digest(secret: str, salt: str) -> str:
    """Thirty-two hexadecimal digits; takes tens of milliseconds on purpose."""
    made = hashlib.scrypt(secret.encode(), salt=salt.encode(), dklen=_DIGEST_BYTES, **_SCRYPT)
    return made.hex()

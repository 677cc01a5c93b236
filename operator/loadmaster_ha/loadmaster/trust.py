"""Whether the machine that answers is the unit: by a pinned fingerprint, given authorities, or the system's.

There is no way to switch verification off. Contexts are shared by what they trust, since each holds its
authorities in memory; all ask for TLS 1.2 at least.
"""

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias

from cryptography import x509

from loadmaster_ha.domain import fingerprints

_MOST_CONTEXTS: Final = 256


@dataclass(frozen=True, slots=True)
class Pinned:
    """Nothing but the certificate with this SHA-256 fingerprint, in any form that `fingerprints` knows.

    Raises:
        ValueError: it is no such fingerprint.
    """

    fingerprint: str

    def __post_init__(self) -> None:
        plain = fingerprints.plain(fingerprints.checked(self.fingerprint))
        object.__setattr__(self, "fingerprint", plain)


@dataclass(frozen=True, slots=True)
class Authorities:
    """A certificate signed by one of these, for the address or for `server_name`.

    Raises:
        ValueError: there is no certificate in the PEM, or a broken one.
    """

    pem: str
    server_name: str | None = None

    def __post_init__(self) -> None:
        _given(self.pem)


@dataclass(frozen=True, slots=True)
class SystemAuthorities:
    """A certificate signed by one of the system's authorities, for the address or for `server_name`."""

    server_name: str | None = None


Trust: TypeAlias = Pinned | Authorities | SystemAuthorities


@dataclass(frozen=True, slots=True)
class SeenCertificate:
    """The certificate that a unit showed."""

    fingerprint: str
    """SHA-256, lower-case hex."""
    not_after: datetime | None
    """When it expires (UTC); None when that cannot be read."""


def name_to_verify(trust: Trust) -> str | None:
    """The name that the certificate must have; None: the address, or (pinned) any."""
    return None if isinstance(trust, Pinned) else trust.server_name


def context(trust: Trust) -> ssl.SSLContext:
    """What verifies by this trust in the handshake; the same object for the same trust.

    Of a pinned certificate, the caller compares the fingerprint before it sends anything.
    """
    if isinstance(trust, Pinned):
        return _looking()
    return _system() if isinstance(trust, SystemAuthorities) else _given(trust.pem)


def seen(der: bytes) -> SeenCertificate:
    """What a certificate says of itself; nothing here trusts it."""
    fingerprint = hashlib.sha256(der).hexdigest()
    try:
        not_after = x509.load_der_x509_certificate(der).not_valid_after_utc
    except ValueError:
        return SeenCertificate(fingerprint, None)
    return SeenCertificate(fingerprint, not_after)


async def look(address: str, port: int, *, seconds: float) -> SeenCertificate | None:
    """The certificate that a machine shows to anybody; nothing is sent to it but the handshake.

    None when it shows none within the time.
    """
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port, ssl=_looking())
    except (OSError, TimeoutError):
        return None
    try:
        connection = writer.get_extra_info("ssl_object")
        der = connection.getpeercert(binary_form=True)
        return seen(der) if der else None
    finally:
        writer.transport.abort()


@lru_cache(maxsize=1)
def _system() -> ssl.SSLContext:
    return _lenient(ssl.create_default_context())


@lru_cache(maxsize=_MOST_CONTEXTS)
def _given(pem: str) -> ssl.SSLContext:
    # Not `create_default_context`: that takes the system's authorities where none are given.
    context = _lenient(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError, TypeError) as problem:
        raise ValueError("it is no PEM bundle of certificates") from problem
    if not context.cert_store_stats()["x509"]:
        raise ValueError("there is no certificate in it")
    # A bundle may end with the authority that signed the unit's certificate, without that one's own.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _lenient(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Authorities made by older appliances and by hand lack the key identifiers that the strict mode of
    # Python 3.13 asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@lru_cache(maxsize=1)
def _looking() -> ssl.SSLContext:
    """Verifies nothing: for who sends nothing (`look`), or not before it has compared a fingerprint."""
    context = _lenient(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

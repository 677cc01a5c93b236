"""Certificates of published services out of `kubernetes.io/tls` Secrets: read, checked, put in order.

Pure. What comes out is what units are given: the certificate that the key belongs to first, then the chain.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CERTIFICATE_KEY: Final = "tls.crt"
PRIVATE_KEY: Final = "tls.key"

SMALLEST_RSA: Final = 2048
LONGEST_CHAIN: Final = 10

_USABLE = (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)


class TlsSecretInvalid(ValueError):  # noqa: N818 - reads as what is the case
    """There is no usable certificate and key; the message says which key of the Secret and what is wrong."""


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """A certificate with its chain and key."""

    fingerprint: str
    """SHA-256 of the leaf certificate, lower-case hex."""
    not_before: datetime
    not_after: datetime
    pem: str = field(repr=False)
    """Leaf, chain, and key (PKCS #8, not encrypted)."""

    def problem_at(self, now: datetime) -> str | None:
        """What is wrong with its time, in words; None when it is valid now."""
        if now > self.not_after:
            return f"has expired ({self.not_after:%Y-%m-%d %H:%M} UTC)"
        if now < self.not_before:
            return f"is not valid before {self.not_before:%Y-%m-%d %H:%M} UTC"
        return None


def read(certificates: bytes, key: bytes) -> TlsMaterial:
    """Read the values of `tls.crt` and `tls.key`.

    Raises:
        TlsSecretInvalid: one is missing or cannot be read, or they do not belong together.
    """
    private, chain = _key(key), _certificates(certificates)
    public = _public(private)
    leaf = next((each for each in chain if _public_of(each) == public), None)
    if leaf is None:
        raise TlsSecretInvalid(f"{PRIVATE_KEY} does not belong to any certificate in {CERTIFICATE_KEY}")
    ordered = _in_order(leaf, [each for each in chain if each is not leaf])
    encoded = [each.public_bytes(serialization.Encoding.PEM) for each in ordered]
    encoded.append(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    der = leaf.public_bytes(serialization.Encoding.DER)
    return TlsMaterial(
        hashlib.sha256(der).hexdigest(),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        b"".join(encoded).decode("ascii"),
    )


def rfc3339(moment: datetime) -> str:
    """As Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey:
    if not pem.strip():
        raise TlsSecretInvalid(f"{PRIVATE_KEY} is missing or empty")
    try:
        # The library's own validation looks for primes: seconds for a large key, in which nothing else of
        # the process runs. That it fits the certificate is checked, and the units try it out.
        key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise TlsSecretInvalid(f"{PRIVATE_KEY} is protected by a passphrase; put it there without") from None
    except (ValueError, UnsupportedAlgorithm):
        raise TlsSecretInvalid(f"{PRIVATE_KEY} is no private key in PEM form that can be read") from None
    if not isinstance(key, _USABLE) or (isinstance(key, rsa.RSAPrivateKey) and key.key_size < SMALLEST_RSA):
        raise TlsSecretInvalid(
            f"{PRIVATE_KEY} is of a kind that units do not take: it has to be an EC key, or an RSA key of "
            f"{SMALLEST_RSA} bits at least"
        )
    return key


def _certificates(pem: bytes) -> list[x509.Certificate]:
    if not pem.strip():
        raise TlsSecretInvalid(f"{CERTIFICATE_KEY} is missing or empty")
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise TlsSecretInvalid(
            f"{CERTIFICATE_KEY} has no certificates in PEM form that can be read"
        ) from None
    if len(found) > LONGEST_CHAIN:
        raise TlsSecretInvalid(
            f"{CERTIFICATE_KEY} has {len(found)} certificates; a chain has {LONGEST_CHAIN} at most"
        )
    return found


def _in_order(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The leaf, then each one's issuer; what is nobody's issuer comes last, as it was."""
    ordered, rest = [leaf], list(others)
    while (issuer := next((each for each in rest if each.subject == ordered[-1].issuer), None)) is not None:
        rest.remove(issuer)
        ordered.append(issuer)
    return ordered + rest


def _public_of(certificate: x509.Certificate) -> bytes | None:
    try:
        return _public(certificate)
    except (ValueError, UnsupportedAlgorithm):  # of a kind that cannot be the key's
        return None


def _public(
    holder: x509.Certificate | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey,
) -> bytes:
    return holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )

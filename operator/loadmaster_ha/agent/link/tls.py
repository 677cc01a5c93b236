"""TLS of the partner link: version 1.3, and a certificate asked of both sides.

Two units know each other by a shared secret and not by an authority, so *any* certificate has to be accepted
here; `handshake` then proves by the secret whose it is. Python's `ssl` cannot ask a client for a certificate
and accept one that no trust anchor signed. Therefore link certificates are signed by the *open issuer*: an
authority whose private key is no secret at all, since anybody can compute it from `OPEN_ISSUER_LABEL`. To be
signed by it means nothing, and nothing is ever concluded from it. What TLS contributes is that each side has
proved, for this very connection, that it holds the key of the certificate that it showed
(docs/decisions/0013).

Clocks of the two units may differ by years before the first synchronisation, so dates are not checked.
"""

import hashlib
import ssl
from functools import cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from loadmaster_ha.agent.certificates import (
    NO_EXPIRY,
    Identity,
    Pair,
    builder,
    fingerprint,
    load_or_make,
)

LINK_FILE: Final = "link.pem"
OPEN_ISSUER_LABEL: Final = "loadmaster-ha partner link: open issuer, not a secret, trusted for nothing"

_OPENSSL_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h
_EPOCH = NO_EXPIRY.replace(year=2000, month=1, day=1, hour=0, minute=0, second=0)


def link_identity(directory: Path) -> Identity:
    """Load the unit's certificate for the partner link; make it at the first start.

    Raises:
        CertificateUnusable: the file is there and damaged, or cannot be written.
    """
    return load_or_make(directory / LINK_FILE, make_link_certificate)


def make_link_certificate() -> Pair:
    """Make a new key and its certificate; the name in it is a digest of the key and tells nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    encoded = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    name = f"loadmaster-ha unit {hashlib.sha256(encoded).hexdigest()[:16]}"
    certificate = (
        builder(key.public_key(), subject=name, issuer=_ISSUER_NAME)
        .not_valid_before(_EPOCH)
        .not_valid_after(NO_EXPIRY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(_open_issuer_key(), hashes.SHA256())
    )
    return Pair(key, certificate)


def server_context(identity: Identity) -> ssl.SSLContext:
    """The listening side's context. Sessions are not resumed, so every connection proves both keys anew."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity)
    context.num_tickets = 0
    return context


def client_context(identity: Identity) -> ssl.SSLContext:
    """The dialling side's context."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, identity)


def peer_fingerprint(connection: ssl.SSLObject) -> bytes:
    """SHA-256 of the certificate that the other side has shown and holds the key of.

    Raises:
        ssl.SSLError: it has shown none (CERT_REQUIRED forbids it).
    """
    shown = connection.getpeercert(binary_form=True)
    if not shown:
        raise ssl.SSLError("the other side has shown no certificate")
    return fingerprint(shown)


_ISSUER_NAME = "loadmaster-ha open issuer"


def _context(protocol: int, identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the name says nothing; the shared secret does
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags(_OPENSSL_NO_CHECK_TIME)
    context.load_verify_locations(cadata=_open_issuer())
    context.load_cert_chain(identity.path)
    return context


@cache
def _open_issuer() -> str:
    """The trust anchor in PEM form. Units need not have the same bytes: its name and key are what counts."""
    key = _open_issuer_key()
    certificate = (
        builder(key.public_key(), subject=_ISSUER_NAME, issuer=_ISSUER_NAME)
        .not_valid_before(_EPOCH)
        .not_valid_after(NO_EXPIRY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


@cache
def _open_issuer_key() -> ec.EllipticCurvePrivateKey:
    digest = hashlib.sha256(OPEN_ISSUER_LABEL.encode()).digest()
    # One bit less than the curve's order has, so that every digest is a private key of P-256.
    return ec.derive_private_key(int.from_bytes(digest) >> 1, ec.SECP256R1())

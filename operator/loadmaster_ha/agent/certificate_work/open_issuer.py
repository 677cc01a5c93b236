"""The open issuer of the partner link's certificates, and what it signs. Of the child's.

What it is for is said in `link.tls`: an authority whose private key is no secret at all, since anybody can
compute it from `OPEN_ISSUER_LABEL`.
"""

import hashlib
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from loadmaster_ha.agent.certificate_work.pairs import NO_EXPIRY, Pair, builder

OPEN_ISSUER_LABEL: Final = "loadmaster-ha partner link: open issuer, not a secret, trusted for nothing"

_ISSUER_NAME: Final = "loadmaster-ha open issuer"
_EPOCH: Final = NO_EXPIRY.replace(year=2000, month=1, day=1, hour=0, minute=0, second=0)


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
        .sign(open_issuer_key(), hashes.SHA256())
    )
    return Pair(key, certificate)


def open_issuer() -> x509.Certificate:
    """The trust anchor, as it was made for `link.tls.OPEN_ISSUER`."""
    key = open_issuer_key()
    return (
        builder(key.public_key(), subject=_ISSUER_NAME, issuer=_ISSUER_NAME)
        .not_valid_before(_EPOCH)
        .not_valid_after(NO_EXPIRY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


@cache
def open_issuer_key() -> ec.EllipticCurvePrivateKey:
    """The key that is no secret."""
    digest = hashlib.sha256(OPEN_ISSUER_LABEL.encode()).digest()
    # One bit less than the curve's order has, so that every digest is a private key of P-256.
    return ec.derive_private_key(int.from_bytes(digest) >> 1, ec.SECP256R1())

"""Pairs of certificate and private key: made, and read with care. Of the child's.

A file holds the private key and the certificates together, so that replacing it is one rename and the two can
never belong to different pairs.
"""

import datetime as dt
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from loadmaster_ha.agent.certificate_work.messages import CertificateUnusable

NO_EXPIRY: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
"""RFC 5280, 4.1.2.5: a certificate that has no well-defined expiration date."""

_VALIDITY = dt.timedelta(days=3650)
_CLOCK_SKEW = dt.timedelta(days=1)
_USABLE = (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)
_SMALLEST_RSA: Final = 2048
_LARGEST_RSA: Final = 8192
"""Bits. A larger key would cost HAProxy a second for each client that it greets."""

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key in memory, on their way to a file."""

    key: PrivateKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    def to_pem(self) -> bytes:
        """The key (PKCS #8, not encrypted) and then the certificates, leaf first."""
        encoded = [
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        ]
        encoded += [each.public_bytes(serialization.Encoding.PEM) for each in (self.certificate, *self.chain)]
        return b"".join(encoded)


def read_pem(pem: bytes) -> Pair:
    """Read a private key and its certificates, in any order, the leaf being the one the key fits.

    Raises:
        CertificateUnusable: something is missing, cannot be read, or does not belong together.
    """
    try:
        # The library's own validation looks for primes, in one piece: many seconds for 8192 bits in which
        # nothing else of the process runs, heartbeats included. A signature tells as much in a moment.
        key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        raise CertificateUnusable("the private key is protected by a passphrase; give it without") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateUnusable("there is no private key in PEM form in it that can be read") from error
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateUnusable("there is no certificate in PEM form in it that can be read") from error
    public = _public_bytes(key.public_key())
    leaf = next((each for each in certificates if _public_bytes(each.public_key()) == public), None)
    if leaf is None:
        raise CertificateUnusable("the private key does not belong to any certificate in it")
    if not isinstance(key, _USABLE) or (isinstance(key, rsa.RSAPrivateKey) and key.key_size < _SMALLEST_RSA):
        raise CertificateUnusable(f"TLS needs an EC key, or an RSA key of {_SMALLEST_RSA} bits at least")
    if isinstance(key, rsa.RSAPrivateKey):
        _try_out(key)
    chain = tuple(each for each in certificates if each is not leaf)
    return Pair(key, leaf, chain)


def make_self_signed(hosts: Iterable[str]) -> Pair:
    """Make an EC P-256 certificate for a server with these names and addresses, valid for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = list(dict.fromkeys(hosts)) or [socket.gethostname()]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        builder(key.public_key(), subject=names[0], issuer=names[0])
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.SubjectAlternativeName([_alternative(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(key, certificate)


def builder(public_key: ec.EllipticCurvePublicKey, *, subject: str, issuer: str) -> x509.CertificateBuilder:
    """Begin a certificate: names, key, its identifier and a random serial number."""
    return (
        x509.CertificateBuilder()
        .subject_name(distinguished_name(subject))
        .issuer_name(distinguished_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def distinguished_name(common_name: str) -> x509.Name:
    """A name that holds nothing but a common name (at most 64 characters of it: X.520's limit)."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _try_out(key: rsa.RSAPrivateKey) -> None:
    """Sign something and verify it.

    Raises:
        CertificateUnusable: the key is too large, or its parts do not fit each other.
    """
    if key.key_size > _LARGEST_RSA:
        raise CertificateUnusable(f"its RSA key has {key.key_size} bits; {_LARGEST_RSA} are taken at most")
    try:
        signature = key.sign(b"", padding.PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signature, b"", padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, InternalError, ValueError) as error:
        raise CertificateUnusable("the private key is damaged: what it signs does not verify") from error


def _public_bytes(key: object) -> bytes:
    encode = getattr(key, "public_bytes")  # noqa: B009 - the union of key types has no common protocol
    encoded: bytes = encode(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

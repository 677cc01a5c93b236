"""The node's certificates: made at first start, kept in one file each with their key, checked when loaded.

`management_identity` is what the management API (`api.server`) shows; the partner link has one of its own
(`link.tls`). A file holds the private key and the certificate together, so that replacing it is one rename
and the two can never belong to different pairs. Its mode is 0600.
"""

import datetime as dt
import hashlib
import ipaddress
import logging
import os
import socket
import ssl
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

log = logging.getLogger(__name__)

MANAGEMENT_FILE: Final = "management.pem"

NO_EXPIRY: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
"""RFC 5280, 4.1.2.5: a certificate that has no well-defined expiration date."""

_VALIDITY = dt.timedelta(days=3650)
_CLOCK_SKEW = dt.timedelta(days=1)
_USABLE = (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)
_SMALLEST_RSA: Final = 2048
_LARGEST_RSA: Final = 8192
"""Bits. A larger key would cost HAProxy a second for each client that it greets."""

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class CertificateUnusable(Exception):  # noqa: N818 - reads as what is the case
    """A certificate file, or one that somebody wants to put there, is no good; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key in a file that `ssl.SSLContext.load_cert_chain` takes as it is."""

    path: Path
    fingerprint: bytes
    """SHA-256 of the certificate's DER form, 32 bytes."""
    not_after: dt.datetime

    @property
    def fingerprint_text(self) -> str:
        """The fingerprint as browsers and `openssl x509 -fingerprint -sha256` show it."""
        return colon_form(self.fingerprint)


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


def fingerprint(der: bytes) -> bytes:
    """SHA-256 of a certificate in DER form."""
    return hashlib.sha256(der).digest()


def colon_form(digest: bytes) -> str:
    """`AB:CD:...`, the form that browsers and OpenSSL show."""
    return digest.hex(":").upper()


def short_form(digest: bytes) -> str:
    """The first eight bytes in hexadecimal: enough to tell units apart in a log line, not to verify one."""
    return digest[:8].hex()


def management_identity(directory: Path, hosts: Iterable[str]) -> Identity:
    """Load the certificate of the management API; make a self-signed one for `hosts` if there is none.

    Raises:
        CertificateUnusable: the file is there and damaged. It is never replaced behind a person's back.
    """
    return load_or_make(directory / MANAGEMENT_FILE, lambda: make_self_signed(hosts))


def load_or_make(path: Path, make: Callable[[], Pair]) -> Identity:
    """Load a certificate file, or make it when it is not there.

    Raises:
        CertificateUnusable: the file is there and is damaged or cannot be read, or it cannot be written.
    """
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return store(path, make().to_pem())
    except OSError as error:
        raise CertificateUnusable(f"{path} cannot be read: {error.strerror}") from error
    try:
        pair = read_pem(pem)
    except CertificateUnusable as error:
        raise CertificateUnusable(
            f"{path}: {error}. Put a good one there, or delete the file to have a new certificate made"
        ) from error
    _keep_private(path)
    return _identity(path, pair)


def store(path: Path, pem: bytes) -> Identity:
    """Check a key with its certificates and put it in place of the file, whole or not at all.

    Raises:
        CertificateUnusable: it is no good, or cannot be written; the former file is as it was.
    """
    pair = read_pem(pem)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, pair.to_pem())
    except OSError as error:
        raise CertificateUnusable(f"{path} cannot be written: {error.strerror}") from error
    return _identity(path, pair)


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


def server_context(identity: Identity) -> ssl.SSLContext:
    """The TLS context of an HTTPS server (1.2 and up) that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(identity.path)
    return context


def _identity(path: Path, pair: Pair) -> Identity:
    der = pair.certificate.public_bytes(serialization.Encoding.DER)
    return Identity(path, fingerprint(der), pair.certificate.not_valid_after_utc)


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


def _keep_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        log.warning(
            "%s held a private key that others could read (mode %04o); its mode is now 0600", path, mode
        )
        path.chmod(0o600)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)  # the rename itself has to outlive a power cut
    finally:
        os.close(directory)

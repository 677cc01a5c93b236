"""What people upload, made into the PEM text that is stored: leaf, chain, key. Of the child's.

An upload may be protected by a password, or PKCS #12 in DER or in base64.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12

from loadmaster_ha.agent.certificate_work.messages import CertificateUnusable, is_protected, refuse_large
from loadmaster_ha.agent.certificate_work.pairs import Pair, read_pem

_PEM: Final = serialization.Encoding.PEM
_BEGIN: Final = b"-----BEGIN"
_KEY_MARK: Final = b"PRIVATE KEY-----"


def read_upload(data: bytes, password: str | None) -> str:
    """The PEM text to store for an uploaded certificate with its key.

    Args:
        data: PEM or PKCS #12.
        password: of the file; not looked at when there is no need for it.

    Raises:
        CertificateUnusable: it is no certificate with its key, or cannot be opened, or TLS cannot use it.
    """
    if not is_protected(data):
        return read_plain(data)
    if _BEGIN in data and not password:
        raise CertificateUnusable("the private key is protected by a password; give it")
    secret = (password or "").encode() or None
    return read_plain(_from_pem(data, secret) if _BEGIN in data else _from_pkcs12(data, secret))


def read_plain(pem: bytes) -> str:
    """As `read_upload`, of PEM that is not protected.

    Raises:
        CertificateUnusable: it is no certificate with its key, or TLS cannot use it.
    """
    refuse_large(pem)
    if _KEY_MARK not in pem:
        raise CertificateUnusable("there is no private key in it; certificate and key come in one file")
    return _as_text(read_pem(pem))


def read_intermediate(data: bytes) -> str:
    """The PEM text to store for uploaded intermediate certificates, PEM or DER.

    Raises:
        CertificateUnusable: it is none, or there is a key with it.
    """
    refuse_large(data)
    if _KEY_MARK in data:
        raise CertificateUnusable(
            "there is a private key in it; an intermediate certificate comes without one"
        )
    try:
        found = x509.load_pem_x509_certificates(data) if _BEGIN in data else [_der(data)]
    except ValueError as error:
        raise CertificateUnusable(
            "there is no certificate in PEM or DER form in it that can be read"
        ) from error
    return joined(found)


def joined(certificates: Iterable[x509.Certificate]) -> str:
    """Certificates, one after the other, in PEM."""
    return "".join(each.public_bytes(_PEM).decode("ascii") for each in certificates)


def _as_text(pair: Pair) -> str:
    key = pair.key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return joined((pair.certificate, *pair.chain)) + key.decode("ascii")


def _der(data: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(data)


def _from_pem(data: bytes, password: bytes | None) -> bytes:
    try:
        key = serialization.load_pem_private_key(data, password, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as error:
        raise CertificateUnusable("the password is wrong, or the private key in it cannot be read") from error
    except UnsupportedAlgorithm as error:
        raise CertificateUnusable("the private key in it is of a kind that is not supported") from error
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise CertificateUnusable("there is no certificate in PEM form in it that can be read") from error
    return _plain(key, certificates)


def _from_pkcs12(data: bytes, password: bytes | None) -> bytes:
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(_binary(data), password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateUnusable(
            "it is neither PEM nor PKCS #12, or the password is wrong; both have to hold certificate and key"
        ) from error
    if key is None or leaf is None:
        raise CertificateUnusable("there is no certificate with its private key in it")
    return _plain(key, [leaf, *others])


def _plain(key: PrivateKeyTypes, certificates: list[x509.Certificate]) -> bytes:
    plain = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return plain + joined(certificates).encode("ascii")


def _binary(data: bytes) -> bytes:
    """PKCS #12 in DER; some tools hand it on in base64."""
    if data[:1] == b"\x30":
        return data
    try:
        return base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError):
        return data

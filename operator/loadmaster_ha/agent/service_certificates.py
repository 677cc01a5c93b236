"""The certificates of virtual services: what is stored, and what the data plane is given.

A certificate is stored as one PEM text: leaf, chain, key. The data plane gets it with the intermediate
certificates of the store that its chain lacks, as the appliance does ("RESTful API Interface Description",
3.12.1: by default all intermediate certificates are assigned). Administrative certificates are
`agent.certificates`; they stay on the unit.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final
from typing import Protocol as TypingProtocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from loadmaster_ha.agent.certificates import CertificateUnusable, Pair, read_pem
from loadmaster_ha.agent.settings.model import Fields, Kind

LARGEST_UPLOAD: Final = 256 * 1024
"""Bytes of a certificate with its chain and key: reading takes a second for some megabytes, in one piece."""

_PEM: Final = serialization.Encoding.PEM
_KEY_MARK: Final = b"PRIVATE KEY-----"


class Snapshot(TypingProtocol):
    """What is read of the store's snapshot."""

    def entities(self, kind: Kind) -> Mapping[str, Fields]:
        """The entities of a kind by their keys."""
        ...


def service_certificates(snapshot: Snapshot) -> dict[str, str]:
    """The PEM texts (leaf, chain, key) for the data plane, by name; each with the chain that is known.

    What cannot be read (a newer partner's, say) is passed on as it is: the data plane says what is wrong
    with it.
    """
    known = tuple(sorted(pem for pem in _pems(snapshot, Kind.INTERMEDIATE).values()))
    return {name: _completed(pem, known) for name, pem in _pems(snapshot, Kind.CERTIFICATE).items()}


def read_plain(pem: bytes) -> str:
    """The PEM text to store for a certificate with its key, neither of them protected.

    What people upload may be protected, or PKCS #12: `protected_certificates` opens it.

    Raises:
        CertificateUnusable: it is no certificate with its key, or TLS cannot use it.
    """
    refuse_large(pem)
    if _KEY_MARK not in pem:
        raise CertificateUnusable("there is no private key in it; certificate and key come in one file")
    return as_text(read_pem(pem))


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
        found = x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data else [_der(data)]
    except ValueError as error:
        raise CertificateUnusable(
            "there is no certificate in PEM or DER form in it that can be read"
        ) from error
    return _joined(found)


def refuse_large(data: bytes) -> None:
    """Nothing, if it is small enough to be looked at.

    Raises:
        CertificateUnusable: it is not.
    """
    if len(data) > LARGEST_UPLOAD:
        raise CertificateUnusable(f"it has {len(data)} bytes; {LARGEST_UPLOAD} are taken at most")


def as_text(pair: Pair) -> str:
    """Leaf, chain and key as they are stored."""
    key = pair.key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return _joined((pair.certificate, *pair.chain)) + key.decode("ascii")


@lru_cache(maxsize=256)
def certificates_in(pem: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a stored text, the leaf first.

    Raises:
        ValueError: there are none that can be read.
    """
    return tuple(x509.load_pem_x509_certificates(pem.encode("ascii", "replace")))


def without_key(pem: str) -> str:
    """The certificates of a stored text alone.

    Raises:
        ValueError: there are none that can be read.
    """
    return _joined(certificates_in(pem))


def _pems(snapshot: Snapshot, kind: Kind) -> dict[str, str]:
    texts = ((name, fields.get("pem")) for name, fields in snapshot.entities(kind).items())
    return {name: text for name, text in texts if isinstance(text, str)}


@lru_cache(maxsize=256)
def _completed(pem: str, intermediates: tuple[str, ...]) -> str:
    try:
        have = certificates_in(pem)
    except ValueError:
        return pem
    missing = _issuers(have[-1], _readable(intermediates), {each.subject for each in have})
    if not missing:
        return pem
    head, mark, tail = pem.rpartition("-----END CERTIFICATE-----\n")
    return head + mark + _joined(missing) + tail


def _readable(texts: Iterable[str]) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    for text in texts:
        try:
            found += certificates_in(text)
        except ValueError:
            continue
    return found


def _issuers(
    last: x509.Certificate, known: Sequence[x509.Certificate], seen: set[x509.Name]
) -> list[x509.Certificate]:
    """The way up from a certificate, without a self-signed root: clients have that, or do not believe it."""
    way: list[x509.Certificate] = []
    while issuer := next((each for each in known if each.subject not in seen and _issued(each, last)), None):
        if issuer.subject == issuer.issuer:
            break
        way.append(issuer)
        seen.add(issuer.subject)
        last = issuer
    return way


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _der(data: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(data)


def _joined(certificates: Iterable[x509.Certificate]) -> str:
    return "".join(each.public_bytes(_PEM).decode("ascii") for each in certificates)

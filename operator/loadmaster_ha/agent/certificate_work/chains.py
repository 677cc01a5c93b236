"""What is told of a certificate, and the intermediate certificates that its chain lacks. Of the child's."""

import base64
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from loadmaster_ha.agent.certificate_work.facts import Facts
from loadmaster_ha.agent.certificate_work.uploads import joined


def certificates_in(pem: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a stored text, the leaf first.

    Raises:
        ValueError: there are none that can be read.
    """
    return tuple(x509.load_pem_x509_certificates(pem.encode("ascii", "replace")))


def facts_of(pem: str) -> Facts:
    """What is told of the first certificate of a stored text.

    Raises:
        ValueError: there is none that can be read.
    """
    leaf = certificates_in(pem)[0]
    public = leaf.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Facts(
        subject=leaf.subject.rfc4514_string(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        modulus=f"{public.public_numbers().n:X}" if isinstance(public, rsa.RSAPublicKey) else "",
        public_key=base64.b64encode(der).decode("ascii"),
    )


def completed(pem: str, intermediates: Sequence[x509.Certificate]) -> str:
    """A stored text with the intermediate certificates that its chain lacks.

    What cannot be read (a newer partner's, say) comes back as it is: the data plane says what is wrong.
    """
    try:
        have = certificates_in(pem)
    except ValueError:
        return pem
    missing = _issuers(have[-1], intermediates, {each.subject for each in have})
    if not missing:
        return pem
    head, mark, tail = pem.rpartition("-----END CERTIFICATE-----\n")
    return head + mark + joined(missing) + tail


def readable(texts: Iterable[str]) -> list[x509.Certificate]:
    """All certificates of the texts that can be read."""
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

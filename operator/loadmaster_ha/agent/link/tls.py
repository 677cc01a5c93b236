"""TLS of the partner link: version 1.3, and a certificate asked of both sides.

Two units know each other by a shared secret and not by an authority, so *any* certificate has to be accepted
here; `handshake` then proves by the secret whose it is. Python's `ssl` cannot ask a client for a certificate
and accept one that no trust anchor signed. Therefore link certificates are signed by the *open issuer*: an
authority whose private key is no secret at all (`certificate_work.open_issuer` computes it). To be signed by
it means nothing, and nothing is ever concluded from it. What TLS contributes is that each side has
proved, for this very connection, that it holds the key of the certificate that it showed
(docs/decisions/0013).

Clocks of the two units may differ by years before the first synchronisation, so dates are not checked.
"""

import ssl
from pathlib import Path
from typing import Final

from loadmaster_ha.agent.certificates import Identity, Place, fingerprint, load_or_make

LINK_FILE: Final = "link.pem"
OPEN_ISSUER: Final = """\
-----BEGIN CERTIFICATE-----
MIIBgDCCASegAwIBAgIUfI/IVZ90wraFT0KLtDCHQhqtV0owCgYIKoZIzj0EAwIw
JDEiMCAGA1UEAwwZbG9hZG1hc3Rlci1oYSBvcGVuIGlzc3VlcjAgFw0wMDAxMDEw
MDAwMDBaGA85OTk5MTIzMTIzNTk1OVowJDEiMCAGA1UEAwwZbG9hZG1hc3Rlci1o
YSBvcGVuIGlzc3VlcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABOwdZTYHNRxU
61+kOcqcQpgaZcy96AY/zs4IF/OTKooDBXpXLCA02FahoFQDM2C5KnZTKMHE0Ti+
8hm0/Oz6T92jNTAzMB0GA1UdDgQWBBTGOb0exSlmRBk16f3N5fUvI370qDASBgNV
HRMBAf8ECDAGAQH/AgEAMAoGCCqGSM49BAMCA0cAMEQCIGlszm+FQbIUfjCcWSNP
doJ496XFzrmoyJ3SSADtKgC3AiBD6kWJaXNkvgGw8LAZTGYr197u2nOI/br5WnQG
Hi05FA==
-----END CERTIFICATE-----
"""
"""The trust anchor. Units need not have the same bytes: its name and key are what counts."""

_OPENSSL_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h


def link_place(directory: Path) -> Place:
    """Of the unit's certificate for the partner link."""
    return Place(directory / LINK_FILE, {"do": "make_link_certificate"})


def link_identity(directory: Path) -> Identity:
    """Load the unit's certificate for the partner link, or make it; as `certificates.load_or_make`."""
    return load_or_make(link_place(directory))[0]


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


def _context(protocol: int, identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the name says nothing; the shared secret does
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags(_OPENSSL_NO_CHECK_TIME)
    context.load_verify_locations(cadata=OPEN_ISSUER)
    context.load_cert_chain(identity.path)
    return context

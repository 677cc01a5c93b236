"""Certificates of units as they are in the field: self-signed, or of an authority of their own."""

import datetime as dt
import hashlib
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ADDRESS = "127.0.0.1"
NOT_AFTER = dt.datetime(2099, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@dataclass(frozen=True)
class UnitCertificate:
    """A certificate with its key, and the authority that signed it."""

    pem: str
    authority: str
    fingerprint: str
    """SHA-256, lower-case hex."""


def of_an_authority(*, address: str | None = ADDRESS, name: str = "lm-0.example") -> UnitCertificate:
    """Signed by an authority without key identifiers, as older appliances make them."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name, own_name = _name("Units of Example"), _name(name)
    authority = (
        _builder(authority_name, authority_name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if address:
        names.append(x509.IPAddress(ipaddress.ip_address(address)))
    own = (
        _builder(own_name, authority_name, key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return UnitCertificate(_pem(own) + _key(key), _pem(authority), _fingerprint(own))


def self_signed(address: str = ADDRESS) -> UnitCertificate:
    """As an appliance has it out of the box."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("LoadMaster")
    own = (
        _builder(name, name, key)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return UnitCertificate(_pem(own) + _key(key), _pem(own), _fingerprint(own))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(NOT_AFTER)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _fingerprint(certificate: x509.Certificate) -> str:
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

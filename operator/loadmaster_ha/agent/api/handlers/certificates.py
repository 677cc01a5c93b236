"""Commands of the certificates of virtual services ("RESTful API Interface Description", 3.12.1).

They are synchronised, keys and all; no command reads a key back. The unit's own, administrative certificate
is not among them (guide, 1).
"""

import base64
import datetime as dt
import hashlib
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.unit import Snapshot, Unit
from loadmaster_ha.agent.certificates import CertificateUnusable, colon_form
from loadmaster_ha.agent.protected_certificates import opened
from loadmaster_ha.agent.service_certificates import (
    certificates_in,
    read_intermediate,
    read_plain,
    without_key,
)
from loadmaster_ha.agent.settings.model import Delete, Fields, Json, Kind, Put

_DONE: Final = Done().text


@handles("addcert")
async def addcert(call: Call, unit: Unit) -> Reply:
    """Install a certificate with its key, or replace one, in one commit: services go on with the new one."""
    name, replace = call.text("cert") or "", bool(call.flag("replace"))
    _refuse_another(name, unit.settings.snapshot, replace=replace)
    try:
        pem = read_plain(await opened(call.data or b"", call.text("password")))
    except CertificateUnusable as error:
        raise Refused(422, f"cert: the certificate is not usable: {error}.") from error
    _refuse_another(name, unit.settings.snapshot, replace=replace)  # opening it takes its time
    unit.settings.commit([Put(Kind.CERTIFICATE, name, {"pem": pem})])
    return Done(_with_warning(certificates_in(pem)[0]))


@handles("delcert")
async def delcert(call: Call, unit: Unit) -> Reply:
    """Delete a certificate that no virtual service uses."""
    name, snapshot = call.text("cert") or "", unit.settings.snapshot
    _existing(Kind.CERTIFICATE, name, snapshot)
    for fields in snapshot.entities(Kind.VIRTUAL_SERVICE).values():
        used = fields.get("CertFile")
        if isinstance(used, list) and name in used:
            raise Refused(
                422,
                f"cert: {name} is in use by virtual service {fields.get('Index')}; take it out there first.",
            )
    unit.settings.commit([Delete(Kind.CERTIFICATE, name)])
    return Done()


@handles("listcert")
async def listcert(_call: Call, unit: Unit) -> Reply:
    """All certificates, by name."""
    return Data({"cert": _rows(Kind.CERTIFICATE, unit)})


@handles("readcert")
async def readcert(call: Call, unit: Unit) -> Reply:
    """A certificate with its chain, without its key."""
    return _shown(call, Kind.CERTIFICATE, unit)


@handles("addintermediate")
async def addintermediate(call: Call, unit: Unit) -> Reply:
    """Install an intermediate certificate; it completes the chains of those that it issued."""
    name = call.text("cert") or ""
    if unit.settings.snapshot.get(Kind.INTERMEDIATE, name) is not None:
        raise Refused(422, f"cert: there is already an intermediate certificate {name}; delete it first.")
    try:
        pem = read_intermediate(call.data or b"")
    except CertificateUnusable as error:
        raise Refused(422, f"cert: the certificate is not usable: {error}.") from error
    unit.settings.commit([Put(Kind.INTERMEDIATE, name, {"pem": pem})])
    return Done(_with_warning(certificates_in(pem)[0]))


@handles("delintermediate")
async def delintermediate(call: Call, unit: Unit) -> Reply:
    """Delete an intermediate certificate."""
    name = call.text("cert") or ""
    _existing(Kind.INTERMEDIATE, name, unit.settings.snapshot)
    unit.settings.commit([Delete(Kind.INTERMEDIATE, name)])
    return Done()


@handles("listintermediate")
async def listintermediate(_call: Call, unit: Unit) -> Reply:
    """All intermediate certificates, by name."""
    return Data({"cert": _rows(Kind.INTERMEDIATE, unit)})


@handles("readintermediate")
async def readintermediate(call: Call, unit: Unit) -> Reply:
    """An intermediate certificate."""
    return _shown(call, Kind.INTERMEDIATE, unit)


def _with_warning(leaf: x509.Certificate) -> str:
    now = dt.datetime.now(dt.UTC)
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if ends < now:
        return f"{_DONE}. Warning: the certificate expired on {ends:%Y-%m-%d %H:%M} UTC."
    if begins > now:
        return f"{_DONE}. Warning: the certificate is valid from {begins:%Y-%m-%d %H:%M} UTC on, not before."
    return _DONE


def _refuse_another(name: str, snapshot: Snapshot, *, replace: bool) -> None:
    if snapshot.get(Kind.CERTIFICATE, name) is not None and not replace:
        raise Refused(422, f"cert: there is already a certificate {name}; replace=1 replaces it.")


def _existing(kind: Kind, name: str, snapshot: Snapshot) -> Fields:
    fields = snapshot.get(kind, name)
    if fields is None:
        raise Refused(422, f"cert: there is no certificate {name}.")
    return fields


def _shown(call: Call, kind: Kind, unit: Unit) -> Reply:
    name = call.text("cert") or ""
    pem = str(_existing(kind, name, unit.settings.snapshot).get("pem", ""))
    try:
        if call.text("outform") == "DER":
            der = certificates_in(pem)[0].public_bytes(serialization.Encoding.DER)
            return Data({"certificate": base64.b64encode(der).decode("ascii")})
        return Data({"certificate": without_key(pem)})
    except ValueError as error:
        raise Refused(422, f"cert: {name} cannot be read by this unit: {error}.") from error


def _rows(kind: Kind, unit: Unit) -> list[Json]:
    entities = unit.settings.snapshot.entities(kind)
    return [_row(name, str(entities[name].get("pem", ""))) for name in sorted(entities)]


def _row(name: str, pem: str) -> dict[str, Json]:
    try:
        leaf = certificates_in(pem)[0]
    except ValueError:
        return {"name": name}
    public = leaf.public_key()
    row: dict[str, Json] = {"name": name}
    if isinstance(public, rsa.RSAPublicKey):
        row |= {"type": "RSA", "modulus": f"{public.public_numbers().n:X}"}
    else:
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        # An empty modulus, because Kemp's own client stumbles over a row without one.
        row |= {"type": "ECC", "modulus": "", "publickey": base64.b64encode(der).decode("ascii")}
    return row | {
        "subject": leaf.subject.rfc4514_string(),
        "expires": leaf.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "fingerprint": colon_form(hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).digest()),
    }

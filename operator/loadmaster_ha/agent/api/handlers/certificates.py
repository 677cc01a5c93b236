"""Commands of the certificates of virtual services ("RESTful API Interface Description", 3.12.1).

They are synchronised, keys and all; no command reads a key back. The unit's own, administrative certificate
is not among them (guide, 1).
"""

import base64
import datetime as dt
from typing import Final

from loadmaster_ha.agent.api.dispatch import (
    Call,
    Data,
    Done,
    Refused,
    Reply,
    handles,
    refuse_on_standby,
)
from loadmaster_ha.agent.api.unit import Snapshot, Unit
from loadmaster_ha.agent.certificate_work.facts import Facts
from loadmaster_ha.agent.certificate_work.messages import CertificateUnusable
from loadmaster_ha.agent.certificates import colon_form
from loadmaster_ha.agent.service_certificates import (
    Reader,
    leaf,
    read_intermediate,
    read_upload,
    without_key,
)
from loadmaster_ha.agent.settings.model import Delete, Fields, Json, Kind, Put

_DONE: Final = Done().text
_READER: Final = Reader()


@handles("addcert")
async def addcert(call: Call, unit: Unit) -> Reply:
    """Install a certificate with its key, or replace one, in one commit: services go on with the new one."""
    name, replace = call.text("cert") or "", bool(call.flag("replace"))
    _refuse_another(name, unit.settings.snapshot, replace=replace)
    try:
        upload = await read_upload(call.data or b"", call.text("password"))
    except CertificateUnusable as error:
        raise Refused(422, f"cert: the certificate is not usable: {error}.") from error
    refuse_on_standby(unit)  # reading it took its time
    _refuse_another(name, unit.settings.snapshot, replace=replace)
    unit.settings.commit([Put(Kind.CERTIFICATE, name, {"pem": upload.pem})])
    return Done(_with_warning(upload.facts))


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
    return Data({"cert": await _rows(Kind.CERTIFICATE, unit)})


@handles("readcert")
async def readcert(call: Call, unit: Unit) -> Reply:
    """A certificate with its chain, without its key."""
    return _shown(call, Kind.CERTIFICATE, unit)


@handles("addintermediate")
async def addintermediate(call: Call, unit: Unit) -> Reply:
    """Install an intermediate certificate; it completes the chains of those that it issued."""
    name = call.text("cert") or ""
    _refuse_another_intermediate(name, unit.settings.snapshot)
    try:
        upload = await read_intermediate(call.data or b"")
    except CertificateUnusable as error:
        raise Refused(422, f"cert: the certificate is not usable: {error}.") from error
    refuse_on_standby(unit)  # reading it took its time
    _refuse_another_intermediate(name, unit.settings.snapshot)
    unit.settings.commit([Put(Kind.INTERMEDIATE, name, {"pem": upload.pem})])
    return Done(_with_warning(upload.facts))


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
    return Data({"cert": await _rows(Kind.INTERMEDIATE, unit)})


@handles("readintermediate")
async def readintermediate(call: Call, unit: Unit) -> Reply:
    """An intermediate certificate."""
    return _shown(call, Kind.INTERMEDIATE, unit)


def _with_warning(facts: Facts | None) -> str:
    now = dt.datetime.now(dt.UTC)
    if facts is not None and facts.not_after < now:
        return f"{_DONE}. Warning: the certificate expired on {facts.not_after:%Y-%m-%d %H:%M} UTC."
    if facts is not None and facts.not_before > now:
        begins = f"{facts.not_before:%Y-%m-%d %H:%M} UTC"
        return f"{_DONE}. Warning: the certificate is valid from {begins} on, not before."
    return _DONE


def _refuse_another(name: str, snapshot: Snapshot, *, replace: bool) -> None:
    if snapshot.get(Kind.CERTIFICATE, name) is not None and not replace:
        raise Refused(422, f"cert: there is already a certificate {name}; replace=1 replaces it.")


def _refuse_another_intermediate(name: str, snapshot: Snapshot) -> None:
    if snapshot.get(Kind.INTERMEDIATE, name) is not None:
        raise Refused(422, f"cert: there is already an intermediate certificate {name}; delete it first.")


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
            return Data({"certificate": base64.b64encode(leaf(pem)).decode("ascii")})
        return Data({"certificate": without_key(pem)})
    except ValueError as error:
        raise Refused(422, f"cert: {name} cannot be read by this unit: {error}.") from error


async def _rows(kind: Kind, unit: Unit) -> list[Json]:
    entities = unit.settings.snapshot.entities(kind)
    names = sorted(entities)
    found = await _READER.facts([str(entities[name].get("pem", "")) for name in names])
    return [_row(name, facts) for name, facts in zip(names, found, strict=True)]


def _row(name: str, facts: Facts | None) -> dict[str, Json]:
    if facts is None:
        return {"name": name}
    row: dict[str, Json] = {"name": name}
    if facts.modulus:
        row |= {"type": "RSA", "modulus": facts.modulus}
    else:
        # An empty modulus, because Kemp's own client stumbles over a row without one.
        row |= {"type": "ECC", "modulus": "", "publickey": facts.public_key}
    return row | {
        "subject": facts.subject,
        "expires": facts.not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "fingerprint": colon_form(bytes.fromhex(facts.fingerprint)),
    }

"""`backupcert` and `restorecert` ("RESTful API Interface Description", 3.12.1)."""

import re
from collections.abc import Mapping
from typing import Final

from loadmaster_ha.agent.api import certificate_archive
from loadmaster_ha.agent.api.authentication import in_hash_thread
from loadmaster_ha.agent.api.certificate_archive import ArchiveRefused, Certificates
from loadmaster_ha.agent.api.dispatch import Binary, Call, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.unit import Unit
from loadmaster_ha.agent.certificates import CertificateUnusable
from loadmaster_ha.agent.service_certificates import read_intermediate, read_plain
from loadmaster_ha.agent.settings.model import Change, Kind, Put
from loadmaster_ha.loadmaster.commands import COMMANDS

_NAME: Final = re.compile(COMMANDS["addcert"].by_name["cert"].pattern, re.ASCII)


@handles("backupcert")
async def back_up(call: Call, unit: Unit) -> Reply:
    """Certificates of services with their keys, and intermediate ones."""
    certificates = Certificates(_stored(Kind.CERTIFICATE, unit), _stored(Kind.INTERMEDIATE, unit))
    return Binary(await in_hash_thread(certificate_archive.seal, certificates, call.text("password") or ""))


@handles("restorecert")
async def restore(call: Call, unit: Unit) -> Reply:
    """Put certificates of the file in place of those of the same name; others stay. All or none."""
    try:
        found = await in_hash_thread(
            certificate_archive.unseal, call.data or b"", call.text("password") or ""
        )
    except ArchiveRefused as error:
        raise Refused(422, f"data: {error}.") from None
    which = call.text("type")
    changes: list[Change] = []
    if which in {"full", "vs"}:
        changes += [_put(Kind.CERTIFICATE, name, pem) for name, pem in found.services.items()]
    if which in {"full", "third"}:
        changes += [_put(Kind.INTERMEDIATE, name, pem) for name, pem in found.intermediates.items()]
    unit.settings.commit(changes)
    return Done(f"{len(changes)} certificates restored")


def _stored(kind: Kind, unit: Unit) -> Mapping[str, str]:
    return {
        name: str(fields.get("pem", "")) for name, fields in unit.settings.snapshot.entities(kind).items()
    }


def _put(kind: Kind, name: str, pem: str) -> Put:
    if not _NAME.fullmatch(name):
        raise Refused(422, f"data: {name[:64]!r} cannot be the name of a certificate.")
    try:
        checked = (read_plain if kind is Kind.CERTIFICATE else read_intermediate)(pem.encode())
    except CertificateUnusable as error:
        raise Refused(422, f"data: the certificate {name} is not usable: {error}.") from None
    return Put(kind, name, {"pem": checked})

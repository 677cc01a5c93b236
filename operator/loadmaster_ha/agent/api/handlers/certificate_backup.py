"""`backupcert` and `restorecert` ("RESTful API Interface Description", 3.12.1)."""

import re
from collections.abc import Mapping
from typing import Final

from loadmaster_ha.agent.api.dispatch import (
    Binary,
    Call,
    Done,
    Refused,
    Reply,
    handles,
    refuse_on_standby,
)
from loadmaster_ha.agent.api.unit import Unit
from loadmaster_ha.agent.certificate_work import child
from loadmaster_ha.agent.certificate_work.messages import CertificateUnusable, decoded, encoded
from loadmaster_ha.agent.settings.model import Change, Kind, Put
from loadmaster_ha.loadmaster.commands import COMMANDS

_NAME: Final = re.compile(COMMANDS["addcert"].by_name["cert"].pattern, re.ASCII)
_SECTIONS: Final = {
    "certificates": (Kind.CERTIFICATE, {"full", "vs"}),
    "intermediates": (Kind.INTERMEDIATE, {"full", "third"}),
}
"""Of the file (`certificate_work.archive.Content`): what is in it, and the `type` that restores it."""


@handles("backupcert")
async def back_up(call: Call, unit: Unit) -> Reply:
    """Certificates of services with their keys, and intermediate ones."""
    content = {section: _stored(kind, unit) for section, (kind, _) in _SECTIONS.items()}
    passphrase = call.text("password") or ""
    sealed = await child.done({"do": "seal", "content": content, "passphrase": passphrase})
    return Binary(decoded(sealed))


@handles("restorecert")
async def restore(call: Call, unit: Unit) -> Reply:
    """Put certificates of the file in place of those of the same name; others stay. All or none."""
    request = {"do": "unseal", "data": encoded(call.data or b""), "passphrase": call.text("password") or ""}
    try:
        found = await child.done(request)
    except CertificateUnusable as error:
        raise Refused(422, f"data: {error}.") from None
    refuse_on_standby(unit)  # opening it took its time
    changes: list[Change] = []
    for section, (kind, types) in _SECTIONS.items():
        if call.text("type") in types:
            changes += [_put(kind, name, checked) for name, checked in found[section].items()]
    unit.settings.commit(changes)
    return Done(f"{len(changes)} certificates restored")


def _stored(kind: Kind, unit: Unit) -> dict[str, str]:
    return {
        name: str(fields.get("pem", "")) for name, fields in unit.settings.snapshot.entities(kind).items()
    }


def _put(kind: Kind, name: str, checked: Mapping[str, str]) -> Put:
    if not _NAME.fullmatch(name):
        raise Refused(422, f"data: {name[:64]!r} cannot be the name of a certificate.")
    if "unusable" in checked:
        raise Refused(422, f"data: the certificate {name} is not usable: {checked['unusable']}.")
    return Put(kind, name, {"pem": checked["pem"]})

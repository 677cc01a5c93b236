"""The certificates in a unit's store ("RESTful API Interface Description", 3.12): which are there, and which.

A node agent tells the fingerprint in `listcert`; an appliance does not, so its certificates are read one by
one. Keys are never read: no command tells them.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from loadmaster_ha.domain.fingerprints import plain
from loadmaster_ha.domain.units import Certificate
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.values import Json

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_REFUSED: Final = frozenset({FaultReason.INVALID_REQUEST, FaultReason.UNKNOWN_COMMAND, FaultReason.FORBIDDEN})


async def stored(client: Caller, of_interest: Callable[[str], bool]) -> tuple[Certificate, ...]:
    """The certificates of the store, by name; a fingerprint is None where it cannot be read.

    Raises:
        UnitFault: the list could not be read.
    """
    rows = ((await client.call("listcert")).fields or {}).get("cert")
    found = []
    for row in rows if isinstance(rows, list) else []:
        name = row.get("name") if isinstance(row, dict) else None
        if isinstance(row, dict) and name is not None and str(name):
            told = _told(row)
            if told is None and of_interest(str(name)):
                told = await _read(client, str(name))
            found.append(Certificate(str(name), told))
    return tuple(sorted(found, key=lambda each: each.name))


def fingerprint_of(pem: str | bytes) -> str | None:
    """SHA-256 of the first certificate in a PEM text, lower-case hex; None when there is none in it."""
    data = pem.encode("utf-8") if isinstance(pem, str) else pem
    try:
        return x509.load_pem_x509_certificates(data)[0].fingerprint(hashes.SHA256()).hex()
    except ValueError:
        return None


def _told(row: Mapping[str, Json]) -> str | None:
    told = plain(str(row.get("fingerprint") or ""))
    return told if _HEX.fullmatch(told) else None


async def _read(client: Caller, name: str) -> str | None:
    try:
        answer = await client.call("readcert", {"cert": name})
    except UnitFault as fault:
        if fault.reason not in _REFUSED:
            raise
        return None
    told = (answer.fields or {}).get("certificate")
    return _of_text(str(told if told is not None else answer.text or ""))


def _of_text(text: str) -> str | None:
    """Of a PEM text, perhaps within base64, or of DER in base64: appliances were not seen, all are read."""
    data = text.encode("utf-8", "replace")
    if _BEGIN in data:
        return fingerprint_of(data[data.index(_BEGIN) :])
    try:
        decoded = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if _BEGIN in decoded:
        return fingerprint_of(decoded[decoded.index(_BEGIN) :])
    try:
        x509.load_der_x509_certificate(decoded)
    except ValueError:
        return None
    return hashlib.sha256(decoded).hexdigest()

"""The file of `backupcert`: all certificates with their keys, encrypted by a passphrase. No I/O.

`LMCERTS1`, 16 bytes of salt, 12 of nonce, then AES-256-GCM of JSON, the key made of the passphrase by scrypt
as for passwords. What was changed on the way, or opened by another passphrase, is refused as a whole. The
format is our own: an appliance cannot read it, nor we an appliance's.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MAGIC: Final = b"LMCERTS1"
_SALT: Final = 16
_NONCE: Final = 12
_MEMORY: Final = 17 * 1024 * 1024


class ArchiveRefused(ValueError):  # noqa: N818 - reads as what is the case
    """The file cannot be opened; says why."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM texts by name."""

    services: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of virtual services, each with its key."""
    intermediates: Mapping[str, str] = field(default_factory=dict)


def seal(certificates: Certificates, passphrase: str) -> bytes:
    """The file. Takes a fraction of a second, as does `unseal`."""
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    content = {"certificates": dict(certificates.services), "intermediates": dict(certificates.intermediates)}
    sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, json.dumps(content).encode(), _MAGIC)
    return _MAGIC + salt + nonce + sealed


def unseal(archive: bytes, passphrase: str) -> Certificates:
    """What is in the file.

    Raises:
        ArchiveRefused: it is no such file, or damaged, or the passphrase is another.
    """
    if not archive.startswith(_MAGIC):
        raise ArchiveRefused("it is no file that backupcert of a node agent made")
    rest = archive[len(_MAGIC) :]
    salt, nonce, sealed = rest[:_SALT], rest[_SALT : _SALT + _NONCE], rest[_SALT + _NONCE :]
    try:
        content = json.loads(AESGCM(_key(passphrase, salt)).decrypt(nonce, sealed, _MAGIC))
        return Certificates(_texts(content["certificates"]), _texts(content["intermediates"]))
    except (InvalidTag, ValueError, KeyError, TypeError, AttributeError):
        raise ArchiveRefused("the passphrase is another, or the file is damaged") from None


def _texts(found: Mapping[object, object]) -> dict[str, str]:
    return {str(name): str(pem) for name, pem in found.items()}


def _key(passphrase: str, salt: bytes) -> bytes:
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=2**14, r=8, p=5, maxmem=_MEMORY, dklen=32)

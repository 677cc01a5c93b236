"""The file of `backupcert`: all certificates with their keys, encrypted by a passphrase. Of the child's.

`LMCERTS1`, 16 bytes of salt, 12 of nonce, then AES-256-GCM of JSON, the key made of the passphrase by scrypt
as for passwords. What was changed on the way, or opened by another passphrase, is refused as a whole. The
format is our own: an appliance cannot read it, nor we an appliance's.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Final, TypedDict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from loadmaster_ha.agent.certificate_work.messages import CertificateUnusable

_MAGIC: Final = b"LMCERTS1"
_SALT: Final = 16
_NONCE: Final = 12
_MEMORY: Final = 17 * 1024 * 1024


class Content(TypedDict):
    """PEM texts by name."""

    certificates: dict[str, str]
    """Of virtual services, each with its key."""
    intermediates: dict[str, str]


def seal(content: Content, passphrase: str) -> bytes:
    """The file. Takes a fraction of a second, as does `unseal`."""
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, json.dumps(content).encode(), _MAGIC)
    return _MAGIC + salt + nonce + sealed


def unseal(archive: bytes, passphrase: str) -> Content:
    """What is in the file.

    Raises:
        CertificateUnusable: it is no such file, or damaged, or the passphrase is another.
    """
    if not archive.startswith(_MAGIC):
        raise CertificateUnusable("it is no file that backupcert of a node agent made")
    rest = archive[len(_MAGIC) :]
    salt, nonce, sealed = rest[:_SALT], rest[_SALT : _SALT + _NONCE], rest[_SALT + _NONCE :]
    try:
        content = json.loads(AESGCM(_key(passphrase, salt)).decrypt(nonce, sealed, _MAGIC))
        return Content(
            certificates=_texts(content["certificates"]), intermediates=_texts(content["intermediates"])
        )
    except (InvalidTag, ValueError, KeyError, TypeError, AttributeError):
        raise CertificateUnusable("the passphrase is another, or the file is damaged") from None


def _texts(found: Mapping[object, object]) -> dict[str, str]:
    return {str(name): str(pem) for name, pem in found.items()}


def _key(passphrase: str, salt: bytes) -> bytes:
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=2**14, r=8, p=5, maxmem=_MEMORY, dklen=32)

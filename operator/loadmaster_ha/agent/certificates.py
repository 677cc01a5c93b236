"""The node's certificates: made at first start, kept in one file each with their key, checked when loaded.

`management_identity` is what the management API (`api.server`) shows; the partner link has one of its own
(`link.tls`). A file holds the private key and the certificate together, so that replacing it is one rename
and the two can never belong to different pairs. Its mode is 0600. Making and reading is the child's
(`certificate_work`).
"""

import datetime as dt
import hashlib
import logging
import os
import ssl
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadmaster_ha.agent.certificate_work import child
from loadmaster_ha.agent.certificate_work.messages import CertificateUnusable, Request, encoded

log = logging.getLogger(__name__)

MANAGEMENT_FILE: Final = "management.pem"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key in a file that `ssl.SSLContext.load_cert_chain` takes as it is."""

    path: Path
    fingerprint: bytes
    """SHA-256 of the certificate's DER form, 32 bytes."""
    not_after: dt.datetime

    @property
    def fingerprint_text(self) -> str:
        """The fingerprint as browsers and `openssl x509 -fingerprint -sha256` show it."""
        return colon_form(self.fingerprint)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a certificate is kept, and how it is made when there is none."""

    path: Path
    make: Request


def fingerprint(der: bytes) -> bytes:
    """SHA-256 of a certificate in DER form."""
    return hashlib.sha256(der).digest()


def colon_form(digest: bytes) -> str:
    """`AB:CD:...`, the form that browsers and OpenSSL show."""
    return digest.hex(":").upper()


def short_form(digest: bytes) -> str:
    """The first eight bytes in hexadecimal: enough to tell units apart in a log line, not to verify one."""
    return digest[:8].hex()


def management_place(directory: Path, hosts: Iterable[str]) -> Place:
    """Of the management API's certificate: a self-signed one for `hosts` when there is none."""
    return Place(directory / MANAGEMENT_FILE, {"do": "make_self_signed", "hosts": list(hosts)})


def management_identity(directory: Path, hosts: Iterable[str]) -> Identity:
    """Load the certificate of the management API, or make it; as `load_or_make`."""
    return load_or_make(management_place(directory, hosts))[0]


def load_or_make(*places: Place) -> tuple[Identity, ...]:
    """Load certificate files, or make them where they are not there; blocks, for the start of the process.

    Raises:
        CertificateUnusable: a file is there and is damaged or cannot be read, or it cannot be written. It is
            never replaced behind a person's back.
        WorkFailed: the child has not done it.
    """
    found = [_content(place.path) for place in places]
    requests = [
        place.make if pem is None else _reading(pem) for place, pem in zip(places, found, strict=True)
    ]
    identities: list[Identity] = []
    for place, pem, result in zip(places, found, child.done_now(requests), strict=True):
        if isinstance(result, CertificateUnusable):
            raise CertificateUnusable(
                f"{place.path}: {result}. Put a good one there, or delete the file to have a new one made"
            ) from result
        if pem is None:
            _put(place.path, result)
        else:
            _keep_private(place.path)
        identities.append(_identity(place.path, result))
    return tuple(identities)


async def store(path: Path, pem: bytes) -> Identity:
    """Check a key with its certificates and put it in place of the file, whole or not at all.

    Raises:
        CertificateUnusable: it is no good, or cannot be written; the former file is as it was.
        WorkFailed: the child has not done it.
    """
    result = await child.done(_reading(pem))
    _put(path, result)
    return _identity(path, result)


def server_context(identity: Identity) -> ssl.SSLContext:
    """The TLS context of an HTTPS server (1.2 and up) that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Nobody resumes; and OpenSSL keeps 16 KiB for each client's connection that was handed a ticket.
    context.num_tickets = 0
    context.load_cert_chain(identity.path)
    return context


def _reading(pem: bytes) -> Request:
    return {"do": "read_pair", "pem": encoded(pem)}


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CertificateUnusable(f"{path} cannot be read: {error.strerror}") from error


def _put(path: Path, result: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, result["pem"].encode("ascii"))
    except OSError as error:
        raise CertificateUnusable(f"{path} cannot be written: {error.strerror}") from error


def _identity(path: Path, result: dict[str, Any]) -> Identity:
    """Of a pair as the child describes it (`worker`)."""
    return Identity(
        path, bytes.fromhex(result["fingerprint"]), dt.datetime.fromisoformat(result["not_after"])
    )


def _keep_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        log.warning(
            "%s held a private key that others could read (mode %04o); its mode is now 0600", path, mode
        )
        path.chmod(0o600)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)  # the rename itself has to outlive a power cut
    finally:
        os.close(directory)

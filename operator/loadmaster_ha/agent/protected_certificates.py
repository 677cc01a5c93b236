"""Opening uploaded certificates that are protected by a password, or are PKCS #12 files, in a process apart.

How long that takes is up to whoever made the file: it says how often its password is to be hashed, and the
library does so in one piece. In a process of its own it has a limit of time and of memory, and the unit goes
on meanwhile. Run as a program this module is that process. `service_certificates` reads what comes out.
"""

import asyncio
import base64
import binascii
import os
import resource
import sys
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12

from loadmaster_ha.agent.certificates import CertificateUnusable
from loadmaster_ha.agent.service_certificates import refuse_large

_CPU_SECONDS: Final = 10
_TIME_LIMIT: Final = 25.0
"""Seconds, on a machine that has much else to do."""
_MEMORY: Final = 512 * 1024 * 1024
_NICENESS: Final = 10
_REFUSED: Final = 3
_PEM: Final = serialization.Encoding.PEM
_one_at_a_time: Final = asyncio.Semaphore(1)


async def opened(data: bytes, password: str | None) -> bytes:
    """Key and certificates in PEM without protection; a file that has none comes back as it is.

    Args:
        data: PEM, or PKCS #12 in DER or base64.
        password: of the file; not looked at when there is no need for it.

    Raises:
        CertificateUnusable: it cannot be opened; the text says why.
    """
    refuse_large(data)
    if b"-----BEGIN" in data and b"ENCRYPTED" not in data:
        return data
    if b"-----BEGIN" in data and not password:
        raise CertificateUnusable("the private key is protected by a password; give it")
    async with _one_at_a_time:
        return await _elsewhere(data, password or "")


async def _elsewhere(data: bytes, password: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    secret = password.encode()
    try:
        async with asyncio.timeout(_TIME_LIMIT):
            plain, reason = await process.communicate(b"%d\n%b%b" % (len(secret), secret, data))
    except TimeoutError:
        plain, reason = b"", b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return plain
    if process.returncode == _REFUSED:
        raise CertificateUnusable(reason.decode())
    raise CertificateUnusable(
        "opening it takes too long, or too much memory: protect it with fewer rounds, or not at all"
    )


def plain_pem(data: bytes, password: bytes | None) -> bytes:
    """As `opened`, here and now, for as long as it takes.

    Raises:
        CertificateUnusable: it cannot be opened.
    """
    return _from_pem(data, password) if b"-----BEGIN" in data else _from_pkcs12(data, password)


def _from_pem(data: bytes, password: bytes | None) -> bytes:
    try:
        key = serialization.load_pem_private_key(data, password, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as error:
        raise CertificateUnusable("the password is wrong, or the private key in it cannot be read") from error
    except UnsupportedAlgorithm as error:
        raise CertificateUnusable("the private key in it is of a kind that is not supported") from error
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise CertificateUnusable("there is no certificate in PEM form in it that can be read") from error
    return _joined(key, certificates)


def _from_pkcs12(data: bytes, password: bytes | None) -> bytes:
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(_binary(data), password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateUnusable(
            "it is neither PEM nor PKCS #12, or the password is wrong; both have to hold certificate and key"
        ) from error
    if key is None or leaf is None:
        raise CertificateUnusable("there is no certificate with its private key in it")
    return _joined(key, [leaf, *others])


def _joined(key: PrivateKeyTypes, certificates: list[x509.Certificate]) -> bytes:
    plain = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return plain + b"".join(each.public_bytes(_PEM) for each in certificates)


def _binary(data: bytes) -> bytes:
    """PKCS #12 in DER; some tools hand it on in base64."""
    if data[:1] == b"\x30":
        return data
    try:
        return base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError):
        return data


def _main() -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the key
    os.nice(_NICENESS)
    length, _, rest = sys.stdin.buffer.read().partition(b"\n")
    password, data = rest[: int(length)], rest[int(length) :]
    try:
        sys.stdout.buffer.write(plain_pem(data, password or None))
    except CertificateUnusable as refusal:
        sys.stderr.write(str(refusal))
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(_main())

"""What node and child say to each other, and the child's limits. Standard library only, and little of it.

A request is an object with the work's name in `do` (`worker.WORK`) and its arguments, an answer one with the
`result`, or with why it was `refused`. The child gets a list of requests and gives a list of answers, in
JSON; bytes are in base64.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Request: TypeAlias = Mapping[str, Any]

LARGEST_UPLOAD: Final = 256 * 1024
"""Bytes of a certificate with its chain and key."""

CPU_SECONDS: Final = 10
MEMORY: Final = 512 * 1024 * 1024
OUT_OF_MEMORY: Final = 4
"""The child's exit status when it needs more than that."""


class CertificateUnusable(Exception):  # noqa: N818 - reads as what is the case
    """A file of certificates, or what somebody wants to put there, is no good; says why."""


class WorkFailed(Exception):  # noqa: N818 - reads as what is the case
    """The child has not done its work, for no reason that lies in what it was given; says why."""


class TooMuchWork(WorkFailed):
    """It takes longer, or more memory, than the child may use."""


def refuse_large(data: bytes) -> None:
    """Nothing, if it is small enough to be looked at.

    Raises:
        CertificateUnusable: it is not.
    """
    if len(data) > LARGEST_UPLOAD:
        raise CertificateUnusable(f"it has {len(data)} bytes; {LARGEST_UPLOAD} are taken at most")


def is_protected(data: bytes) -> bool:
    """Whether it has to be opened before it is read: PEM with an encrypted key, or anything else than PEM."""
    return b"-----BEGIN" not in data or b"ENCRYPTED" in data


def encoded(data: bytes) -> str:
    """Bytes, on their way through JSON."""
    return base64.b64encode(data).decode("ascii")


def decoded(text: str) -> bytes:
    """Bytes that have come through JSON."""
    return base64.b64decode(text, validate=True)

"""The child's program: reads requests, does the work, writes answers (`messages`), and ends.

It limits itself, so that a file that takes hours, or all memory, to open takes neither.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from loadmaster_ha.agent.certificate_work import archive, chains, uploads
from loadmaster_ha.agent.certificate_work.messages import (
    CPU_SECONDS,
    MEMORY,
    OUT_OF_MEMORY,
    CertificateUnusable,
    Request,
    decoded,
    encoded,
    is_protected,
)
from loadmaster_ha.agent.certificate_work.open_issuer import make_link_certificate
from loadmaster_ha.agent.certificate_work.pairs import Pair, make_self_signed, read_pem

_NICENESS: Final = 10


def _pair(pair: Pair) -> dict[str, str]:
    """A pair as `agent.certificates` keeps it."""
    return {
        "pem": pair.to_pem().decode("ascii"),
        "fingerprint": pair.certificate.fingerprint(hashes.SHA256()).hex(),
        "not_after": pair.certificate.not_valid_after_utc.isoformat(),
    }


def _read_upload(data: str, password: str | None) -> dict[str, Any]:
    content = decoded(data)
    if is_protected(content):
        os.nice(_NICENESS)  # it may take all of the time that it is given
    return _stored(uploads.read_upload(content, password))


def _stored(pem: str) -> dict[str, Any]:
    return {"pem": pem, "facts": _facts_or_none(pem)}


def _facts(pems: Sequence[str]) -> list[dict[str, Any] | None]:
    """Of each text; None where it cannot be read."""
    return [_facts_or_none(pem) for pem in pems]


def _facts_or_none(pem: str) -> dict[str, Any] | None:
    try:
        return chains.facts_of(pem).to_json()
    except (ValueError, UnsupportedAlgorithm):  # a key of a kind that the library does not know, say
        return None


def _complete(pems: Sequence[str], intermediates: Sequence[str]) -> list[str]:
    known = chains.readable(intermediates)
    return [chains.completed(pem, known) for pem in pems]


def _unseal(data: str, passphrase: str) -> dict[str, dict[str, dict[str, str]]]:
    """All that is in the file by name, each as it would be stored or with why it is `unusable`."""
    content = archive.unseal(decoded(data), passphrase)
    return {
        "certificates": _checked(content["certificates"], uploads.read_plain),
        "intermediates": _checked(content["intermediates"], uploads.read_intermediate),
    }


def _checked(pems: Mapping[str, str], read: Callable[[bytes], str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, pem in pems.items():
        try:
            found[name] = {"pem": read(pem.encode())}
        except CertificateUnusable as refusal:
            found[name] = {"unusable": str(refusal)}
    return found


WORK: Final[Mapping[str, Callable[..., Any]]] = {
    "read_pair": lambda pem: _pair(read_pem(decoded(pem))),
    "make_self_signed": lambda hosts: _pair(make_self_signed(hosts)),
    "make_link_certificate": lambda: _pair(make_link_certificate()),
    "read_upload": _read_upload,
    "read_intermediate": lambda data: _stored(uploads.read_intermediate(decoded(data))),
    "facts": _facts,
    "complete": _complete,
    "seal": lambda content, passphrase: encoded(archive.seal(content, passphrase)),
    "unseal": _unseal,
}
"""By the `do` of a request: takes the rest of it, returns the `result`."""


def answer(request: Request) -> dict[str, Any]:
    """Do what a request asks for."""
    arguments = dict(request)
    work = WORK[arguments.pop("do")]
    try:
        return {"result": work(**arguments)}
    except CertificateUnusable as refusal:
        return {"refused": str(refusal)}


def main() -> int:
    """Do all that standard input asks for; the exit status."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the key
    try:
        answers = [answer(request) for request in json.load(sys.stdin.buffer)]
    except MemoryError:
        return OUT_OF_MEMORY
    json.dump(answers, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The certificates of virtual services: what is stored, what is told of it, what the data plane is given.

A certificate is stored as one PEM text: leaf, chain, key. The data plane gets it with the intermediate
certificates of the store that its chain lacks, as the appliance does ("RESTful API Interface Description",
3.12.1: by default all intermediate certificates are assigned). Administrative certificates are
`agent.certificates`; they stay on the unit. Reading is the child's (`certificate_work`); what it found is
remembered, so that it is only asked about what is new.
"""

import asyncio
import contextlib
import hashlib
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from typing import Protocol as TypingProtocol

from loadmaster_ha.agent.certificate_work import child
from loadmaster_ha.agent.certificate_work.facts import Facts
from loadmaster_ha.agent.certificate_work.messages import (
    CertificateUnusable,
    TooMuchWork,
    encoded,
    is_protected,
    refuse_large,
)
from loadmaster_ha.agent.settings.model import Fields, Kind

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE: Final = b"\x30"
"""What DER of a certificate begins with; Python's base64 leaves out what is none."""
_one_protected_at_a_time: Final = asyncio.Semaphore(1)


class Snapshot(TypingProtocol):
    """What is read of the store's snapshot."""

    def entities(self, kind: Kind) -> Mapping[str, Fields]:
        """The entities of a kind by their keys."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded certificate that is good."""

    pem: str = field(repr=False)
    """To be stored."""
    facts: Facts | None
    """None when nothing can be told of it."""

    @classmethod
    def from_json(cls, result: Mapping[str, Any]) -> Self:
        """From the child's result."""
        facts = result["facts"]
        return cls(result["pem"], None if facts is None else Facts.from_json(facts))


async def read_upload(data: bytes, password: str | None) -> Upload:
    """Read an uploaded certificate with its key.

    Args:
        data: PEM, or PKCS #12 in DER or base64.
        password: of the file; not looked at when there is no need for it.

    Raises:
        CertificateUnusable: it is no certificate with its key, or cannot be opened, or TLS cannot use it.
        WorkFailed: it could not be read, for no fault of its own.
    """
    refuse_large(data)
    request = {"do": "read_upload", "data": encoded(data), "password": password}
    # Protected ones, which may take long, wait for each other; the others for none.
    async with _one_protected_at_a_time if is_protected(data) else contextlib.nullcontext():
        try:
            return Upload.from_json(await child.done(request))
        except TooMuchWork as problem:
            raise CertificateUnusable(
                "opening it takes too long, or too much memory: protect it with fewer rounds, or not at all"
            ) from problem


async def read_intermediate(data: bytes) -> Upload:
    """Read uploaded intermediate certificates, PEM or DER.

    Raises:
        CertificateUnusable: it is none, or there is a key with it.
        WorkFailed: it could not be read, for no fault of its own.
    """
    refuse_large(data)
    return Upload.from_json(await child.done({"do": "read_intermediate", "data": encoded(data)}))


class Reader:
    """Tells what is in stored certificates."""

    def __init__(self) -> None:
        self._found: dict[bytes, Facts | None] = {}

    async def facts(self, pems: Sequence[str]) -> list[Facts | None]:
        """Of the first certificate of each text; None where it cannot be read.

        Raises:
            WorkFailed: it could not be read, for no fault of its own.
        """
        digests = {pem: _digest(pem) for pem in pems}
        found = {digest: self._found[digest] for digest in digests.values() if digest in self._found}
        new = [pem for pem, digest in digests.items() if digest not in found]
        if new:
            results = await child.done({"do": "facts", "pems": new})
            for pem, result in zip(new, results, strict=True):
                found[digests[pem]] = None if result is None else Facts.from_json(result)
            self._found = found  # of what was deleted nothing is kept
        return [found[digests[pem]] for pem in pems]


class Chains:
    """Completes the chains of stored certificates for the data plane."""

    def __init__(self) -> None:
        self._intermediates: tuple[str, ...] = ()
        self._completed: dict[str, str] = {}

    async def completed(self, snapshot: Snapshot) -> dict[str, str]:
        """The PEM texts (leaf, chain, key) by name, each with the chain that is known.

        What cannot be read (a newer partner's, say) is passed on as it is: the data plane says what is wrong
        with it.

        Raises:
            WorkFailed: the chains could not be looked for; `so_far` has what is known.
        """
        pems, intermediates = _pems(snapshot, Kind.CERTIFICATE), _intermediates(snapshot)
        if not intermediates:
            return pems
        known = self._completed if intermediates == self._intermediates else {}
        new = [pem for pem in dict.fromkeys(pems.values()) if pem not in known]
        if new:
            request = {"do": "complete", "pems": new, "intermediates": list(intermediates)}
            known = {**known, **dict(zip(new, await child.done(request), strict=True))}
        self._intermediates = intermediates
        self._completed = {pem: known[pem] for pem in pems.values()}
        return {name: known[pem] for name, pem in pems.items()}

    def so_far(self, snapshot: Snapshot) -> dict[str, str]:
        """The PEM texts by name, with the chains as they were found last; without any where there is none."""
        return {
            name: self._completed.get(pem, pem) for name, pem in _pems(snapshot, Kind.CERTIFICATE).items()
        }


def without_key(pem: str) -> str:
    """The certificates of a stored text alone.

    Raises:
        ValueError: there are none that can be read.
    """
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in _ders(pem))


def leaf(pem: str) -> bytes:
    """The first certificate of a stored text, in DER.

    Raises:
        ValueError: there is none that can be read.
    """
    return _ders(pem)[0]


def _ders(pem: str) -> list[bytes]:
    found = [ssl.PEM_cert_to_DER_cert(text) for text in _CERTIFICATE.findall(pem)]
    if not found or not all(der.startswith(_SEQUENCE) for der in found):
        raise ValueError("there is no certificate in PEM form in it that can be read")
    return found


def _pems(snapshot: Snapshot, kind: Kind) -> dict[str, str]:
    texts = ((name, fields.get("pem")) for name, fields in snapshot.entities(kind).items())
    return {name: text for name, text in texts if isinstance(text, str)}


def _intermediates(snapshot: Snapshot) -> tuple[str, ...]:
    return tuple(sorted(_pems(snapshot, Kind.INTERMEDIATE).values()))


def _digest(pem: str) -> bytes:
    return hashlib.sha256(pem.encode("utf-8", "surrogatepass")).digest()

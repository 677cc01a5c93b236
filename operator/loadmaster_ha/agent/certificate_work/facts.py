"""What the node shows of a certificate, once the child has read it. Standard library only."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the first certificate of a text."""

    subject: str
    """RFC 4514: `CN=www.example.com,O=Example`."""
    not_before: dt.datetime
    not_after: dt.datetime
    fingerprint: str
    """SHA-256, in hexadecimal."""
    modulus: str
    """Of an RSA key, in hexadecimal; empty for another."""
    public_key: str
    """The key's SubjectPublicKeyInfo in base64."""

    def to_json(self) -> dict[str, Any]:
        """For the child's answer."""
        return {
            "subject": self.subject,
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "fingerprint": self.fingerprint,
            "modulus": self.modulus,
            "public_key": self.public_key,
        }

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> Self:
        """From the child's answer."""
        times = {name: dt.datetime.fromisoformat(answer[name]) for name in ("not_before", "not_after")}
        return cls(**{**answer, **times})

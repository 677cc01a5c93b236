"""What is written to units and must not be seen: the Partner Shared Secret, certificates with their keys.

Plans name it by version and fingerprint (`domain.unit_changes`); `writer` takes it from here and checks that
it is what the plan was about. Nothing here can be printed, logged or turned into text by accident.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from loadmaster_ha.loadmaster.redaction import MASK
from loadmaster_ha.loadmaster.unit_certificates import fingerprint_of

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class _Sealed(Mapping[str, str]):
    """A mapping whose values are not shown."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self._values, MASK))


@dataclass(frozen=True, slots=True)
class Material:
    """The secrets of one pair. Equal materials are the same material."""

    shared_secret: str | None = field(default=None, repr=False)
    shared_secret_version: str = ""
    """What plans and status call it by: `WriteSharedSecret.version`."""
    certificates: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    """Name on the units -> PEM: certificate, chain, key."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "certificates", _Sealed(self.certificates))

    def secret_of(self, version: str) -> str | None:
        """The shared secret, if it is of this version."""
        return self.shared_secret if version == self.shared_secret_version else None

    def certificate_of(self, name: str, fingerprint: str) -> str | None:
        """The certificate of this name with chain and key, if it has this fingerprint (SHA-256, hex)."""
        pem = self.certificates.get(name)
        return pem if pem is not None and fingerprint_of(pem) == fingerprint.lower() else None

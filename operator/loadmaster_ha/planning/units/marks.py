"""By what things of ours on a unit are recognised: virtual services by `NickName`, certificates by name.

A nickname is `lm_<pair>_<service>@<mark>`, where the mark is the beginning of the pair's uid: the name claims
it for a pair, the mark says *which* pair of that name. Certificates bear the same in the letters that their
names may have. Whose an entry in Azure is says `planning.names`, in the same manner.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from loadmaster_ha.planning.target import PairIdentity

LONGEST_CERTIFICATE_NAME: Final = 64
"""Longest name of a certificate that a node agent takes."""

_MARK: Final = 8
_NICKNAME: Final = re.compile(r"lm_(?P<pair>[^_@]+)_(?P<service>[^_@]+)@(?P<mark>[0-9A-Za-z-]+)")


class Whose(StrEnum):
    """Who a virtual service belongs to."""

    OURS = "Ours"
    NAMESAKE = "Namesake"
    """A pair of our name with another uid: of another namespace or cluster, or an earlier one."""
    FOREIGN = "Foreign"


@dataclass(frozen=True, slots=True)
class Marks:
    """The names that one pair gives."""

    identity: PairIdentity

    @property
    def mark(self) -> str:
        """The beginning of the pair's uid."""
        return self.identity.uid[:_MARK]

    def nickname(self, service: str) -> str:
        """`NickName` of the virtual service of a published service."""
        return f"lm_{self.identity.name}_{service}@{self.mark}"

    def certificate(self, service: str) -> str:
        """Name of the certificate of a published service.

        Names that would be too long are cut and end with a digest of the whole.
        """
        name = f"{self._certificates}{service}"
        if len(name) <= LONGEST_CERTIFICATE_NAME:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{name[: LONGEST_CERTIFICATE_NAME - 9]}_{digest}"

    def owns_certificate(self, name: str) -> bool:
        """Whether a certificate of this name is ours."""
        return name.startswith(self._certificates)

    def whose(self, nickname: str) -> Whose:
        """Whose a virtual service is, by its nickname."""
        found = _NICKNAME.fullmatch(nickname)
        if found is None or found["pair"] != self.identity.name:
            return Whose.FOREIGN
        return Whose.OURS if found["mark"] == self.mark else Whose.NAMESAKE

    @property
    def _certificates(self) -> str:
        # The mark stands first: a name that is cut keeps it (a pair's name has at most 40 characters).
        return f"lm_{self.mark}_{self.identity.name}_"


def service_of(nickname: str) -> str | None:
    """The published service that a nickname of this form is about; None for all others."""
    found = _NICKNAME.fullmatch(nickname)
    return None if found is None else found["service"]

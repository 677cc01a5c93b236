"""Who the operator is on a unit: an API key, or a user and a password. Typed so that it cannot be printed."""

import re
from dataclasses import dataclass, field
from typing import Final

from loadmaster_ha.loadmaster.redaction import MASK, scrubbed
from loadmaster_ha.loadmaster.requests import Credentials

_UNSENDABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class UnitCredentials:
    """An API key, or else user and password.

    Raises:
        ValueError: neither or both, or what no request can carry. The message has no secret in it and reads
            on from the name of the Secret ("... has neither apikey nor ...").
    """

    apikey: str = field(default="", repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.apikey and not (self.user and self.password):
            raise ValueError("has neither apikey nor both username and password")
        if self.apikey and (self.user or self.password):
            raise ValueError("has apikey as well as username or password: give one of them")
        for name, value in (
            ("apikey", self.apikey),
            ("username", self.user),
            ("password", self.password),
        ):
            if _UNSENDABLE.search(value):
                raise ValueError(f"has control characters in {name}; a line break at its end, perhaps")
        if ":" in self.user:
            raise ValueError("has a colon in username, which HTTP's Basic authentication cannot carry")

    def __repr__(self) -> str:
        return f"UnitCredentials({'apikey' if self.apikey else 'username and password'} {MASK})"

    def on_the_wire(self) -> Credentials:
        """For `v2.encode_request`."""
        return Credentials(user=self.user, password=self.password, apikey=self.apikey)

    def scrub(self, text: str) -> str:
        """The text with the secrets themselves masked, wherever a unit may have repeated them."""
        return scrubbed(text, (self.apikey, self.password))

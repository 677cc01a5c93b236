"""One field that is not as it should be: what plans are made of and what people read in status and Events."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as wanted, e.g. `probes[lm_web_health].intervalInSeconds: 15, should be 5`."""

    path: str
    have: Any
    want: Any

    def __str__(self) -> str:
        if self.have is None:
            return f"{self.path}: missing, should be {_short(self.want)}"
        if self.want is None:
            return f"{self.path}: {_short(self.have)}, should not be there"
        return f"{self.path}: {_short(self.have)}, should be {_short(self.want)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""What the link has seen, for metrics and for the person who asks why there is none.

The guide's section 10.6 has people compare packet captures to find out why nothing is synchronised. These
counters tell "nothing arrives" from "refused" without one, and `explain` says it in words.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from loadmaster_ha.agent.ha.model import LinkEnd

log = logging.getLogger(__name__)

COMPLAINT_PAUSE: Final = 60.0
"""Seconds between two log lines about the same address."""

_ADDRESSES_REMEMBERED = 64
_RECENT = 60.0


@dataclass(slots=True)
class Counters:
    """Counts since the process started; times are the caller's monotonic seconds."""

    dials: int = 0
    """Connections that this unit tried to make."""
    arrived: int = 0
    """Connections that came from the partner's address."""
    strangers: int = 0
    """Connections that came from elsewhere; all are refused."""
    established: int = 0
    """Connections on which both sides proved themselves."""
    refused: Counter[str] = field(default_factory=Counter)
    """Handshakes that failed, by `handshake.Refusal`, or `tls`, or `busy` (too many at once)."""
    unauthorised: int = 0
    """Strangers, and who came from the partner's address and did not know the secret."""
    ends: Counter[LinkEnd] = field(default_factory=Counter)
    """Links lost, and dials that failed, by why."""
    sent_messages: int = 0
    sent_bytes: int = 0
    received_messages: int = 0
    received_bytes: int = 0
    unknown_kinds: int = 0
    """Messages ignored because this release does not know their kind."""
    dropped: int = 0
    """Messages given up because there was no link, or no room to wait in."""
    last_arrival: float | None = None
    """When a connection last came from the partner's address."""
    last_received: float | None = None
    """When the partner was last heard on an established link."""
    last_end: LinkEnd | None = None
    last_error: str = ""
    """Why there was no link the last time, in words."""


class Unauthorised:
    """Writes the appliance's line about a connection that may not be, once a minute for each address."""

    def __init__(self, counters: Counters, clock: Callable[[], float]) -> None:
        self._counters = counters
        self._clock = clock
        self._told: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def connection_from(self, address: str, why: str) -> None:
        """Count one, and log it unless that address has been complained about within the last minute."""
        self._counters.unauthorised += 1
        now = self._clock()
        if now - self._told.get(address, float("-inf")) < COMPLAINT_PAUSE:
            self._untold[address] += 1
            return
        more = self._untold.pop(address, 0)
        suffix = f" ({more} more since the last line about it)" if more else ""
        log.warning("Unauthorized Remote Machine connection from %s: %s%s", address, why, suffix)
        self._told.pop(address, None)
        self._told[address] = now
        while len(self._told) > _ADDRESSES_REMEMBERED:  # the one told longest ago is forgotten
            oldest = next(iter(self._told))
            del self._told[oldest]
            self._untold.pop(oldest, None)


def explain(counters: Counters, partner: str, port: int, now: float) -> str:
    """Why there is no link at the moment, in words, from what was counted."""
    since = counters.last_arrival
    arrives = since is not None and now - since < _RECENT
    if counters.last_end is LinkEnd.TIMEOUT and not arrives:
        return (
            f"nothing arrives from {partner}, and it does not answer on TCP {port}: the machine is down, or "
            "something in between (security group, firewall, route) drops the connections"
        )
    if counters.last_end is LinkEnd.TIMEOUT:
        return (
            f"connections arrive from {partner}, but its own TCP {port} does not answer in time: "
            f"{counters.last_error}"
        )
    if counters.last_end is LinkEnd.REFUSED:
        return f"{partner} is there, but nothing listens on its TCP {port}: does its agent run in HA mode?"
    if counters.last_error:
        return f"no link with {partner}: {counters.last_error}"
    return f"no link with {partner} yet"

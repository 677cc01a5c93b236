"""The emulated cloud as the other modules see it: settings, store, operations.

`Call` is one request on its way, `Reply` its answer. Both are plain data, so that template deployments can
make calls of their own without HTTP.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadmaster_ha.emulator.operations import Operations, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadmaster_ha.emulator.json_types import JsonObject
    from loadmaster_ha.emulator.operations import Operation
    from loadmaster_ha.emulator.settings import Settings
    from loadmaster_ha.emulator.store import Resource, Store


@dataclass(slots=True)
class Reply:
    """An answer: status, JSON body (`None`: empty) and headers."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One ARM request after authentication.

    Header names are lower-case; `base_url` has no slash at its end.
    """

    cloud: Cloud
    method: str
    path: str
    base_url: str
    version: str = ""
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: JsonObject = field(default_factory=dict)
    verdict: Verdict | None = None
    """How the long-running operation of this call shall end (fault injection)."""
    stale: bool = False
    """Whether reads answer what was true before the last write (fault injection)."""


class Cloud:
    """One emulated cloud.

    Args:
        settings: The flags.
        store: What exists.
        finish: Lets an ended operation take effect (`effects.finish`).
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        finish: Callable[[Cloud, Operation], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.operations = Operations(store, lambda operation: finish(self, operation), clock)
        self.probe_reason: Callable[[str, str], str | None] | None = None
        """With a data plane: the reason code of a member by probe and ipConfiguration (comparable ids)."""
        self.before: dict[str, JsonObject | None] = {}
        """Each resource as it read before its last change, for stale reads; `None`: it did not exist."""

    def knows_subscription(self, subscription: str) -> bool:
        """Say whether the subscription is one of ours."""
        wanted = subscription.lower()
        return any(known.lower() == wanted for known in self.settings.subscriptions)

    def touch(self, resource: Resource) -> None:
        """Give a resource a new etag because something that shows in it has changed elsewhere."""
        resource.etag = next_etag(resource)
        self.store.save(resource)


def next_etag(resource: Resource | None, *, numeric: bool = False) -> str:
    """Return a new etag: weak and random (network), or strong and counting (virtual machines)."""
    if resource is not None and resource.etag.startswith('"'):
        return f'"{int(resource.etag.strip(chr(34))) + 1}"'
    return '"1"' if numeric else f'W/"{uuid.uuid4()}"'

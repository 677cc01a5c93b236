"""The settings' replication over the partner link: `settings.replication` gets its times and messages."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from loadmaster_ha.agent.settings.model import Kind, is_local
from loadmaster_ha.agent.settings.replication import Replicator
from loadmaster_ha.agent.settings.status import Status
from loadmaster_ha.agent.settings.store import Store

log = logging.getLogger(__name__)

KIND: Final = "sync"
"""Of the link's messages."""

_TICK: Final = 1.0


class Synchronisation:
    """Keeps the partner's settings the same as ours.

    Args:
        send: the link's; a message that it gives up is said again after a while.
        clock: monotonic seconds.
    """

    def __init__(
        self, store: Store, send: Callable[[str, Mapping[str, Any]], None], clock: Callable[[], float]
    ) -> None:
        self._replicator = Replicator(store)
        self._send = send
        self._clock = clock
        self._changed = False
        self._end = store.subscribe(self._committed)

    def status(self) -> Status:
        """How it stands; times are of the clock."""
        return self._replicator.status(self._clock())

    def connected(self) -> None:
        """The link is there."""
        self._say(self._replicator.connected(self._clock()))

    def disconnected(self) -> None:
        """The link is gone."""
        self._replicator.disconnected()

    def received(self, body: Mapping[str, Any]) -> None:
        """The partner said something."""
        self._say(self._replicator.received(body, self._clock()))

    async def run(self) -> None:
        """Tick until cancelled."""
        try:
            while True:
                await asyncio.sleep(_TICK)
                self._say(self._replicator.tick(self._clock()))
        finally:
            self._end()

    def _committed(self, kinds: frozenset[Kind]) -> None:
        # Once for all commits of a turn of the loop: a thousand services are a few messages.
        if not self._changed and any(not is_local(kind) for kind in kinds):
            self._changed = True
            asyncio.get_running_loop().call_soon(self._tell_changes)

    def _tell_changes(self) -> None:
        self._changed = False
        self._say(self._replicator.changed(self._clock()))

    def _say(self, messages: Iterable[Mapping[str, Any]]) -> None:
        for message in messages:
            self._send(KIND, message)

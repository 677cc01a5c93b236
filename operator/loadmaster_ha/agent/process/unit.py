"""The node, as the management API sees it (`api.unit.Unit`), and the local administration through it.

Nothing is kept here: each answer comes from the part that knows. Asking the engine for something is feeding
it an event; what came of a switch-over it says with an effect, which `ended` brings to who waits.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from loadmaster_ha.agent import certificates
from loadmaster_ha.agent.api.unit import PartnerLinkStatus
from loadmaster_ha.agent.ha.model import (
    DrainEnded,
    DrainRequested,
    Event,
    SwitchoverEnded,
    SwitchoverRequested,
    SwitchoverUndone,
    View,
)
from loadmaster_ha.agent.link.partner import PartnerLink
from loadmaster_ha.agent.process.engine_driver import EngineDriver
from loadmaster_ha.agent.process.revision import Revision
from loadmaster_ha.agent.process.serving import Serving
from loadmaster_ha.agent.process.synchronisation import Synchronisation
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.agent.unit_settings import HaSettings
from loadmaster_ha.domain.ha import Mode, Role

AGENT_VERSION: Final = version("loadmaster-ha-operator")

_REBOOT_PAUSE: Final = 0.5
"""Seconds for the reply to go out."""

_SWITCHOVER_SECONDS: Final = 600.0
"""The engine ends every switch-over long before; this is for one that it forgot."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the node is made of, as far as the API uses it."""

    store: Store
    engine: EngineDriver
    """To look at; what it is to take in goes through `request`."""
    request: Callable[[Event], None]
    """Returns when the engine has taken it in."""
    link: PartnerLink
    """To look at."""
    synchronisation: Synchronisation
    serving: Serving
    revision: Revision
    serial_number: str
    """Made of the link's certificate, which stays with the machine: the store takes another identity when a
    fresh unit joins a pair."""


class NodeUnit:
    """Implements `api.unit.Unit`.

    Args:
        parts: of the node.
        own_addresses: interface name -> this unit's address on it.
        management_port: where the API listens.
        booted: Unix time of the boot.
        reboot: begins a clean stop with a new boot after it.
        certificate: makes the API show another certificate; takes its file.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        own_addresses: Mapping[str, str],
        management_port: int,
        booted: float,
        reboot: Callable[[], None],
        certificate: Callable[[bytes], Awaitable[certificates.Identity]],
    ) -> None:
        self._parts = parts
        self._booted = booted
        self._reboot = reboot
        self._certificate = certificate
        self._waiting: dict[str, asyncio.Future[SwitchoverEnded]] = {}
        self.own_addresses = own_addresses
        self.management_port = management_port

    @property
    def settings(self) -> Store:
        """All that can be set."""
        return self._parts.store

    @property
    def balancing(self) -> Serving:
        """The data plane."""
        return self._parts.serving

    @property
    def version(self) -> str:
        """The agent's version, in four numbers as clients of the appliance expect."""
        return f"{AGENT_VERSION}.0"

    @property
    def serial_number(self) -> str:
        """What tells this unit from a fresh one at the same address."""
        return self._parts.serial_number

    @property
    def boot_time(self) -> datetime:
        """When the agent's processes started, or were rebooted."""
        return datetime.fromtimestamp(self._booted, UTC)

    @property
    def monotonic(self) -> float:
        """The engine's clock."""
        return self._parts.engine.clock()

    def view(self) -> View:
        """The engine's state now."""
        return self._parts.engine.view()

    def link_status(self) -> PartnerLinkStatus:
        """The link's state now."""
        link, sync = self._parts.link, self._parts.synchronisation.status()
        status, counters = link.status(), link.counters
        success = None
        if sync.last_success is not None:
            ago = self.monotonic - sync.last_success
            success = datetime.fromtimestamp(time.time() - ago, UTC)
        return PartnerLinkStatus(
            connected=status.connected,
            peer=HaSettings.of(self._parts.store.snapshot).partner,
            refused={
                **({"stranger": counters.strangers} if counters.strangers else {}),
                **counters.refused,
                **{str(end): count for end, count in counters.ends.items()},
            },
            bytes_in=counters.received_bytes,
            bytes_out=counters.sent_bytes,
            last_error="" if status.connected else status.message,
            lag=sync.pending,
            lag_seconds=sync.lag,
            last_success=success,
        )

    @property
    def revision(self) -> int:
        """Grows with every change."""
        return self._parts.revision.number

    @property
    def settings_revision(self) -> int:
        """See `api.unit.Unit`."""
        return self._parts.revision.settings

    async def changed(self, since: int) -> int:
        """Wait for the next change."""
        return await self._parts.revision.beyond(since)

    async def switchover(self, to: Role, hold: float | None) -> SwitchoverEnded:
        """Switch over; how it ended."""
        request = SwitchoverRequested(f"{uuid.uuid4().hex[:12]}", Mode(to.value), hold)
        ended: asyncio.Future[SwitchoverEnded] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = ended
        try:
            self._parts.request(request)
            async with asyncio.timeout(_SWITCHOVER_SECONDS):
                return await ended
        except TimeoutError:
            return SwitchoverEnded(request.id, done=False, reason="Unanswered", message="it never ended")
        finally:
            del self._waiting[request.id]

    def ended(self, ended: SwitchoverEnded) -> None:
        """The engine says how a switch-over ended."""
        waiting = self._waiting.get(ended.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(ended)

    def undo_hold(self) -> None:
        """End a hold."""
        self._parts.request(SwitchoverUndone())

    def drain(self, duration: float | None) -> None:
        """Begin a drain."""
        self._parts.request(DrainRequested(duration))

    def undrain(self) -> None:
        """End it."""
        self._parts.request(DrainEnded())

    def request_reboot(self) -> None:
        """Reboot once the reply is out."""
        asyncio.get_running_loop().call_later(_REBOOT_PAUSE, self._reboot)

    async def replace_management_certificate(self, pem: bytes) -> None:
        """Show another certificate.

        Raises:
            CertificateUnusable: it is none.
        """
        await self._certificate(pem)
        self._parts.serving.resubmit()


async def store_certificate(directory: Path, pem: bytes) -> certificates.Identity:
    """Put a certificate in place of the management API's.

    Raises:
        CertificateUnusable: it is none, or cannot be written.
        WorkFailed: it could not be read, for no fault of its own.
    """
    return await certificates.store(directory / certificates.MANAGEMENT_FILE, pem)

"""The sessions of the process: one per subscription and credential, closed when its last pair leaves."""

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from loadmaster_ha.azure.budget import DEFAULT_SHARE, Budget
from loadmaster_ha.azure.cloud import Cloud
from loadmaster_ha.azure.credentials import Credentials, fingerprint
from loadmaster_ha.azure.sdk import SdkTransport
from loadmaster_ha.azure.session import AzureSession
from loadmaster_ha.azure.transport import NoObserver, RequestObserver, Transport
from loadmaster_ha.azure.writers import Writers

LOG: Final = logging.getLogger(__name__)

_Key = tuple[str, str]


@dataclass(slots=True)
class _Shared:
    session: AzureSession
    holders: set[Hashable] = field(default_factory=set)


class Sessions:
    """Hands out sessions.

    Args:
        cloud: which Azure.
        observer: told of every request of every session.
        share: the part of Azure's request limits that a session takes.
        connect: makes the transport of a session from subscription, credentials and cloud.
    """

    def __init__(
        self,
        cloud: Cloud,
        *,
        observer: RequestObserver | None = None,
        share: float = DEFAULT_SHARE,
        connect: Callable[[str, Credentials, Cloud], Transport] = SdkTransport,
    ) -> None:
        self._cloud = cloud
        self._observer = observer or NoObserver()
        self._share = share
        self._connect = connect
        self._writers = Writers()
        self._shared: dict[_Key, _Shared] = {}
        self._held: dict[Hashable, _Key] = {}
        self._lock = asyncio.Lock()

    async def lease(self, holder: Hashable, subscription: str, credentials: Credentials) -> AzureSession:
        """Give the session for this subscription and credential; the holder gives back what it had before.

        Raises:
            CredentialsInvalid: the credentials cannot be used.
            CloudInvalid: the CA file of the cloud cannot be used.
        """
        key = (subscription.lower(), fingerprint(credentials))
        async with self._lock:
            if self._held.get(holder) != key:
                shared = self._shared.get(key)
                if shared is None:
                    shared = self._shared[key] = _Shared(self._open(subscription, credentials))
                await self._give_back(holder)
                shared.holders.add(holder)
                self._held[holder] = key
            return self._shared[key].session

    def held(self, holder: Hashable) -> AzureSession | None:
        """The session that the holder leased last; None: none, or it has given it back."""
        key = self._held.get(holder)
        return None if key is None else self._shared[key].session

    async def release(self, holder: Hashable) -> None:
        """The holder does not need its session any more; a session without holders is closed."""
        async with self._lock:
            await self._give_back(holder)

    def _open(self, subscription: str, credentials: Credentials) -> AzureSession:
        return AzureSession(
            self._connect(subscription, credentials, self._cloud),
            budget=Budget(self._share),
            observer=self._observer,
            writers=self._writers,
        )

    async def _give_back(self, holder: Hashable) -> None:
        key = self._held.pop(holder, None)
        if key is None:
            return
        shared = self._shared[key]
        shared.holders.discard(holder)
        if not shared.holders:
            del self._shared[key]
            await shared.session.close()

    async def close(self) -> None:
        """Close all sessions."""
        async with self._lock:
            sessions = [shared.session for shared in self._shared.values()]
            self._shared.clear()
            self._held.clear()
            results = await asyncio.gather(*(session.close() for session in sessions), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    LOG.warning("a session with Azure could not be closed: %s", result)

"""Who may write: leader election on a Kubernetes Lease, after the rules of client-go (15/10/2 seconds).

The holder renews every 2 s; when it has not managed to for 10 s it stops being leader and the process ends;
others wait until the Lease has not changed for 15 s *by their own clock* (clocks of machines are never
compared). On a clean exit the Lease is given back, so that a successor waits 2 s instead of 15.

`Lease.permit` is asked directly before every write to Azure and to Kubernetes: a process that was frozen
for half a minute finds out there, before it does harm.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from loadmaster_ha.controller.kubernetes import JSON, KubernetesError

log = logging.getLogger(__name__)

RELEASED_SECONDS: Final = 1


class LeaseLost(Exception):  # noqa: N818 - reads as what is the case
    """This process may not write (any more): it does not hold the Lease, or has not renewed it in time."""


def boot_time() -> float:
    """Seconds on a clock that never jumps and goes on while process or machine are suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Timing:
    """The three periods, in seconds: `duration` above `renew_deadline` above `retry_period`."""

    duration: int = 15
    renew_deadline: float = 10.0
    retry_period: float = 2.0


class LeaseAPI(Protocol):
    """The calls of `kubernetes.Kubernetes` that the election makes."""

    async def get_lease(self, namespace: str, name: str, *, seconds: float) -> JSON | None:
        """The Lease, None when there is none."""

    async def create_lease(self, namespace: str, lease: JSON, *, seconds: float) -> JSON:
        """Create it; 409 when somebody was faster."""

    async def replace_lease(self, namespace: str, lease: JSON, *, seconds: float) -> JSON:
        """Replace it; 409 when it has changed since."""


@dataclass
class _Seen:
    """The Lease as another holder last wrote it, and when we noticed, by our clock."""

    resource_version: str
    at: float


class Lease:
    """One process' view of the election."""

    def __init__(
        self,
        api: LeaseAPI,
        *,
        namespace: str,
        name: str,
        identity: str,
        timing: Timing | None = None,
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing or Timing()
        self._clock = clock
        self._renewed: float | None = None
        self._record: JSON | None = None
        self._seen: _Seen | None = None
        self._contact: float | None = None

    @property
    def held(self) -> bool:
        """Whether this process is the leader now."""
        return self._renewed is not None and self._clock() - self._renewed < self._timing.renew_deadline

    @property
    def silent_for(self) -> float | None:
        """Seconds since the API server last answered about the Lease; None when it never has."""
        return None if self._contact is None else self._clock() - self._contact

    def permit(self) -> None:
        """Return when this process may write.

        Raises:
            LeaseLost: it may not.
        """
        if not self.held:
            raise LeaseLost(
                f"{self._identity} does not hold the Lease {self._namespace}/{self._name} "
                f"(or has not renewed it for {self._timing.renew_deadline:g} s)"
            )

    async def acquire(self) -> None:
        """Wait until this process is the leader."""
        while not await self._attempt():
            spread = random.uniform(1.0, 1.2)  # noqa: S311 - nothing secret about it
            await asyncio.sleep(self._timing.retry_period * spread)
        log.info("This replica leads", extra={"lease": f"{self._namespace}/{self._name}"})

    async def keep(self) -> None:
        """Renew until the Lease is lost.

        Raises:
            LeaseLost: another process holds it, or it was not renewed in time.
        """
        while True:
            await asyncio.sleep(self._timing.retry_period)
            self.permit()
            await self._attempt()
            self.permit()

    async def release(self) -> None:
        """Give the Lease back, so that a successor need not wait; best effort."""
        held, record, self._renewed = self.held, self._record, None
        if not held or record is None:
            return
        given_back = self._lease("", RELEASED_SECONDS, record=record, transition=False)
        with contextlib.suppress(KubernetesError):
            await self._api.replace_lease(self._namespace, given_back, seconds=self._timing.retry_period)
            log.info("The Lease is given back", extra={"lease": f"{self._namespace}/{self._name}"})

    async def _attempt(self) -> bool:
        """Try once to take or renew; True when the Lease is ours afterwards."""
        # The time *before* the request counts: the server may have stamped it as early as that.
        started = self._clock()
        try:
            record = await self._write(started)
        except KubernetesError as problem:
            if problem.status == 409:
                self._contact = self._clock()
            else:
                log.warning("The Lease could not be read or written: %s", problem)
            return False
        self._contact = self._clock()
        if record is None:
            if self._renewed is not None:
                self._renewed = None
                log.error("Another replica holds the Lease now")
            return False
        self._record, self._renewed = record, started
        return True

    async def _write(self, now: float) -> JSON | None:
        # A request that hangs must leave the time for another attempt.
        seconds = self._timing.renew_deadline / 3
        if self.held and self._record is not None:
            # Nobody else writes a Lease that is held: one request does, and a conflict tells if somebody did.
            mine = self._lease(self._identity, self._timing.duration, record=self._record, transition=False)
            try:
                return await self._api.replace_lease(self._namespace, mine, seconds=seconds)
            except KubernetesError as problem:
                if problem.status not in {404, 409}:
                    raise
        record = await self._api.get_lease(self._namespace, self._name, seconds=seconds)
        if record is None:
            fresh = self._lease(self._identity, self._timing.duration, record=None, transition=True)
            return await self._api.create_lease(self._namespace, fresh, seconds=seconds)
        spec = record.get("spec") or {}
        ours = spec.get("holderIdentity") == self._identity
        if not ours and not self._free(record, now):
            return None
        mine = self._lease(self._identity, self._timing.duration, record=record, transition=not ours)
        return await self._api.replace_lease(self._namespace, mine, seconds=seconds)

    def _free(self, record: JSON, now: float) -> bool:
        """Whether nobody holds it: given back, or not touched for as long as its holder promised to."""
        spec = record.get("spec") or {}
        if not spec.get("holderIdentity"):
            return True
        version = str(record["metadata"]["resourceVersion"])
        if self._seen is None or self._seen.resource_version != version:
            self._seen = _Seen(version, now)
        return now - self._seen.at >= float(spec.get("leaseDurationSeconds") or self._timing.duration)

    def _lease(self, holder: str, seconds: int, *, record: JSON | None, transition: bool) -> JSON:
        """The Lease as it is to be written; `record` is what it replaces."""
        before = (record or {}).get("spec") or {}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: JSON = {
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "renewTime": now,
            "acquireTime": now if transition else before.get("acquireTime", now),
            "leaseTransitions": int(before.get("leaseTransitions") or 0)
            + (1 if transition and record else 0),
        }
        metadata: JSON = {"name": self._name, "namespace": self._namespace}
        if record is not None:
            metadata["resourceVersion"] = record["metadata"]["resourceVersion"]
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

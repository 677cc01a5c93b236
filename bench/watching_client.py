"""What a client of the API server sees of pairs under watch, and when: for `bench.watch`."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

import aiohttp

from lab.cluster import conditions
from lab.stage import Stage
from loadmaster_ha.controller.kubernetes import Kubernetes, KubernetesError, load_configuration, pairs_path

NAMESPACE: Final = "watch"
SAFETY_SECONDS: Final = 900
QUIET_SECONDS: Final = 40.0
"""Without a change of any pair for so long, they are at rest, and the fast pace after the start is over."""
LOOK: Final = "example.com/look"
"""The annotation by which pairs are touched: when."""

JSON = dict[str, Any]


@dataclass
class Observer:
    """Follows pairs and Events; notes when it saw what for the first time."""

    health: dict[str, str] = field(default_factory=dict)
    """Reason of PairHealthy, by pair."""
    active: dict[tuple[str, str], float] = field(default_factory=dict)
    """When a pair was seen with this active unit; forgotten when a change begins."""
    events: dict[tuple[str, str], float] = field(default_factory=dict)
    told_at: float = 0.0
    """When a pair was changed last."""
    looks: dict[str, str] = field(default_factory=dict)
    look_seconds: list[float] = field(default_factory=list)
    """From the patch of an annotation until it was seen here."""

    @classmethod
    @contextlib.asynccontextmanager
    async def follow(cls, stage: Stage) -> AsyncIterator[Self]:
        """Watch in the background."""
        observer = cls()
        configuration = await load_configuration(str(stage.kubeconfig))
        async with Kubernetes(configuration, permit=lambda: None) as kubernetes:
            events = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
            tasks = [
                asyncio.create_task(observer._watch(kubernetes, pairs_path(NAMESPACE), observer._pair)),
                asyncio.create_task(observer._watch(kubernetes, events, observer._event)),
            ]
            try:
                yield observer
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, kubernetes: Kubernetes, path: str, told: Any) -> None:
        version = ""
        while True:
            if not version:
                objects, version = await kubernetes.list_objects(path, {})
                for each in objects:
                    told(each)
            try:
                async for event in kubernetes.watch_objects(path, {"resourceVersion": version}):
                    version = event["object"]["metadata"]["resourceVersion"]
                    told(event["object"])
            except (KubernetesError, KeyError, TimeoutError, aiohttp.ClientError):
                version = ""  # too old, or cut off: from a new list on
                await asyncio.sleep(0.05)

    def _pair(self, body: JSON) -> None:
        name, status = body["metadata"]["name"], body.get("status") or {}
        health = conditions(body).get("PairHealthy") or {}
        self.health[name] = str(health.get("reason"))
        self.told_at = time.monotonic()
        look = (body["metadata"].get("annotations") or {}).get(LOOK, "")
        if look and self.looks.get(name) != look:
            self.looks[name] = look
            self.look_seconds.append(time.time() - float(look))
        if (status.get("lastFailover") or {}).get("to") == status.get("active"):
            self.active.setdefault((name, str(status.get("active"))), time.time())

    def _event(self, body: JSON) -> None:
        found = re.match(r"The (\w+) is active instead", body.get("note", ""))
        if body.get("reason") == "FailedOver" and found:
            self.events[body["regarding"]["name"], found[1].capitalize()] = time.time()

    async def at_rest(self) -> None:
        """Wait until no lane has had anything to say of any pair for a while."""
        async with asyncio.timeout(SAFETY_SECONDS):
            while time.monotonic() < self.told_at + QUIET_SECONDS:
                await asyncio.sleep(1)

    async def all_healthy(self, pairs: int) -> None:
        """Wait until every pair is Active/Standby."""
        async with asyncio.timeout(SAFETY_SECONDS):
            while sum(each == "ActiveStandby" for each in self.health.values()) < pairs:
                await asyncio.sleep(0.5)

"""Following a collection of the Kubernetes API: list, watch from there, list again when that is over.

For objects that pairs refer to (`cluster_view`); the pairs themselves are watched by kopf (`watch`). A
watch that ends is opened again where it was; one that is too old (410) is begun anew by a list.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

from loadmaster_ha.controller.kubernetes import JSON, KubernetesError

log = logging.getLogger(__name__)

SHORTEST_PAUSE: Final = 0.05
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
_GONE: Final = 410
_REFUSED: Final = frozenset({401, 403, 404})


class Collections(Protocol):
    """The calls of `kubernetes.Kubernetes` that are needed."""

    async def list_objects(self, path: str, query: Mapping[str, str]) -> tuple[list[JSON], str]:
        """All objects, and from where to watch."""

    def watch_objects(self, path: str, query: Mapping[str, str]) -> AsyncIterator[JSON]:
        """Events."""


class Follower(Protocol):
    """Who is told."""

    def replaced(self, objects: list[JSON]) -> None:
        """All there is."""

    def changed(self, obj: JSON) -> None:
        """One was added or changed."""

    def deleted(self, obj: JSON) -> None:
        """One is gone."""

    def lost(self, problem: KubernetesError) -> None:
        """They cannot be read now; what was told before may be out of date."""


async def follow(api: Collections, path: str, query: Mapping[str, str], follower: Follower) -> None:
    """Follow a collection until cancelled."""
    version, failures = "", 0
    while True:
        try:
            if not version:
                objects, version = await api.list_objects(path, query)
                follower.replaced(objects)
            async for event in api.watch_objects(path, {**query, "resourceVersion": version}):
                failures = 0
                version = event["object"]["metadata"]["resourceVersion"]
                _tell(follower, event)
        except KubernetesError as problem:
            failures += 1
            if problem.status == _GONE:
                version = ""
            elif failures > 1 or problem.status in _REFUSED:
                # Heard of at the second time only: servers restart, and connections are cut.
                version = ""
                log.warning("%s cannot be followed: %s", path, problem)
                follower.lost(problem)
        else:
            failures = 0
        await asyncio.sleep(_pause(failures))


def _tell(follower: Follower, event: JSON) -> None:
    if event.get("type") in {"ADDED", "MODIFIED"}:
        follower.changed(event["object"])
    elif event.get("type") == "DELETED":
        follower.deleted(event["object"])


def _pause(failures: int) -> float:
    if not failures:
        return SHORTEST_PAUSE
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

"""Our finalizer on a pair: put there before anything of it is ours, taken away when nothing is left.

Several lanes write to the same object, so a conflict is no news: it is read again and tried again.
"""

from collections.abc import Callable
from typing import Final, Protocol

from loadmaster_ha.controller.kubernetes import JSON, KubernetesError
from loadmaster_ha.controller.work import FINALIZER

_ATTEMPTS: Final = 5
_CONFLICT: Final = 409


class PairAPI(Protocol):
    """The calls of `kubernetes.Kubernetes` that are needed."""

    async def get_pair(self, namespace: str, name: str) -> JSON | None:
        """The pair as it is now."""

    async def set_finalizers(self, pair: JSON, finalizers: list[str]) -> JSON:
        """Replace the finalizers; 409 where the pair has changed since it was read."""


async def hold_on(api: PairAPI, pair: JSON) -> JSON:
    """See to it that the pair stays until it is cleaned up; the pair as it is then.

    Raises:
        KubernetesError: that could not be stored, or another pair has its name.
    """
    return await _change(api, pair, lambda found: found if FINALIZER in found else [*found, FINALIZER])


async def let_go(api: PairAPI, pair: JSON) -> None:
    """Let the pair go.

    Raises:
        KubernetesError: that could not be stored.
    """
    await _change(api, pair, lambda found: [each for each in found if each != FINALIZER])


async def _change(api: PairAPI, pair: JSON, change: Callable[[list[str]], list[str]]) -> JSON:
    uid = pair["metadata"]["uid"]
    for attempt in range(1, _ATTEMPTS + 1):
        found = list(pair["metadata"].get("finalizers") or ())
        wanted = change(found)
        if wanted == found:
            return pair
        try:
            return await api.set_finalizers(pair, wanted)
        except KubernetesError as problem:
            if problem.status != _CONFLICT or attempt == _ATTEMPTS:
                raise
            metadata = pair["metadata"]
            now = await api.get_pair(metadata["namespace"], metadata["name"])
            if now is None or now["metadata"]["uid"] != uid:
                raise
            pair = now
    raise AssertionError("the last attempt returns or raises")

"""LoadMasterPairs in tests: manifests for a `World`, and waiting for what the operator says about them.

`LivePairs` is one namespace of the real API server, used as a person with kubectl would. Waiting fails with
what a person would look at: the conditions, and the end of the operator's log.
"""

from __future__ import annotations

import asyncio
import copy
import json
import time
from typing import TYPE_CHECKING, Any, Final

from controlplane.server import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.world import World

    from controlplane.server import ControlPlane

JSON = dict[str, Any]

GROUP_VERSION: Final = "loadmaster.dev/v1alpha1"
PATIENCE_SECONDS: Final = 90.0
"""A safety limit; what is waited for takes a few seconds on an idle machine."""
REMOVE: Final = object()
"""As a value in `changed`: take the field away."""


def manifest(world: World, namespace: str, name: str = "web", **fields: Any) -> JSON:
    """The guide's pair on `world`; `fields` are changes of the spec by path (see `changed`)."""
    pair = {
        "apiVersion": GROUP_VERSION,
        "kind": "LoadMasterPair",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "azure": {
                "subscriptionID": world.subscription,
                "resourceGroup": world.group,
                "credentialsSecretRef": {"name": "azure"},
            },
            "master": _unit(0),
            "slave": _unit(1),
            "loadBalancer": {
                "name": "web-ilb",
                "type": "Internal",
                "frontend": {
                    "subnet": {"virtualNetwork": "app", "name": "lb"},
                    "privateIPAddress": "10.0.2.100",
                },
            },
            "services": [{"name": "https", "port": 443}],
            "networkSecurity": {
                "securityGroups": [{"name": "lm-nsg"}],
                "managementSources": ["10.0.0.0/8"],
            },
        },
    }
    return changed(pair, **fields)


def changed(pair: JSON, **fields: Any) -> JSON:
    """A copy with fields of the spec set: `changed(pair, healthCheck__intervalSeconds=15, services=[])`.

    Two underscores step into a field, a number into a list; `REMOVE` takes a field away.
    """
    pair = copy.deepcopy(pair)
    for path, value in fields.items():
        target: Any = pair["spec"]
        *steps, last = path.split("__")
        for step in steps:
            target = target[int(step)] if step.isdigit() else target.setdefault(step, {})
        key = int(last) if last.isdigit() else last
        if value is REMOVE:
            target.pop(key, None)
        else:
            target[key] = value
    return pair


class LivePairs:
    """The pairs and Secrets of one namespace. `log` gives the end of the operator's log, for failures."""

    def __init__(self, plane: ControlPlane, namespace: str, log: Callable[[], str] = str) -> None:
        self._plane = plane
        self.namespace = namespace
        self.log = log

    async def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> JSON:
        """One request to the API server, without blocking the loop that the proxy runs in."""
        return await asyncio.to_thread(self._plane.request, method, path, body, content_type=content_type)

    async def apply(self, pair: JSON) -> JSON:
        """`kubectl apply --server-side`.

        Raises:
            ApiError: refused, with the API server's message.
        """
        path = f"{self._path(pair['metadata']['name'])}?fieldManager=person&force=true"
        return await self.request("PATCH", path, pair, "application/apply-patch+yaml")

    async def get(self, name: str = "web") -> JSON | None:
        try:
            return await self.request("GET", self._path(name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def annotate(self, name: str = "web", **annotations: str | None) -> None:
        """Set (None: remove) annotations `loadmaster.dev/...`; `_` in a name stands for `-`."""
        named = {f"loadmaster.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        body = {"metadata": {"annotations": named}}
        await self.request("PATCH", self._path(name), body, "application/merge-patch+json")

    async def delete(self, name: str = "web") -> None:
        """Ask for the deletion, as `kubectl delete --wait=false`."""
        await self.request("DELETE", self._path(name))

    async def put_secret(self, name: str = "azure", **data: str) -> None:
        """Create or replace a Secret that holds exactly `data`; by default sound Azure credentials."""
        content = data or {
            "tenantID": "99999999-8888-7777-6666-555555555555",
            "clientID": "00000000-0000-0000-0000-0000000000aa",
            "clientSecret": "a-good-secret",
        }
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": self.namespace},
            "stringData": content,
        }
        await self.remove_secret(name)
        await self.request("POST", f"/api/v1/namespaces/{self.namespace}/secrets", body)

    async def remove_secret(self, name: str = "azure") -> None:
        try:
            await self.request("DELETE", f"/api/v1/namespaces/{self.namespace}/secrets/{name}")
        except ApiError as error:
            if error.status != 404:
                raise

    async def events(self, name: str = "web") -> list[JSON]:
        """The Events about a pair, oldest first."""
        listed = await self.request("GET", f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        return [event for event in listed["items"] if event.get("regarding", {}).get("name") == name]

    async def told(
        self, reason: str, holds: Callable[[list[str]], object] = bool, name: str = "web"
    ) -> list[str]:
        """Wait until the notes of the Events with a reason are as wanted (by default: one is there)."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            notes = [str(each["note"]) for each in await self.events(name) if each["reason"] == reason]
            if holds(notes):
                return notes
            assert time.monotonic() < deadline, f"Events {reason} of {name}: {notes}\n{self.log()}"
            await asyncio.sleep(0.1)

    async def until(
        self,
        wanted: Callable[[JSON | None], object],
        what: str,
        name: str = "web",
        seconds: float = PATIENCE_SECONDS,
    ) -> JSON:
        """Wait until the pair is as wanted; the pair (empty when it is gone)."""
        deadline = time.monotonic() + seconds
        while True:
            pair = await self.get(name)
            if wanted(pair):
                return pair or {}
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:g} s: {what}\n{describe(pair)}\n{self.log()}")
            await asyncio.sleep(0.1)

    async def ready(self, name: str = "web", seconds: float = PATIENCE_SECONDS) -> JSON:
        """Wait until the operator calls the present generation ready."""
        return await self.until(is_ready, f"{name} is Ready", name, seconds)

    async def gone(self, name: str = "web", seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the pair has been let go."""
        await self.until(lambda pair: pair is None, f"{name} is gone", name, seconds)

    async def condition(
        self,
        kind: str,
        status: str,
        reason: str | None = None,
        name: str = "web",
        seconds: float = PATIENCE_SECONDS,
    ) -> JSON:
        """Wait for a condition of the present generation; the condition."""

        def wanted(pair: JSON | None) -> bool:
            found = condition(pair, kind)
            return found.get("status") == status and reason in {None, found.get("reason")}

        what = f"{name}: {kind}={status}" + (f" ({reason})" if reason else "")
        return condition(await self.until(wanted, what, name, seconds), kind)

    def _path(self, name: str) -> str:
        return f"/apis/{GROUP_VERSION}/namespaces/{self.namespace}/loadmasterpairs/{name}"


def condition(pair: JSON | None, kind: str) -> JSON:
    """A condition about the pair's present generation; empty when there is none yet."""
    if pair is None:
        return {}
    generation = pair["metadata"]["generation"]
    for found in pair.get("status", {}).get("conditions", []):
        if found["type"] == kind and found.get("observedGeneration") == generation:
            return dict(found)
    return {}


def is_ready(pair: JSON | None) -> bool:
    return condition(pair, "Ready").get("status") == "True"


def describe(pair: JSON | None) -> str:
    """What `kubectl describe` would show of a pair, in a few lines."""
    if pair is None:
        return "(there is no such pair)"
    status = pair.get("status", {})
    lines = [f"generation {pair['metadata']['generation']}, observed {status.get('observedGeneration')}"]
    lines += [
        f"  {found['type']}={found['status']} {found['reason']}: {found.get('message', '')}"
        for found in status.get("conditions", [])
    ]
    rest = {key: value for key, value in status.items() if key not in {"conditions", "observedGeneration"}}
    return "\n".join([*lines, f"  {json.dumps(rest)[:2000]}"])


def _unit(index: int) -> JSON:
    return {
        "virtualMachine": {"name": f"lm-{index}"},
        "networkInterfaces": [{"name": "eth0", "resource": f"lm-{index}-nic"}],
    }

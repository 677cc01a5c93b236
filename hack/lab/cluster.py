"""The little of Kubernetes that demo and benchmarks need, through any kubeconfig."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import yaml

from loadmaster_ha.controller.kubernetes import Kubernetes, KubernetesError, load_configuration, pairs_path

JSON = dict[str, Any]
APPLY = "application/apply-patch+yaml"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.1


class ClusterUnsuitable(Exception):  # noqa: N818 - reads as what is the case
    """A cluster that is in use; the message says by what."""


class Cluster:
    """A user's connection to an API server: `async with await Cluster.connect(kubeconfig) as cluster`."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    @classmethod
    async def connect(cls, kubeconfig: Path) -> Self:
        """Read the kubeconfig."""
        return cls(Kubernetes(await load_configuration(str(kubeconfig)), permit=lambda: None))

    async def __aenter__(self) -> Self:
        await self._kubernetes.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kubernetes.__aexit__(None, None, None)

    async def install_crds(self, folder: Path) -> None:
        """Apply every CRD of a folder and wait until pairs are served."""
        for path in sorted(folder.glob("*.yaml")):  # noqa: ASYNC240 - two small files
            await self.apply(CRDS, _load(path)[0])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self._served():  # noqa: ASYNC110 - nothing to be told by
                await asyncio.sleep(POLL_SECONDS)

    @contextlib.asynccontextmanager
    async def guest(self, crds: Path) -> AsyncIterator[None]:
        """Be a guest in somebody's cluster: CRDs that are there stay as they are, others go at the end.

        Raises:
            ClusterUnsuitable: there are pairs in it. An operator that looks after them would take ours for
                one of them, and ours would have to be kept from theirs.
        """
        if await self._served():
            if found := await self._kubernetes.list_pairs(None):
                metadata = found[0]["metadata"]
                name = f"{metadata['namespace']}/{metadata['name']}"
                raise ClusterUnsuitable(
                    f"there are LoadMasterPairs in this cluster ({name}); give a cluster without any"
                )
            yield
            return
        await self.install_crds(crds)
        try:
            yield
        finally:
            for path in sorted(crds.glob("*.yaml")):  # noqa: ASYNC240 - two small files
                await self._delete(f"{CRDS}/{_load(path)[0]['metadata']['name']}")

    async def _served(self) -> bool:
        try:
            await self._kubernetes.list_pairs(None)
        except KubernetesError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def apply(self, collection: str, body: JSON, *, subresource: str = "") -> JSON:
        """`kubectl apply --server-side` of one object; `collection` is its API path without the name."""
        path = f"{collection}/{body['metadata']['name']}"
        return await self._kubernetes.request(
            "PATCH",
            f"{path}/{subresource}" if subresource else path,
            body=body,
            content_type=APPLY,
            query={"fieldManager": "kubectl", "force": "true"},
        )

    async def ensure_namespace(self, name: str) -> None:
        """Create a namespace unless it is there."""
        await self.apply("/api/v1/namespaces", _object("v1", "Namespace", name))

    async def delete_namespace(self, name: str) -> None:
        """Ask for a namespace's deletion, with all that is in it."""
        await self._delete(f"/api/v1/namespaces/{name}")

    async def _delete(self, path: str) -> None:
        try:
            await self._kubernetes.request("DELETE", path)
        except KubernetesError as error:
            if error.status != 404:
                raise

    async def put_secret(self, namespace: str, name: str, data: dict[str, str], kind: str = "Opaque") -> None:
        """Create or change a Secret; its type cannot be changed."""
        body = {**_object("v1", "Secret", name), "type": kind, "stringData": data}
        await self.apply(f"/api/v1/namespaces/{namespace}/secrets", body)

    async def delete(self, path: str) -> None:
        """Delete whatever is at an API path; nothing is fine too."""
        await self._delete(path)

    async def apply_pair(self, manifest: JSON) -> JSON:
        """Apply a LoadMasterPair."""
        return await self.apply(pairs_path(manifest["metadata"]["namespace"]), manifest)

    async def pair(self, namespace: str, name: str) -> JSON | None:
        """One pair, None when it is gone."""
        return await self._kubernetes.get_pair(namespace, name)

    async def pairs(self, namespace: str) -> list[JSON]:
        """All pairs of a namespace."""
        return await self._kubernetes.list_pairs(namespace)

    async def patch_pair(self, namespace: str, name: str, patch: JSON) -> JSON:
        """`kubectl patch --type merge`."""
        return await self._kubernetes.request(
            "PATCH",
            f"{pairs_path(namespace)}/{name}",
            body=patch,
            content_type="application/merge-patch+json",
        )

    async def delete_pair(self, namespace: str, name: str) -> None:
        """Ask for a pair's deletion; its finalizer holds it until Azure is clean."""
        await self._kubernetes.request("DELETE", f"{pairs_path(namespace)}/{name}")

    async def discard_pair(self, namespace: str, name: str) -> None:
        """Remove a pair that no operator cleans up after any more; none is fine too."""
        if (found := await self.pair(namespace, name)) is not None:
            if found["metadata"].get("finalizers"):
                await self.patch_pair(namespace, name, {"metadata": {"finalizers": None}})
            await self._delete(f"{pairs_path(namespace)}/{name}")

    async def events(self, namespace: str) -> list[JSON]:
        """All Events of a namespace."""
        found = await self._kubernetes.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
        return list(found["items"])

    async def until(
        self, namespace: str, name: str, holds: Callable[[JSON | None], bool], *, poll: float = POLL_SECONDS
    ) -> JSON | None:
        """Wait until something holds of a pair (None once it is gone); the pair.

        Raises:
            TimeoutError: it does not within two minutes.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await self.pair(namespace, name)
                if holds(found):
                    return found
                await asyncio.sleep(poll)


def conditions(pair: JSON | None) -> dict[str, JSON]:
    """The conditions of a pair by type; none before the operator's first visit."""
    status = (pair or {}).get("status") or {}
    return {item["type"]: item for item in status.get("conditions") or []}


def is_ready(pair: JSON | None) -> bool:
    """Whether the pair is Ready for its present generation."""
    ready = conditions(pair).get("Ready")
    return (
        pair is not None
        and ready is not None
        and ready["status"] == "True"
        and ready.get("observedGeneration") == pair["metadata"]["generation"]
        and pair["status"].get("observedGeneration") == pair["metadata"]["generation"]
    )


def load_manifest(path: Path) -> JSON:
    """The one manifest of a file."""
    return _load(path)[0]


def _load(path: Path) -> list[JSON]:
    return [body for body in yaml.safe_load_all(path.read_text(encoding="utf-8")) if body]


def _object(version: str, kind: str, name: str) -> JSON:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}

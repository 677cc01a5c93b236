"""The objects of Kubernetes that pairs' units depend on, as one thing to start and to tell of pairs.

Whoever learns of a pair calls `put`, whoever leads runs `run`; a change of anything that a pair refers to
wakes it. Nothing is watched or read while no pair needs it.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from loadmaster_ha.controller.cluster_view import ClusterView
from loadmaster_ha.controller.object_watch import Collections
from loadmaster_ha.controller.references import Kind, Reference, References, references_of
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.secrets import SecretAPI, SecretName, Secrets
from loadmaster_ha.controller.unit_inputs import UnitInputs
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec


class SourceAPI(SecretAPI, Collections, Protocol):
    """The calls of `kubernetes.Kubernetes` that are needed."""


class UnitSources:
    """References, Secrets and the view of the cluster, joined.

    Args:
        api: where they are read.
        wake: told each pair that has to look because something it refers to has changed.
    """

    def __init__(self, api: SourceAPI, *, wake: Callable[[PairKey], None]) -> None:
        self._wake = wake
        self._references = References()
        self.secrets = Secrets(api, changed=self._secret_changed, in_use=self._secrets_in_use)
        self.cluster = ClusterView(api, changed=self._changed, in_use=self._cluster_in_use)
        self.inputs = UnitInputs(self.secrets, self.cluster)

    def put(self, pair: PairKey, spec: LoadMasterPairSpec) -> None:
        """A pair is there, or its manifest has changed."""
        if self._references.put(pair, references_of(pair.namespace, spec)):
            self.cluster.adjust()

    def forget(self, pair: PairKey) -> None:
        """A pair is gone."""
        self.inputs.forget(pair)
        if self._references.remove(pair):
            self.cluster.adjust()

    async def run(self) -> None:
        """Keep everything current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.secrets.run(), name="secrets")
            tasks.create_task(self.cluster.run(), name="cluster view")

    def _changed(self, reference: Reference) -> None:
        for pair in self._references.holders(reference):
            self._wake(pair)

    def _secret_changed(self, name: SecretName) -> None:
        self._changed(Reference(Kind.SECRET, *name))

    def _secrets_in_use(self) -> list[SecretName]:
        return [SecretName(each.namespace, each.name) for each in self._references.in_use(Kind.SECRET)]

    def _cluster_in_use(self) -> frozenset[Reference]:
        return self._references.in_use(Kind.SERVICE) | self._references.in_use(Kind.NODES)

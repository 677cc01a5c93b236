"""What pairs need to know of the cluster: the Services, endpoints and nodes that they refer to, kept current.

One watch per namespace on EndpointSlices of the Services in use and one on Services, one on all nodes where
a pair asks for nodes; none where nobody refers to Kubernetes. Of each object only what matters is kept, and
only a change of that wakes pairs. Neighbours: `references` (who is to be woken), `endpoints` (what matters),
`object_watch` (how it is followed).
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from loadmaster_ha.controller import endpoints
from loadmaster_ha.controller.endpoints import ClusterFacts, NodeFacts, ServiceFacts, SliceFacts
from loadmaster_ha.controller.kubernetes import JSON, KubernetesError
from loadmaster_ha.controller.object_watch import Collections, follow
from loadmaster_ha.controller.references import NODES, Kind, Reference
from loadmaster_ha.domain.reading import Present, Reading, Unknown

log = logging.getLogger(__name__)

Facts = TypeVar("Facts")

SELECTED: Final = 50
"""So many Services of a namespace are selected by name; of more all are read, since URLs are bounded."""

NOT_LISTED: Final = Unknown("NotListedYet", "Kubernetes has not been asked yet; this takes a moment.")


@dataclass(frozen=True, slots=True, order=True)
class _Scope:
    """One watch."""

    resource: str
    namespace: str
    names: tuple[str, ...]
    """Of Services; empty for nodes."""

    @property
    def path(self) -> str:
        if self.resource == "nodes":
            return "/api/v1/nodes"
        group = "/apis/discovery.k8s.io/v1" if self.resource == "endpointslices" else "/api/v1"
        return f"{group}/namespaces/{self.namespace}/{self.resource}"

    @property
    def query(self) -> dict[str, str]:
        if self.resource == "services" and len(self.names) == 1:
            return {"fieldSelector": f"metadata.name={self.names[0]}"}
        if self.resource == "endpointslices" and len(self.names) <= SELECTED:
            return {"labelSelector": f"{endpoints.SERVICE_NAME_LABEL} in ({','.join(self.names)})"}
        return {}


class _Collection(Generic[Facts]):
    """What one watch has told; `Follower` of it.

    `subject` says which Service an object is about (nodes: none in particular); `told` is called with the
    names of those about which something has changed.
    """

    def __init__(
        self,
        scope: _Scope,
        read: Callable[[JSON], Facts],
        subject: Callable[[str, Facts], str],
        told: Callable[["_Collection[Facts]", Iterable[str]], None],
    ) -> None:
        self.scope = scope
        self.state: Present[None] | Unknown = NOT_LISTED
        self._read = read
        self._subject = subject
        self._told = told
        self._facts: dict[str, Facts] = {}
        self._subjects: defaultdict[str, set[str]] = defaultdict(set)

    def replaced(self, objects: list[JSON]) -> None:
        """Take over everything."""
        before, listed = self._facts, isinstance(self.state, Present)
        self._facts, self._subjects = {}, defaultdict(set)
        self.state = Present(None)
        for obj in objects:
            self._put(obj)
        changed = {
            self._subject(name, facts)
            for have, other in ((before, self._facts), (self._facts, before))
            for name, facts in have.items()
            if other.get(name) != facts
        }
        self._told(self, changed if listed else self.scope.names or ("",))

    def changed(self, obj: JSON) -> None:
        """Take over one."""
        name = obj["metadata"]["name"]
        before = self._facts.get(name)
        after = self._put(obj)
        if after != before:
            sides = [each for each in (before, after) if each is not None]
            self._told(self, {self._subject(name, each) for each in sides})

    def deleted(self, obj: JSON) -> None:
        """Forget one."""
        name = obj["metadata"]["name"]
        facts = self._facts.pop(name, None)
        if facts is not None:
            self._subjects[self._subject(name, facts)].discard(name)
            self._told(self, {self._subject(name, facts)})

    def lost(self, problem: KubernetesError) -> None:
        """What is known may be out of date: nobody shall take it for the truth."""
        before, self.state = self.state, _in_words(self.scope, problem)
        if self.state != before:
            self._told(self, self.scope.names or ("",))

    def of(self, subject: str) -> list[Facts]:
        """What is known about one Service."""
        return [self._facts[name] for name in sorted(self._subjects.get(subject, ()))]

    @property
    def all(self) -> dict[str, Facts]:
        """By name."""
        return self._facts

    def _put(self, obj: JSON) -> Facts | None:
        name = obj["metadata"]["name"]
        before = self._facts.pop(name, None)
        if before is not None:
            self._subjects[self._subject(name, before)].discard(name)
        facts = self._read(obj)
        subject = self._subject(name, facts)
        if self.scope.names and subject not in self.scope.names:
            return None
        self._facts[name] = facts
        self._subjects[subject].add(name)
        return facts


class ClusterView:
    """The cluster as pairs need it.

    Args:
        api: where it is read.
        changed: told each reference about which something has changed.
        in_use: the Services that pairs refer to, and `NODES` when they need those.
    """

    def __init__(
        self,
        api: Collections,
        *,
        changed: Callable[[Reference], None],
        in_use: Callable[[], Iterable[Reference]],
    ) -> None:
        self._api = api
        self._changed = changed
        self._in_use = in_use
        self._services: dict[str, _Collection[ServiceFacts]] = {}
        self._slices: dict[str, _Collection[SliceFacts]] = {}
        self._nodes: _Collection[NodeFacts] | None = None
        self._tasks: dict[_Scope, asyncio.Task[None]] = {}
        self._adjust = asyncio.Event()

    async def run(self) -> None:
        """Follow what is in use, until cancelled. Raises whatever unforeseen befalls a watch."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._adjust.clear()
                self._follow(group)
                await self._adjust.wait()

    def adjust(self) -> None:
        """What is in use has changed."""
        self._adjust.set()

    def facts(self, namespace: str, service: str, *, nodes: bool) -> Reading[ClusterFacts]:
        """What is known for a Service; `Unknown` while it has not been listed or cannot be read."""
        services, slices = self._services.get(namespace), self._slices.get(namespace)
        if services is None or slices is None or (nodes and self._nodes is None):
            return NOT_LISTED
        if service not in services.scope.names or service not in slices.scope.names:
            return NOT_LISTED
        needed = (services, slices, self._nodes) if nodes else (services, slices)
        for collection in needed:
            if collection is not None and isinstance(collection.state, Unknown):
                return collection.state
        found = services.of(service)
        known = self._nodes.all if nodes and self._nodes is not None else None
        return Present(ClusterFacts(found[0] if found else None, tuple(slices.of(service)), known))

    def _follow(self, group: asyncio.TaskGroup) -> None:
        """Begin the watches that are needed and end the others."""
        wanted = _scopes(self._in_use())
        for scope in self._tasks.keys() - wanted:
            self._tasks.pop(scope).cancel()
        for scope in sorted(wanted - self._tasks.keys()):
            collection = self._begin(scope)
            following = follow(self._api, scope.path, scope.query, collection)
            self._tasks[scope] = group.create_task(following, name=f"watch {scope.path}")
        namespaces = {scope.namespace for scope in wanted}
        for known in (self._services, self._slices):
            for old in known.keys() - namespaces:
                del known[old]
        if not any(scope.resource == "nodes" for scope in wanted):
            self._nodes = None

    def _begin(
        self, scope: _Scope
    ) -> _Collection[ServiceFacts] | _Collection[SliceFacts] | _Collection[NodeFacts]:
        if scope.resource == "services":
            return _Collection(scope, endpoints.read_service, lambda name, _: name, self._services_told)
        if scope.resource == "endpointslices":
            return _Collection(scope, endpoints.read_slice, lambda _, facts: facts.service, self._slices_told)
        return _Collection(scope, endpoints.read_node, lambda *_: "", self._nodes_told)

    # A collection takes the place of its predecessor (that had fewer names, say) when it has something to
    # tell: until then what the predecessor knew is true enough.

    def _services_told(self, collection: _Collection[ServiceFacts], names: Iterable[str]) -> None:
        self._services[collection.scope.namespace] = collection
        self._changed_of(collection.scope.namespace, names)

    def _slices_told(self, collection: _Collection[SliceFacts], names: Iterable[str]) -> None:
        self._slices[collection.scope.namespace] = collection
        self._changed_of(collection.scope.namespace, names)

    def _nodes_told(self, collection: _Collection[NodeFacts], names: Iterable[str]) -> None:
        self._nodes = collection
        if any(True for _ in names):
            self._changed(NODES)

    def _changed_of(self, namespace: str, names: Iterable[str]) -> None:
        for name in names:
            self._changed(Reference(Kind.SERVICE, namespace, name))


def _scopes(references: Iterable[Reference]) -> set[_Scope]:
    names: defaultdict[str, set[str]] = defaultdict(set)
    scopes = set()
    for reference in references:
        if reference.kind is Kind.SERVICE:
            names[reference.namespace].add(reference.name)
        elif reference.kind is Kind.NODES:
            scopes.add(_Scope("nodes", "", ()))
    for namespace, services in names.items():
        selected = tuple(sorted(services))
        scopes |= {_Scope(resource, namespace, selected) for resource in ("services", "endpointslices")}
    return scopes


def _in_words(scope: _Scope, problem: KubernetesError) -> Unknown:
    where = (
        scope.resource if scope.resource == "nodes" else f"{scope.resource} of namespace {scope.namespace}"
    )
    if problem.status == 403:
        return Unknown(
            "Forbidden",
            f"The operator must not read the {where}: grant it get, list and watch on them ({problem}).",
        )
    return Unknown("KubernetesUnreachable", f"The {where} cannot be read now: {problem}")

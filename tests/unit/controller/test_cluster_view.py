"""The view of the cluster: which watches there are, who is told, and what is not taken for the truth."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.cluster_objects import endpoint_slice, node, node_status, service

from loadmaster_ha.controller.cluster_view import NOT_LISTED, SELECTED, ClusterView
from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.references import NODES, Kind, Reference
from loadmaster_ha.domain.reading import Present, Unknown

SHOP = Reference(Kind.SERVICE, "edge", "shop")
SLICES = "/apis/discovery.k8s.io/v1/namespaces/edge/endpointslices"
SERVICES = "/api/v1/namespaces/edge/services"


class Api:
    """Collections that a test fills; a watch tells what is pushed into it."""

    def __init__(self):
        self.objects, self.queries, self.watches, self.problem, self.version = {}, {}, {}, None, 0

    async def list_objects(self, path, query):
        self.queries[path] = dict(query)
        await asyncio.sleep(0)
        if self.problem:
            raise self.problem
        return [*self.objects.get(path, {}).values()], str(self.version)

    async def watch_objects(self, path, query):
        assert query["resourceVersion"]
        queue = self.watches[path] = asyncio.Queue()
        try:
            while True:
                event = await queue.get()
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            if self.watches.get(path) is queue:
                del self.watches[path]

    def put(self, path, obj):
        self.version += 1
        name = obj["metadata"]["name"]
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects.setdefault(path, {})[name] = obj
        self._push(path, {"type": "MODIFIED", "object": obj})

    def delete(self, path, name):
        self._push(path, {"type": "DELETED", "object": self.objects[path].pop(name)})

    def _push(self, path, event):
        if path in self.watches:
            self.watches[path].put_nowait(event)


class Scene:
    def __init__(self):
        self.api, self.told, self.in_use = Api(), [], {SHOP}
        self.view = ClusterView(self.api, changed=self.told.append, in_use=lambda: self.in_use)

    async def settle(self):
        for _ in range(50):
            await asyncio.sleep(0)

    def facts(self, name="shop", *, nodes=False):
        return self.view.facts("edge", name, nodes=nodes)

    def addresses(self, name="shop"):
        return [each.address for one in self.facts(name).value.slices for each in one.endpoints]

    async def use(self, *references):
        self.in_use = {*references}
        self.view.adjust()
        await self.settle()


@pytest.fixture
async def scene():
    made = Scene()
    made.api.put(SERVICES, service())
    made.api.put(SLICES, endpoint_slice(["10.1.0.1"]))
    running = asyncio.create_task(made.view.run())
    assert made.facts() == NOT_LISTED
    await made.settle()
    yield made
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_referred_to_is_read_and_told(scene):
    assert scene.addresses() == ["10.1.0.1"]
    assert set(scene.told) == {SHOP}
    assert scene.facts("other") == NOT_LISTED
    assert scene.facts(nodes=True) == NOT_LISTED


async def test_only_what_is_referred_to_is_selected(scene):
    assert scene.api.queries[SLICES] == {"labelSelector": "kubernetes.io/service-name in (shop)"}
    assert scene.api.queries[SERVICES] == {"fieldSelector": "metadata.name=shop"}
    await scene.use(SHOP, Reference(Kind.SERVICE, "edge", "more"))
    assert scene.api.queries[SLICES] == {"labelSelector": "kubernetes.io/service-name in (more,shop)"}
    assert scene.api.queries[SERVICES] == {}
    many = [Reference(Kind.SERVICE, "edge", f"s-{n}") for n in range(SELECTED)]
    await scene.use(SHOP, *many)
    assert scene.api.queries[SLICES] == {}
    assert scene.addresses() == ["10.1.0.1"]


async def test_a_change_that_does_not_matter_wakes_nobody(scene):
    scene.told.clear()
    touched = endpoint_slice(["10.1.0.1"])
    touched["metadata"]["annotations"] = {"endpoints.kubernetes.io/last-change-trigger-time": "now"}
    scene.api.put(SLICES, touched)
    await scene.settle()
    assert scene.told == []


async def test_a_slice_that_changes_its_service_is_told_to_both(scene):
    more = Reference(Kind.SERVICE, "edge", "more")
    await scene.use(SHOP, more)
    scene.told.clear()
    scene.api.put(SLICES, endpoint_slice(["10.1.0.1"], of="more"))
    await scene.settle()
    assert set(scene.told) == {SHOP, more}
    assert scene.addresses() == []
    assert scene.addresses("more") == ["10.1.0.1"]


async def test_what_is_not_referred_to_any_more_is_neither_watched_nor_kept(scene):
    await scene.use()
    assert scene.api.watches == {}
    assert scene.facts() == NOT_LISTED
    await scene.use(SHOP)
    assert scene.addresses() == ["10.1.0.1"]


async def test_what_cannot_be_read_any_more_is_not_taken_for_the_truth(scene):
    scene.told.clear()
    scene.api.watches[SLICES].put_nowait(KubernetesError(403, "Forbidden", "no more"))
    await scene.settle()
    found = scene.facts()
    assert isinstance(found, Unknown)
    assert found.reason == "Forbidden"
    assert "endpointslices of namespace edge: grant it get, list and watch" in found.message
    assert scene.told == [SHOP]


async def test_nodes_are_watched_for_all_who_ask(scene):
    a = node("a", pool="x")
    a["status"] = node_status("10.2.0.1")
    scene.api.put("/api/v1/nodes", a)
    await scene.use(SHOP, NODES)
    assert NODES in scene.told
    assert scene.facts(nodes=True).value.nodes["a"].address == "10.2.0.1"
    scene.told.clear()
    heartbeat = {**a, "status": node_status("10.2.0.1")}
    heartbeat["status"]["conditions"][0]["lastHeartbeatTime"] = "now"
    scene.api.put("/api/v1/nodes", heartbeat)
    await scene.settle()
    assert scene.told == []
    scene.api.put("/api/v1/nodes", {**a, "status": node_status("10.2.0.1", ready=False)})
    await scene.settle()
    assert scene.told == [NODES]
    await scene.use(SHOP)
    assert "/api/v1/nodes" not in scene.api.watches


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]), st.sampled_from(["shop", "more", "other"]), st.integers(0, 3)
    ),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_the_view_is_the_collection(steps):
    """Whatever comes in whatever order: what is kept is what the API has about the Services in use."""

    async def play():
        scene = Scene()
        scene.in_use = {SHOP, Reference(Kind.SERVICE, "edge", "more")}
        running = asyncio.create_task(scene.view.run())
        await scene.settle()
        for name, of, count in steps:
            before = len(scene.told)
            if count:
                addresses = [f"10.1.0.{number}" for number in range(count)]
                scene.api.put(SLICES, endpoint_slice(addresses, name=name, of=of))
            elif name in scene.api.objects.get(SLICES, {}):
                scene.api.delete(SLICES, name)
            await scene.settle()
            for each in ("shop", "more"):
                wanted = [
                    address
                    for _, stored in sorted(scene.api.objects.get(SLICES, {}).items())
                    if stored["metadata"]["labels"]["kubernetes.io/service-name"] == each
                    for endpoint in stored["endpoints"]
                    for address in endpoint["addresses"]
                ]
                assert isinstance(scene.facts(each), Present)
                assert scene.addresses(each) == wanted
            assert Reference(Kind.SERVICE, "edge", "other") not in scene.told[before:]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(play())

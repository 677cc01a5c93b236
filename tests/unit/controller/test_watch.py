"""The watch on a scripted API server: what it does when the server does not let it watch any more."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from kopf._cogs.clients.errors import APINotFoundError
from kubernetes.aio.client import Configuration

from loadmaster_ha.controller.registry import PairKey, Pairs
from loadmaster_ha.controller.watch import Watch, WatchHealth

GROUP = "/apis/loadmaster.dev/v1alpha1"
RESOURCE = {
    "name": "loadmasterpairs",
    "singularName": "loadmasterpair",
    "namespaced": True,
    "kind": "LoadMasterPair",
    "verbs": ["get", "list", "watch", "patch"],
}
NAMESPACES = {
    "name": "namespaces",
    "singularName": "",
    "namespaced": False,
    "kind": "Namespace",
    "verbs": ["list"],
}
GENEROUS_SECONDS = 60.0


def answering(document):
    async def answer(_):
        return web.json_response(document)

    return answer


class Server:
    """Discovery, one list, and watches that end as `answer` says."""

    def __init__(self):
        self.pairs = []
        self.answer = None
        self.watched = asyncio.Event()

    def application(self):
        application = web.Application()
        group = {"name": "loadmaster.dev", "versions": [{"groupVersion": "loadmaster.dev/v1alpha1"}]}
        group["versions"][0]["version"] = "v1alpha1"
        group["preferredVersion"] = group["versions"][0]
        documents = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/api/v1": {"kind": "APIResourceList", "resources": [NAMESPACES]},
            "/apis": {"kind": "APIGroupList", "groups": [group]},
            "/apis/loadmaster.dev": group,
            GROUP: {"kind": "APIResourceList", "resources": [RESOURCE]},
        }
        for path, document in documents.items():
            application.router.add_get(path, answering(document))
        application.router.add_get(f"{GROUP}/loadmasterpairs", self._pairs)
        return application

    async def _pairs(self, request):
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": self.pairs})
        self.watched.set()
        return await self.answer(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    runner = web.AppRunner(made.application(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def watch(server, pairs=None, woken=None, gone=None):
    configuration = Configuration()
    configuration.host = server.url
    return Watch(
        configuration,
        namespaces=(),
        pairs=pairs or Pairs(),
        wake=(woken if woken is not None else []).append,
        forget=(gone if gone is not None else []).append,
        health=WatchHealth(lambda _: None),
    )


async def test_a_watch_that_cannot_go_on_ends_instead_of_being_deaf(server):
    """`process` ends with it and begins anew: until the CRD is there again it asks for the list."""

    async def no_such_resource(_):
        return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)

    server.answer = no_such_resource
    with pytest.raises(APINotFoundError):
        await asyncio.wait_for(watch(server).run(), GENEROUS_SECONDS)
    assert server.watched.is_set()


async def test_what_the_watch_tells_wakes_and_forgets(server):
    body = {
        "apiVersion": "loadmaster.dev/v1alpha1",
        "kind": "LoadMasterPair",
        "metadata": {"namespace": "edge", "name": "web", "uid": "u", "resourceVersion": "2", "generation": 1},
    }
    ended = asyncio.Event()

    async def events(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for kind in ("ADDED", "DELETED"):
            await response.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")
            await asyncio.sleep(0.2)
        await ended.wait()
        return response

    server.answer = events
    woken, forgotten = [], []
    task = asyncio.create_task(watch(server, woken=woken, gone=forgotten).run())
    async with asyncio.timeout(GENEROUS_SECONDS):
        while not forgotten:  # noqa: ASYNC110 - the handlers are what is tested
            await asyncio.sleep(0.05)
    assert woken == forgotten == [PairKey("edge", "web")]
    ended.set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

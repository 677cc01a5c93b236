"""How many requests the operator has under way at the API server at a time, over real HTTP."""

import asyncio

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from loadmaster_ha.controller.kubernetes import AT_ONCE, Kubernetes, KubernetesError
from loadmaster_ha.controller.lease import LeaseLost

PATIENCE = 30.0


class ApiServer:
    """Answers when it is let."""

    def __init__(self):
        self.under_way, self.most, self.asked = 0, 0, []
        self.busy, self.let = asyncio.Event(), asyncio.Event()

    async def answer(self, request):
        self.asked.append(f"{request.method} {request.path}")
        if "/leases/" in request.path:
            return web.json_response({"kind": "Lease"})
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == AT_ONCE:
            self.busy.set()
        try:
            await self.let.wait()
        finally:
            self.under_way -= 1
        return web.json_response({"kind": "LoadMasterPair"})

    async def until_busy(self):
        async with asyncio.timeout(PATIENCE):
            await self.busy.wait()


@pytest.fixture
async def server():
    api = ApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield api
    api.let.set()
    await runner.cleanup()


def client_of(server, permit=lambda: None):
    configuration = Configuration()
    configuration.host = server.url
    return Kubernetes(configuration, permit=permit)


async def test_no_more_than_so_many_requests_are_under_way_and_all_are_answered(server):
    async with client_of(server) as api, asyncio.TaskGroup() as group:
        reads = [group.create_task(api.get_pair("shop", f"pair-{number}")) for number in range(4 * AT_ONCE)]
        await server.until_busy()
        await asyncio.sleep(0.1)
        assert server.under_way == AT_ONCE
        server.let.set()
    assert server.most == AT_ONCE
    assert [read.result() for read in reads] == [{"kind": "LoadMasterPair"}] * 4 * AT_ONCE


async def test_the_lease_is_renewed_past_all_others(server):
    async with client_of(server) as api, asyncio.TaskGroup() as group:
        for number in range(2 * AT_ONCE):
            group.create_task(api.get_pair("shop", f"pair-{number}"))
        await server.until_busy()
        lease = {"metadata": {"name": "operator"}}
        assert await api.get_lease("system", "operator", seconds=PATIENCE) == {"kind": "Lease"}
        assert await api.replace_lease("system", lease, seconds=PATIENCE) == {"kind": "Lease"}
        assert server.under_way == AT_ONCE
        server.let.set()


async def test_who_waits_for_a_turn_for_too_long_is_told_and_nothing_was_sent(server):
    async with client_of(server) as api, asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(api.get_pair("shop", f"pair-{number}"))
        await server.until_busy()
        with pytest.raises(KubernetesError, match="no answer in time"):
            await api.request("GET", "/late", seconds=0.2)
        server.let.set()
    assert "GET /late" not in server.asked


async def test_a_write_whose_lease_was_lost_while_it_waited_is_not_sent(server):
    leads = True

    def permit():
        if not leads:
            raise LeaseLost("not ours any more")

    async with client_of(server, permit) as api, asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(api.get_pair("shop", f"pair-{number}"))
        await server.until_busy()
        write = asyncio.create_task(api.request("POST", "/written", body={}))
        await asyncio.sleep(0.1)
        leads = False
        server.let.set()
        with pytest.raises(LeaseLost):
            await write
    assert "POST /written" not in server.asked

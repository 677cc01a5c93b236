"""The fault tests' own tool: what the numbering proxy forwards, rewrites, counts, loses and holds."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from tests.support.arm_proxy import ArmProxy, Exchange, Moment, Verdict, forbid_silent_repetition, lose

from loadmaster_ha.emulator.certificates import server_context

BALANCER = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/web?api-version=2024-05-01"
)


class StandIn:
    """A server that remembers what reached it and answers with addresses of its own."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str, bytes]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.received.append((request.method, request.raw_path, await request.read()))
        if request.method == "GET":
            return web.json_response(
                {"nextLink": f"{self.url}/page2", "authorization": request.headers.get("Authorization")}
            )
        return web.json_response(
            {"name": "web"},
            status=201,
            headers={"Azure-AsyncOperation": f"{self.url}/operations/1?t=a&s=b%2Fc"},
        )


@pytest.fixture
async def upstream(tmp_path) -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", stand_in.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    (tmp_path / "upstream").mkdir()
    site = web.TCPSite(
        runner, "127.0.0.1", 0, ssl_context=server_context(tmp_path / "upstream", ["127.0.0.1"])
    )
    await site.start()
    stand_in.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield stand_in
    await runner.cleanup()


@pytest.fixture
async def proxy(upstream, tmp_path) -> AsyncIterator[ArmProxy]:
    async with ArmProxy(upstream.url, tmp_path / "upstream" / "ca.pem", tmp_path / "proxy") as started:
        yield started


@pytest.fixture
async def client(proxy) -> AsyncIterator[aiohttp.ClientSession]:
    trust = ssl.create_default_context(cafile=str(proxy.ca_file))
    connector = aiohttp.TCPConnector(ssl=trust, force_close=True)
    async with aiohttp.ClientSession(proxy.url, connector=connector) as session:
        forbid_silent_repetition(session)
        yield session


async def test_requests_pass_unchanged_and_addresses_in_answers_lead_back_to_the_proxy(
    proxy, upstream, client
):
    async with client.put(BALANCER, data=b'{"a": 1}', headers={"If-Match": 'W/"1"'}) as answer:
        assert answer.status == 201
        assert answer.headers["Azure-AsyncOperation"] == f"{proxy.url}/operations/1?t=a&s=b%2Fc"
    async with client.get(BALANCER, headers={"Authorization": "Bearer x"}) as answer:
        assert await answer.json() == {"nextLink": f"{proxy.url}/page2", "authorization": "Bearer x"}
    assert upstream.received == [("PUT", BALANCER, b'{"a": 1}'), ("GET", BALANCER, b"")]
    assert proxy.writes[0].if_match == 'W/"1"'


async def test_only_writes_to_resources_are_numbered(proxy, client):
    for method, path in [
        ("POST", "/tenant/oauth2/v2.0/token"),
        ("PUT", BALANCER),
        ("GET", BALANCER),
        (
            "POST",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/web/loadBalancingRules/r/health",
        ),
        (
            "POST",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/lm-0/restart",
        ),
        ("DELETE", BALANCER),
    ]:
        async with client.request(method, path):
            pass
    assert [(write.number, write.method) for write in proxy.writes] == [
        (1, "PUT"),
        (2, "POST"),
        (3, "DELETE"),
    ]
    logged = [json.loads(line) for line in proxy.log_file.read_text().splitlines()]
    assert [line["number"] for line in logged] == [None, 1, None, None, 2, 3]


async def test_a_write_struck_before_never_reaches_arm(proxy, upstream, client):
    proxy.at(Moment.BEFORE, 1, lose)
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.put(BALANCER)
    assert upstream.received == []
    async with client.put(BALANCER) as answer:
        assert answer.status == 201


async def test_a_lost_response_was_applied(proxy, upstream, client):
    proxy.at(Moment.APPLIED, 1, lose)
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.put(BALANCER)
    assert [method for method, _, _ in upstream.received] == ["PUT"]
    assert proxy.writes[0].status == 201
    assert proxy.writes[0].struck == ["Applied"]


async def test_a_strike_after_the_answer_comes_when_the_next_request_shows_that_it_was_read(
    proxy, upstream, client
):
    struck = asyncio.Event()

    async def kill(_: Exchange) -> Verdict:
        struck.set()
        return Verdict.LOSE

    proxy.at(Moment.ANSWERED, 1, kill)
    async with client.put(BALANCER) as answer:
        assert answer.status == 201
    assert not struck.is_set()
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.put(BALANCER)
    assert struck.is_set()
    assert len(upstream.received) == 1, "the request that showed it came from a dead process"
    assert len(proxy.writes) == 1


async def test_a_strike_after_the_last_answer_comes_without_another_request(proxy, client):
    struck = asyncio.Event()

    async def kill(_: Exchange) -> None:
        struck.set()

    proxy.at(Moment.ANSWERED, 1, kill)
    async with client.put(BALANCER):
        pass
    await asyncio.wait_for(struck.wait(), 30)


async def test_a_write_can_be_held_while_others_pass(proxy, upstream, client):
    arrived, release = asyncio.Event(), asyncio.Event()

    async def hold(_: Exchange) -> None:
        arrived.set()
        await release.wait()

    proxy.at(Moment.BEFORE, lambda write: write.method == "PUT", hold)
    held = asyncio.create_task(client.put(BALANCER))
    await asyncio.wait_for(arrived.wait(), 30)
    async with client.delete(BALANCER):
        pass
    release.set()
    async with await held as answer:
        assert answer.status == 201
    assert [method for method, _, _ in upstream.received] == ["DELETE", "PUT"]


async def test_the_connection_ends_when_arm_is_down(tmp_path, proxy, upstream, client):
    gone = ArmProxy("https://127.0.0.1:1", tmp_path / "upstream" / "ca.pem", tmp_path / "other")
    async with gone:
        trust = ssl.create_default_context(cafile=str(gone.ca_file))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(f"{gone.url}/subscriptions")


async def test_during_an_outage_every_connection_ends(proxy, upstream, client):
    proxy.outage = True
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.get(BALANCER)
    assert upstream.received == []
    proxy.outage = False
    async with client.get(BALANCER) as answer:
        assert answer.status == 200
    assert [exchange.answered_at is not None for exchange in proxy.exchanges] == [False, True]

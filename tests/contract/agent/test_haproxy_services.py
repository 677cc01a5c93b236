"""What each setting of a virtual service does, seen by its clients and its real servers."""

import asyncio
import dataclasses
from collections import Counter

import pytest
from tests.support.haproxy import backend, eventually, get, listens, own_address, rig, server_of

from loadmaster_ha.agent.dataplane.applier import Done
from loadmaster_ha.domain.virtual_services import (
    CheckMethod,
    CheckType,
    HealthCheck,
    RealServer,
    Schedule,
    ServiceType,
)

__all__ = ["rig"]

NO_CHECK = HealthCheck(type=CheckType.NONE)


async def answers(rig, count, port=8000, **more):
    return Counter([await server_of(rig.address, port, **more) for _ in range(count)])


async def is_up(rig, service, index=0):
    return (await rig.plane.statistics())[service.key].servers[index].up


async def refuses(rig, port=8000):
    """Connections are closed without an answer."""
    try:
        reader, writer = await asyncio.open_connection(rig.address, port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
    except OSError:
        return True
    return answer == b""


async def test_a_generic_service_forwards_bytes(rig):
    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(line[::-1])
        writer.close()

    server = await asyncio.start_server(echo, own_address(), 0)
    address, port = server.sockets[0].getsockname()
    async with server:
        await rig.serve(rig.service(8000, RealServer(1, address, port)))
        reader, writer = await asyncio.open_connection(rig.address, 8000)
        writer.write(b"\x00\xff no HTTP\n")
        assert await reader.readexactly(11) == b"\nPTTH on \xff\x00"
        writer.close()


async def test_round_robin_looks_at_no_weights(rig):
    async with backend("one") as one, backend("two") as two:
        await rig.serve(rig.service(8000, one.real_server(1, weight=1), two.real_server(2, weight=65535)))
        assert await answers(rig, 8) == {"one": 4, "two": 4}


async def test_weighted_round_robin_goes_by_weights(rig):
    async with backend("one") as one, backend("two") as two:
        weighted = Schedule.WEIGHTED_ROUND_ROBIN
        servers = one.real_server(1, weight=1000), two.real_server(2, weight=3000)
        await rig.serve(rig.service(8000, *servers, schedule=weighted))
        assert await answers(rig, 40) == pytest.approx({"one": 10, "two": 30}, abs=1)


async def test_least_connection_prefers_the_idle_server(rig):
    async with backend("one") as one, backend("two") as two:
        await rig.serve(
            rig.service(8000, one.real_server(1), two.real_server(2), schedule=Schedule.LEAST_CONNECTION)
        )
        held = await asyncio.open_connection(rig.address, 8000)
        await asyncio.sleep(0.1)
        names = set()
        for _ in range(4):
            names.add(await server_of(rig.address, 8000))
            await asyncio.sleep(0.1)  # HAProxy counts a connection until it is closed on both sides
        assert len(names) == 1
        held[1].close()


async def test_fixed_uses_the_heaviest_that_is_there(rig):
    async with backend("one") as one, backend("two") as two, backend("three") as three:
        fixed = Schedule.FIXED
        servers = (
            one.real_server(1, weight=10),
            two.real_server(2, weight=30),
            three.real_server(3, weight=20),
        )
        await rig.serve(rig.service(8000, *servers, schedule=fixed))
        assert await answers(rig, 4) == {"two": 4}
        less = dataclasses.replace(servers[1], enabled=False)
        assert (
            await rig.serve(rig.service(8000, servers[0], less, servers[2], schedule=fixed))
        ).done is Done.COMMANDS
        assert await answers(rig, 4) == {"three": 4}
        heavier = dataclasses.replace(servers[0], weight=90)
        assert (await rig.serve(rig.service(8000, heavier, *servers[1:], schedule=fixed))).done is Done.RELOAD
        assert await answers(rig, 4) == {"one": 4}


async def test_source_hash_keeps_a_client_at_its_server(rig):
    async with backend("one") as one, backend("two") as two:
        await rig.serve(
            rig.service(8000, one.real_server(1), two.real_server(2), schedule=Schedule.SOURCE_HASH)
        )
        assert len(await answers(rig, 6)) == 1


async def test_url_hash_keeps_a_url_at_its_server(rig):
    async with backend("one") as one, backend("two") as two:
        http = ServiceType.HTTP
        await rig.serve(
            rig.service(8000, one.real_server(1), two.real_server(2), schedule=Schedule.URL_HASH, type=http)
        )
        of_path = {
            path: await answers(rig, 3, path=path) for path in (f"/{number}?q=1" for number in range(12))
        }
        assert all(len(each) == 1 for each in of_path.values())
        assert len({next(iter(each)) for each in of_path.values()}) == 2


async def test_a_limit_sends_the_rest_to_others(rig):
    async with backend("one") as one, backend("two") as two:
        servers = one.real_server(1, weight=200, limit=1), two.real_server(2, weight=100)
        await rig.serve(rig.service(8000, *servers, schedule=Schedule.FIXED))
        held = await asyncio.open_connection(rig.address, 8000)
        await asyncio.sleep(0.1)
        assert await answers(rig, 3) == {"two": 3}
        held[1].close()


async def test_draining_keeps_persistent_clients_and_takes_no_others(rig):
    async with backend("one") as one, backend("two") as two:
        more = {"type": ServiceType.HTTP, "persistence": "active-cookie", "persistence_timeout": 600}
        await rig.serve(rig.service(8000, one.real_server(1), **more))
        _, headers, _ = await get(rig.address, 8000)
        cookie = "Cookie: " + headers["set-cookie"].split(";")[0] + "\r\n"
        draining = one.real_server(1, enabled=False, draining=True), two.real_server(2)
        await rig.serve(rig.service(8000, *draining, **more))
        assert await answers(rig, 3) == {"two": 3}
        status, _, body = await get(rig.address, 8000, headers=cookie)
        assert (status, '"server": "one"' in body) == (200, True)


async def test_an_active_cookie_keeps_a_client_at_its_server(rig):
    async with backend("one") as one, backend("two") as two:
        more = {
            "type": ServiceType.HTTP,
            "persistence": "active-cookie",
            "persistence_timeout": 600,
            "persistence_cookie": "SHOP",
        }
        await rig.serve(rig.service(8000, one.real_server(1), two.real_server(2), **more))
        _, headers, _ = await get(rig.address, 8000)
        cookie = headers["set-cookie"]
        assert cookie.startswith("SHOP=rs_")
        assert "HttpOnly" in cookie
        first = "one" if "rs_1" in cookie else "two"
        assert await answers(rig, 4, headers=f"Cookie: {cookie.split(';')[0]}\r\n") == {first: 4}
        assert len(await answers(rig, 4)) == 2


async def test_the_applications_own_cookie_keeps_a_client_at_its_server(rig):
    async with backend("one") as one, backend("two") as two:
        one.cookie = two.cookie = "JSESSIONID"
        more = {
            "type": ServiceType.HTTP,
            "persistence": "cookie",
            "persistence_timeout": 600,
            "persistence_cookie": "JSESSIONID",
        }
        await rig.serve(rig.service(8000, one.real_server(1), two.real_server(2), **more))
        await answers(rig, 2)
        for name in ("one", "two"):
            assert await answers(rig, 3, headers=f"Cookie: JSESSIONID=session-of-{name}\r\n") == {name: 3}


async def test_persistence_of_less_than_a_minute_is_none(rig):
    async with backend("one") as one, backend("two") as two:
        await rig.serve(
            rig.service(
                8000, one.real_server(1), two.real_server(2), persistence="src", persistence_timeout=59
            )
        )
        assert len(await answers(rig, 4)) == 2


async def test_an_idle_connection_ends_after_the_idle_time(rig):
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1), idle_timeout=1))
        reader, _ = await asyncio.open_connection(rig.address, 8000)
        async with asyncio.timeout(10):
            assert await reader.read() == b""


async def test_extra_ports_lead_to_the_same_servers(rig):
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1), extra_ports=(8001, 8002)))
        assert [await server_of(rig.address, port) for port in (8000, 8001, 8002)] == ["one"] * 3


async def test_a_disabled_service_does_not_listen(rig):
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1), enabled=False))
        assert not listens(rig.address, 8000)
        await rig.serve(rig.service(8000, server.real_server(1)))
        assert await server_of(rig.address, 8000) == "one"


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_clients_address_is_told_when_wanted(rig, wanted):
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1), type=ServiceType.HTTP, forwarded_for=wanted))
        await server_of(rig.address, 8000, headers="X-Forwarded-For: 192.0.2.9\r\n")
        assert server.requests[-1]["forwarded"] == ["192.0.2.9", "127.0.0.1"][: 1 + wanted]


async def test_the_sorry_server_serves_while_no_real_server_does(rig):
    async with backend("one") as one, backend("sorry") as sorry:
        service = rig.service(8000, one.real_server(1), standby=(sorry.address, sorry.port))
        await rig.serve(service)
        assert await answers(rig, 2) == {"one": 2}
        await rig.serve(dataclasses.replace(service, real_servers=(one.real_server(1, enabled=False),)))
        assert await answers(rig, 2) == {"sorry": 2}
        assert (await rig.plane.statistics())[service.key].up


async def test_too_few_real_servers_take_the_service_down(rig):
    async with backend("one") as one, backend("two") as two:
        service = rig.service(8000, one.real_server(1), two.real_server(2), minimum_real_servers=2)
        await rig.serve(service)
        assert len(await answers(rig, 4)) == 2
        fewer = one.real_server(1), two.real_server(2, enabled=False)
        assert (await rig.serve(dataclasses.replace(service, real_servers=fewer))).done is Done.COMMANDS
        assert await refuses(rig)
        assert not (await rig.plane.statistics())[service.key].up


async def test_a_critical_real_server_takes_the_service_down_with_it(rig):
    check = HealthCheck(type=CheckType.HTTP, path="/check", interval=1)
    async with backend("one") as one, backend("two") as two:
        servers = one.real_server(1), two.real_server(2, critical=True)
        service = rig.service(8000, *servers, type=ServiceType.HTTP, check=check)
        await rig.serve(service)
        assert len(await answers(rig, 4)) == 2
        two.status = 503

        async def down():
            return not (await rig.plane.statistics())[service.key].up

        await eventually(down)
        assert (await get(rig.address, 8000))[0] == 503
        two.status = 200

        async def up():
            return (await rig.plane.statistics())[service.key].up

        await eventually(up)
        assert (await get(rig.address, 8000))[0] == 200


async def test_a_down_service_redirects_or_answers_as_told(rig):
    url = "http://sorry.example/%41?a='b'&c=%[src]"
    moved = rig.service(8000, type=ServiceType.HTTP, error_url=url)
    coded = rig.service(8001, type=ServiceType.HTTP, error_code=404)
    plain = rig.service(8002, type=ServiceType.HTTP)
    assert (await rig.serve(moved, coded, plain)).rejected == {}
    status, headers, _ = await get(rig.address, 8000)
    assert (status, headers["location"]) == (302, url)
    assert (await get(rig.address, 8001))[0] == 404
    assert (await get(rig.address, 8002))[0] == 503


async def test_a_tcp_check_finds_a_port_that_is_closed(rig):
    async with backend("one") as one:
        absent = RealServer(2, one.address, 1)
        service = rig.service(8000, one.real_server(1), absent, check=HealthCheck(interval=1, retries=1))
        await rig.serve(service)

        async def seen():
            return not await is_up(rig, service, 1)

        await eventually(seen)
        assert await is_up(rig, service, 0)
        assert await answers(rig, 4) == {"one": 4}


async def test_without_a_check_every_server_counts_as_well(rig):
    service = rig.service(8000, RealServer(1, own_address(), 9), check=NO_CHECK)
    await rig.serve(service)
    await asyncio.sleep(1)
    assert await is_up(rig, service)


async def test_a_check_on_another_port(rig):
    async with backend("one") as one, backend("other", one.address) as other:
        check = HealthCheck(type=CheckType.HTTP, path="/check", port=other.port, interval=1)
        await rig.serve(rig.service(8000, one.real_server(1), check=check))
        await eventually(lambda: other.checks)
        assert one.checks == []


@pytest.mark.parametrize("method", list(CheckMethod))
async def test_an_http_check_asks_as_told(rig, method):
    check = HealthCheck(
        type=CheckType.HTTP,
        path="/check?a=b%20c",
        host="www.example",
        http_1_1=True,
        method=method,
        interval=1,
    )
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1), check=check))
        seen = (await eventually(lambda: server.checks))[0]
        assert (seen["method"], seen["path"], seen["version"]) == (method, "/check?a=b%20c", "1.1")
        assert seen["headers"]["host"] == "www.example"


async def test_an_http_1_1_check_without_a_host_names_the_servers_address(rig):
    check = HealthCheck(type=CheckType.HTTP, path="/check", http_1_1=True, interval=1)
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1), check=check))
        assert (await eventually(lambda: server.checks))[0]["headers"]["host"] == server.address


async def test_an_http_1_0_check_has_no_host(rig):
    check = HealthCheck(type=CheckType.HTTP, path="/check", host="www.example", interval=1)
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1), check=check))
        seen = (await eventually(lambda: server.checks))[0]
        assert (seen["version"], "host" in seen["headers"]) == ("1.0", False)


@pytest.mark.parametrize(
    ("status", "codes", "well"),
    [(200, (), True), (299, (), True), (302, (), False), (404, (), False), (404, ("302", "404"), True)],
)
async def test_statuses_that_count_as_healthy(rig, status, codes, well):
    check = HealthCheck(type=CheckType.HTTP, path="/check", codes=codes, interval=1, retries=1)
    async with backend() as server:
        server.status = status
        service = rig.service(8000, server.real_server(1), check=check)
        await rig.serve(service)
        await eventually(lambda: len(server.checks) > 2)
        assert await is_up(rig, service) is well


@pytest.mark.parametrize(
    ("pattern", "method", "well"),
    [
        ("all is w[e]ll", CheckMethod.GET, True),
        ("it's bad", CheckMethod.GET, False),
        ("bad", CheckMethod.HEAD, True),
    ],
)
async def test_the_pattern_is_looked_for_in_the_body(rig, pattern, method, well):
    check = HealthCheck(
        type=CheckType.HTTP, path="/check", pattern=pattern, method=method, interval=1, retries=1
    )
    async with backend() as server:
        service = rig.service(8000, server.real_server(1), check=check)
        await rig.serve(service)
        await eventually(lambda: len(server.checks) > 2)
        assert await is_up(rig, service) is well


async def test_retries_are_how_many_failures_take_a_server_down(rig):
    check = HealthCheck(type=CheckType.HTTP, path="/check", interval=1, retries=3)
    async with backend() as server:
        service = rig.service(8000, server.real_server(1), check=check)
        await rig.serve(service)
        await eventually(lambda: len(server.checks) > 1)
        server.status = 500
        server.checks.clear()

        async def down():
            return not await is_up(rig, service)

        await eventually(down)
        assert len(server.checks) == 3


async def test_a_server_that_does_not_answer_the_check_in_time_is_down(rig):
    check = HealthCheck(
        type=CheckType.HTTP, path="/slow?seconds=5", method=CheckMethod.GET, interval=1, timeout=1
    )
    async with backend() as server:
        service = rig.service(8000, server.real_server(1), check=check)
        await rig.serve(service)

        async def down():
            return not await is_up(rig, service)

        await eventually(down)

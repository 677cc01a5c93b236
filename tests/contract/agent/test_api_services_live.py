"""What the API sets is what HAProxy serves, and what HAProxy cannot do is neither stored nor served."""

import asyncio
import json
import shutil
import socket

import pytest
from tests.support.haproxy import backend, eventually, get, listens, server_of
from tests.support.kemp_unit import live_unit
from tests.support.management import trusting
from tests.support.pem import name_in, self_signed

from loadmaster_ha.agent.settings.model import Kind, Put
from loadmaster_ha.domain.ha import UnitState


@pytest.fixture
async def unit(tmp_path):
    if shutil.which("haproxy") is None:
        pytest.skip("HAProxy is not installed (make system)")
    async with live_unit(tmp_path) as live:
        yield live


async def done(unit, command, **parameters):
    reply = await unit.v2(command, **parameters)
    assert reply.status == 200, reply.text
    return reply.json


async def published(unit, *servers, port="8080", **settings):
    settings = {"VStype": "http", "CheckType": "http", "CheckUrl": "/check", **settings}
    made = await done(unit, "addvs", vs=unit.address, port=port, prot="tcp", **settings)
    for server in servers:
        await done(unit, "addrs", vs=str(made["Index"]), rs=server.address, rsport=server.port)
    return made


async def until(condition):
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - HAProxy's state
            await asyncio.sleep(0.05)


async def until_states(unit, *states, index="1"):
    """Wait until the service and its servers are told to be so."""

    async def so():
        record = (await unit.v2("showvs", vs=index)).json
        return (record["Status"], *(row["Status"] for row in record.get("Rs", []))) == states

    await until(so)


async def test_a_service_is_down_right_after_it_was_added_and_then_up(unit):
    async with backend("one") as one:
        made = await published(unit)
        row = await done(unit, "addrs", vs="1", rs=one.address, rsport=one.port)
        assert (made["Status"], row["Rs"][0]["Status"]) == ("Down", "Down")

        await until_states(unit, "Up", "Up")
        assert await server_of(unit.address, 8080) == "one"
        one.status = 500
        await until_states(unit, "Down", "Down")


async def test_a_disabled_server_gets_no_connections(unit):
    async with backend("one") as one, backend("two") as two:
        await published(unit, one, two)
        await until_states(unit, "Up", "Up", "Up")

        await done(unit, "disablers", rs=one.address)
        await until_states(unit, "Up", "Disabled", "Up")

        async def only_two():
            return {await server_of(unit.address, 8080) for _ in range(4)} == {"two"}

        await until(only_two)
        await done(unit, "enablers", rs=one.address)
        await until_states(unit, "Up", "Up", "Up")


async def test_a_draining_server_keeps_its_clients(unit):
    async with backend("one") as one, backend("two") as two:
        await published(unit, one, two, Persist="active-cookie", Cookie="SRV", PersistTimeout="3600")
        await until_states(unit, "Up", "Up", "Up")
        _, headers, body = await get(unit.address, 8080)
        cookie = f"Cookie: {headers['set-cookie'].partition(';')[0]}\r\n"
        mine = json.loads(body)["server"]
        index = {"one": "!1", "two": "!2"}[mine]

        await done(unit, "modrs", vs="1", rs=index, drain="1")
        other = {"one": "two", "two": "one"}[mine]

        async def others_go_elsewhere():
            return {await server_of(unit.address, 8080) for _ in range(4)} == {other}

        await until(others_go_elsewhere)
        assert await server_of(unit.address, 8080, headers=cookie) == mine
        await done(unit, "modrs", vs="1", rs=index, enable="n")

        async def nobody_gets_there():
            return await server_of(unit.address, 8080, headers=cookie) == other

        await until(nobody_gets_there)


async def test_a_service_that_moves_leaves_its_old_port(unit):
    async with backend("one") as one:
        await published(unit, one)
        await until_states(unit, "Up", "Up")

        await done(unit, "modvs", vs="1", VSPort="8081")

        async def moved():
            return listens(unit.address, 8081) and not listens(unit.address, 8080)

        await until(moved)
        await until_states(unit, "Up", "Up")
        assert await server_of(unit.address, 8081) == "one"


async def test_a_service_that_is_deleted_is_served_no_more(unit):
    async with backend("one") as one:
        await published(unit, one)
        await until_states(unit, "Up", "Up")

        await done(unit, "delvs", vs="1")

        await eventually(lambda: not listens(unit.address, 8080))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prot": "udp"}, "UDP"),
        ({"Transparent": True}, "ransparen"),
        ({"DefaultGW": "10.0.0.1"}, "gateway"),
        ({"CheckType": "icmp"}, "icmp"),
        ({"CheckType": "ldap"}, "ldap"),
        ({"VStype": "log"}, "log"),
        ({"Schedule": "sdn-adaptive"}, "sdn-adaptive"),
        ({"Persist": "ssl"}, "ssl"),
        ({"VStype": "gen", "Persist": "active-cookie", "Cookie": "S"}, "cookie"),
        ({"VStype": "http2"}, "SSLAcceleration"),
        ({"CheckUrl": "no slash"}, "CheckUrl"),
        ({"CheckHost": "two words"}, "CheckHost"),
        ({"ErrorUrl": "a b"}, "ErrorUrl"),
    ],
)
async def test_what_azure_or_haproxy_cannot_do_is_neither_stored_nor_served(unit, settings, words):
    parameters = {"vs": unit.address, "port": "8080", "prot": "tcp", **settings}

    reply = await unit.v2("addvs", **parameters)

    assert (reply.status, reply.json["status"]) == (422, "fail")
    assert words in reply.json["message"]
    assert not unit.unit.settings.snapshot.entities(Kind.VIRTUAL_SERVICE)
    assert not listens(unit.address, 8080)


async def test_a_change_that_is_refused_leaves_the_service_as_it_was(unit):
    async with backend("one") as one:
        await published(unit, one, NickName="web")
        await until_states(unit, "Up", "Up")
        before = (await unit.v2("showvs", vs="1")).json

        reply = await unit.v2("modvs", vs="1", NickName="shop", Transparent=True)

        assert reply.status == 422
        assert (await unit.v2("showvs", vs="1")).json == before
        assert await server_of(unit.address, 8080) == "one"


async def test_a_service_that_leads_to_itself_is_refused_where_it_is_closed(unit):
    """HAProxy would go round until it had no connection left for anybody."""
    await published(unit, port="8080")
    await published(unit, port="8081")
    itself = await unit.v2("addrs", vs="1", rs=unit.address, rsport="8080")
    assert itself.status == 422
    assert "is this virtual service itself" in itself.text
    await done(unit, "addrs", vs="2", rs=unit.address, rsport="8080")
    circle = await unit.v2("addrs", vs="1", rs=unit.address, rsport="8081")
    assert circle.status == 422
    assert "leads back to this virtual service" in circle.text
    nobody = await unit.v2("addrs", vs="1", rs="0.0.0.0", rsport="80")
    assert (nobody.status, "give its IP address" in nobody.text) == (422, True)
    assert "Rs" not in (await done(unit, "showvs", vs="1"))


async def test_a_port_that_another_program_has_is_refused(unit):
    with socket.create_server((unit.address, 8099)):
        reply = await unit.v2("addvs", vs=unit.address, port="8099", prot="tcp")

    assert reply.status == 422
    assert "8099" in reply.json["message"]
    assert not unit.unit.settings.snapshot.entities(Kind.VIRTUAL_SERVICE)


async def test_a_standby_serves_and_tells_but_takes_no_changes(unit):
    async with backend("one") as one:
        await published(unit, one)
        await until_states(unit, "Up", "Up")
        unit.unit.is_in(UnitState.STANDBY)

        for command, more in (
            ("addvs", {"vs": unit.address, "port": "81", "prot": "tcp"}),
            ("modvs", {"vs": "1", "NickName": "x"}),
            ("delvs", {"vs": "1"}),
            ("addrs", {"vs": "1", "rs": "10.0.9.9", "rsport": "80"}),
            ("modrs", {"vs": "1", "rs": "!1", "weight": "2"}),
            ("delrs", {"vs": "1", "rs": "!1"}),
            ("disablers", {"rs": one.address}),
        ):
            reply = await unit.v2(command, **more)
            assert (reply.status, "standby" in reply.json["message"]) == (422, True), command
        assert (await unit.v2("listvs")).json["VS"][0]["Status"] == "Up"
        assert await server_of(unit.address, 8080) == "one"


async def test_two_clients_that_add_the_same_service_add_it_once(unit):
    replies = await asyncio.gather(
        *(
            unit.v2("addvs", vs=unit.address, port="8080", prot="tcp", NickName=f"n{number}")
            for number in range(6)
        )
    )

    assert sorted(reply.status for reply in replies) == [200, 422, 422, 422, 422, 422]
    assert len((await unit.v2("listvs")).json["VS"]) == 1


async def test_services_added_at_the_same_time_get_numbers_of_their_own(unit):
    await asyncio.gather(
        *(done(unit, "addvs", vs=unit.address, port=str(8100 + n), prot="tcp") for n in range(6))
    )
    await asyncio.gather(
        *(done(unit, "addrs", vs=str(n), rs=f"10.0.9.{n}", rsport="80") for n in range(1, 7))
    )

    services = (await unit.v2("listvs")).json["VS"]

    assert [each["Index"] for each in services] == [1, 2, 3, 4, 5, 6]
    assert sorted(each["Rs"][0]["RsIndex"] for each in services) == [1, 2, 3, 4, 5, 6]


async def test_a_certificate_is_replaced_without_a_failed_connection(unit):
    async with backend("one") as one:
        assert (
            await unit.v1("addcert", data=self_signed("old.example.com").encode(), cert="site")
        ).status == 200
        await published(unit, one, SSLAcceleration=True, CertFile="site")
        await until_states(unit, "Up", "Up")
        shown, failed, ended = [], [], asyncio.Event()

        async def client():
            while not ended.is_set():
                try:
                    reader, writer = await asyncio.open_connection(unit.address, 8080, ssl=trusting())
                    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    answer = await reader.read()
                    assert answer.startswith(b"HTTP/1.1 200"), answer
                    shown.append(name_in(certificate))
                    writer.close()
                except (OSError, AssertionError) as error:
                    failed.append(error)

        clients = [asyncio.create_task(client()) for _ in range(4)]
        await eventually(lambda: "old.example.com" in shown)
        for name in ("new.example.com", "newer.example.com", "newest.example.com"):
            reply = await unit.v1("addcert", data=self_signed(name).encode(), cert="site", replace="1")
            assert reply.status == 200
            # The last of those that began before may come in between.
            await eventually(lambda wanted=name: shown[-8:] == [wanted] * 8)
        ended.set()
        await asyncio.gather(*clients)

    assert failed == []
    assert shown[0] == "old.example.com"


async def test_a_thousand_services_are_listed_in_time(unit):
    """The list of many services is written while the unit goes on: a safety limit, not a figure."""
    settings = unit.unit.settings
    settings.commit(
        [
            Put(Kind.VIRTUAL_SERVICE, f"eth0:{10000 + n}/tcp", {"Index": n + 1, "Enable": False})
            for n in range(1000)
        ]
    )

    async with asyncio.timeout(60):
        listed = (await unit.v1("listvs")).text

    assert listed.count("<VS>") == 1000

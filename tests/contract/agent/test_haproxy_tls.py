"""TLS towards clients and towards real servers, with real certificates."""

import asyncio
import json
import ssl

import pytest
from tests.support.haproxy import backend, eventually, get, listens, own_address, rig
from tests.support.pem import name_in, self_signed, trusting

from loadmaster_ha.agent.dataplane.applier import Done
from loadmaster_ha.domain.virtual_services import CheckType, HealthCheck, ServiceType, Tls

__all__ = ["rig"]


def server_context(pem, folder):
    path = folder / "server.pem"
    path.write_text(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def shown(rig, name, port=8000, context=None):
    """The name in the certificate that a client is shown who asks for this one."""
    _, writer = await asyncio.open_connection(
        rig.address, port, ssl=context or trusting(), server_hostname=name
    )
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return name_in(der)


async def get_tls(rig, port=8000):
    reader, writer = await asyncio.open_connection(rig.address, port, ssl=trusting())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    return json.loads(answer.partition("\r\n\r\n")[2])


async def test_tls_is_terminated_for_http_and_for_bytes(rig):
    pems = {"web": self_signed("www.example")}
    async with backend() as server:
        web = rig.service(8000, server.real_server(1), type=ServiceType.HTTP, tls=Tls(("web",)))
        raw = rig.service(8001, server.real_server(2), tls=Tls(("web",)))
        assert (await rig.serve(web, raw, certificates=pems)).rejected == {}
        assert (await get_tls(rig))["server"] == (await get_tls(rig, 8001))["server"] == "one"


async def test_the_name_that_the_client_asks_for_chooses_the_certificate(rig):
    pems = {name: self_signed(f"{name}.example") for name in ("first", "second", "../odd name'")}
    service = rig.service(8000, type=ServiceType.HTTP, tls=Tls(tuple(pems)))
    assert (await rig.serve(service, certificates=pems)).rejected == {}
    assert await shown(rig, "second.example") == "second.example"
    assert await shown(rig, "first.example") == "first.example"
    assert await shown(rig, "unknown.example") == "first.example"
    folder = rig.node.paths.directory / "certificates"
    assert sorted(path.parent for path in folder.rglob("*.pem")) == [folder] * 3


async def test_many_certificates_for_one_service(rig):
    pem = self_signed("many.example")
    pems = {f"c{number}": pem for number in range(150)}
    assert (await rig.serve(rig.service(8000, tls=Tls(tuple(pems))), certificates=pems)).rejected == {}
    assert await shown(rig, "many.example") == "many.example"


async def test_a_service_without_a_certificate_shows_the_units_own(rig):
    service = rig.service(8000, tls=Tls())
    assert "needs a certificate" in (await rig.serve(service)).rejected[service.key]
    await rig.serve(service, certificates={"": self_signed("unit.example")})
    assert await shown(rig, "any.example") == "unit.example"


async def test_clients_below_the_minimum_version_are_refused(rig):
    pems = {"web": self_signed("www.example")}
    await rig.serve(rig.service(8000, tls=Tls(("web",), minimum_version="TLSv1.3")), certificates=pems)
    old = trusting()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        await shown(rig, "www.example", context=old)
    assert await shown(rig, "www.example") == "www.example"


async def test_http2_is_spoken_where_the_service_says_so(rig):
    pems = {"web": self_signed("www.example")}
    two = rig.service(8000, type=ServiceType.HTTP2, tls=Tls(("web",)))
    one = rig.service(8001, type=ServiceType.HTTP, tls=Tls(("web",)))
    await rig.serve(one, two, certificates=pems)
    chosen = []
    for port in (8000, 8001):
        context = trusting()
        context.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await asyncio.open_connection(rig.address, port, ssl=context)
        chosen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.close()
    assert chosen == ["h2", "http/1.1"]


@pytest.mark.parametrize("check", [CheckType.TCP, CheckType.HTTPS])
async def test_reencryption_speaks_tls_with_the_real_servers(rig, tmp_path, check):
    pem = self_signed("inner.example")
    health = HealthCheck(type=check, path="/check", interval=1, host="inner.example", http_1_1=True)
    async with backend(tls=server_context(pem, tmp_path)) as server:
        service = rig.service(
            8000,
            server.real_server(1),
            type=ServiceType.HTTP,
            tls=Tls(("web",), reencrypt=True),
            check=health,
        )
        await rig.serve(service, certificates={"web": self_signed("outer.example")})
        assert (await get_tls(rig))["server"] == "one"
        if check is CheckType.HTTPS:
            await eventually(lambda: server.checks)
        await asyncio.sleep(1.5)
        assert (await rig.plane.statistics())[service.key].servers[0].up


async def test_an_https_check_of_servers_that_clients_speak_tls_with(rig, tmp_path):
    health = HealthCheck(type=CheckType.HTTPS, path="/check", interval=1)
    async with backend(tls=server_context(self_signed("inner.example"), tmp_path)) as server:
        service = rig.service(8000, server.real_server(1), check=health)
        await rig.serve(service)
        await eventually(lambda: server.checks)
        assert await shown(rig, "inner.example") == "inner.example"
        assert (await rig.plane.statistics())[service.key].servers[0].up


async def test_an_http_check_of_reencrypted_servers_is_in_clear(rig, tmp_path):
    address = own_address()
    health = HealthCheck(type=CheckType.HTTP, path="/check", interval=1)
    async with (
        backend("clear", address) as clear,
        backend("inner", address, tls=server_context(self_signed("inner.example"), tmp_path)) as inner,
    ):
        checked = rig.service(
            8000,
            inner.real_server(1),
            type=ServiceType.HTTP,
            tls=Tls(("web",), reencrypt=True),
            check=HealthCheck(type=health.type, path="/check", interval=1, port=clear.port),
        )
        await rig.serve(checked, certificates={"web": self_signed("outer.example")})
        await eventually(lambda: clear.checks)
        assert (await get_tls(rig))["server"] == "inner"


async def test_a_certificate_that_haproxy_cannot_read_takes_only_its_service_away(rig):
    async with backend() as server:
        bad = rig.service(8000, tls=Tls(("bad",)))
        good = rig.service(8001, server.real_server(1))
        outcome = await rig.serve(bad, good, certificates={"bad": "-----BEGIN NONSENSE-----\n"})
        assert list(outcome.rejected) == [bad.key]
        assert (await get(rig.address, 8001))[0] == 200
        assert not listens(rig.address, 8000)


async def test_a_replacement_that_haproxy_cannot_read_leaves_the_former_in_use(rig):
    service = rig.service(8000, tls=Tls(("web",)))
    pem = self_signed("www.example")
    await rig.serve(service, certificates={"web": pem})
    outcome = await rig.serve(service, certificates={"web": pem.replace("A", "B")})
    assert list(outcome.rejected) == [service.key]
    assert await shown(rig, "www.example") == "www.example"
    path = rig.node.paths.directory / "certificates" / "web.pem"
    assert path.read_text() == pem


async def test_a_certificate_of_another_name_in_use_is_a_reload(rig):
    pems = {"a": self_signed("a.example"), "b": self_signed("b.example")}
    await rig.serve(rig.service(8000, tls=Tls(("a",))), certificates=pems)
    outcome = await rig.serve(rig.service(8000, tls=Tls(("b",))), certificates=pems)
    assert outcome.done is Done.RELOAD
    assert await shown(rig, "a.example") == "b.example"

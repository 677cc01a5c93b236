"""Clients that never retry notice nothing of what is changed: no connection is lost."""

import asyncio
import dataclasses

from tests.support.haproxy import backend, eventually, rig
from tests.support.http_load import under_load
from tests.support.pem import name_in, self_signed, serial_in, serial_of, trusting

from loadmaster_ha.agent.dataplane.applier import Done
from loadmaster_ha.domain.virtual_services import ServiceType, Tls

__all__ = ["rig"]

CHANGES = 6


async def shown_serial(address, port):
    _, writer = await asyncio.open_connection(address, port, ssl=trusting(), server_hostname="www.example")
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return serial_in(der)


async def busy(load):
    """The clients have done some more of each kind of request."""
    before = load.outcomes.copy()
    await eventually(lambda: all(load.outcomes[each] > before[each] + 5 for each in ("kept", "single")))


async def test_reloads_lose_no_connection(rig):
    async with backend() as server:
        service = rig.service(8000, server.real_server(1), type=ServiceType.HTTP)
        await rig.serve(service)
        async with under_load(rig.address, 8000) as load:
            await busy(load)
            for number in range(CHANGES):
                outcome = await rig.serve(service, rig.service(9000 + number))
                assert outcome.done is Done.RELOAD
                await busy(load)
        assert load.losses == []
        assert load.outcomes["download"] == 2


async def test_changes_at_run_time_lose_no_connection(rig):
    async with backend("one") as one, backend("two") as two:
        servers = one.real_server(1), two.real_server(2)
        service = rig.service(8000, *servers, type=ServiceType.HTTP)
        await rig.serve(service)
        async with under_load(rig.address, 8000) as load:
            await busy(load)
            for number in range(CHANGES):
                for fewer in (servers[:1], servers, servers[1:], servers):
                    limited = [dataclasses.replace(each, limit=100 + number) for each in fewer]
                    outcome = await rig.serve(dataclasses.replace(service, real_servers=tuple(limited)))
                    assert outcome.done is Done.COMMANDS, rig.haproxy.log
                await busy(load)
        assert load.losses == []
        assert load.outcomes["download"] == 2


async def test_a_certificate_is_replaced_without_a_reload_and_without_a_loss(rig):
    async with backend() as server:
        service = rig.service(8000, server.real_server(1), type=ServiceType.HTTP, tls=Tls(("web",)))
        pem = self_signed("www.example")
        await rig.serve(service, certificates={"web": pem})
        worker = await rig.worker()
        async with under_load(rig.address, 8000, tls=trusting(), clients=2) as load:
            await busy(load)
            assert await shown_serial(rig.address, 8000) == serial_of(pem)
            for _ in range(CHANGES):
                pem = self_signed("www.example")
                outcome = await rig.serve(service, certificates={"web": pem})
                assert outcome.done is Done.COMMANDS
                assert await shown_serial(rig.address, 8000) == serial_of(pem)
                await busy(load)
        assert load.losses == []
        assert await rig.worker() == worker
        on_disk = rig.node.paths.directory / "certificates" / "web.pem"
        assert on_disk.read_text() == pem
        assert on_disk.stat().st_mode & 0o777 == 0o600
        assert name_in  # the names of several certificates are in test_haproxy_tls

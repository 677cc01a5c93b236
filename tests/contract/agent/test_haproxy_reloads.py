"""HAProxy is brought from one configuration to the next, with the least that does it and nothing lost."""

from tests.support.haproxy import backend, listens, rig, server_of

from loadmaster_ha.agent.dataplane.applier import Done
from loadmaster_ha.domain.virtual_services import Schedule

__all__ = ["rig"]


async def test_the_first_configuration_is_there_before_haproxy_is(rig):
    async with backend() as server:
        outcome = await rig.plane.apply([rig.service(8000, server.real_server(1))], {})
        assert (outcome.done, outcome.rejected) == (Done.FILES, {})
        rig.haproxy.start()
        await rig.well()
        assert await server_of(rig.address, 8000) == "one"
        assert (await rig.plane.apply([rig.service(8000, server.real_server(1))], {})).done is Done.NOTHING


async def test_a_new_service_is_a_reload(rig):
    async with backend() as server:
        await rig.serve()
        assert (await rig.serve(rig.service(8000, server.real_server(1)))).done is Done.RELOAD
        assert await server_of(rig.address, 8000) == "one"
        assert (await rig.serve()).done is Done.RELOAD
        assert not listens(rig.address, 8000)


async def test_servers_change_without_a_reload(rig):
    async with backend("one") as one, backend("two") as two:
        service = rig.service(8000, one.real_server(1), schedule=Schedule.WEIGHTED_ROUND_ROBIN)
        await rig.serve(service)
        worker = await rig.worker()
        both = rig.service(
            8000,
            one.real_server(1, enabled=False),
            two.real_server(2),
            schedule=Schedule.WEIGHTED_ROUND_ROBIN,
        )
        assert (await rig.serve(both)).done is Done.COMMANDS
        assert {await server_of(rig.address, 8000) for _ in range(4)} == {"two"}
        back = rig.service(
            8000, one.real_server(1, weight=3000, limit=7), schedule=Schedule.WEIGHTED_ROUND_ROBIN
        )
        assert (await rig.serve(back)).done is Done.COMMANDS
        assert {await server_of(rig.address, 8000) for _ in range(4)} == {"one"}
        assert await rig.worker() == worker
        assert "rs_2" not in rig.node.paths.configuration.read_text()

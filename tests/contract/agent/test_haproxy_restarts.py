"""What survives a reload, and an agent that is started anew beside a HAProxy that goes on."""

import asyncio
import os
import re
import signal

import pytest
from tests.support.haproxy import backend, eventually, rig, running_rig, send_signal, server_of
from tests.support.pem import self_signed

from loadmaster_ha.agent.dataplane.applier import Done
from loadmaster_ha.agent.dataplane.controller import DataPlane
from loadmaster_ha.domain.virtual_services import CheckType, HealthCheck, Schedule, ServiceType, Tls

__all__ = ["rig"]


async def restarted(rig):
    """The agent ends and comes back; HAProxy notices nothing."""
    await rig.plane.close()
    rig.plane = DataPlane(rig.node)
    await rig.plane.start()


async def test_a_new_agent_leaves_a_haproxy_alone_that_runs_what_is_wanted(rig):
    async with backend() as server:
        services = rig.service(8000, server.real_server(1)), rig.service(8001, tls=Tls(("web",)))
        pems = {"web": self_signed("www.example")}
        await rig.serve(*services, certificates=pems)
        worker = await rig.worker()
        await restarted(rig)
        assert (await rig.plane.apply(services, pems)).done is Done.NOTHING
        assert await rig.worker() == worker


async def test_a_new_agent_does_not_trust_what_was_changed_at_run_time(rig):
    async with backend("one") as one, backend("two") as two:
        first, second = rig.service(8000, one.real_server(1)), rig.service(8000, two.real_server(1))
        await rig.serve(first)
        assert (await rig.serve(second)).done is Done.COMMANDS
        await restarted(rig)
        assert (await rig.plane.apply([first], {})).done is Done.RELOAD
        assert await server_of(rig.address, 8000) == "one"


async def test_a_server_that_is_down_gets_nothing_after_a_reload(rig):
    check = HealthCheck(type=CheckType.HTTP, path="/check", interval=1)
    async with backend("one") as one, backend("two") as two:
        service = rig.service(
            8000, one.real_server(1), two.real_server(2), type=ServiceType.HTTP, check=check, idle_timeout=5
        )
        await rig.serve(service)
        two.status = 500

        async def state():
            return (await rig.plane.statistics())[service.key].servers[1].up

        async def down():
            return not await state()

        await eventually(down)
        two.checks.clear()
        assert (await rig.serve(service, rig.service(8001))).done is Done.RELOAD
        assert not await state()
        assert {await server_of(rig.address, 8000) for _ in range(4)} == {"one"}
        two.status = 200
        await eventually(state)
        assert {await server_of(rig.address, 8000) for _ in range(4)} == {"one", "two"}
        assert rig.node.paths.server_state.read_text() == "1\n"


async def test_a_setting_is_not_undone_by_the_state_that_a_reload_hands_over(rig):
    async with backend("one") as one, backend("two") as two:
        weighted = Schedule.WEIGHTED_ROUND_ROBIN
        service = rig.service(8000, one.real_server(1, enabled=False), two.real_server(2), schedule=weighted)
        await rig.serve(service)
        changed = rig.service(8000, one.real_server(1), two.real_server(2, draining=True), schedule=weighted)
        assert (await rig.serve(changed, rig.service(8001))).done is Done.RELOAD
        assert {await server_of(rig.address, 8000) for _ in range(4)} == {"one"}


@pytest.mark.parametrize("account", ["", "nobody"])
async def test_persistence_by_source_survives_reloads(account):
    if account and os.getuid() != 0:
        pytest.skip("only root may have workers become somebody else")
    async with running_rig(account=account) as rig, backend("one") as one, backend("two") as two:
        service = rig.service(
            8000, one.real_server(1), two.real_server(2), persistence="src", persistence_timeout=600
        )
        await rig.serve(service)

        async def may_teach():
            return int(re.search("flags=0x([0-9a-f]+)", await rig.ask("show peers"))[1], 16) & 3 == 3

        # For ten seconds after its start a worker asks others for their tables, and teaches nobody.
        await eventually(may_teach)
        first = await server_of(rig.address, 8000)
        for number in range(4):
            assert (await rig.serve(service, rig.service(9000 + number))).done is Done.RELOAD

            async def taught():
                return "key=127.0.0.1" in await rig.ask("show table vs_eth0_8000_tcp")

            await eventually(taught)
            assert {await server_of(rig.address, 8000) for _ in range(3)} == {first}


async def test_servers_taken_away_under_connections_are_deleted_later(rig):
    async with backend("one") as one, backend("two") as two:
        both = rig.service(8000, one.real_server(1), two.real_server(2))
        await rig.serve(both)
        connections = [await asyncio.open_connection(rig.address, 8000) for _ in range(2)]
        assert (await rig.serve(rig.service(8000, one.real_server(1)))).done is Done.COMMANDS
        assert "rs_2" in await rig.ask("show servers state")
        for reader, writer in connections:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in await reader.read()  # the connection was not broken
            writer.close()
        await eventually(lambda: not rig.plane._applier.lingering)
        assert "rs_2" not in await rig.ask("show servers state")


async def test_a_reload_by_hand_is_no_trouble(rig):
    async with backend() as server:
        service = rig.service(8000, server.real_server(1))
        await rig.serve(service)
        for limit in range(1, 6):
            send_signal(rig.haproxy.process.pid, signal.SIGUSR2)
            changed = rig.service(8000, server.real_server(1, limit=limit))
            outcome = await rig.plane.apply([changed], {})
            assert outcome.done in {Done.COMMANDS, Done.RELOAD, Done.NOTHING}, outcome
            assert await server_of(rig.address, 8000) == "one"

            async def as_set(limit=limit):
                return (
                    f"maxconn {limit} " in rig.node.paths.configuration.read_text()
                    and (
                        await rig.plane.apply([changed], {})  # noqa: B023 - awaited in this round
                    ).done
                    is Done.NOTHING
                )

            await eventually(as_set)


async def test_certificates_that_nobody_uses_are_removed_from_the_disk(rig):
    pem = self_signed("www.example")
    await rig.serve(rig.service(8001, tls=Tls(("web",))), certificates={"web": pem})
    folder = rig.node.paths.directory / "certificates"
    assert (folder / "web.pem").exists()
    await rig.serve(rig.service(8001), certificates={"web": pem})
    assert list(folder.iterdir()) == []

"""What goes wrong with one change costs nothing that was well before."""

import asyncio
import dataclasses
import socket

import pytest
from tests.support.haproxy import backend, eventually, listens, rig, server_of

from loadmaster_ha.agent.dataplane.applier import Done
from loadmaster_ha.agent.dataplane.configuration import render
from loadmaster_ha.agent.dataplane.controller import DataPlane
from loadmaster_ha.agent.dataplane.model import ConfigurationRefused, fingerprint_in
from loadmaster_ha.agent.dataplane.runtime import ReloadFailed
from loadmaster_ha.domain.virtual_services import (
    CheckMethod,
    CheckType,
    HealthCheck,
    ServiceKey,
    ServiceType,
    Tls,
)

__all__ = ["rig"]

BAD_PATTERN = HealthCheck(type=CheckType.HTTP, method=CheckMethod.GET, pattern="[unclosed")


def taken_port(address):
    taken = socket.create_server((address, 0))
    return taken, taken.getsockname()[1]


async def apply_unchecked(rig, text):
    """As if the check had let it pass."""
    applier = rig.plane._applier
    text = text.replace(fingerprint_in(text), "unchecked")
    bad = dataclasses.replace(render([], rig.node), common=text, fingerprint="unchecked")
    await applier.apply(bad, await applier.look(bad))


async def test_a_service_on_a_taken_port_costs_the_others_nothing(rig):
    async with backend() as server:
        taken, port = taken_port(rig.address)
        with taken:
            good, bad = rig.service(8000, server.real_server(1)), rig.service(port, server.real_server(2))
            outcome = await rig.serve(good, bad)
            assert "another program listens there" in outcome.rejected[bad.key]
            assert await server_of(rig.address, 8000) == "one"
            worker = await rig.worker()
            outcome = await rig.serve(good, bad)
            assert (outcome.done, list(outcome.rejected), await rig.worker()) == (
                Done.NOTHING,
                [bad.key],
                worker,
            )


async def test_a_taken_port_does_not_keep_haproxy_from_starting_again(rig):
    async with backend() as server:
        lost, kept = rig.service(8000, server.real_server(1)), rig.service(8001, server.real_server(2))
        await rig.serve(lost, kept)
        rig.haproxy.kill()
        await eventually(lambda: not listens(rig.address, 8000))
        with socket.create_server((rig.address, 8000)):
            rig.haproxy.start()
            assert await asyncio.to_thread(rig.haproxy.process.wait, 20) != 0
            await eventually(lambda: lost.key in rig.plane.outcome.rejected)
            rig.haproxy.start()
            await eventually(lambda: rig.plane.health.healthy and listens(rig.address, 8001))
            assert await server_of(rig.address, 8001) == "one"


async def test_a_port_that_becomes_free_is_used_without_being_asked_again(rig):
    async with backend() as server:
        taken, port = taken_port(rig.address)
        with taken:
            await rig.serve(rig.service(port, server.real_server(1)))
        await eventually(lambda: not rig.plane.outcome.rejected)
        assert await server_of(rig.address, port) == "one"


async def test_a_service_that_haproxy_refuses_keeps_its_former_version(rig):
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1)))
        bad = rig.service(8000, server.real_server(1), check=BAD_PATTERN)
        new = rig.service(8001, server.real_server(2))
        outcome = await rig.serve(bad, new)
        assert "regex '[unclosed' is invalid" in outcome.rejected[bad.key]
        assert list(outcome.rejected) == [bad.key]
        assert await server_of(rig.address, 8000) == await server_of(rig.address, 8001) == "one"
        assert "unclosed" not in rig.node.paths.configuration.read_text()


async def test_a_change_that_haproxy_refuses_is_told_before_it_is_made(rig):
    bad = rig.service(8000, check=BAD_PATTERN)
    with pytest.raises(ConfigurationRefused, match=f"virtual service {bad.key}: .*unclosed"):
        await rig.plane.check_change([bad, rig.service(8001)])
    await rig.plane.check_change([rig.service(8001)])


async def test_a_change_to_a_taken_port_is_refused(rig):
    await rig.serve()
    taken, port = taken_port(rig.address)
    with taken, pytest.raises(ConfigurationRefused, match=f"port {port} of {rig.address}: another program"):
        await rig.plane.check_change([rig.service(port)])


async def test_a_change_while_a_reload_is_under_way_is_not_refused(rig):
    async with backend() as server:
        await rig.serve()
        for number in range(3):
            new = [rig.service(8000 + place) for place in range(number + 1)]
            reload = asyncio.create_task(rig.plane.apply(new, {}))
            tried = 0
            while not reload.done():
                await rig.plane.check_change([*new[:-1], rig.service(8000 + number, server.real_server(1))])
                tried += 1
            assert (await reload).rejected == {}
            assert tried


async def test_a_change_that_clashes_with_another_service_is_refused(rig):
    await rig.serve(rig.service(8000))
    with pytest.raises(ConfigurationRefused, match=r"port 8000 of .* already belongs to virtual service"):
        await rig.plane.check_change([rig.service(8000), rig.service(8001, extra_ports=(8000,))])


async def test_a_reload_that_fails_leaves_the_former_worker_serving(rig):
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1)))
        text, worker = rig.node.paths.configuration.read_text(), await rig.worker()
        with pytest.raises(ReloadFailed):
            await apply_unchecked(rig, text.replace("mode tcp", "mode nonsense"))
        assert await server_of(rig.address, 8000) == "one"
        assert rig.node.paths.configuration.read_text() == text
        assert await rig.worker() == worker
        assert (await rig.serve(rig.service(8001, server.real_server(1)))).done is Done.RELOAD
        assert await server_of(rig.address, 8001) == "one"


async def test_a_worker_that_cannot_listen_leaves_the_former_one_serving(rig):
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1)))
        text = rig.node.paths.configuration.read_text()
        taken, port = taken_port(rig.address)
        with taken:
            with pytest.raises(ReloadFailed):
                await apply_unchecked(rig, text.replace(":8000\n", f":8000\n    bind {rig.address}:{port}\n"))
            assert await server_of(rig.address, 8000) == "one"
            assert rig.node.paths.configuration.read_text() == text
        assert rig.plane.health.healthy, rig.haproxy.log


async def test_a_missing_certificate_takes_only_its_service_away(rig):
    async with backend() as server:
        secret = rig.service(8445, type=ServiceType.HTTP, tls=Tls(("absent",)))
        outcome = await rig.serve(secret, rig.service(8000, server.real_server(1)))
        assert "there is no certificate absent" in outcome.rejected[secret.key]
        assert await server_of(rig.address, 8000) == "one"


async def test_a_service_on_another_address_is_not_served(rig):
    outcome = await rig.serve(dataclasses.replace(rig.service(8000), key=ServiceKey("127.0.0.1", 8000)))
    assert "must be on the unit's own interface address" in next(iter(outcome.rejected.values()))


async def test_a_full_disk_is_told_and_changes_nothing(rig, monkeypatch):
    async with backend() as server:
        await rig.serve(rig.service(8000, server.real_server(1)))
        text = rig.node.paths.configuration.read_text()

        def full(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", full)
            outcome = await rig.serve(rig.service(8001, server.real_server(1)))
        assert outcome.done is None
        assert "No space left" in outcome.detail
        assert rig.node.paths.configuration.read_text() == text
        assert await server_of(rig.address, 8000) == "one"
        await eventually(lambda: rig.plane.outcome.done is not None)
        assert await server_of(rig.address, 8001) == "one"


async def test_another_version_than_the_running_one_is_refused(rig):
    await rig.serve()
    rig.plane._version = "2.8.1"
    outcome = await rig.serve(rig.service(8000))
    assert outcome.done is None
    assert "runs, but the binary to check configurations with is 2.8.1" in outcome.detail
    assert not listens(rig.address, 8000)


@pytest.mark.parametrize(
    ("binary", "words"), [("/nonexistent/haproxy", "cannot be run"), ("/bin/true", "no version")]
)
async def test_a_binary_that_is_no_haproxy_is_told_at_the_start(rig, binary, words):
    plane = DataPlane(rig.node, binary=binary)
    with pytest.raises(ConfigurationRefused, match=words):
        await plane.start()


async def test_wishes_in_quick_succession_cost_one_reload_a_second(rig):
    async with backend() as server:
        await rig.serve()
        before = rig.plane.reloads["ok"]
        services = []
        for port in range(8000, 8020):
            services.append(rig.service(port, server.real_server(1)))
            rig.plane.submit(services, {})
            await asyncio.sleep(0.02)
        outcome = await rig.plane.apply(services, {})
        assert outcome.done in {Done.RELOAD, Done.NOTHING}
        assert rig.plane.reloads["ok"] - before <= 3
        assert await server_of(rig.address, 8019) == "one"

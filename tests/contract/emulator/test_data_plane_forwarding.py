"""How the emulated balancer forwards TCP: Azure's rules, with real connections."""

import asyncio
import socket
import struct

import pytest
from tests.support.backends import SERVICE_PORT
from tests.support.loopback_site import eventually


async def names(site, count=40, **options):
    return [await site.served_by(**options) for _ in range(count)]


async def test_connections_are_spread_over_the_members_that_are_up(pair_of):
    site, backends = await pair_of()
    assert set(await names(site)) == {"member-0", "member-1"}
    backends[0].health = "503"
    await site.until_up(False, True)
    assert set(await names(site, 10)) == {"member-1"}


async def test_members_see_the_clients_own_address(pair_of):
    site, backends = await pair_of()
    await site.served_by(source=f"{site.prefix}.200")
    seen = backends[0].clients + backends[1].clients
    assert [address for address, _ in seen] == [f"{site.prefix}.200"]


@pytest.mark.parametrize("distribution", ["SourceIP", "SourceIPProtocol"])
async def test_source_affinity_keeps_a_client_on_one_member(start_site, distribution):
    site, _ = await start_site()
    site.rule()["loadDistribution"] = distribution
    await site.build()
    await site.until_up(True, True)
    by_client = {host: set(await names(site, 4, source=f"{site.prefix}.{host}")) for host in range(130, 150)}
    assert all(len(found) == 1 for found in by_client.values())
    assert len(set.union(*by_client.values())) == 2


async def test_distribution_changes_without_ending_connections(pair_of):
    site, _ = await pair_of()
    reader, writer = await site.connect()
    name = await reader.readline()
    site.rule()["loadDistribution"] = "SourceIP"
    await site.write()
    assert len(set(await names(site, 10))) == 1
    writer.write(b"still\n")
    assert await reader.readline() == b"still\n", name
    writer.close()


async def test_an_established_connection_to_a_member_that_is_probed_down_goes_on(pair_of):
    site, backends = await pair_of()
    reader, writer = await site.connect()
    name = (await reader.readline()).decode().strip()
    serving = int(name[-1])
    backends[serving].health = "503"
    await site.until_up(*(index != serving for index in (0, 1)))
    writer.write(b"still there?\n")
    assert await asyncio.wait_for(reader.readline(), 5) == b"still there?\n"
    assert set(await names(site, 6)) == {f"member-{1 - serving}"}
    writer.close()


async def test_with_all_members_down_nobody_is_answered_and_connections_go_on(pair_of):
    site, backends = await pair_of()
    reader, writer = await site.connect()
    await reader.readline()
    for backend in backends:
        backend.health = "503"
    await site.until_up(False, False)
    await site.assert_unanswered()
    writer.write(b"still there?\n")
    assert await asyncio.wait_for(reader.readline(), 5) == b"still there?\n"
    writer.close()
    backends[0].health = "200"
    await site.until_up(True, False)
    assert await site.served_by() == "member-0"


async def test_all_probed_up_sends_to_members_that_are_down(start_site):
    site, backends = await start_site()
    site.probe["noHealthyBackendsBehavior"] = "AllProbedUp"
    for backend in backends:
        backend.health = "503"
    await site.build()
    await eventually(site.probes, lambda found: all(item["log"] for item in found))
    assert set(await names(site)) == {"member-0", "member-1"}
    backends[0].health = "200"
    await site.until_up(True, False)
    assert set(await names(site, 10)) == {"member-0"}


async def test_the_admin_state_comes_before_the_probe(pair_of):
    site, backends = await pair_of()
    backends[0].health = "503"
    await site.until_up(False, True)
    pool = f"{site.balancer.path}/backendAddressPools/pool"
    shown = (await site.azure.arm("GET", pool)).body["properties"]["loadBalancerBackendAddresses"]
    sent = [
        {"name": item["name"], "properties": {"adminState": state}}
        for item, state in zip(shown, ("Up", "Down"), strict=True)
    ]
    await site.azure.made(pool, {"properties": {"loadBalancerBackendAddresses": sent}})
    assert set(await names(site, 10)) == {"member-0"}


async def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on(pair_of):
    site, backends = await pair_of()
    reader, writer = await site.connect()
    await reader.readline()
    writer.write(b"question\n")
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 5) == b"question\nbye\n"
    writer.close()
    assert backends[0].ends + backends[1].ends == ["end"]


async def test_a_clients_reset_reaches_the_member(pair_of):
    site, backends = await pair_of()
    reader, writer = await site.connect()
    await reader.readline()
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

    async def ends():
        return backends[0].ends + backends[1].ends

    assert await eventually(ends, bool) == ["reset"]


async def test_a_members_reset_reaches_the_client(pair_of):
    site, backends = await pair_of()
    reader, writer = await site.connect()
    await reader.readline()
    for backend in backends:
        for served in list(backend._open):
            served.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            served.transport.abort()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_a_member_that_refuses_resets_the_client(pair_of):
    site, backends = await pair_of()
    for backend in backends:
        await backend.stop()
    with pytest.raises(ConnectionError):
        await site.served_by()


async def test_much_data_passes_unharmed_in_both_directions(pair_of):
    site, _ = await pair_of()
    reader, writer = await site.connect()
    await reader.readline()
    data = bytes(range(256)) * 4096 * 8  # 8 MiB, far more than all buffers

    async def send():
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    await asyncio.sleep(0.2)  # the client does not read yet: everything is full
    received = await asyncio.wait_for(reader.read(), 60)
    await sending
    assert received == data + b"bye\n"
    writer.close()


async def test_a_connection_that_is_idle_too_long_is_forgotten_silently(pair_of):
    site, backends = await pair_of(idle_timeout=0.6)
    reader, writer = await site.connect()
    await reader.readline()
    await eventually(site.flows, lambda found: found["ended"].get("idle"))
    writer.write(b"anybody there?\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 1)
    assert backends[0].ends + backends[1].ends == []
    writer.close()


async def test_with_tcp_reset_an_idle_connection_is_reset_on_both_sides(start_site):
    site, backends = await start_site(idle_timeout=0.6)
    site.rule()["enableTcpReset"] = True
    await site.build()
    await site.until_up(True, True)
    reader, writer = await site.connect()
    await reader.readline()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 10)
    writer.close()

    async def ends():
        return backends[0].ends + backends[1].ends

    assert await eventually(ends, bool) == ["reset"]


async def test_a_connection_in_use_is_not_idle(pair_of):
    site, _ = await pair_of(idle_timeout=2.5)
    reader, writer = await site.connect()
    await reader.readline()
    for number in range(8):
        await asyncio.sleep(0.4)
        writer.write(f"{number}\n".encode())
        assert await asyncio.wait_for(reader.readline(), 5) == f"{number}\n".encode()
    writer.close()


async def test_a_flow_that_maps_back_to_its_sender_dies(pair_of):
    site, backends = await pair_of()
    backends[1].health = "503"
    await site.until_up(True, False)
    await site.assert_silent(source=site.members[0])
    # The standby, which the probe holds down, asks the frontend and gets the active unit: the witness.
    assert await site.served_by(source=site.members[1]) == "member-0"


async def test_of_a_members_flows_those_to_the_other_member_live(pair_of):
    site, _ = await pair_of()
    found = []
    while len(set(found)) < 2:
        assert len(found) < 40, found
        try:
            found.append(await site.served_by(source=site.members[0], patience=2))
        except TimeoutError:
            found.append("nobody")
    assert set(found) == {"member-1", "nobody"}
    assert (await site.flows())["dropped"] == {"maps back to its sender": found.count("nobody")}


async def test_a_stopped_machine_takes_its_connections_with_it_without_a_word(pair_of):
    site, backends = await pair_of()
    reader, writer = await site.connect()
    serving = int((await reader.readline()).decode().strip()[-1])
    machine = site.azure.compute("virtualMachines", f"lm-{serving}")
    await site.azure.arm("POST", f"{machine}/powerOff")
    await eventually(site.probes, lambda found: len(found) == 1)
    writer.write(b"still there?\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.5)
    writer.close()
    assert set(await names(site, 6)) == {f"member-{1 - serving}"}
    assert len(backends[serving].ends) == 1


async def test_a_new_rule_is_served_when_its_put_is_answered_and_a_removed_one_no_more(pair_of):
    site, _ = await pair_of()
    rules = site.balancer.properties["loadBalancingRules"]
    rules.append(site.balancer.rule("extra", 9000, frontendPort=9001, backendPort=8081))
    backend = await asyncio.start_server(lambda _, writer: writer.write(b"extra\n"), site.members[0], 8081)
    other = await asyncio.start_server(lambda _, writer: writer.write(b"extra\n"), site.members[1], 8081)
    async with backend, other:
        reader, writer = await site.connect()
        await reader.readline()
        await site.write()
        assert await site.served_by(9001) == "extra"
        rules.pop()
        await site.write()
        with pytest.raises(ConnectionRefusedError):
            await site.connect(9001)
        writer.write(b"still\n")
        assert await asyncio.wait_for(reader.readline(), 5) == b"still\n"
        writer.close()


async def test_connections_live_on_when_their_rule_is_removed(pair_of):
    site, _ = await pair_of()
    reader, writer = await site.connect()
    await reader.readline()
    site.balancer.properties["loadBalancingRules"].pop()
    await site.write()
    writer.write(b"still\n")
    assert await asyncio.wait_for(reader.readline(), 5) == b"still\n"
    writer.close()


async def test_a_member_that_leaves_the_pool_keeps_its_connections(pair_of):
    site, _ = await pair_of()
    reader, writer = await site.connect()
    serving = int((await reader.readline()).decode().strip()[-1])
    nic = site.azure.network("networkInterfaces", f"lm-{serving}-nic")
    body = (await site.azure.arm("GET", nic)).body
    body["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"] = []
    await site.azure.made(nic, body)
    assert set(await names(site, 6)) == {f"member-{1 - serving}"}
    writer.write(b"still\n")
    assert await asyncio.wait_for(reader.readline(), 5) == b"still\n"
    writer.close()


async def test_floating_ip_is_not_served_and_says_why(start_site):
    site, _ = await start_site()
    site.rule()["enableFloatingIP"] = True
    await site.build()
    assert "floating IP" in (await site.flows())["problem"]
    with pytest.raises(ConnectionRefusedError):
        await site.connect()


async def test_a_port_that_is_somebody_elses_is_said_and_taken_when_it_is_free(start_site):
    site, _ = await start_site()
    rival = await asyncio.start_server(lambda _, writer: writer.close(), site.frontend, SERVICE_PORT)
    await site.build()
    await site.until_up(True, True)
    assert "cannot listen" in (await site.flows())["problem"]
    rival.close()
    await rival.wait_closed()
    await eventually(site.flows, lambda found: not found["problem"])
    assert await site.served_by() in {"member-0", "member-1"}


async def test_open_flows_are_shown(pair_of):
    site, _ = await pair_of()
    reader, writer = await site.connect()
    serving = int((await reader.readline()).decode().strip()[-1])
    writer.write(b"12345")
    await reader.readexactly(5)
    flow = (await site.flows())["flows"][0]
    assert flow["member"] == site.member_id(serving).lower()
    assert flow["client"] == "{}:{}".format(*writer.get_extra_info("sockname"))
    assert (flow["bytesFromClient"], flow["bytesFromMember"]) == (5, 14)
    writer.close()
    await eventually(site.flows, lambda found: not found["flows"])

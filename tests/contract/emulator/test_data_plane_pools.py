"""Members of pools by address, HTTPS probes, and balancers that get into each other's way."""

import asyncio

import pytest
from tests.support.backends import HEALTH_PORT
from tests.support.emulator_bodies import Balancer
from tests.support.loopback_site import eventually

from loadmaster_ha.emulator.certificates import server_context


async def leave_pool(site, index):
    nic = site.azure.network("networkInterfaces", f"lm-{index}-nic")
    body = (await site.azure.arm("GET", nic)).body
    body["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"] = []
    await site.azure.made(nic, body)


async def test_members_by_address_are_probed_and_served(pair_of):
    site, backends = await pair_of()
    for index in (0, 1):
        await leave_pool(site, index)
    network = site.azure.network("virtualNetworks", "app", "net")
    site.balancer.properties["backendAddressPools"] = [
        {
            "name": "pool",
            "properties": {
                "loadBalancerBackendAddresses": [
                    {
                        "name": f"by-address-{index}",
                        "properties": {"ipAddress": address, "virtualNetwork": {"id": network}},
                    }
                    for index, address in enumerate(site.members)
                ]
            },
        }
    ]
    await site.write()
    await site.until_up(True, True)
    assert {await site.served_by() for _ in range(30)} == {"member-0", "member-1"}
    backends[0].health = "503"
    await site.until_up(False, True)
    assert {await site.served_by() for _ in range(6)} == {"member-1"}


@pytest.fixture
def tls(tmp_path):
    return server_context(tmp_path, ["somebody-else.example"])


async def test_an_https_probe_does_not_mind_the_certificate(start_site, tls):
    site, _ = await start_site()
    site.probe.update(protocol="Https", port=8445, requestPath="/health")
    asked = []
    status = {"answer": b"200"}

    async def health(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).splitlines())
        writer.write(b"HTTP/1.1 %s X\r\nContent-Length: 0\r\n\r\n" % status["answer"])
        writer.close()

    servers = [await asyncio.start_server(health, address, 8445, ssl=tls) for address in site.members]
    try:
        await site.build()
        await site.until_up(True, True)
        status["answer"] = b"503"
        await site.until_up(False, False)
    finally:
        for server in servers:
            server.close()
    assert asked[0][0] == b"GET /health HTTP/1.1"
    assert f"Host: {site.members[0]}:8445".encode() in {line for lines in asked for line in lines}


async def test_an_https_probe_of_a_plain_port_fails(start_site):
    site, _ = await start_site()
    site.probe.update(protocol="Https", port=HEALTH_PORT)
    await site.build()
    await eventually(site.probes, lambda found: all(item["log"] for item in found))
    assert [item["up"] for item in await site.probes()] == [False, False]


async def test_a_plain_probe_of_a_tls_port_fails(start_site, tls):
    site, _ = await start_site()
    site.probe.update(port=8445)

    async def health(reader, writer):
        await reader.read()
        writer.close()

    servers = [await asyncio.start_server(health, address, 8445, ssl=tls) for address in site.members]
    try:
        await site.build()
        await eventually(site.probes, lambda found: all(item["log"] for item in found))
        assert [item["up"] for item in await site.probes()] == [False, False]
    finally:
        for server in servers:
            server.close()


async def test_two_networks_with_one_address_are_told_apart(pair_of):
    site, _ = await pair_of()
    azure = site.azure
    body = (await azure.arm("GET", azure.network("virtualNetworks", "app", "net"))).body
    twin = azure.network("virtualNetworks", "twin", "net")
    subnets = [{"name": "lb", "properties": {"addressPrefix": f"{site.prefix}.0/26"}}]
    space = body["properties"]["addressSpace"]
    properties = {"addressSpace": space, "subnets": subnets}
    await azure.made(twin, {"location": body["location"], "properties": properties})
    other = Balancer(azure, "twin-ilb")
    other.properties["frontendIPConfigurations"][0]["properties"] = {"subnet": {"id": f"{twin}/subnets/lb"}}
    other.properties["loadBalancingRules"] = [other.rule("service", 8080)]
    other.properties["inboundNatRules"] = []
    await azure.made(other.path, other.body)
    rules = (await azure.send("GET", "/_emulator/flows")).body["rules"]
    problems = {
        item["rule"].split("/")[-3]: item["problem"] for item in rules if item["rule"].endswith("service")
    }
    assert sorted(bool(problem) for problem in problems.values()) == [False, True]
    assert "has the same address and port" in "".join(problems.values())
    assert await site.served_by() in {"member-0", "member-1"}

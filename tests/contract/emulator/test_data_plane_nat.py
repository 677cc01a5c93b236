"""Inbound NAT rules on real traffic: one port of the frontend to one member, whatever the probes say."""

import asyncio

import pytest
from tests.support.loopback_site import eventually


def nat_rule(site, name, port, backend_port):
    return {
        "name": name,
        "properties": {
            "frontendIPConfiguration": site.balancer.ref("frontendIPConfigurations", "frontend"),
            "protocol": "Tcp",
            "frontendPort": port,
            "backendPort": backend_port,
        },
    }


@pytest.fixture
async def nat_site(start_site):
    """A pair as the guide has it: 8441 and 8442 lead to port 8443 of the first and of the second unit."""
    site, backends = await start_site()
    site.balancer.properties["inboundNatRules"] = [
        nat_rule(site, "web-0", 8441, 8443),
        nat_rule(site, "web-1", 8442, 8443),
    ]
    servers = [
        await asyncio.start_server(
            lambda _, writer, index=index: writer.write(b"management of %d\n" % index), address, 8443
        )
        for index, address in enumerate(site.members)
    ]
    await site.build(nat=(("web-0",), ("web-1",)))
    yield site, backends
    for server in servers:
        server.close()


async def test_each_rule_leads_to_its_member(nat_site):
    site, _ = nat_site
    assert await site.served_by(8441) == "management of 0"
    assert await site.served_by(8442) == "management of 1"


async def test_probes_do_not_matter(nat_site):
    site, backends = nat_site
    for backend in backends:
        backend.health = "503"
    await site.until_up(False, False)
    assert await site.served_by(8441) == "management of 0"


async def test_a_rule_without_member_and_one_to_a_stopped_machine_answer_nobody(nat_site):
    site, _ = nat_site
    nic = site.azure.network("networkInterfaces", "lm-0-nic")
    await site.azure.made(nic, await site.balancer.joined(site.azure, 0))
    await site.assert_unanswered(8441)
    await site.azure.arm("POST", site.azure.compute("virtualMachines", "lm-1") + "/deallocate")

    async def answered():
        try:
            _, writer = await asyncio.wait_for(site.connect(8442), 0.5)
        except TimeoutError:
            return False
        writer.close()
        return True

    await eventually(answered, lambda found: not found)


async def test_a_rule_for_a_pool_gives_each_member_a_port(start_site):
    site, _ = await start_site()
    rule = nat_rule(site, "pooled", 0, 8080)
    del rule["properties"]["frontendPort"]
    rule["properties"] |= {
        "frontendPortRangeStart": 9500,
        "frontendPortRangeEnd": 9509,
        "backendAddressPool": site.balancer.ref("backendAddressPools", "pool"),
    }
    site.balancer.properties["inboundNatRules"] = [rule]
    site.balancer.properties["loadBalancingRules"].pop()
    await site.build()
    assert {await site.served_by(port) for port in (9500, 9501)} == {"member-0", "member-1"}
    with pytest.raises(ConnectionRefusedError):
        await site.connect(9502)


async def test_two_balancers_serve_side_by_side(start_site):
    first, _ = await start_site()
    second, _ = await start_site()
    for site in (first, second):
        await site.build()
        await site.until_up(True, True)
    assert await first.served_by() in {"member-0", "member-1"}
    assert await second.served_by() in {"member-0", "member-1"}

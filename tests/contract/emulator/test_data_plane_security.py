"""Security groups on real traffic: evaluated at the member, after the balancer's translation."""

import pytest
from tests.support.backends import HEALTH_PORT, SERVICE_PORT
from tests.support.emulator_bodies import HERE, public_body, rule_body
from tests.support.loopback_site import LoopbackSite, eventually

from loadmaster_ha.emulator.settings import Disputed

OUTSIDE = "127.1.1.1"


@pytest.fixture
async def guarded(start_site):
    """Give a function that starts a pair whose interfaces have the security group `guard`, without rules."""

    async def start(prepare=lambda _: None, **settings):
        site, backends = await start_site(**settings)
        group = site.azure.network("networkSecurityGroups", "guard")
        await site.azure.arm("PUT", site.azure.group("edge"), HERE)
        await site.azure.made(group, {**HERE, "properties": {"securityRules": []}})
        prepare(site)
        await site.build(group=group)
        await site.until_up(True, True)
        return site, backends, group

    return start


async def add_rule(site: LoopbackSite, group, priority, **changes):
    body = rule_body(priority, **changes)
    await site.azure.made(f"{group}/securityRules/rule-{priority}", body)


async def test_default_rules_let_the_network_and_the_probes_in_and_nobody_else(guarded):
    site, _, _ = await guarded()
    assert await site.served_by() in {"member-0", "member-1"}
    await site.assert_silent(source=OUTSIDE)


async def test_a_rule_lets_a_source_in(guarded):
    site, _, group = await guarded()
    await add_rule(
        site, group, 200, sourceAddressPrefix="127.1.0.0/16", destinationPortRange=str(SERVICE_PORT)
    )
    assert await site.served_by(source=OUTSIDE) in {"member-0", "member-1"}
    await site.assert_silent(source="127.2.1.1")


async def test_the_port_that_counts_is_the_members(guarded):
    def other_port(site):
        site.rule()["frontendPort"] = 80

    site, _, group = await guarded(other_port)
    await add_rule(site, group, 200, sourceAddressPrefix="*", destinationPortRange="80", access="Deny")
    assert await site.served_by(80) in {"member-0", "member-1"}
    await add_rule(
        site, group, 201, sourceAddressPrefix="*", destinationPortRange=str(SERVICE_PORT), access="Deny"
    )
    await site.assert_silent(80)


async def test_the_lower_number_wins(guarded):
    site, _, group = await guarded()
    port = str(SERVICE_PORT)
    await add_rule(site, group, 300, sourceAddressPrefix="*", destinationPortRange=port, access="Deny")
    await site.assert_silent()
    await add_rule(
        site, group, 200, sourceAddressPrefix=f"{site.client}/32", destinationPortRange=port, access="Allow"
    )
    assert await site.served_by() in {"member-0", "member-1"}
    await site.assert_silent(source=f"{site.prefix}.140")


async def test_the_subnets_group_and_the_interfaces_must_both_allow(guarded):
    site, _, group = await guarded()
    await add_rule(site, group, 200, sourceAddressPrefix="*", destinationPortRange=str(SERVICE_PORT))
    assert await site.served_by(source=OUTSIDE) in {"member-0", "member-1"}
    other = site.azure.network("networkSecurityGroups", "subnet-guard")
    await site.azure.made(other, {**HERE, "properties": {"securityRules": []}})
    network = site.azure.network("virtualNetworks", "app", "net")
    subnet = {"addressPrefix": f"{site.prefix}.64/26", "networkSecurityGroup": {"id": other}}
    await site.azure.made(f"{network}/subnets/lm", {"properties": subnet})
    await site.assert_silent(source=OUTSIDE)
    assert await site.served_by() in {"member-0", "member-1"}


async def test_a_change_acts_on_new_connections_only(guarded):
    site, _, group = await guarded()
    reader, writer = await site.connect()
    await reader.readline()
    await add_rule(
        site, group, 200, sourceAddressPrefix="*", destinationPortRange=str(SERVICE_PORT), access="Deny"
    )
    await site.assert_silent()
    writer.write(b"still\n")
    assert await reader.readline() == b"still\n"
    writer.close()


async def test_the_tag_internet_is_what_is_outside_the_network(guarded):
    site, _, group = await guarded()
    port = str(SERVICE_PORT)
    await add_rule(site, group, 200, sourceAddressPrefix="Internet", destinationPortRange=port)
    assert await site.served_by(source=OUTSIDE) in {"member-0", "member-1"}
    await add_rule(
        site, group, 100, sourceAddressPrefix="VirtualNetwork", destinationPortRange=port, access="Deny"
    )
    await site.assert_silent()
    assert await site.served_by(source=OUTSIDE) in {"member-0", "member-1"}


async def test_a_rule_for_one_member_concerns_that_one_only(guarded):
    site, _, group = await guarded()
    await add_rule(
        site,
        group,
        200,
        sourceAddressPrefix="*",
        destinationPortRange=str(SERVICE_PORT),
        destinationAddressPrefix=site.members[0],
        access="Deny",
    )
    found = set()
    for _ in range(12):
        try:
            found.add(await site.served_by(patience=2))
        except TimeoutError:
            found.add("nobody")
        if len(found) == 2:
            break
    assert found == {"member-1", "nobody"}
    assert (await site.flows())["dropped"]["security group"] >= 1


async def test_a_rule_that_covers_the_probes_takes_the_members_down(guarded):
    site, backends, group = await guarded()
    await add_rule(
        site, group, 200, sourceAddressPrefix="*", destinationPortRange=str(HEALTH_PORT), access="Deny"
    )
    await site.until_up(False, False)
    count = len(backends[0].probed_from)
    assert (await site.probes())[0]["log"][-1]["answer"] == "no answer"
    await add_rule(
        site,
        group,
        100,
        sourceAddressPrefix="AzureLoadBalancer",
        destinationPortRange=str(HEALTH_PORT),
        access="Allow",
    )
    await site.until_up(True, True)
    assert len(backends[0].probed_from) > count


async def test_a_rule_that_covers_the_probes_acts_late_when_read_so(guarded):
    site, _, group = await guarded(disputed=Disputed(probe_security_rules_late=True))
    await add_rule(
        site, group, 200, sourceAddressPrefix="*", destinationPortRange=str(HEALTH_PORT), access="Deny"
    )
    before = (await site.probes())[0]["sent"]
    await site.until_up(False, False)
    log = (await site.probes())[0]["log"]
    answered = [entry for entry in log[before:] if entry["answer"] == "200"]
    assert len(answered) >= 2


async def test_without_any_group_a_public_frontend_gets_nothing_in_and_an_internal_one_everything(start_site):
    site, backends = await start_site()
    for name in ("net", "edge"):
        await site.azure.arm("PUT", site.azure.group(name), HERE)
    public = site.azure.network("publicIPAddresses", "web-ip")
    address = (await site.azure.made(public, public_body()))["properties"]["ipAddress"]
    site.balancer.properties["frontendIPConfigurations"] = [
        {"name": "frontend", "properties": {"publicIPAddress": {"id": public}}}
    ]
    await site.build()
    await site.until_up(True, True)
    await site.assert_silent(address=address)
    group = site.azure.network("networkSecurityGroups", "guard")
    rule = rule_body(200, sourceAddressPrefix="Internet", destinationPortRange=str(SERVICE_PORT))
    properties = {"securityRules": [{"name": "web", **rule}]}
    await site.azure.made(group, {**HERE, "properties": properties})
    for index in (0, 1):
        nic = site.azure.network("networkInterfaces", f"lm-{index}-nic")
        body = (await site.azure.arm("GET", nic)).body
        body["properties"]["networkSecurityGroup"] = {"id": group}
        await site.azure.made(nic, body)
    reader, writer = await site.connect(address=address, source=OUTSIDE)
    assert (await reader.readline()).startswith(b"member-")
    writer.close()
    assert {address for address, _ in backends[0].clients + backends[1].clients} == {OUTSIDE}


async def test_a_peered_network_belongs_to_the_tag(guarded):
    site, _, _ = await guarded()
    await site.assert_silent(source=OUTSIDE)
    network = site.azure.network("virtualNetworks", "app", "net")
    body = (await site.azure.arm("GET", network)).body
    remote = {"remoteAddressSpace": {"addressPrefixes": ["127.1.0.0/16"]}}
    body["properties"]["virtualNetworkPeerings"] = [{"name": "hub", "properties": remote}]
    await site.azure.made(network, body)

    async def serves():
        try:
            return await site.served_by(source=OUTSIDE, patience=2)
        except TimeoutError:
            return ""

    await eventually(serves, bool)

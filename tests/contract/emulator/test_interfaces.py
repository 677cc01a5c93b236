"""Interfaces: addresses, membership, port triangles, machines, and what is in use."""

import pytest
from tests.support.emulator import interface_body, machine_body, seed_guide_network
from tests.support.emulator_bodies import HERE, Balancer, public_body

from loadmaster_ha.emulator.settings import Disputed


@pytest.fixture
async def guide(azure):
    await seed_guide_network(azure)
    return azure


@pytest.fixture
def lm(azure):
    return f"{azure.network('virtualNetworks', 'app', 'net')}/subnets/lm"


def dynamic(subnet, *names):
    items = [{"name": name, "properties": {"subnet": {"id": subnet}}} for name in names]
    return {**HERE, "properties": {"ipConfigurations": items}}


async def test_a_new_interface_reads_as_recorded(guide, lm):
    path = guide.network("networkInterfaces", "testResource")
    answer = await guide.arm("PUT", path, dynamic(lm, "ipConfig1"))
    etag, guid = answer.body["etag"], answer.body["properties"]["resourceGuid"]
    suffix = answer.body["properties"]["dnsSettings"]["internalDomainNameSuffix"]
    assert suffix.endswith(".bx.internal.cloudapp.net")
    assert answer.body == {
        "name": "testResource",
        "id": path,
        "etag": etag,
        "properties": {
            "provisioningState": "Succeeded",
            "resourceGuid": guid,
            "ipConfigurations": [
                {
                    "name": "ipConfig1",
                    "id": f"{path}/ipConfigurations/ipConfig1",
                    "etag": etag,
                    "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
                    "properties": {
                        "provisioningState": "Succeeded",
                        "privateIPAddress": "10.0.1.6",
                        "privateIPAllocationMethod": "Dynamic",
                        "subnet": {"id": lm},
                        "primary": True,
                        "privateIPAddressVersion": "IPv4",
                    },
                }
            ],
            "dnsSettings": {"dnsServers": [], "appliedDnsServers": [], "internalDomainNameSuffix": suffix},
            "enableAcceleratedNetworking": False,
            "vnetEncryptionSupported": False,
            "enableIPForwarding": False,
            "disableTcpStateTracking": False,
            "hostedWorkloads": [],
            "tapConfigurations": [],
            "nicType": "Standard",
            "allowPort25Out": True,
            "defaultOutboundConnectivityEnabled": False,
            "auxiliaryMode": "None",
            "auxiliarySku": "None",
        },
        "type": "Microsoft.Network/networkInterfaces",
        "location": "westeurope",
        "kind": "Regular",
    }


async def test_the_lowest_free_address_is_given_kept_and_given_back(guide, lm):
    def address(body):
        return [item["properties"]["privateIPAddress"] for item in body["properties"]["ipConfigurations"]]

    one, two = guide.network("networkInterfaces", "one"), guide.network("networkInterfaces", "two")
    assert address(await guide.made(one, dynamic(lm, "a", "b"))) == ["10.0.1.6", "10.0.1.7"]
    assert address(await guide.made(two, dynamic(lm, "a"))) == ["10.0.1.8"]
    await guide.gone(one)
    assert address(await guide.made(two, dynamic(lm, "a"))) == ["10.0.1.8"]
    assert address(await guide.made(one, dynamic(lm, "a"))) == ["10.0.1.6"]


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("10.0.1.4", "PrivateIPAddressIsAllocated"),
        ("10.0.1.1", "PrivateIPAddressInReservedRange"),
        ("10.0.9.9", "PrivateIPAddressNotInSubnet"),
    ],
)
async def test_a_static_address_must_be_free_and_usable(guide, lm, address, code):
    path = guide.network("networkInterfaces", "new")
    answer = await guide.arm("PUT", path, interface_body("westeurope", lm, address))
    assert (answer.status, answer.code) == (400, code)


async def test_machine_and_its_interfaces_show_each_other(guide):
    nic = (await guide.arm("GET", guide.network("networkInterfaces", "lm-0-nic"))).body["properties"]
    assert nic["virtualMachine"] == {"id": guide.compute("virtualMachines", "lm-0")}
    assert nic["primary"] is True
    assert nic["macAddress"].startswith("00-0D-3A-")
    group = (await guide.arm("GET", guide.network("networkSecurityGroups", "lm-nsg"))).body["properties"]
    assert {item["id"].rpartition("/")[2] for item in group["networkInterfaces"]} == {"lm-0-nic", "lm-1-nic"}


@pytest.mark.parametrize(
    ("kind", "name", "group", "code"),
    [
        ("networkInterfaces", "lm-0-nic", "edge", "NicInUse"),
        ("networkSecurityGroups", "lm-nsg", "edge", "InUseNetworkSecurityGroupCannotBeDeleted"),
        ("virtualNetworks", "app", "net", "InUseSubnetCannotBeDeleted"),
        ("publicIPAddresses", "lm-nat-ip", "net", "PublicIPAddressCannotBeDeleted"),
        ("natGateways", "lm-nat", "net", "InUseNatGatewayCannotBeDeleted"),
    ],
)
async def test_what_is_in_use_is_not_deleted(guide, kind, name, group, code):
    path = guide.network(kind, name, group)
    answer = await guide.arm("DELETE", path)
    assert (answer.status, answer.code) == (400, code)
    assert (await guide.arm("GET", path)).body["properties"]["provisioningState"] == "Succeeded"


async def test_a_used_subnet_is_not_dropped_by_its_network_either(guide, lm):
    path = guide.network("virtualNetworks", "app", "net")
    body = (await guide.arm("GET", path)).body
    body["properties"]["subnets"] = body["properties"]["subnets"][:1]
    assert (await guide.arm("PUT", path, body)).code == "InUseSubnetCannotBeDeleted"
    assert (await guide.arm("DELETE", lm)).code == "InUseSubnetCannotBeDeleted"


async def test_nat_and_balancing_rule_on_one_backend_port_fail_on_the_interface(guide):
    # The guide's Kemp 360 Central case: the balancer is accepted, the interface is not.
    balancer = Balancer(guide)
    balancer.properties["loadBalancingRules"].append(balancer.rule("wui", 8443))
    await guide.made(balancer.path, balancer.body)
    nic = guide.network("networkInterfaces", "lm-0-nic")
    answer = await guide.arm("PUT", nic, await balancer.joined(guide, 0, ("web-0",)))
    assert (answer.status, answer.code) == (
        400,
        "RulesOfSameLoadBalancerTypeUseSameBackendPortProtocolAndIPConfig",
    )
    assert f"{nic}/ipConfigurations/primary" in answer.body["error"]["message"]
    assert (await guide.arm("PUT", nic, await balancer.joined(guide, 0, ("ssh-0",)))).status == 200


async def test_the_triangle_can_also_be_closed_by_the_balancer(guide):
    balancer = Balancer(guide)
    await guide.made(balancer.path, balancer.body)
    nic = guide.network("networkInterfaces", "lm-0-nic")
    await guide.made(nic, await balancer.joined(guide, 0, ("web-0",)))
    balancer.properties["loadBalancingRules"].append(balancer.rule("wui", 8443))
    answer = await guide.arm("PUT", balancer.path, balancer.body)
    assert (answer.status, answer.code) == (
        400,
        "RulesOfSameLoadBalancerTypeUseSameBackendPortProtocolAndIPConfig",
    )


async def test_two_nat_rules_with_one_backend_port_on_one_interface(guide):
    balancer = Balancer(guide)
    await guide.made(balancer.path, balancer.body)
    nic = guide.network("networkInterfaces", "lm-0-nic")
    answer = await guide.arm("PUT", nic, await balancer.joined(guide, 0, ("web-0", "web-1")))
    assert (answer.status, answer.code) == (400, "RulesUseSameBackendPortProtocolAndIPConfig")
    assert answer.body["error"]["message"] == (
        f"Load balancer rules {balancer.path}/inboundNatRules/web-0 and "
        f"{balancer.path}/inboundNatRules/web-1 with floating "
        "IP disabled use the same backend port 8443 and protocol Tcp, and must not be used with the same "
        "backend IP "
        f"{nic}/ipConfigurations/primary."
    )


async def test_one_nat_rule_delivers_to_one_interface(guide):
    balancer = Balancer(guide)
    await guide.made(balancer.path, balancer.body)
    for index, status in ((0, 200), (1, 400), (0, 200)):
        body = await balancer.joined(guide, index, ("web-0",))
        answer = await guide.arm("PUT", guide.network("networkInterfaces", f"lm-{index}-nic"), body)
        assert answer.status == status


@pytest.mark.parametrize(("excludes", "status"), [(False, 200), (True, 400)])
async def test_ha_ports_beside_nat_rules_is_disputed(serve, excludes, status):
    azure = await serve(disputed=Disputed(ha_ports_excludes_nat_rules=excludes))
    await seed_guide_network(azure)
    balancer = Balancer(azure)
    balancer.properties["loadBalancingRules"] = [balancer.rule("all", 0, protocol="All")]
    await azure.made(balancer.path, balancer.body)
    nic = azure.network("networkInterfaces", "lm-0-nic")
    answer = await azure.arm("PUT", nic, await balancer.joined(azure, 0, ("web-0",)))
    assert answer.status == status


async def test_one_internal_balancer_per_interface_and_per_availability_set(guide):
    first, second = Balancer(guide, "first"), Balancer(guide, "second")
    second.properties["loadBalancingRules"] = [second.rule("check", 9444)]
    await guide.made(first.path, first.body)
    await guide.made(second.path, second.body)
    await guide.made(guide.network("networkInterfaces", "lm-0-nic"), await first.joined(guide, 0))
    for index in (0, 1):
        body = await second.joined(guide, index)
        if index == 0:
            pools = body["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"]
            pools.append(first.ref("backendAddressPools", "pool"))
        answer = await guide.arm("PUT", guide.network("networkInterfaces", f"lm-{index}-nic"), body)
        assert (answer.status, answer.code) == (400, "AnotherInternalLoadBalancerExists")
    # One public balancer beside the internal one is fine.
    pip = guide.network("publicIPAddresses", "pip")
    await guide.made(pip, public_body())
    public = Balancer(guide, "public", public=pip)
    await guide.made(public.path, public.body)
    assert (
        await guide.arm("PUT", guide.network("networkInterfaces", "lm-1-nic"), await public.joined(guide, 1))
    ).status == 200


async def test_a_missing_pool_is_a_dangling_reference(guide):
    balancer = Balancer(guide)
    body = await balancer.joined(guide, 0)
    answer = await guide.arm("PUT", guide.network("networkInterfaces", "lm-0-nic"), body)
    assert (answer.status, answer.code) == (400, "InvalidResourceReference")


async def test_one_public_address_serves_one_user(guide, lm):
    pip = guide.network("publicIPAddresses", "lm-nat-ip", "net")
    body = dynamic(lm, "a")
    body["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"] = {"id": pip}
    mine = guide.network("publicIPAddresses", "mine")
    await guide.made(mine, public_body())
    body["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"] = {"id": mine}
    await guide.made(guide.network("networkInterfaces", "one"), body)
    answer = await guide.arm("PUT", guide.network("networkInterfaces", "two"), body)
    assert (answer.status, answer.code) == (400, "PublicIPAddressInUse")


async def test_machines_keep_their_availability_set_and_take_no_foreign_interface(guide):
    path = guide.compute("virtualMachines", "lm-0")
    nic = guide.network("networkInterfaces", "lm-0-nic")
    moved = await guide.arm("PUT", path, machine_body("westeurope", "lm-0", nic))
    assert (moved.status, moved.code) == (409, "PropertyChangeNotAllowed")
    stolen = await guide.arm(
        "PUT", guide.compute("virtualMachines", "x"), machine_body("westeurope", "x", nic)
    )
    assert (stolen.status, stolen.code) == (400, "NicInUse")


async def test_availability_sets_are_written_at_once_and_keep_their_counts(guide):
    path = guide.compute("availabilitySets", "lm-set")
    counts = {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5}
    body = {**HERE, "sku": {"name": "Aligned"}, "properties": counts}
    again = await guide.arm("PUT", path, body)
    assert again.status == 200
    assert not {"azure-asyncoperation", "location"} & set(again.headers)
    assert "provisioningState" not in again.body["properties"]
    assert "etag" not in again.body
    assert len(again.body["properties"]["virtualMachines"]) == 2
    other = await guide.arm("PUT", path, {**body, "properties": {**counts, "platformUpdateDomainCount": 6}})
    assert (other.status, other.code) == (409, "PropertyChangeNotAllowed")
    assert (await guide.arm("DELETE", path)).status == 409


async def test_a_machines_life(guide):
    path = guide.compute("virtualMachines", "lm-0")

    async def power():
        view = (await guide.arm("GET", f"{path}/instanceView")).body
        return [item["code"] for item in view["statuses"]]

    assert await power() == ["ProvisioningState/succeeded", "PowerState/running"]
    expanded = (await guide.arm("GET", f"{path}?$expand=instanceView")).body
    assert expanded["properties"]["instanceView"]["statuses"][1]["code"] == "PowerState/running"
    for action, state in (
        ("deallocate", "deallocated"),
        ("start", "running"),
        ("powerOff", "stopped"),
        ("restart", "running"),
    ):
        assert (await guide.arm("POST", f"{path}/{action}")).status == 202
        assert (await power())[1] == f"PowerState/{state}"
    await guide.gone(path)
    assert (await guide.arm("GET", path)).status == 404
    nic = guide.network("networkInterfaces", "lm-0-nic")
    assert "virtualMachine" not in (await guide.arm("GET", nic)).body["properties"]
    await guide.gone(nic)

"""Virtual networks, subnets and public addresses."""

import pytest
from tests.support.emulator_bodies import HERE, network_body, public_body


async def test_a_network_reads_as_recorded(azure):
    path = azure.network("virtualNetworks", "testVnet")
    answer = await azure.arm("PUT", path, network_body(("testSubnet", "10.0.0.0/24")))
    etag, guid = answer.body["etag"], answer.body["properties"]["resourceGuid"]
    assert (answer.status, answer.body) == (
        201,
        {
            "name": "testVnet",
            "id": path,
            "etag": etag,
            "type": "Microsoft.Network/virtualNetworks",
            "location": "westeurope",
            "properties": {
                "provisioningState": "Updating",
                "resourceGuid": guid,
                "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                "privateEndpointVNetPolicies": "Disabled",
                "subnets": [
                    {
                        "name": "testSubnet",
                        "id": f"{path}/subnets/testSubnet",
                        "etag": etag,
                        "properties": {
                            "provisioningState": "Updating",
                            "addressPrefix": "10.0.0.0/24",
                            "delegations": [],
                            "privateEndpointNetworkPolicies": "Disabled",
                            "privateLinkServiceNetworkPolicies": "Enabled",
                        },
                        "type": "Microsoft.Network/virtualNetworks/subnets",
                    }
                ],
                "virtualNetworkPeerings": [],
                "enableDdosProtection": False,
            },
        },
    )


@pytest.mark.parametrize(
    ("subnets", "code"),
    [
        ([("a", "10.1.0.0/24")], "NetcfgInvalidSubnet"),
        ([("a", "10.0.0.0/24"), ("b", "10.0.0.128/25")], "NetcfgSubnetRangesOverlap"),
        ([("a", "10.0.0.1/24")], "InvalidCIDRNotation"),
    ],
)
async def test_wrong_ranges_are_refused(azure, subnets, code):
    answer = await azure.arm("PUT", azure.network("virtualNetworks", "app"), network_body(*subnets))
    assert (answer.status, answer.code) == (400, code)


async def test_subnets_are_children_of_their_own(azure):
    path = azure.network("virtualNetworks", "app")
    await azure.made(path, network_body(("a", "10.0.0.0/24")))
    made = await azure.arm("PUT", f"{path}/subnets/b", {"properties": {"addressPrefix": "10.0.1.0/24"}})
    assert made.status == 201
    listed = (await azure.arm("GET", f"{path}/subnets")).body["value"]
    assert [item["name"] for item in listed] == ["a", "b"]
    await azure.gone(f"{path}/subnets/a")
    assert (await azure.arm("GET", f"{path}/subnets/a")).status == 404
    await azure.gone(path)


async def test_a_group_on_a_subnet_shows_on_both(azure):
    group = azure.network("networkSecurityGroups", "nsg")
    await azure.made(group, HERE)
    body = network_body(("a", "10.0.0.0/24"))
    body["properties"]["subnets"][0]["properties"]["networkSecurityGroup"] = {"id": group}
    path = azure.network("virtualNetworks", "app")
    await azure.made(path, body)
    assert (await azure.arm("GET", group)).body["properties"]["subnets"] == [{"id": f"{path}/subnets/a"}]
    body["properties"]["subnets"][0]["properties"]["networkSecurityGroup"] = {"id": f"{group}x"}
    assert (await azure.arm("PUT", path, body)).code == "InvalidResourceReference"


async def test_a_public_address_reads_as_recorded_and_gets_its_address_at_the_end(slow, clock):
    path = slow.network("publicIPAddresses", "pip1")
    answer = await slow.arm("PUT", path, public_body())
    etag, guid = answer.body["etag"], answer.body["properties"]["resourceGuid"]
    assert answer.body == {
        "name": "pip1",
        "id": path,
        "etag": etag,
        "location": "westeurope",
        "properties": {
            "provisioningState": "Updating",
            "resourceGuid": guid,
            "publicIPAddressVersion": "IPv4",
            "publicIPAllocationMethod": "Static",
            "idleTimeoutInMinutes": 4,
            "ipTags": [],
            "ddosSettings": {"protectionMode": "VirtualNetworkInherited"},
        },
        "type": "Microsoft.Network/publicIPAddresses",
        "sku": {"name": "Standard", "tier": "Regional"},
    }
    clock.forward(11)
    done = (await slow.arm("GET", path)).body["properties"]
    assert list(done)[:3] == ["provisioningState", "resourceGuid", "ipAddress"]
    assert (await slow.arm("PUT", path, public_body())).body["properties"]["ipAddress"] == done["ipAddress"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**HERE, "sku": {"name": "Basic"}, "properties": {}}, "IPv4BasicSkuPublicIpCountLimitReached"),
        ({**HERE, "properties": {}}, "IPv4BasicSkuPublicIpCountLimitReached"),
        (public_body(publicIPAllocationMethod="Dynamic"), "StandardSkuPublicIPAddressesMustBeStatic"),
        (public_body(idleTimeoutInMinutes=3), "PublicIPAddressIdleTimeoutIsOutOfRange"),
        ({"properties": {}}, "LocationRequired"),
    ],
)
async def test_wrong_public_addresses_are_refused(azure, body, code):
    answer = await azure.arm("PUT", azure.network("publicIPAddresses", "pip"), body)
    assert (answer.status, answer.code) == (400, code)


async def test_dns_labels_are_unique_in_a_region(azure):
    label = public_body(dnsSettings={"domainNameLabel": "Kemp-West"})
    made = await azure.made(azure.network("publicIPAddresses", "one"), label)
    assert made["properties"]["dnsSettings"]["fqdn"] == "kemp-west.westeurope.cloudapp.azure.com"
    answer = await azure.arm("PUT", azure.network("publicIPAddresses", "two"), label)
    assert (answer.status, answer.code) == (400, "DnsRecordInUse")


@pytest.mark.parametrize("name", ["-first", "last-", "a" * 81, "sp ace"])
async def test_names_have_azures_pattern(azure, name):
    path = azure.network("publicIPAddresses", name.replace(" ", "%20"))
    answer = await azure.arm("PUT", path, public_body())
    assert (answer.status, answer.code) == (400, "InvalidResourceName")

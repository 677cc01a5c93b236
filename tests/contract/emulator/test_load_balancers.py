"""Load balancers: bodies, back references, children, and every refusal with its code."""

import pytest
from tests.support.emulator import seed_guide_network
from tests.support.emulator_bodies import HERE, Balancer, public_body

from loadmaster_ha.emulator.settings import Disputed


@pytest.fixture
async def guide(azure):
    await seed_guide_network(azure)
    return azure


async def test_a_public_balancer_reads_as_recorded(azure):
    pip = azure.network("publicIPAddresses", "pip1")
    shown = await azure.made(pip, public_body())
    path = azure.network("loadBalancers", "testResource")
    body = {
        **HERE,
        "sku": {"name": "Standard"},
        # The whole address is sent, as Azure's Go client does; only its id stays.
        "properties": {
            "frontendIPConfigurations": [{"name": "fe", "properties": {"publicIPAddress": shown}}]
        },
    }
    answer = await azure.arm("PUT", path, body)
    assert answer.status == 201
    assert "azure-asyncoperation" in answer.headers
    etag, guid = answer.body["etag"], answer.body["properties"]["resourceGuid"]
    assert answer.body == {
        "name": "testResource",
        "id": path,
        "etag": etag,
        "type": "Microsoft.Network/loadBalancers",
        "location": "westeurope",
        "properties": {
            "provisioningState": "Succeeded",
            "resourceGuid": guid,
            "frontendIPConfigurations": [
                {
                    "name": "fe",
                    "id": f"{path}/frontendIPConfigurations/fe",
                    "etag": etag,
                    "type": "Microsoft.Network/loadBalancers/frontendIPConfigurations",
                    "properties": {
                        "provisioningState": "Succeeded",
                        "privateIPAllocationMethod": "Dynamic",
                        "publicIPAddress": {"id": pip},
                    },
                }
            ],
            "backendAddressPools": [],
            "loadBalancingRules": [],
            "probes": [],
            "inboundNatRules": [],
            "outboundRules": [],
            "inboundNatPools": [],
        },
        "sku": {"name": "Standard", "tier": "Regional"},
    }
    assert list(answer.body) == ["name", "id", "etag", "type", "location", "properties", "sku"]
    used = (await azure.arm("GET", pip)).body
    assert used["properties"]["ipConfiguration"] == {"id": f"{path}/frontendIPConfigurations/fe"}


async def test_members_show_on_the_balancer_and_change_its_etag(guide):
    balancer = Balancer(guide)
    before = await guide.made(balancer.path, balancer.body)
    nic = guide.network("networkInterfaces", "lm-0-nic")
    await guide.made(nic, await balancer.joined(guide, 0, ("web-0", "ssh-0")))
    after = (await guide.arm("GET", balancer.path)).body
    assert after["etag"] != before["etag"]
    member = {"id": f"{nic}/ipConfigurations/primary"}
    pool = after["properties"]["backendAddressPools"][0]["properties"]
    assert pool["backendIPConfigurations"] == [member]
    assert [
        item["properties"]["networkInterfaceIPConfiguration"] for item in pool["loadBalancerBackendAddresses"]
    ] == [member]
    nat = {item["name"]: item["properties"] for item in after["properties"]["inboundNatRules"]}
    assert nat["web-0"]["backendIPConfiguration"] == member
    assert "backendIPConfiguration" not in nat["web-1"]
    rule = balancer.ref("loadBalancingRules", "check")
    assert pool["loadBalancingRules"] == [rule]
    assert after["properties"]["probes"][0]["properties"]["loadBalancingRules"] == [rule]
    frontend = after["properties"]["frontendIPConfigurations"][0]["properties"]
    assert frontend["loadBalancingRules"] == [rule]
    assert len(frontend["inboundNatRules"]) == 4
    assert frontend["privateIPAddress"] == "10.0.2.4"
    listed = (await guide.arm("GET", f"{balancer.path}/networkInterfaces")).body["value"]
    assert [item["name"] for item in listed] == ["lm-0-nic"]


async def test_put_replaces_rules_and_tags_and_members_of_removed_rules_leave(guide):
    balancer = Balancer(guide)
    await guide.made(balancer.path, balancer.body | {"tags": {"a": "b"}})
    nic = guide.network("networkInterfaces", "lm-0-nic")
    before = await guide.made(nic, await balancer.joined(guide, 0, ("web-0", "ssh-0")))
    balancer.properties["inboundNatRules"] = balancer.properties["inboundNatRules"][1:]
    now = await guide.made(balancer.path, balancer.body)
    assert "tags" not in now
    assert [item["name"] for item in now["properties"]["inboundNatRules"]] == ["web-1", "ssh-0", "ssh-1"]
    left = (await guide.arm("GET", nic)).body
    assert left["etag"] != before["etag"]
    joined = left["properties"]["ipConfigurations"][0]["properties"]
    assert joined["loadBalancerInboundNatRules"] == [balancer.ref("inboundNatRules", "ssh-0")]
    await guide.gone(balancer.path)
    freed = (await guide.arm("GET", nic)).body["properties"]["ipConfigurations"][0]["properties"]
    assert "loadBalancerBackendAddressPools" not in freed


async def test_properties_of_newer_api_versions_survive(guide):
    balancer = Balancer(guide)
    balancer.properties["scope"] = "Private"
    balancer.properties["loadBalancingRules"][0]["properties"]["enableConnectionTracking"] = True
    await guide.made(balancer.path, balancer.body)
    old = (await guide.arm("GET", balancer.path, version="2022-01-01")).body
    assert old["properties"]["scope"] == "Private"
    assert old["properties"]["loadBalancingRules"][0]["properties"]["enableConnectionTracking"] is True


async def test_the_old_spelling_of_a_probes_property_is_accepted(guide):
    balancer = Balancer(guide)
    balancer.properties["probes"][0]["properties"]["NoHealthyBackendsBehavior"] = "AllProbedUp"
    made = await guide.made(balancer.path, balancer.body)
    probe = made["properties"]["probes"][0]["properties"]
    assert probe["noHealthyBackendsBehavior"] == "AllProbedUp"
    assert "NoHealthyBackendsBehavior" not in probe


async def test_defaults_are_filled_in(guide):
    balancer = Balancer(guide)
    balancer.properties["probes"][0]["properties"] = {"protocol": "Tcp", "port": 80}
    made = (await guide.made(balancer.path, balancer.body))["properties"]
    rule = made["loadBalancingRules"][0]["properties"]
    assert (rule["idleTimeoutInMinutes"], rule["loadDistribution"], rule["enableFloatingIP"]) == (
        4,
        "Default",
        False,
    )
    probe = made["probes"][0]["properties"]
    assert (probe["intervalInSeconds"], probe["probeThreshold"]) == (15, 1)


async def test_pools_and_nat_rules_are_written_alone_the_rest_is_read_only(guide):
    balancer = Balancer(guide)
    await guide.made(balancer.path, balancer.body)
    pool = f"{balancer.path}/backendAddressPools/second"
    made = await guide.arm("PUT", pool, {"properties": {}})
    assert (made.status, made.body["name"], made.body["id"]) == (201, "second", pool)
    assert "azure-asyncoperation" in made.headers
    assert (await guide.arm("PUT", pool, {"properties": {}})).status == 200
    nat = f"{balancer.path}/inboundNatRules/extra"
    body = {
        "properties": {
            "frontendIPConfiguration": balancer.ref("frontendIPConfigurations", "frontend"),
            "protocol": "Tcp",
            "frontendPort": 9000,
            "backendPort": 9000,
        }
    }
    assert (await guide.arm("PUT", nat, body)).status == 201
    whole = (await guide.arm("GET", balancer.path)).body["properties"]
    assert [item["name"] for item in whole["inboundNatRules"]][-1] == "extra"
    assert (await guide.arm("DELETE", nat)).status == 202
    assert (await guide.arm("GET", nat)).status == 404
    assert (await guide.arm("DELETE", nat)).status == 204
    for collection in ("frontendIPConfigurations", "probes", "loadBalancingRules", "outboundRules"):
        listed = await guide.arm("GET", f"{balancer.path}/{collection}")
        assert listed.status == 200
        assert (await guide.arm("PUT", f"{balancer.path}/{collection}/x", {"properties": {}})).status == 405
    orphan = await guide.arm("PUT", pool.replace("web-ilb", "nobody"), {"properties": {}})
    assert (orphan.status, orphan.code) == (404, "ParentResourceNotFound")


def frontend(balancer):
    return balancer.properties["frontendIPConfigurations"][0]["properties"]


def probe(balancer):
    return balancer.properties["probes"][0]["properties"]


def rule(balancer):
    return balancer.properties["loadBalancingRules"][0]["properties"]


def nat(balancer):
    return balancer.properties["inboundNatRules"][0]["properties"]


def dangle(balancer):
    rule(balancer)["probe"] = balancer.ref("probes", "nobody")


def no_subnet(balancer):
    frontend(balancer)["subnet"] = {"id": frontend(balancer)["subnet"]["id"] + "x"}


def twice_in_front(balancer):
    nat(balancer)["frontendPort"] = 8444


def twice_behind(balancer):
    balancer.properties["loadBalancingRules"].append(balancer.rule("other", 9444, backendPort=8444))


def ha_ports_beside_another(balancer):
    balancer.properties["loadBalancingRules"].append(balancer.rule("all", 0, protocol="All"))


def static(address):
    return lambda balancer: frontend(balancer).update(
        privateIPAllocationMethod="Static", privateIPAddress=address
    )


def without_frontend(balancer):
    balancer.properties["frontendIPConfigurations"] = []


def same_name_twice(balancer):
    balancer.properties["probes"] *= 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (dangle, "InvalidResourceReference"),
        (no_subnet, "InvalidResourceReference"),
        (without_frontend, "LoadBalancerWithoutFrontendIPCantHaveChildResources"),
        (same_name_twice, "InvalidRequestFormat"),
        (twice_in_front, "RulesUseSameFrontendPortProtocolAndIPConfig"),
        (twice_behind, "RulesUseSameBackendPortProtocolAndPool"),
        (ha_ports_beside_another, "RulesUseSameBackendPortProtocolAndPool"),
        (static("10.0.3.10"), "PrivateIPAddressNotInSubnet"),
        (static("10.0.2.0"), "PrivateIPAddressInReservedRange"),
        (static("10.0.2.3"), "PrivateIPAddressInReservedRange"),
        (static("10.0.2.255"), "PrivateIPAddressInReservedRange"),
        (lambda lb: probe(lb).update(intervalInSeconds=4), "InvalidProbeConfiguration"),
        (lambda lb: probe(lb).update(port=25), "InvalidProbeConfiguration"),
        (lambda lb: probe(lb).update(requestPath=None), "InvalidProbeConfiguration"),
        (lambda lb: probe(lb).update(protocol="Tcp"), "InvalidProbeConfiguration"),
        (lambda lb: probe(lb).update(probeThreshold=101), "InvalidProbeConfiguration"),
        (lambda lb: rule(lb).update(frontendPort=65535), "InvalidLoadBalancerRuleConfiguration"),
        (lambda lb: rule(lb).update(frontendPort=0), "InvalidLoadBalancerRuleConfiguration"),
        (lambda lb: rule(lb).update(idleTimeoutInMinutes=3), "InvalidLoadBalancerRuleConfiguration"),
        (lambda lb: rule(lb).update(idleTimeoutInMinutes=101), "InvalidLoadBalancerRuleConfiguration"),
        (lambda lb: nat(lb).update(backendPort=0), "InvalidLoadBalancerRuleConfiguration"),
        (lambda lb: nat(lb).update(idleTimeoutInMinutes=101), "InvalidLoadBalancerRuleConfiguration"),
        (lambda lb: nat(lb).update(frontendPortRangeStart=1), "InvalidLoadBalancerRuleConfiguration"),
        (lambda lb: lb.properties["probes"][0].update(name="-x"), "InvalidResourceName"),
    ],
)
async def test_a_wrong_balancer_is_refused_and_not_made(guide, change, code):
    balancer = Balancer(guide)
    change(balancer)
    answer = await guide.arm("PUT", balancer.path, balancer.body)
    assert (answer.status, answer.code) == (400, code)
    assert (await guide.arm("GET", balancer.path)).status == 404


async def test_texts_that_people_search_for(guide):
    balancer = Balancer(guide)
    twice_behind(balancer)
    answer = await guide.arm("PUT", balancer.path, balancer.body)
    assert answer.body["error"]["message"] == (
        f"Load balancing rules {balancer.path}/loadBalancingRules/check and "
        f"{balancer.path}/loadBalancingRules/other with "
        "floating IP disabled use the same protocol Tcp and backend port 8444, and must not be used with the "
        "same backend "
        f"address pool {balancer.path}/backendAddressPools/pool."
    )
    balancer = Balancer(guide)
    dangle(balancer)
    answer = await guide.arm("PUT", balancer.path, balancer.body)
    assert answer.body["error"]["message"] == (
        f"Resource {balancer.path}/probes/nobody referenced by resource "
        f"{balancer.path}/loadBalancingRules/check was not "
        "found. Please make sure that the referenced resource exists, and that both resources are in the "
        "same region."
    )


async def test_a_taken_address_is_refused_and_free_again_after_deletion(guide):
    subnet = f"{guide.network('virtualNetworks', 'app', 'net')}/subnets/lb"
    first, second = Balancer(guide, "one"), Balancer(guide, "two")
    static("10.0.2.100")(first)
    static("10.0.2.100")(second)
    await guide.made(first.path, first.body)
    answer = await guide.arm("PUT", second.path, second.body)
    assert (answer.status, answer.code) == (400, "PrivateIPAddressIsAllocated")
    assert answer.body["error"]["message"] == (
        f"IP configuration {second.path}/frontendIPConfigurations/frontend is using the private IP address "
        "10.0.2.100 which "
        f"is already allocated to resource {first.path}."
    )
    await guide.gone(first.path)
    assert (await guide.arm("PUT", second.path, second.body)).status == 201
    network = (await guide.arm("GET", subnet)).body
    assert network["properties"]["ipConfigurations"] == [
        {"id": f"{second.path}/frontendIPConfigurations/frontend"}
    ]


async def test_frontends_keep_their_type_zones_and_number(guide):
    balancer = Balancer(guide)
    await guide.made(balancer.path, balancer.body)
    balancer.properties["frontendIPConfigurations"][0]["zones"] = ["1"]
    assert (
        await guide.arm("PUT", balancer.path, balancer.body)
    ).code == "ResourceAvailabilityZonesCannotBeModified"
    gone = {**HERE, "sku": {"name": "Standard"}, "properties": {"frontendIPConfigurations": []}}
    refused = await guide.arm("PUT", balancer.path, gone)
    assert (
        refused.body["error"]["message"]
        == "Deleting all frontendIPConfigs from load balancer is not supported."
    )
    balancer = Balancer(guide)
    subnet = frontend(balancer)["subnet"]
    frontend(balancer)["subnet"] = {"id": subnet["id"].replace("/lb", "/lm")}
    assert (await guide.arm("PUT", balancer.path, balancer.body)).status == 400


async def test_basic_is_refused_on_creation_and_served_on_reading(guide):
    balancer = Balancer(guide)
    for sku in ({"name": "Basic"}, None):
        body = {**balancer.body, "sku": sku}
        refused = await guide.arm("PUT", balancer.path, body)
        assert (refused.status, refused.code) == (400, "BasicSkuLoadBalancerCreationNotAllowed")
    basic = {**balancer.body, "sku": {"name": "Basic", "tier": "Regional"}}
    await guide.seed(balancer.path, basic)
    read = (await guide.arm("GET", balancer.path)).body
    assert read["sku"] == {"name": "Basic", "tier": "Regional"}
    assert read["properties"]["provisioningState"] == "Succeeded"
    moved = await guide.arm("PUT", balancer.path, balancer.body)
    assert (moved.status, moved.code) == (400, "LoadBalancerSkuCannotBeChanged")


async def test_a_standard_balancer_does_not_turn_basic_by_leaving_the_sku_out(guide):
    balancer = Balancer(guide)
    await guide.made(balancer.path, balancer.body)
    body = balancer.body
    del body["sku"]
    assert (await guide.arm("PUT", balancer.path, body)).code == "LoadBalancerSkuCannotBeChanged"


async def test_a_balancer_does_not_move(guide):
    balancer = Balancer(guide)
    await guide.made(balancer.path, balancer.body)
    answer = await guide.arm("PUT", balancer.path, {**balancer.body, "location": "North Europe"})
    assert (answer.status, answer.code) == (409, "InvalidResourceLocation")


async def test_skus_of_balancer_and_public_address_must_match(azure):
    pip = azure.network("publicIPAddresses", "old")
    basic = {**HERE, "sku": {"name": "Basic"}, "properties": {"publicIPAllocationMethod": "Dynamic"}}
    await azure.seed(pip, basic)
    balancer = Balancer(azure, public=pip)
    answer = await azure.arm("PUT", balancer.path, balancer.body)
    assert (answer.status, answer.code) == (400, "DifferentSkuLoadBalancersAndPublicIPAddressNotAllowed")


async def test_an_internal_balancer_has_no_outbound_rules(guide):
    balancer = Balancer(guide)
    outbound = {
        "frontendIPConfigurations": [balancer.ref("frontendIPConfigurations", "frontend")],
        "backendAddressPool": balancer.ref("backendAddressPools", "pool"),
        "protocol": "All",
    }
    balancer.properties["outboundRules"] = [{"name": "out", "properties": outbound}]
    answer = await guide.arm("PUT", balancer.path, balancer.body)
    assert (answer.status, answer.code) == (400, "OutboundRuleNotSupportedOnInternalLoadBalancer")


@pytest.mark.parametrize("refused", [False, True])
async def test_sending_members_back_under_their_own_names(serve, refused):
    azure = await serve(disputed=Disputed(echoed_pool_addresses_refused=refused))
    await seed_guide_network(azure)
    balancer = Balancer(azure)
    await azure.made(balancer.path, balancer.body)
    await azure.made(azure.network("networkInterfaces", "lm-0-nic"), await balancer.joined(azure, 0))
    whole = (await azure.arm("GET", balancer.path)).body
    answer = await azure.arm("PUT", balancer.path, whole)
    assert answer.status == (400 if refused else 200)
    (pool,) = whole["properties"]["backendAddressPools"]
    del pool["properties"]["loadBalancerBackendAddresses"]
    assert (await azure.arm("PUT", balancer.path, whole)).status == 200
    (pool,) = (await azure.arm("GET", balancer.path)).body["properties"]["backendAddressPools"]
    assert len(pool["properties"]["loadBalancerBackendAddresses"]) == 1


async def test_sending_members_back_under_another_name_is_the_known_refusal(guide):
    balancer = Balancer(guide)
    await guide.made(balancer.path, balancer.body)
    await guide.made(guide.network("networkInterfaces", "lm-0-nic"), await balancer.joined(guide, 0))
    whole = (await guide.arm("GET", balancer.path)).body
    (pool,) = whole["properties"]["backendAddressPools"]
    pool["properties"]["loadBalancerBackendAddresses"][0]["name"] = ""
    answer = await guide.arm("PUT", balancer.path, whole)
    assert (answer.status, answer.code) == (400, "InvalidRequestFormat")
    detail = answer.body["error"]["details"][0]
    assert detail["code"] == "DuplicateIpConfigurationReferenceOnBackendAddressPool"
    assert detail["message"].startswith("Found duplicate ipConfiguration reference /subscriptions/")


@pytest.mark.parametrize("clears", [False, True])
async def test_admin_state_and_a_put_of_the_whole(serve, clears):
    azure = await serve(disputed=Disputed(whole_put_clears_admin_state=clears))
    await seed_guide_network(azure)
    balancer = Balancer(azure)
    await azure.made(balancer.path, balancer.body)
    await azure.made(azure.network("networkInterfaces", "lm-0-nic"), await balancer.joined(azure, 0))
    path = f"{balancer.path}/backendAddressPools/pool"
    shown = (await azure.arm("GET", path)).body["properties"]["loadBalancerBackendAddresses"]
    down = {"properties": {"loadBalancerBackendAddresses": [
        {"name": shown[0]["name"], "properties": {"adminState": "Down"}}
    ]}}  # fmt: skip
    answer = await azure.arm("PUT", path, down)
    assert answer.body["properties"]["loadBalancerBackendAddresses"][0]["properties"]["adminState"] == "Down"
    await azure.made(balancer.path, balancer.body)
    left = (await azure.arm("GET", path)).body["properties"]["loadBalancerBackendAddresses"][0]["properties"]
    assert left.get("adminState") == (None if clears else "Down")


async def test_ip_based_pools_survive_beside_interface_based_ones(guide):
    balancer = Balancer(guide)
    entry = {
        "name": "far",
        "properties": {
            "ipAddress": "10.0.1.50",
            "virtualNetwork": {"id": guide.network("virtualNetworks", "app", "net")},
        },
    }
    balancer.properties["backendAddressPools"].append(
        {"name": "by-ip", "properties": {"loadBalancerBackendAddresses": [entry]}}
    )
    made = await guide.made(balancer.path, balancer.body)
    await guide.made(balancer.path, made)
    pool = (await guide.arm("GET", f"{balancer.path}/backendAddressPools/by-ip")).body
    (shown,) = pool["properties"]["loadBalancerBackendAddresses"]
    assert shown["name"] == "far"
    assert entry["properties"].items() <= shown["properties"].items()


@pytest.mark.parametrize("refused", [True, False])
async def test_moving_a_frontend_to_another_subnet_is_disputed(serve, refused):
    azure = await serve(disputed=Disputed(frontend_move_refused=refused))
    await seed_guide_network(azure)
    balancer = Balancer(azure)
    await azure.made(balancer.path, balancer.body)
    where = frontend(balancer)["subnet"]["id"]
    frontend(balancer)["subnet"] = {"id": where.replace("/subnets/lb", "/subnets/lm")}
    answer = await azure.arm("PUT", balancer.path, balancer.body)
    assert answer.status == (400 if refused else 200)
    shown = (await azure.arm("GET", balancer.path)).body["properties"]["frontendIPConfigurations"][0]
    assert shown["properties"]["privateIPAddress"] == ("10.0.2.4" if refused else "10.0.1.6")


@pytest.mark.parametrize(("long", "status"), [(True, 201), (False, 400)])
async def test_idle_timeouts_above_half_an_hour_are_disputed(serve, long, status):
    azure = await serve(disputed=Disputed(idle_timeout_100=long))
    await seed_guide_network(azure)
    balancer = Balancer(azure)
    rule(balancer)["idleTimeoutInMinutes"] = 31
    assert (await azure.arm("PUT", balancer.path, balancer.body)).status == status

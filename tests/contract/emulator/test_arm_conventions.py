"""What ARM does alike for all resources: versions, ids, not found, lists, groups, filters."""

import pytest
from tests.support.emulator import SUBSCRIPTION
from tests.support.emulator_bodies import HERE, network_body, public_body

BALANCERS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/edge/providers/Microsoft.Network/loadBalancers"


@pytest.mark.parametrize("version", ["2022-01-01", "2023-04-01", "2023-11-01", "2025-05-01", "2026-03-01"])
async def test_network_api_versions_work_side_by_side(azure, version):
    assert (await azure.arm("GET", BALANCERS, version=version)).body == {"value": []}


async def test_unknown_and_missing_api_versions_are_refused(azure):
    unknown = await azure.arm("GET", BALANCERS, version="2099-01-01")
    assert (unknown.status, unknown.code) == (400, "NoRegisteredProviderFound")
    own = await azure.arm("GET", azure.group("edge"), version="2099-01-01")
    assert (own.status, own.code) == (400, "InvalidApiVersionParameter")
    missing = await azure.send("GET", BALANCERS, headers={"Authorization": "Bearer x"})
    assert (missing.status, missing.code) == (400, "MissingApiVersionParameter")


async def test_three_kinds_of_not_found(azure):
    # Texts as in recorded traffic.
    gateway = await azure.arm("GET", f"{BALANCERS}/testResourcenotfound")
    assert gateway.status == 404
    assert gateway.headers["x-ms-failure-cause"] == "gateway"
    assert gateway.body == {
        "error": {
            "code": "ResourceNotFound",
            "message": "The Resource 'Microsoft.Network/loadBalancers/testResourcenotfound' under resource "
            "group 'edge' was "
            "not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        }
    }
    group = await azure.arm("GET", BALANCERS.replace("/edge/", "/notfound/"))
    assert group.body == {
        "error": {"code": "ResourceGroupNotFound", "message": "Resource group 'notfound' could not be found."}
    }
    network = azure.network("virtualNetworks", "app")
    await azure.made(network, network_body(("lb", "10.0.2.0/24")))
    child = await azure.arm("GET", f"{network}/subnets/x")
    assert child.status == 404
    assert child.body == {
        "error": {"code": "NotFound", "message": f"Resource {network}/subnets/x not found.", "details": []}
    }


async def test_an_unknown_subscription_provider_or_type_is_not_found(azure):
    other = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups"
    assert (await azure.arm("GET", other)).code == "SubscriptionNotFound"
    assert (await azure.arm("GET", BALANCERS.replace("Microsoft.Network", "Microsoft.None"))).code == (
        "InvalidResourceNamespace"
    )
    assert (
        await azure.arm("GET", BALANCERS.replace("loadBalancers", "toasters"))
    ).code == "InvalidResourceType"


async def test_ids_are_found_in_any_case_and_answered_as_created(azure):
    path = azure.network("publicIPAddresses", "Pip-One")
    await azure.made(path, public_body())
    answer = await azure.arm(
        "GET", path.upper().replace("/SUBSCRIPTIONS", "/subscriptions"), version="2024-05-01"
    )
    assert answer.body["id"] == path
    again = await azure.arm("PUT", path.lower(), public_body(), version="2024-05-01")
    assert (again.status, again.body["name"], again.body["id"]) == (200, "Pip-One", path)
    assert len((await azure.arm("GET", azure.group("EDGE") + "/resources")).body["value"]) == 1


async def test_every_answer_has_request_ids_and_remaining_counts(azure):
    headers = {
        "x-ms-correlation-request-id": "corr-1",
        "x-ms-client-request-id": "mine-1",
        "x-ms-return-client-request-id": "true",
    }
    answer = await azure.arm("GET", BALANCERS, headers=headers)
    assert answer.headers["x-ms-correlation-request-id"] == "corr-1"
    assert answer.headers["x-ms-client-request-id"] == "mine-1"
    assert len(answer.headers["x-ms-request-id"]) == 36
    assert answer.headers["x-ms-ratelimit-remaining-subscription-global-reads"] == "16499"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_lists_come_in_pages(serve):
    azure = await serve(page_size=2)
    await azure.arm("PUT", azure.group("edge"), HERE)
    for number in range(5):
        await azure.made(azure.network("publicIPAddresses", f"pip{number}"), public_body())
    by_group = azure.network("publicIPAddresses", "").rstrip("/")
    for path in (by_group, f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/publicIPAddresses"):
        names, url = [], path
        while url:
            body = (await azure.arm("GET", url)).body
            assert len(body["value"]) <= 2
            names += [item["name"] for item in body["value"]]
            url = body.get("nextLink")
        assert names == [f"pip{number}" for number in range(5)]


async def test_a_body_that_is_no_json_object_is_refused(azure):
    headers = {"Authorization": "Bearer x"}
    path = f"{BALANCERS}/x?api-version=2024-05-01"
    for text in ("", "{", "[]"):
        answer = await azure.send("PUT", path, headers=headers, data=text)
        assert (answer.status, answer.code) == (400, "InvalidRequestContent")


async def test_a_group_lives_and_takes_everything_with_it(azure):
    path = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/net"
    made = await azure.arm("PUT", path, {"location": "eastus", "tags": {"a": "b"}})
    assert made.status == 201
    assert made.body == {
        "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net",
        "name": "net",
        "type": "Microsoft.Resources/resourceGroups",
        "location": "eastus",
        "tags": {"a": "b"},
        "properties": {"provisioningState": "Succeeded"},
    }
    assert (await azure.arm("PUT", path, {"location": "eastus"})).status == 200
    assert (await azure.arm("PUT", path, {"location": "westus"})).code == "InvalidResourceLocation"
    assert (await azure.arm("HEAD", path)).status == 204
    pip = azure.network("publicIPAddresses", "pip", "net")
    await azure.made(pip, public_body() | {"location": "eastus"})
    gone = await azure.arm("DELETE", path)
    assert gone.status == 202
    assert "azure-asyncoperation" not in gone.headers
    assert f"/subscriptions/{SUBSCRIPTION}/operationresults/" in gone.headers["location"]
    assert (await azure.arm("GET", gone.headers["location"])).status == 200
    assert (await azure.arm("HEAD", path)).status == 404
    assert (await azure.arm("GET", pip)).code == "ResourceGroupNotFound"


async def test_a_group_that_is_being_deleted_takes_nothing_in(slow, clock):
    gone = await slow.arm("DELETE", slow.group("edge"))
    poll = await slow.arm("GET", gone.headers["location"])
    assert poll.status == 202
    refused = await slow.arm("PUT", slow.network("publicIPAddresses", "pip"), public_body())
    assert (refused.status, refused.code) == (409, "ResourceGroupBeingDeleted")
    clock.forward(11)
    assert (await slow.arm("GET", gone.headers["location"])).status == 200


async def test_the_resource_list_honours_its_filter(azure):
    await azure.arm("PUT", azure.group("net"), HERE)
    await azure.made(azure.network("virtualNetworks", "vnet1"), network_body() | {"tags": {"owner": "me"}})
    await azure.made(azure.network("publicIPAddresses", "vnet1"), public_body())
    await azure.made(azure.network("virtualNetworks", "vnet1", "net"), network_body())

    async def ids(text):
        answer = await azure.arm("GET", f"/subscriptions/{SUBSCRIPTION}/resources?$filter={text}")
        assert answer.status == 200, answer.body
        return [item["id"] for item in answer.body["value"]]

    az = "resourceGroup eq 'EDGE' and name eq 'vnet1' and resourceType eq 'microsoft.network/virtualnetworks'"
    assert await ids(az) == [azure.network("virtualNetworks", "vnet1")]
    assert await ids("name eq 'vnet1' and resourceGroup eq 'none'") == []
    assert await ids("tagName eq 'owner' and tagValue eq 'me'") == [azure.network("virtualNetworks", "vnet1")]
    assert len(await ids("substringof('VNET', name)")) == 3
    assert (
        len(await ids("resourceGroup eq 'net' or resourceType eq 'Microsoft.Network/publicIPAddresses'")) == 2
    )
    refused = await azure.arm("GET", f"/subscriptions/{SUBSCRIPTION}/resources?$filter=shape eq 'round'")
    assert (refused.status, refused.code) == (400, "InvalidFilterInQueryString")


async def test_subscriptions_and_providers_are_listed(azure):
    found = (await azure.arm("GET", "/subscriptions")).body["value"]
    assert [(item["subscriptionId"], item["state"]) for item in found] == [(SUBSCRIPTION, "Enabled")]
    provider = await azure.arm(
        "GET", f"/subscriptions/{SUBSCRIPTION}/providers/microsoft.network", version="2021-04-01"
    )
    assert provider.body["registrationState"] == "Registered"
    assert "loadBalancers" in [item["resourceType"] for item in provider.body["resourceTypes"]]

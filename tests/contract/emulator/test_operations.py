"""Long-running operations: headers, states, supersession, locks, failures."""

import pytest
from tests.support.emulator import seed_guide_network
from tests.support.emulator_bodies import HERE, Balancer, network_body, public_body


async def test_a_new_resource_is_updating_with_a_status_url(azure):
    answer = await azure.arm(
        "PUT", azure.network("publicIPAddresses", "pip"), public_body(), version="2025-05-01"
    )
    assert answer.status == 201
    assert answer.body["properties"]["provisioningState"] == "Updating"
    assert answer.headers["azure-asyncnotification"] == "Enabled"
    assert "location" not in answer.headers
    assert "retry-after" not in answer.headers
    url = answer.headers["azure-asyncoperation"]
    where = (
        f"/subscriptions/{azure.subscription}/providers/Microsoft.Network/locations/westeurope/operations/"
    )
    assert url.startswith(azure.url + where)
    assert "api-version=2025-05-01" in url
    poll = await azure.arm("GET", url)
    assert (poll.status, poll.body) == (200, {"status": "Succeeded"})


async def test_the_same_body_again_is_done_at_once(slow, clock):
    path = slow.network("publicIPAddresses", "pip")
    await slow.arm("PUT", path, public_body())
    clock.forward(11)
    again = await slow.arm("PUT", path, public_body())
    assert (again.status, again.body["properties"]["provisioningState"]) == (200, "Succeeded")
    assert (await slow.arm("GET", again.headers["azure-asyncoperation"])).body == {"status": "Succeeded"}


async def test_a_delete_has_both_urls_and_an_empty_body(slow, clock):
    path = slow.network("networkSecurityGroups", "nsg")
    await slow.arm("PUT", path, HERE)
    clock.forward(11)
    answer = await slow.arm("DELETE", path)
    assert (answer.status, answer.body) == (202, None)
    assert "/operations/" in answer.headers["azure-asyncoperation"]
    assert "/operationResults/" in answer.headers["location"]
    assert (await slow.arm("GET", answer.headers["azure-asyncoperation"])).body == {"status": "InProgress"}
    assert (await slow.arm("GET", answer.headers["location"])).status == 202
    assert (await slow.arm("GET", path)).body["properties"]["provisioningState"] == "Deleting"
    clock.forward(11)
    assert (await slow.arm("GET", answer.headers["azure-asyncoperation"])).body == {"status": "Succeeded"}
    assert (await slow.arm("GET", answer.headers["location"])).status == 204
    assert (await slow.arm("GET", path)).status == 404


async def test_an_interface_without_latency_is_done_without_an_operation(azure):
    await azure.made(azure.network("virtualNetworks", "app"), network_body(("lm", "10.0.1.0/24")))
    subnet = f"{azure.network('virtualNetworks', 'app')}/subnets/lm"
    body = {
        **HERE,
        "properties": {"ipConfigurations": [{"name": "a", "properties": {"subnet": {"id": subnet}}}]},
    }
    path = azure.network("networkInterfaces", "nic")
    made = await azure.arm("PUT", path, body)
    assert (made.status, made.body["properties"]["provisioningState"]) == (201, "Succeeded")
    assert "azure-asyncoperation" not in made.headers
    assert (await azure.arm("GET", path)).body["etag"] == made.body["etag"]
    gone = await azure.arm("DELETE", path)
    assert gone.status == 200
    assert "azure-asyncoperation" in gone.headers
    assert "location" in gone.headers


async def test_retry_after_is_sent_only_when_asked_for(serve, clock):
    azure = await serve(latency=10.0, retry_after=7)
    await azure.arm("PUT", azure.group("edge"), HERE)
    answer = await azure.arm("PUT", azure.network("publicIPAddresses", "pip"), public_body())
    assert answer.headers["retry-after"] == "7"
    poll = await azure.arm("GET", answer.headers["azure-asyncoperation"])
    assert poll.headers["retry-after"] == "7"
    clock.forward(11)
    done = await azure.arm("GET", answer.headers["azure-asyncoperation"])
    assert "retry-after" not in done.headers


async def test_latency_can_be_set_for_one_type(serve):
    azure = await serve(latency=10.0, latency_by_type={"microsoft.network/publicipaddresses": 0.0})
    await azure.arm("PUT", azure.group("edge"), HERE)
    fast = await azure.arm("PUT", azure.network("publicIPAddresses", "pip"), public_body())
    assert (await azure.arm("GET", fast.headers["azure-asyncoperation"])).body["status"] == "Succeeded"
    slow = await azure.arm("PUT", azure.network("networkSecurityGroups", "nsg"), HERE)
    assert (await azure.arm("GET", slow.headers["azure-asyncoperation"])).body["status"] == "InProgress"


@pytest.fixture
async def guide(serve, clock):
    azure = await serve(latency_by_type={"microsoft.network/loadbalancers": 10.0})
    await seed_guide_network(azure)
    return azure


async def test_a_second_put_supersedes_the_first(guide, clock):
    balancer = Balancer(guide)
    first = await guide.arm("PUT", balancer.path, balancer.body)
    balancer.properties["probes"][0]["properties"]["intervalInSeconds"] = 7
    second = await guide.arm("PUT", balancer.path, balancer.body)
    assert second.status == 200
    status = (await guide.arm("GET", first.headers["azure-asyncoperation"])).body
    one = first.headers["azure-asyncoperation"].partition("?")[0].rpartition("/")[2]
    two = second.headers["azure-asyncoperation"].partition("?")[0].rpartition("/")[2]
    assert status == {
        "status": "Canceled",
        "error": {
            "code": "CanceledAndSupersededDueToAnotherOperation",
            "message": f"Operation PutLoadBalancerOperation ({one}) was canceled and superseded by operation "
            f"PutLoadBalancerOperation ({two}).",
            "details": [],
        },
    }
    clock.forward(11)
    assert (await guide.arm("GET", second.headers["azure-asyncoperation"])).body == {"status": "Succeeded"}
    now = (await guide.arm("GET", balancer.path)).body
    assert now["properties"]["provisioningState"] == "Succeeded"
    assert now["properties"]["probes"][0]["properties"]["intervalInSeconds"] == 7


async def test_a_pool_put_supersedes_a_balancer_put_too(guide):
    balancer = Balancer(guide)
    first = await guide.arm("PUT", balancer.path, balancer.body)
    await guide.arm("PUT", f"{balancer.path}/backendAddressPools/second", {"properties": {}})
    assert (await guide.arm("GET", first.headers["azure-asyncoperation"])).body["status"] == "Canceled"


async def test_joining_a_balancer_that_is_being_changed_is_a_lock(guide, clock):
    balancer = Balancer(guide)
    await guide.arm("PUT", balancer.path, balancer.body)
    body = await balancer.joined(guide, 0)
    answer = await guide.arm("PUT", guide.network("networkInterfaces", "lm-0-nic"), body)
    assert (answer.status, answer.code) == (429, "RetryableError")
    assert "retry-after" not in answer.headers
    detail = answer.body["error"]["details"][0]
    assert detail == {
        "code": "ReferencedResourceNotProvisioned",
        "message": f"Cannot proceed with operation because resource {balancer.path} used by resource "
        f"{guide.network('networkInterfaces', 'lm-0-nic')} is not in Succeeded state. Resource is in "
        "Updating state and the "
        "last operation that updated/is updating the resource is PutLoadBalancerOperation.",
    }
    clock.forward(11)
    assert (await guide.arm("PUT", guide.network("networkInterfaces", "lm-0-nic"), body)).status == 200


async def test_changing_a_balancer_whose_member_is_being_changed_is_a_lock(serve, clock):
    azure = await serve()
    await seed_guide_network(azure)
    balancer = Balancer(azure)
    await azure.made(balancer.path, balancer.body)
    nic = azure.network("networkInterfaces", "lm-0-nic")
    await azure.add_fault(verb="PUT", path="lm-0-nic", operationLatency=10)
    assert (await azure.arm("PUT", nic, await balancer.joined(azure, 0))).status == 200
    balancer.properties["probes"][0]["properties"]["intervalInSeconds"] = 7
    refused = await azure.arm("PUT", balancer.path, balancer.body)
    assert (refused.status, refused.code) == (429, "RetryableError")
    detail = refused.body["error"]["details"][0]
    assert detail["code"] == "ReferencedResourceNotProvisioned"
    assert detail["message"].endswith(
        "the last operation that updated/is updating the resource is PutNicOperation."
    )
    clock.forward(11)
    assert (await azure.arm("PUT", balancer.path, balancer.body)).status == 200


async def test_a_status_that_cannot_be_read_once_is_no_end_of_the_operation(slow, clock):
    answer = await slow.arm("PUT", slow.network("publicIPAddresses", "pip"), public_body())
    await slow.add_fault(verb="GET", path="/operations/", status=500)
    assert (await slow.arm("GET", answer.headers["azure-asyncoperation"])).status == 500
    assert (await slow.arm("GET", answer.headers["azure-asyncoperation"])).body == {"status": "InProgress"}
    clock.forward(11)
    assert (await slow.arm("GET", answer.headers["azure-asyncoperation"])).body == {"status": "Succeeded"}


async def test_a_second_write_of_an_interface_is_a_lock(serve):
    azure = await serve(latency_by_type={"microsoft.network/networkinterfaces": 10.0})
    await azure.arm("PUT", azure.group("edge"), HERE)
    await azure.made(azure.network("virtualNetworks", "app"), network_body(("lm", "10.0.1.0/24")))
    subnet = f"{azure.network('virtualNetworks', 'app')}/subnets/lm"
    body = {
        **HERE,
        "properties": {"ipConfigurations": [{"name": "a", "properties": {"subnet": {"id": subnet}}}]},
    }
    path = azure.network("networkInterfaces", "nic")
    first = await azure.arm("PUT", path, body)
    assert (first.status, first.body["properties"]["provisioningState"]) == (201, "Updating")
    operation = first.headers["azure-asyncoperation"].partition("?")[0].rpartition("/")[2]
    second = await azure.arm("PUT", path, body)
    assert (second.status, second.code) == (429, "RetryableError")
    assert second.body["error"]["details"] == [
        {
            "code": "RetryableErrorDueToAnotherOperation",
            "message": f"Operation PutNicOperation ({operation}) is updating resource {path}. The call can "
            "be retried in 10 "
            "seconds.",
        }
    ]


async def test_a_network_takes_one_write_at_a_time(slow):
    path = slow.network("virtualNetworks", "app")
    first = await slow.arm("PUT", path, network_body(("a", "10.0.0.0/24")))
    assert first.status == 201
    second = await slow.arm("PUT", f"{path}/subnets/b", {"properties": {"addressPrefix": "10.0.1.0/24"}})
    assert (second.status, second.code) == (409, "AnotherOperationInProgress")
    assert second.body["error"]["message"].startswith(
        "Another operation on this or dependent resource is in progress. To retrieve status of the operation "
        "use uri: https://"
    )


@pytest.mark.parametrize("outcome", ["Failed", "Canceled"])
async def test_an_operation_can_fail_and_a_put_of_the_same_content_heals(guide, clock, outcome):
    balancer = Balancer(guide)
    await guide.add_fault(verb="PUT", path="loadBalancers/", operation=outcome, code="InternalServerError")
    answer = await guide.arm("PUT", balancer.path, balancer.body)
    clock.forward(11)
    status = (await guide.arm("GET", answer.headers["azure-asyncoperation"])).body
    assert (status["status"], status["error"]["code"]) == (outcome, "InternalServerError")
    assert (await guide.arm("GET", balancer.path)).body["properties"]["provisioningState"] == outcome
    nic = guide.network("networkInterfaces", "lm-0-nic")
    joined = await balancer.joined(guide, 0)
    blocked = await guide.arm("PUT", nic, joined)
    assert blocked.body["error"]["details"][0]["code"] == "ReferencedResourceNotProvisioned"
    await guide.arm("PUT", balancer.path, balancer.body)
    clock.forward(11)
    assert (await guide.arm("GET", balancer.path)).body["properties"]["provisioningState"] == "Succeeded"
    assert (await guide.arm("PUT", nic, joined)).status == 200


async def test_a_failed_deletion_leaves_the_resource(azure):
    path = azure.network("networkSecurityGroups", "nsg")
    await azure.made(path, HERE)
    await azure.add_fault(
        verb="DELETE", path="networkSecurityGroups", operation="Failed", code="Boom", message="no"
    )
    answer = await azure.arm("DELETE", path)
    assert (await azure.arm("GET", answer.headers["azure-asyncoperation"])).body == {
        "status": "Failed",
        "error": {"code": "Boom", "message": "no", "details": []},
    }
    assert (await azure.arm("GET", answer.headers["location"])).status == 500
    assert (await azure.arm("GET", path)).body["properties"]["provisioningState"] == "Failed"


async def test_compute_says_more_about_its_operations(azure):
    await seed_guide_network(azure)
    answer = await azure.arm("POST", azure.compute("virtualMachines", "lm-0") + "/deallocate")
    assert answer.status == 202
    poll = (await azure.arm("GET", answer.headers["azure-asyncoperation"])).body
    assert sorted(poll) == ["endTime", "name", "startTime", "status"]
    assert (await azure.arm("GET", answer.headers["location"])).status == 200


async def test_an_unknown_operation_is_not_found(azure):
    path = (
        f"/subscriptions/{azure.subscription}/providers/Microsoft.Network/locations/westeurope/operations/"
        "00000000-0000-0000-0000-000000000000?api-version=2024-05-01"
    )
    assert (await azure.arm("GET", path)).status == 404

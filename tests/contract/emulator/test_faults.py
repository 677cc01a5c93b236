"""Faults on demand, the counts of requests, and seeds."""

import aiohttp
import pytest
from tests.support.emulator_bodies import HERE, public_body


@pytest.fixture
def pip(azure):
    return azure.network("publicIPAddresses", "pip")


async def test_a_status_strikes_the_nth_request_so_many_times(azure, pip):
    await azure.add_fault(
        verb="GET", path="publicIPAddresses/pip$", nth=2, count=2, status=503, code="Busy", retryAfter=3
    )
    await azure.made(pip, public_body())  # includes the first GET
    for _ in range(2):
        answer = await azure.arm("GET", pip)
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "Busy", "3")
    assert (await azure.arm("GET", pip)).status == 200
    fault = (await azure.faults())[0]
    assert (fault["matched"], fault["hits"]) == (4, 2)
    await azure.clear_faults()
    assert await azure.faults() == []


async def test_a_dropped_connection_before_or_after_the_write(azure, pip):
    # Without end: aiohttp itself sends a PUT again when a kept connection breaks.
    await azure.add_fault(verb="PUT", path="pip", drop="before", count=0)
    with pytest.raises(aiohttp.ClientError):
        await azure.arm("PUT", pip, public_body())
    assert (await azure.arm("GET", pip)).status == 404
    await azure.clear_faults()
    await azure.add_fault(verb="PUT", path="pip", drop="after", count=0)
    with pytest.raises(aiohttp.ClientError):
        await azure.arm("PUT", pip, public_body())
    assert (await azure.arm("GET", pip)).status == 200
    statuses = [entry["status"] for entry in (await azure.requests())["writes"][1:]]
    assert statuses[0] is None
    assert statuses.index(201) == statuses.count(None)


async def test_a_stale_read_answers_what_was_true_before(azure, pip):
    await azure.add_fault(verb="GET", path="pip", staleRead=True)
    await azure.arm("PUT", pip, public_body())
    old = await azure.arm("GET", pip)
    assert old.status == 200
    assert old.body["properties"]["provisioningState"] == "Updating"
    await azure.made(pip, public_body(idleTimeoutInMinutes=10))
    await azure.arm("PATCH", pip, {"tags": {"a": "b"}})
    await azure.add_fault(verb="GET", path="pip", staleRead=True)
    assert "tags" not in (await azure.arm("GET", pip)).body
    assert (await azure.arm("GET", pip)).body["tags"] == {"a": "b"}


async def test_a_stale_read_right_after_creation_finds_nothing(azure):
    path = azure.network("loadBalancers", "lb")
    body = {**HERE, "sku": {"name": "Standard"}, "properties": {}}
    await azure.arm("PUT", path, body)
    await azure.add_fault(verb="GET", path="loadBalancers/lb", staleRead=True)
    assert (await azure.arm("GET", path)).status == 404
    assert (await azure.arm("GET", path)).status == 200


async def test_an_operation_can_be_made_slow_or_fail(azure, pip):
    await azure.add_fault(verb="PUT", path="pip", operationLatency=1000)
    answer = await azure.arm("PUT", pip, public_body())
    assert (await azure.arm("GET", answer.headers["azure-asyncoperation"])).body == {"status": "InProgress"}


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({}, "nothing would happen"),
        ({"status": 99}, "no HTTP status"),
        ({"path": "(", "status": 500}, "regular expression"),
        ({"drop": "sideways"}, "before or after"),
        ({"operation": "Lost"}, "Failed or Canceled"),
        ({"statsu": 500}, "unknown field 'statsu'"),
        ({"status": "500"}, "wrong type"),
        ({"status": 500, "nth": 0}, "nth starts at 1"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(azure, fault, text):
    answer = await azure.send("POST", "/_emulator/faults", fault)
    assert answer.status == 400
    assert text in answer.body["error"]


async def test_requests_are_counted_by_method_and_type(azure, pip):
    await azure.reset_requests()
    await azure.made(pip, public_body())
    await azure.arm("GET", azure.network("loadBalancers", "x") + "/probes/y")
    found = await azure.requests()
    assert found["byResourceType"] == {
        "Microsoft.Network/loadBalancers/probes": {"GET": 1},
        "Microsoft.Network/publicIPAddresses": {"PUT": 1, "GET": 1},
        "operations": {"GET": 1},
    }
    assert found["total"] == 4
    assert [
        (entry["number"], entry["method"], entry["path"], entry["status"]) for entry in found["writes"]
    ] == [(1, "PUT", pip, 201)]


async def test_a_seed_needs_a_known_type_and_an_existing_group(azure, pip):
    assert (await azure.send("PUT", "/_emulator/resources/nonsense", {})).status == 400
    elsewhere = pip.replace("/edge/", "/nowhere/")
    assert (await azure.send("PUT", f"/_emulator/resources{elsewhere}", {})).status == 404


async def test_an_unknown_admin_path_is_not_found(azure):
    assert (await azure.send("GET", "/_emulator/nothing")).status == 404

"""`If-Match` and `If-None-Match`, and when an etag changes. Bodies are those of recorded traffic."""

import pytest
from tests.support.emulator_bodies import HERE, public_body, rule_body

VALUE = 'W/"00000000-0000-0000-0000-000000000000"'


@pytest.fixture
def group(azure):
    return azure.network("networkSecurityGroups", "nsg")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"If-Match": "*"}, 412),
        ({"If-Match": "xyz"}, 412),
        ({"If-None-Match": "*"}, 201),
    ],
)
async def test_put_of_what_is_missing(azure, group, headers, status):
    assert (await azure.arm("PUT", group, HERE, headers)).status == status


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-Match", "*", 200),
        ("If-Match", "current", 200),
        ("If-Match", "unquoted", 200),
        ("If-Match", VALUE, 412),
        ("If-None-Match", "*", 412),
        ("If-None-Match", "current", 412),
        ("If-None-Match", VALUE, 200),
    ],
)
async def test_put_of_what_is_there(azure, group, header, value, status):
    etag = (await azure.made(group, HERE))["etag"]
    sent = {"current": etag, "unquoted": etag[3:-1]}.get(value, value)
    assert (await azure.arm("PUT", group, HERE, {header: sent})).status == status


async def test_the_refusal_names_both_etags(azure, group):
    etag = (await azure.made(group, HERE))["etag"]
    answer = await azure.arm("PUT", group, HERE, {"If-Match": "invalid"})
    assert answer.status == 412
    assert answer.body == {
        "error": {
            "code": "PreconditionFailed",
            "message": "Precondition failed.",
            "details": [
                {
                    "code": "PreconditionFailedEtagMismatch",
                    "message": 'Etag provided in if-match header W/"invalid" does not match etag '
                    f"{etag} of resource {group} in NRP data store.",
                }
            ],
        }
    }


async def test_delete_honours_if_match_but_not_for_what_is_gone(azure, group):
    await azure.made(group, HERE)
    assert (await azure.arm("DELETE", group, headers={"If-Match": VALUE})).status == 412
    assert (await azure.arm("DELETE", group)).status == 202
    assert (await azure.arm("DELETE", group, headers={"If-Match": VALUE})).status == 204


async def test_a_get_carries_the_etag_as_header_and_a_put_does_not(azure, group):
    put = await azure.arm("PUT", group, HERE)
    assert "etag" not in put.headers
    got = await azure.arm("GET", group)
    assert got.headers["etag"] == got.body["etag"]


async def test_the_etag_moves_when_an_update_completes(slow, clock):
    path = slow.network("publicIPAddresses", "pip")
    put = (await slow.arm("PUT", path, public_body())).body
    assert put["properties"]["provisioningState"] == "Updating"
    assert (await slow.arm("GET", path)).body["etag"] == put["etag"]
    clock.forward(10.1)
    done = (await slow.arm("GET", path)).body
    assert done["properties"]["provisioningState"] == "Succeeded"
    assert done["etag"] != put["etag"]
    stale = await slow.arm("PUT", path, public_body(), {"If-Match": put["etag"]})
    assert stale.status == 412


async def test_children_share_the_etag_and_move_it(azure, group):
    before = await azure.made(group, HERE)
    rule = f"{group}/securityRules/allow"
    body = rule_body(100)
    refused = await azure.arm("PUT", rule, body, {"If-Match": VALUE})
    assert refused.status == 412
    await azure.made(rule, body)
    after = (await azure.arm("GET", group)).body
    child = (await azure.arm("GET", rule)).body
    assert after["etag"] != before["etag"]
    assert {item["etag"] for item in after["properties"]["defaultSecurityRules"]} == {after["etag"]}
    assert child["etag"] == after["etag"]
    again = await azure.arm("PUT", rule, body, {"If-Match": child["etag"]})
    assert again.status == 200
    assert (await azure.arm("PUT", rule, body, {"If-None-Match": "*"})).status == 412


async def test_machines_count_their_etags_and_word_the_refusal_their_way(azure):
    from tests.support.emulator import seed_guide_network  # noqa: PLC0415 - the seed is needed here only

    await seed_guide_network(azure)
    path = azure.compute("virtualMachines", "lm-0")
    machine = (await azure.arm("GET", path)).body
    assert machine["etag"] == '"2"'
    answer = await azure.arm("PUT", path, machine, {"If-Match": "invalid"})
    assert answer.status == 412
    assert answer.body == {
        "error": {
            "code": "PreconditionFailed",
            "message": 'Etag provided in if-match header "invalid" does not match etag "2" of resource.',
        }
    }

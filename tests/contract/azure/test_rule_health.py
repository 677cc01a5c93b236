"""Azure's own view of a rule: the request on the wire, what is made of the answer, and the emulated Azure's.

The literal bodies are those of Microsoft's page "Manage health status" and of the specification's example
`LoadBalancerHealth`.
"""

from contextlib import AsyncExitStack

import pytest
from tests.contract.azure.conftest import SUBSCRIPTION
from tests.support.emulator import CLIENT, TENANT, running_emulator, seed_guide_network
from tests.support.scripted_arm import Answer

from loadmaster_ha.azure import rule_health
from loadmaster_ha.azure.cloud import Cloud
from loadmaster_ha.azure.credentials import ClientSecret
from loadmaster_ha.azure.sdk import NETWORK_API_VERSION, SdkTransport
from loadmaster_ha.azure.session import AzureSession
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.planning.arm import network
from loadmaster_ha.planning.diagnosis.model import RuleHealth

RULE = network(SUBSCRIPTION, "edge", "loadBalancers", "web-ilb").child("loadBalancingRules", "lm_web_check")
HEALTH = f"{RULE}/health"
RESULT = "/subscriptions/x/providers/Microsoft.Network/locations/westeurope/operationResults/1"
CONFIGURATION = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/edge/providers/Microsoft.Network/networkInterfaces/"
    "lm-{}-nic/ipConfigurations/ipconfig1"
)
HEALTHY = {
    "up": 1,
    "down": 1,
    "loadBalancerBackendAddresses": [
        {
            "networkInterfaceIPConfigurationId": CONFIGURATION.format(0),
            "ipAddress": "10.0.2.4",
            "state": "Up",
            "reason": "Up_Probe_Success",
        },
        {
            "networkInterfaceIPConfigurationId": CONFIGURATION.format(1),
            "ipAddress": "10.0.2.5",
            "state": "Down",
            "reason": "Down_Probe_HttpStatusCodeError",
        },
    ],
}


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch):
    monkeypatch.setattr(rule_health, "FIRST_PAUSE", 0.01)


async def test_the_operation_is_started_followed_and_read(arm, session):
    accepted = Answer(202, headers={"Location": f"{{base}}{RESULT}?api-version=1&t=2", "Retry-After": "0"})
    arm.on("POST", HEALTH, accepted)
    arm.on("GET", RESULT, Answer(202), Answer(200, HEALTHY))

    found = await session.rule_health(RULE)

    assert found == Present(
        RuleHealth(frozenset({"10.0.2.4"}), {"10.0.2.5": "Down_Probe_HttpStatusCodeError"})
    )
    posted = arm.requests[0]
    assert (posted.method, posted.query["api-version"], posted.body) == ("POST", NETWORK_API_VERSION, None)
    assert arm.count("GET", "operationResults") == 2


async def test_an_answer_without_an_operation_is_taken_as_it_is(arm, session):
    arm.on("POST", HEALTH, Answer(200, HEALTHY))
    assert isinstance(await session.rule_health(RULE), Present)


async def test_a_machine_that_is_off_and_rows_that_cannot_be_read_are_left_out(arm, session):
    empty = {"ipAddress": "", "networkInterfaceIPConfigurationId": "", "state": "", "reason": ""}
    rows = [empty, None, "x", {"ipAddress": "10.0.2.9"}, {"ipAddress": None, "state": "Up"}]
    body = {
        "up": 1,
        "down": 0,
        "loadBalancerBackendAddresses": [*rows, HEALTHY["loadBalancerBackendAddresses"][0]],
    }
    arm.on("POST", HEALTH, Answer(200, body))
    assert await session.rule_health(RULE) == Present(RuleHealth(frozenset({"10.0.2.4"}), {}))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}), "AuthorizationFailed"),
        (Answer(429, {"error": {"code": "TooManyRequests", "message": "slow"}}), None),
        (Answer(400, {"error": {"code": "NoRegisteredProviderFound", "message": "old"}}), None),
        (Answer(200, ["what"]), "UnexpectedAnswer"),
        (Answer(200, {"up": 1}), "UnexpectedAnswer"),
        (Answer(200, raw=b"<html>a proxy</html>"), "UnexpectedAnswer"),
        (Answer(lost=True), None),
    ],
)
async def test_what_cannot_be_read_is_unknown_with_the_reason(arm, session, answer, reason):
    arm.on("POST", HEALTH, answer)
    found = await session.rule_health(RULE)
    assert isinstance(found, Unknown)
    assert found.reason == (reason or found.reason)
    assert found.message


async def test_a_rule_that_is_not_there_is_absent(arm, session):
    arm.on("POST", HEALTH, Answer(404, {"error": {"code": "NotFound", "message": "none"}}))
    assert isinstance(await session.rule_health(RULE), Absent)


async def test_an_operation_that_does_not_end_is_given_up(arm, session, monkeypatch):
    monkeypatch.setattr(rule_health, "PATIENCE", 0.3)
    arm.on("POST", HEALTH, Answer(202, headers={"Location": f"{{base}}{RESULT}"}))
    arm.on("GET", RESULT, Answer(202))
    found = await session.rule_health(RULE)
    assert isinstance(found, Unknown)
    assert found.reason == "OperationRunning"


async def test_a_result_elsewhere_gets_no_token(arm, session):
    arm.on("POST", HEALTH, Answer(202, headers={"Location": "https://elsewhere.example/x"}))
    found = await session.rule_health(RULE)
    assert isinstance(found, Unknown)
    assert found.reason == "ForeignURL"


async def test_the_emulated_azure_is_understood():
    async with AsyncExitStack() as stack:
        azure = await stack.enter_async_context(running_emulator())
        await seed_guide_network(azure)
        credentials = ClientSecret(TENANT, CLIENT, "s3cr3t~of~the~tests")
        cloud = Cloud.custom(azure.url, ca_file=azure.ca_file)
        session = AzureSession(SdkTransport(SUBSCRIPTION, credentials, cloud))
        stack.push_async_callback(session.close)
        assert isinstance(await session.rule_health(RULE), Absent)

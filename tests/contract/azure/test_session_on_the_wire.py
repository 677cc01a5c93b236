"""What an `AzureSession` sends and how it takes what comes back. The bodies are literal: recordings of Azure
(kubernetes-sigs/cloud-provider-azure, Apache-2.0) and Microsoft's documentation."""

import base64
import logging

import pytest
from tests.support.scripted_arm import TOKEN, Answer

from loadmaster_ha.azure.cloud import Cloud
from loadmaster_ha.azure.credentials import ClientSecret, SignInRefused
from loadmaster_ha.azure.operations import FIRST_LOOK
from loadmaster_ha.azure.outcomes import Done, Operation, Outdated, Refused, Running, TryLater
from loadmaster_ha.azure.sdk import SdkTransport
from loadmaster_ha.azure.session import AzureSession, AzureUnreachable
from loadmaster_ha.azure.transport import NoObserver
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.planning.arm import ResourceID, compute, network, resource_group
from loadmaster_ha.planning.changes import Delete, Put, Section
from loadmaster_ha.planning.observation import AddressQuestion

S = "11111111-2222-3333-4444-555555555555"
BALANCER = network(S, "edge", "loadBalancers", "web")
NIC = network(S, "edge", "networkInterfaces", "lm-0")
NIC_1 = network(S, "edge", "networkInterfaces", "lm-1")
GROUP = network(S, "edge", "networkSecurityGroups", "lm-nsg")
RULE = GROUP.child("securityRules", "lm_web_check")
VNET = network(S, "edge", "virtualNetworks", "app")
ETAG = 'W/"00000000-0000-0000-0000-000000000001"'

OPERATION = (
    "{base}/subscriptions/" + S + "/providers/Microsoft.Network/locations/eastus/operations/"
    "00000000-0000-0000-0000-00000000000f?api-version=2025-05-01&t=0001&c=MII&s=SIGNED&h=HASH"
)
RESULT = OPERATION.replace("/operations/", "/operationResults/")
OPERATION_PATH = OPERATION.removeprefix("{base}").split("?", maxsplit=1)[0]
RESULT_PATH = OPERATION_PATH.replace("/operations/", "/operationResults/")


def balancer(state="Succeeded", **properties):
    return {
        "name": "web",
        "id": str(BALANCER),
        "etag": ETAG,
        "type": "Microsoft.Network/loadBalancers",
        "location": "eastus",
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {"provisioningState": state, **properties},
    }


def put(resource=BALANCER, body=None, if_match=ETAG):
    return Put(Section.LOAD_BALANCER, resource, body or balancer(), if_match, ())


def delete(resource=BALANCER, if_match=ETAG):
    return Delete(Section.LOAD_BALANCER, resource, if_match, "the test wants it")


def needs(*ids):
    return lambda _: ids


def allowed():
    """The permission of a process that holds the Lease."""


async def test_a_resource_is_read_with_all_its_properties_also_unknown_ones(arm, session):
    body = balancer(propertyOfTheFuture={"deep": [1, {"x": None}]})
    arm.on("GET", str(BALANCER), Answer(200, body, {"ETag": ETAG}))

    observation = await session.observe(needs(BALANCER))

    assert observation.get(BALANCER).body == body
    assert observation.get(BALANCER).etag == ETAG
    assert arm.requests[0].query == {"api-version": "2026-03-01"}
    assert arm.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert arm.requests[0].headers["user-agent"].startswith("loadmaster-operator/")


async def test_a_machine_and_a_resource_group_are_read(arm, session):
    machine, group = compute(S, "edge", "virtualMachines", "lm-0"), resource_group(S, "edge")
    arm.on("GET", str(machine), Answer(200, {"id": str(machine), "etag": '"3"', "properties": {}}))
    arm.on("GET", str(group), Answer(200, {"id": str(group), "location": "West Europe"}))

    observation = await session.observe(needs(machine, group))

    assert observation.get(machine).etag == '"3"'
    assert observation.get(group).location == "westeurope"


async def test_the_question_for_a_free_address_is_answered(arm, session):
    arm.on("GET", f"{VNET}/CheckIPAddressAvailability", Answer(200, {"available": False}))
    question = AddressQuestion(VNET, "10.0.2.100")

    observation = await session.observe(needs(question))

    assert observation.addresses[question] == Present(False)
    assert arm.requests[0].query["ipAddress"] == "10.0.2.100"


@pytest.mark.parametrize(
    ("status", "code", "reading"),
    [
        (404, "ResourceNotFound", Absent),
        (404, "ResourceGroupNotFound", Absent),
        (404, "NotFound", Absent),
        (404, "SubscriptionNotFound", Unknown),
        (400, "InvalidSubscriptionId", Unknown),
        (403, "AuthorizationFailed", Unknown),
        (500, "InternalServerError", Unknown),
        (429, "SubscriptionRequestsThrottled", Unknown),
    ],
)
async def test_what_cannot_be_read_is_unknown_and_only_what_is_not_there_is_absent(
    arm, session, status, code, reading
):
    arm.on("GET", str(BALANCER), Answer(status, {"error": {"code": code, "message": "In words."}}))

    found = (await session.observe(needs(BALANCER))).read(BALANCER)

    assert isinstance(found, reading)
    assert found.reason == ("Throttled" if status == 429 else code)
    assert "In words" in found.message
    assert arm.count("GET") == 1


async def test_a_page_of_a_proxy_is_neither_presence_nor_absence(arm, session):
    arm.on("GET", str(BALANCER), Answer(404, raw=b"<html>Not Found</html>"))
    assert (await session.observe(needs(BALANCER))).read(BALANCER).reason == "HTTP404"

    arm.on("GET", str(NIC), Answer(200, raw=b"<html>Welcome</html>"))
    assert (await session.observe(needs(NIC))).read(NIC).reason == "UnexpectedAnswer"


async def test_a_put_sends_the_body_as_it_is_with_its_condition(arm, session):
    body = balancer(propertyOfTheFuture=True, frontendIPConfigurations=[{"name": "f", "zones": ["1"]}])
    arm.on("PUT", str(BALANCER), Answer(200, balancer()))

    assert await session.apply(put(body=body), permit=allowed) == Done()

    assert arm.requests[0].body == body
    assert arm.requests[0].headers["if-match"] == ETAG
    assert "if-none-match" not in arm.requests[0].headers


async def test_what_is_planned_as_new_never_overwrites(arm, session):
    arm.on("PUT", str(BALANCER), Answer(201, balancer()))

    assert await session.apply(put(if_match=None), permit=allowed) == Done()

    assert arm.requests[0].headers["if-none-match"] == "*"
    assert "if-match" not in arm.requests[0].headers


async def test_a_rule_is_written_and_deleted_as_a_child(arm, session):
    arm.on("PUT", str(RULE), Answer(200, {"properties": {"provisioningState": "Succeeded"}}))
    arm.on("DELETE", str(RULE), Answer(204))

    assert await session.apply(put(RULE, {"properties": {"priority": 100}}), permit=allowed) == Done()
    assert await session.apply(delete(RULE, None), permit=allowed) == Done()

    assert [(r.method, r.path) for r in arm.requests] == [("PUT", str(RULE)), ("DELETE", str(RULE))]
    assert "if-match" not in arm.requests[1].headers


async def test_an_outdated_etag_is_told_from_the_recorded_answer(arm, session):
    recorded = {
        "error": {
            "code": "PreconditionFailed",
            "message": "Precondition failed.",
            "details": [
                {
                    "code": "PreconditionFailedEtagMismatch",
                    "message": 'Etag provided in if-match header W/"invalid" does not match etag '
                    'W/"00000000-0000-0000-0000-000000000000" of resource x in NRP data store.',
                }
            ],
        }
    }
    arm.on("PUT", str(BALANCER), Answer(412, recorded, {"Retry-After": "1"}))

    outcome = await session.apply(put(), permit=allowed)

    assert outcome.__class__ is Outdated
    assert "does not match etag" in outcome.message
    assert arm.count("PUT") == 1  # the SDK would repeat it because of Retry-After


async def test_an_operation_in_the_azure_asyncoperation_style_is_followed_to_its_end(arm, session):
    arm.on("PUT", str(BALANCER), Answer(201, balancer("Updating"), {"Azure-AsyncOperation": OPERATION}))
    arm.on(
        "GET",
        OPERATION_PATH,
        Answer(200, {"status": "InProgress"}, {"Retry-After": "7"}),
        Answer(500, {"error": {"code": "InternalServerError", "message": "An error occurred."}}),
        Answer(200, {"status": "SUCCEEDED"}),
    )

    first = await session.apply(put(), permit=allowed)

    assert isinstance(first, Running)
    assert first.operation.style == "AsyncOperation"
    assert first.operation.url == OPERATION.replace("{base}", arm.url)
    assert first.after == FIRST_LOOK
    assert (await session.look(first.operation)).after == 7.0
    assert isinstance(await session.look(first.operation), Running)  # the status could not be read once
    assert await session.look(first.operation) == Done()
    assert arm.requests[1].query["s"] == "SIGNED"
    assert [r.method for r in arm.requests] == ["PUT", "GET", "GET", "GET"]


async def test_an_operation_in_the_location_style_is_followed_to_its_end(arm, session):
    arm.on("DELETE", str(BALANCER), Answer(202, headers={"Location": RESULT, "Retry-After": "3"}))
    arm.on("GET", RESULT_PATH, Answer(202, headers={"Location": RESULT}), Answer(204))

    first = await session.apply(delete(), permit=allowed)

    assert (first.operation.style, first.after) == ("Location", 3.0)
    assert isinstance(await session.look(first.operation), Running)
    assert await session.look(first.operation) == Done()


async def test_a_resource_that_tells_its_own_state_is_followed_to_its_end(arm, session):
    arm.on("PUT", str(GROUP), Answer(201, {"properties": {"provisioningState": "Updating"}}))
    arm.on(
        "GET",
        str(GROUP),
        Answer(200, {"properties": {"provisioningState": "Updating"}}),
        Answer(200, {"properties": {"provisioningState": "Succeeded"}}),
    )

    first = await session.apply(put(GROUP), permit=allowed)

    assert first.operation.style == "Resource"
    assert isinstance(await session.look(first.operation), Running)
    assert await session.look(first.operation) == Done()


async def test_deleting_an_interface_may_be_200_with_an_operation(arm, session):
    public = network(S, "edge", "publicIPAddresses", "web")
    arm.on("DELETE", str(public), Answer(200, headers={"Azure-AsyncOperation": OPERATION}))

    assert isinstance(await session.apply(delete(public), permit=allowed), Running)


async def test_a_superseded_operation_means_to_look_and_plan_again(arm, session):
    superseded = {
        "status": "Canceled",
        "error": {
            "code": "CanceledAndSupersededDueToAnotherOperation",
            "message": "Operation PutLoadBalancerOperation (a) was canceled and superseded by operation "
            "PutLoadBalancerOperation (b).",
        },
    }
    arm.on("PUT", str(BALANCER), Answer(200, balancer("Updating"), {"Azure-AsyncOperation": OPERATION}))
    arm.on("GET", OPERATION_PATH, Answer(200, superseded))

    first = await session.apply(put(), permit=allowed)
    outcome = await session.look(first.operation)

    assert isinstance(outcome, Outdated)
    assert "superseded by operation" in outcome.message


async def test_an_operation_of_another_process_is_looked_at_from_plain_data(arm, connect):
    arm.on("GET", OPERATION_PATH, Answer(200, {"status": "Succeeded"}))
    kept = Operation(
        BALANCER, "PUT", OPERATION.replace("{base}", arm.url), "AsyncOperation", "2026-11-20T10:00:00Z"
    )

    assert await connect().look(kept) == Done()


async def test_a_token_never_follows_a_url_to_another_host(arm, session):
    url = "https://evil.example/operations/1"
    kept = Operation(BALANCER, "PUT", url, "AsyncOperation", "2026-11-20T10:00:00Z")

    outcome = await session.look(kept)

    assert isinstance(outcome, Outdated)
    assert "gets no token" in outcome.message
    assert arm.requests == []


async def test_one_write_at_a_time_while_an_operation_runs(arm, session):
    arm.on("PUT", str(BALANCER), Answer(200, balancer("Updating"), {"Azure-AsyncOperation": OPERATION}))
    arm.on("GET", OPERATION_PATH, Answer(200, {"status": "InProgress"}), Answer(200, {"status": "Succeeded"}))
    first = await session.apply(put(), permit=allowed)

    second = await session.apply(put(), permit=allowed)

    assert isinstance(second, TryLater)
    assert second.reason == "OperationRunning"
    await session.look(first.operation)
    assert isinstance(await session.apply(put(), permit=allowed), Running)
    assert arm.count("PUT") == 2


async def test_an_operation_that_nobody_follows_holds_up_the_next_write_no_longer_than_it_runs(arm, session):
    """Its pair may have been let go, or its URL could not be stored in status."""
    arm.on("PUT", str(BALANCER), Answer(200, balancer("Updating"), {"Azure-AsyncOperation": OPERATION}))
    arm.on("GET", OPERATION_PATH, Answer(200, {"status": "Succeeded"}))
    await session.apply(put(), permit=allowed)

    assert isinstance(await session.apply(put(), permit=allowed), Running)
    assert arm.count("PUT") == 2


async def test_requests_are_counted_under_one_name_of_a_type_however_an_id_spells_it(arm, connect):
    seen = []

    class Figures(NoObserver):
        def on_request(self, method, resource_type, code, seconds):
            seen.append((method, resource_type, code, seconds >= 0))

    arm.on("GET", str(BALANCER), Answer(200, balancer()))
    shouted = ResourceID.parse(str(BALANCER).replace("loadBalancers", "LOADBALANCERS"))
    session = connect(observer=Figures())
    await session.observe(needs(BALANCER))
    await session.observe(needs(shouted))
    assert {kind for _, kind, _, _ in seen} == {"Microsoft.Network/loadBalancers"}
    assert len(seen) == 2


async def test_the_seconds_in_the_text_of_a_lock_are_waited(arm, session):
    locked = {
        "error": {
            "code": "RetryableError",
            "message": "A retryable error occurred.",
            "details": [
                {
                    "code": "RetryableErrorDueToAnotherOperation",
                    "message": "Operation PutLoadBalancerOperation (00000000-0000-0000-0000-000000000000) is "
                    f"updating resource {BALANCER}. The call can be retried in 11 seconds.",
                }
            ],
        }
    }
    arm.on("PUT", str(BALANCER), Answer(429, locked), Answer(200, balancer()))

    outcome = await session.apply(put(), permit=allowed)

    assert isinstance(outcome, TryLater)
    assert (outcome.after, outcome.throttled) == (11.0, False)
    assert outcome.reason == "RetryableErrorDueToAnotherOperation"
    assert await session.apply(put(), permit=allowed) == Done()  # a lock closes no gate


async def test_throttling_closes_the_gate_for_writes_and_leaves_reads_alone(arm, session):
    throttled = {
        "error": {
            "code": "SubscriptionRequestsThrottled",
            "message": "Number of write requests for subscription exceeded the limit. "
            "Please try again after '5' minutes.",
        }
    }
    arm.on("PUT", str(BALANCER), Answer(429, throttled, {"Retry-After": "300"}))
    arm.on("GET", str(BALANCER), Answer(200, balancer()))

    first = await session.apply(put(), permit=allowed)
    second = await session.apply(put(NIC), permit=allowed)

    assert (first.throttled, first.after) == (True, 300.0)
    assert (second.reason, second.throttled) == ("Throttled", True)
    assert 200 < second.after <= 300
    assert arm.count("PUT") == 1
    assert (await session.observe(needs(BALANCER))).get(BALANCER)


async def test_a_lost_answer_is_not_sent_again_and_the_next_observation_shows_what_became_of_it(arm, session):
    arm.on("GET", str(BALANCER), Answer(200, balancer()), Answer(200, balancer(written=True)))
    arm.on("PUT", str(BALANCER), Answer(lost=True), Answer(200, balancer()))
    await session.observe(needs(BALANCER))

    outcome = await session.apply(put(), permit=allowed)

    assert isinstance(outcome, TryLater)
    assert (outcome.reason, outcome.after) == ("AnswerLost", 1.0)
    assert arm.count("PUT") == 1
    observation = await session.observe(needs(BALANCER), max_age=3600)
    assert observation.get(BALANCER).properties["written"] is True


async def test_without_permission_nothing_is_sent(arm, session):
    class LeaseLost(Exception):  # noqa: N818 - the controller's name for it
        pass

    def lost():
        raise LeaseLost

    with pytest.raises(LeaseLost):
        await session.apply(put(), permit=lost)

    assert arm.count("PUT") == 0
    assert (
        len(arm.sign_ins) == 1
    )  # the token was there already: nothing lies between the permission and the wire


async def test_a_claims_challenge_is_answered_and_the_permission_asked_again(arm, session):
    claims = base64.b64encode(b'{"access_token":{"nbf":{"essential":true,"value":"1"}}}').decode()
    challenge = (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2", '
        f'error="insufficient_claims", claims="{claims}"'
    )
    arm.on(
        "PUT", str(BALANCER), Answer(401, headers={"WWW-Authenticate": challenge}), Answer(200, balancer())
    )
    asked = []

    assert await session.apply(put(), permit=lambda: asked.append(1)) == Done()

    assert len(asked) == 2
    assert "nbf" in arm.sign_ins[1]["claims"]


async def test_a_token_that_resource_manager_does_not_take_is_a_refused_sign_in(arm, session):
    body = {
        "error": {
            "code": "InvalidAuthenticationTokenTenant",
            "message": "The access token is from the wrong issuer 'https://sts.windows.net/a/'.",
        }
    }
    arm.on("GET", str(BALANCER), Answer(401, body))

    with pytest.raises(SignInRefused) as refused:
        await session.observe(needs(BALANCER))

    assert refused.value.reason == "InvalidAuthenticationTokenTenant"
    assert "wrong issuer" in refused.value.message


REFUSED_SECRET = {
    "error": "invalid_client",
    "error_description": "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the "
    "request is the client secret value, not the client secret ID, for a secret added to app "
    "'00000000-0000-0000-0000-0000000000aa'. Trace ID: 0aa Correlation ID: 0bb Timestamp: 2026-11-20",
    "error_codes": [7000215],
}


async def test_a_refused_secret_is_told_with_its_remedy_and_not_tried_over_and_over(arm, session):
    arm.sign_in_answers.append(Answer(401, REFUSED_SECRET))

    for _ in range(3):
        with pytest.raises(SignInRefused) as refused:
            await session.observe(needs(BALANCER, NIC, GROUP, VNET))

    assert refused.value.reason == "InvalidClientSecret"
    assert "put its value, not its id" in refused.value.message
    assert "Trace ID" not in refused.value.message
    assert "s3cr3t" not in refused.value.message
    assert len(arm.sign_ins) == 1
    assert arm.requests == []


async def test_sign_in_out_of_order_is_no_refusal(arm, session):
    arm.sign_in_answers.append(Answer(503, {"error": "temporarily_unavailable"}))

    with pytest.raises(AzureUnreachable) as unreachable:
        await session.observe(needs(BALANCER))

    assert unreachable.value.reason == "SignInUnavailable"


async def test_a_certificate_of_an_unknown_authority_is_told_with_its_remedy(arm, tmp_path):
    credentials = ClientSecret("t", "00000000-0000-0000-0000-0000000000aa", "s")
    session = AzureSession(SdkTransport(S, credentials, Cloud.custom(arm.url)))

    with pytest.raises(AzureUnreachable) as unreachable:
        await session.observe(needs(BALANCER))
    await session.close()

    assert "certificate" in unreachable.value.message


async def test_nobody_listening_is_unreachable_and_a_write_is_put_off(arm, connect):
    session = connect()
    arm.on("GET", str(BALANCER), Answer(200, balancer()))
    await session.observe(needs(BALANCER))  # signed in
    await arm.__aexit__(None, None, None)

    with pytest.raises(AzureUnreachable):
        await session.observe(needs(BALANCER))
    outcome = await session.apply(put(), permit=allowed)

    assert isinstance(outcome, TryLater)
    assert outcome.reason in ("Unreachable", "AnswerLost")


async def test_a_missing_provider_registration_is_refused_and_not_registered(arm, session):
    body = {
        "error": {
            "code": "MissingSubscriptionRegistration",
            "message": "The subscription is not registered to use namespace 'Microsoft.Network'.",
        }
    }
    arm.on("PUT", str(BALANCER), Answer(409, body))

    outcome = await session.apply(put(), permit=allowed)

    assert isinstance(outcome, Refused)
    assert "az provider register" in outcome.message
    assert arm.count("POST") == 0


async def test_what_is_already_gone_is_deleted(arm, session):
    assert await session.apply(delete(), permit=allowed) == Done()


async def test_redirects_are_not_followed(arm, session):
    arm.on("GET", str(BALANCER), Answer(307, headers={"Location": "https://evil.example/"}))

    assert isinstance((await session.observe(needs(BALANCER))).read(BALANCER), Unknown)


async def test_a_list_serves_both_interfaces_and_its_pages_are_followed(arm, session):
    collection = str(NIC).rsplit("/", 1)[0]
    page_1 = {
        "value": [{"id": str(NIC).lower(), "etag": ETAG}],
        "nextLink": "{base}" + collection + "/page2?x=1",
    }
    page_2 = {"value": [{"id": str(NIC_1), "etag": ETAG}, {"id": str(NIC_1) + "x"}]}
    arm.on("GET", collection, Answer(200, page_1))
    arm.on("GET", f"{collection}/page2", Answer(200, page_2))

    observation = await session.observe(needs(NIC, NIC_1))

    assert observation.get(NIC) is not None
    assert observation.get(NIC_1) is not None
    assert len(arm.requests) == 2


async def test_neither_secret_nor_token_nor_signature_is_logged(arm, session, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("azure", "azure.core", "azure.identity", "aiohttp", "msal"):
        caplog.set_level(logging.DEBUG, logger=name)
    arm.on("PUT", str(BALANCER), Answer(200, balancer("Updating"), {"Azure-AsyncOperation": OPERATION}))
    arm.on("GET", OPERATION_PATH, Answer(500), Answer(200, {"status": "Succeeded"}))

    first = await session.apply(put(), permit=allowed)
    await session.look(first.operation)
    await session.look(first.operation)

    text = "\n".join(record.getMessage() for record in caplog.records)
    assert str(BALANCER) in text
    for secret in (TOKEN, "s3cr3t", "SIGNED", "Bearer "):
        assert secret not in text

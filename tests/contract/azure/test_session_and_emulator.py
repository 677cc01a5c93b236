"""An `AzureSession`, identity library and SDK included, against the Azure emulator: lives of resources."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from tests.support.emulator import (
    CLIENT,
    SUBSCRIPTION,
    TENANT,
    Emulator,
    running_emulator,
    seed_guide_network,
)

from loadmaster_ha.azure.cloud import Cloud
from loadmaster_ha.azure.credentials import ClientSecret, SignInRefused, WorkloadIdentity
from loadmaster_ha.azure.operations import FIRST_LOOK
from loadmaster_ha.azure.outcomes import Done, Outdated, Refused, Running, TryLater
from loadmaster_ha.azure.permissions import enforce_actions
from loadmaster_ha.azure.sdk import SdkTransport
from loadmaster_ha.azure.session import AzureSession
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.planning.arm import compute, network, resource_group
from loadmaster_ha.planning.changes import Delete, Put, Section
from loadmaster_ha.planning.observation import AddressQuestion

BALANCER = network(SUBSCRIPTION, "edge", "loadBalancers", "web")
GROUP = network(SUBSCRIPTION, "edge", "networkSecurityGroups", "lm-nsg")
RULE = GROUP.child("securityRules", "lm_web_check")
NICS = tuple(network(SUBSCRIPTION, "edge", "networkInterfaces", f"lm-{unit}-nic") for unit in (0, 1))
VMS = tuple(compute(SUBSCRIPTION, "edge", "virtualMachines", f"lm-{unit}") for unit in (0, 1))
VNET = network(SUBSCRIPTION, "net", "virtualNetworks", "app")
GUIDE = (BALANCER, GROUP, *NICS, *VMS, VNET, compute(SUBSCRIPTION, "edge", "availabilitySets", "lm-set"))
CREDENTIALS = ClientSecret(TENANT, CLIENT, "s3cr3t~of~the~tests")
BALANCER_BODY = {
    "location": "westeurope",
    "sku": {"name": "Standard", "tier": "Regional"},
    "tags": {"loadmaster.dev-owner": "1"},
    "properties": {
        "frontendIPConfigurations": [
            {"name": "lm_web_frontend", "properties": {"subnet": {"id": f"{VNET}/subnets/lb"}}}
        ],
        "backendAddressPools": [{"name": "lm_web_pool"}],
        "probes": [
            {
                "name": "lm_web_health",
                "properties": {"protocol": "Http", "port": 8444, "requestPath": "/", "intervalInSeconds": 5},
            }
        ],
    },
}
RULE_BODY = {
    "properties": {
        "protocol": "Tcp",
        "sourceAddressPrefix": "AzureLoadBalancer",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "8444",
        "access": "Allow",
        "priority": 100,
        "direction": "Inbound",
    }
}


@pytest.fixture
async def azure(request) -> AsyncIterator[Emulator]:
    """Give an emulator with the guide's network; parametrise indirectly with more arguments for it."""
    async with running_emulator(*getattr(request, "param", ())) as emulator:
        await seed_guide_network(emulator)
        await emulator.reset_requests()
        yield emulator


@pytest.fixture
async def connect(azure):
    async with AsyncExitStack() as opened:

        def make(credentials=CREDENTIALS, **options):
            cloud = Cloud.custom(azure.url, ca_file=azure.ca_file)
            session = AzureSession(SdkTransport(SUBSCRIPTION, credentials, cloud), **options)
            opened.push_async_callback(session.close)
            return session

        yield make


@pytest.fixture
async def session(connect):
    return connect()


def needs(*ids):
    return lambda _: ids


async def looked_to_the_end(session, outcome):
    while isinstance(outcome, Running):
        await asyncio.sleep(min(outcome.after, 0.1))
        outcome = await session.look(outcome.operation)
    return outcome


async def finished(session, change):
    """Apply a change and follow it to its end."""
    outcome = await session.apply(change, permit=lambda: None)
    async with asyncio.timeout(60):
        return await looked_to_the_end(session, outcome)


def create():
    return Put(Section.LOAD_BALANCER, BALANCER, BALANCER_BODY, None, ())


def again(resource, **properties):
    body = {**resource.body, "properties": {**resource.properties, **properties}}
    return Put(Section.LOAD_BALANCER, resource.id, body, resource.etag, ())


async def test_the_guides_world_is_read_in_a_handful_of_requests(azure, session):
    question = AddressQuestion(VNET, "10.0.2.100")
    group = resource_group(SUBSCRIPTION, "edge")

    observation = await session.observe(needs(*GUIDE, group, question))

    assert observation.is_absent(BALANCER)
    assert all(observation.get(resource) is not None for resource in GUIDE[1:])
    assert observation.get(group).location == "westeurope"
    assert observation.addresses[question] == Present(True)
    counted = (await azure.requests())["counts"]
    assert sum(row["count"] for row in counted if row["method"] != "POST") <= 8


async def test_a_balancer_is_created_joined_changed_and_deleted(azure, session):
    assert await finished(session, create()) == Done()
    observation = await session.observe(needs(BALANCER, *NICS))
    balancer, nic = observation.get(BALANCER), observation.get(NICS[0])
    assert balancer.provisioning_state == "Succeeded"

    (configuration,) = nic.properties["ipConfigurations"]
    pool = {"id": f"{BALANCER}/backendAddressPools/lm_web_pool"}
    joined = {
        **configuration,
        "properties": {**configuration["properties"], "loadBalancerBackendAddressPools": [pool]},
    }
    assert await finished(session, again(nic, ipConfigurations=[joined])) == Done()

    stale = again(balancer)
    assert isinstance(await finished(session, stale), Outdated)  # joining moved the balancer's etag

    fresh = (await session.observe(needs(BALANCER, *NICS), max_age=3600)).get(BALANCER)
    assert fresh.etag != balancer.etag
    members = fresh.properties["backendAddressPools"][0]["properties"]["backendIPConfigurations"]
    assert members[0]["id"].lower() == f"{NICS[0]}/ipConfigurations/primary".lower()

    nic = (await session.observe(needs(*NICS), max_age=3600)).get(NICS[0])
    assert await finished(session, again(nic, ipConfigurations=[configuration])) == Done()
    fresh = (await session.observe(needs(BALANCER), max_age=3600)).get(BALANCER)
    gone = Delete(Section.LOAD_BALANCER, BALANCER, fresh.etag, "the test wants it")
    assert await finished(session, gone) == Done()
    assert (await session.observe(needs(BALANCER), max_age=3600)).is_absent(BALANCER)
    assert await finished(session, gone) == Done()


async def test_what_is_there_already_is_not_overwritten_by_a_creation(azure, session):
    await finished(session, create())

    outcome = await finished(session, create())

    assert isinstance(outcome, Outdated)


@pytest.mark.parametrize("azure", [("--latency", "0.5")], indirect=True)
async def test_an_operation_that_takes_its_time_is_followed_by_another_process(azure, connect):
    first = await connect().apply(create(), permit=lambda: None)
    assert isinstance(first, Running)
    assert first.after == FIRST_LOOK
    successor = connect()

    async with asyncio.timeout(60):
        outcome = await looked_to_the_end(successor, first)

    assert outcome == Done()
    assert (await successor.observe(needs(BALANCER))).get(BALANCER).provisioning_state == "Succeeded"


async def test_a_rule_in_a_shared_group_is_written_and_deleted_alone(azure, session):
    assert await finished(session, Put(Section.SECURITY_GROUPS, RULE, RULE_BODY, None, ())) == Done()
    group = (await session.observe(needs(GROUP))).get(GROUP)
    assert [rule["name"] for rule in group.properties["securityRules"]] == ["lm_web_check"]

    assert await finished(session, Delete(Section.SECURITY_GROUPS, RULE, None, "test")) == Done()
    group = (await session.observe(needs(GROUP), max_age=3600)).get(GROUP)
    assert group.properties["securityRules"] == []


async def test_what_azure_does_not_accept_is_refused_in_its_words(azure, session):
    subnet = {"id": f"{VNET}/subnets/nowhere"}
    frontend = {"name": "f", "properties": {"subnet": subnet}}
    body = {**BALANCER_BODY, "properties": {"frontendIPConfigurations": [frontend]}}

    outcome = await finished(session, Put(Section.LOAD_BALANCER, BALANCER, body, None, ()))

    assert isinstance(outcome, Refused)
    assert "nowhere" in outcome.message
    assert (await session.observe(needs(BALANCER))).is_absent(BALANCER)


async def test_a_write_whose_answer_is_lost_has_been_made_once(azure, session):
    await session.observe(needs(BALANCER))
    await azure.add_fault(verb="PUT", path="loadBalancers/web$", drop="after")

    outcome = await finished(session, create())

    assert isinstance(outcome, TryLater)
    assert outcome.reason == "AnswerLost"
    assert (await session.observe(needs(BALANCER), max_age=3600)).get(BALANCER) is not None
    assert isinstance(await finished(session, create()), Outdated)


async def test_a_write_that_never_arrived_can_be_made_again(azure, session):
    await azure.add_fault(verb="PUT", path="loadBalancers/web$", drop="before")

    assert isinstance(await finished(session, create()), TryLater)
    assert (await session.observe(needs(BALANCER), max_age=3600)).is_absent(BALANCER)
    assert await finished(session, create()) == Done()


@pytest.mark.parametrize(
    ("end", "code", "kind"),
    [
        ("Failed", "InternalServerError", TryLater),
        ("Failed", "QuotaExceeded", Refused),
        ("Canceled", "CanceledAndSupersededDueToAnotherOperation", Outdated),
    ],
)
async def test_an_operation_that_ends_badly_is_told(azure, session, end, code, kind):
    await azure.add_fault(verb="PUT", path="loadBalancers/web$", operation=end, code=code)

    assert isinstance(await finished(session, create()), kind)


async def test_throttling_is_told_and_the_next_write_is_not_even_sent(azure, session):
    await azure.add_fault(
        verb="PUT",
        path="loadBalancers/web$",
        status=429,
        code="SubscriptionRequestsThrottled",
        message="Number of write requests exceeded the limit.",
        retryAfter=120,
    )

    first = await finished(session, create())
    second = await finished(session, create())

    assert (first.throttled, first.after) == (True, 120)
    assert second.throttled
    assert 60 < second.after <= 120


@pytest.mark.parametrize("azure", [("--page-size", "1")], indirect=True)
async def test_lists_of_many_pages_are_followed_or_given_up(azure, session):
    observation = await session.observe(needs(*NICS, *VMS))

    assert all(observation.get(resource) is not None for resource in (*NICS, *VMS))


async def test_a_refused_secret_is_told_and_not_hammered(azure, connect):
    await azure.add_fault(clientId=CLIENT, clientSecret="expired-one", count=0)
    session = connect(ClientSecret(TENANT, CLIENT, "expired-one"))

    for _ in range(5):
        with pytest.raises(SignInRefused) as refused:
            await session.observe(needs(BALANCER))

    assert refused.value.reason == "InvalidClientSecret"
    assert "expired-one" not in refused.value.message
    (fault,) = await azure.faults()
    assert fault["hits"] == 1
    assert (await connect().observe(needs(BALANCER))).is_absent(BALANCER)


async def test_workload_identity_signs_in_with_the_mounted_token(azure, connect, tmp_path):
    token = tmp_path / "token"
    token.write_text("service.account.token")

    session = connect(WorkloadIdentity(TENANT, CLIENT, token))

    assert (await session.observe(needs(GROUP))).get(GROUP) is not None


async def test_a_missing_token_file_is_no_identity(azure, connect, tmp_path):
    session = connect(WorkloadIdentity(TENANT, CLIENT, tmp_path / "nothing"))

    with pytest.raises(SignInRefused) as refused:
        await session.observe(needs(GROUP))

    assert "nothing" in refused.value.message


async def test_another_subscription_and_another_group_are_told_apart_from_absence(azure, session):
    elsewhere = network("99999999-0000-0000-0000-000000000000", "edge", "loadBalancers", "web")
    no_group = network(SUBSCRIPTION, "nowhere", "loadBalancers", "web")

    observation = await session.observe(needs(elsewhere, no_group))

    assert isinstance(observation.read(elsewhere), Unknown)
    assert observation.read(elsewhere).reason == "SubscriptionNotFound"
    assert isinstance(observation.read(no_group), Absent)
    assert observation.read(no_group).reason == "ResourceGroupNotFound"


_ACTIONS = {"GET": "read", "PUT": "write", "DELETE": "delete"}
_NAMED_OTHERWISE = {
    "microsoft.resources/resourcegroups/read": "microsoft.resources/subscriptions/resourcegroups/read",
}


async def test_every_request_that_azure_saw_is_covered_by_the_documented_role(azure, session):
    await session.observe(
        needs(*GUIDE, resource_group(SUBSCRIPTION, "edge"), AddressQuestion(VNET, "10.0.2.9"))
    )
    await finished(session, create())
    await finished(session, Put(Section.SECURITY_GROUPS, RULE, RULE_BODY, None, ()))
    nic = (await session.observe(needs(*NICS))).get(NICS[0])
    await finished(session, again(nic))
    await finished(session, Delete(Section.SECURITY_GROUPS, RULE, None, "test"))
    await finished(session, Delete(Section.LOAD_BALANCER, BALANCER, None, "test"))

    allowed = {action.lower() for action in enforce_actions()}
    used = set()
    for row in (await azure.requests())["counts"]:
        kind = row["resourceType"].lower()
        if kind.startswith("microsoft."):
            action = f"{kind}/{_ACTIONS[row['method']]}"
            used.add(_NAMED_OTHERWISE.get(action, action))

    assert "microsoft.network/loadbalancers/delete" in used
    assert used <= allowed, used - allowed

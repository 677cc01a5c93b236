"""Signing in: with the real azure-identity and management client, and byte by byte."""

import base64
import json

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity.aio import ClientSecretCredential
from azure.mgmt.network.aio import NetworkManagementClient
from tests.support.emulator import CLIENT, SUBSCRIPTION, TENANT
from tests.support.emulator_bodies import network_body


def credential(azure, secret="any secret"):
    return ClientSecretCredential(TENANT, CLIENT, secret, **azure.credential_kwargs())


async def token_request(azure, tenant=TENANT, client=CLIENT, secret="s"):
    form = {
        "client_id": client,
        "client_secret": secret,
        "grant_type": "client_credentials",
        "scope": f"{azure.url}/.default",
    }
    return await azure.send("POST", f"/{tenant}/oauth2/v2.0/token", data=form)


async def test_the_real_sdk_signs_in_and_writes_reads_and_deletes(azure):
    async with (
        credential(azure) as identity,
        NetworkManagementClient(identity, SUBSCRIPTION, **azure.azure_client_kwargs()) as client,
    ):
        poller = await client.virtual_networks.begin_create_or_update(
            "edge", "app", network_body(("lb", "10.0.2.0/24"))
        )
        made = await poller.result()
        assert made.provisioning_state == "Succeeded"
        read = await client.virtual_networks.get("edge", "app")
        assert [subnet.name for subnet in read.subnets] == ["lb"]
        with pytest.raises(HttpResponseError) as refused:
            await client.virtual_networks.begin_create_or_update(
                "edge", "app", network_body(), headers={"If-Match": "invalid"}
            )
        assert refused.value.status_code == 412
        await (await client.virtual_networks.begin_delete("edge", "app")).result()
        with pytest.raises(ResourceNotFoundError):
            await client.virtual_networks.get("edge", "app")


async def test_any_client_of_any_tenant_gets_a_token_that_names_it(azure):
    for tenant in (TENANT, "contoso.example", "organizations"):
        answer = await token_request(azure, tenant, "my-client", "whatever")
        assert answer.status == 200
        assert (answer.body["token_type"], answer.body["expires_in"]) == ("Bearer", 86399)
        part = answer.body["access_token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        assert (claims["appid"], claims["aud"]) == ("my-client", azure.url)


async def test_a_token_request_without_a_client_is_refused(azure):
    answer = await azure.send("POST", f"/{TENANT}/oauth2/v2.0/token", data={"grant_type": "x"})
    assert (answer.status, answer.body["error"]) == (400, "invalid_request")


async def test_discovery_leads_to_the_token_endpoint(azure):
    answer = await azure.send("GET", f"/{TENANT}/v2.0/.well-known/openid-configuration")
    assert answer.body["token_endpoint"] == f"{azure.url}/{TENANT}/oauth2/v2.0/token"
    assert answer.body["authorization_endpoint"].startswith(f"{azure.url}/{TENANT}/")
    instance = await azure.send("GET", "/common/discovery/instance?api-version=1.1")
    assert instance.body["tenant_discovery_endpoint"].startswith(azure.url)


async def test_cloud_metadata_needs_no_token_and_points_here(azure):
    answer = await azure.send("GET", "/metadata/endpoints?api-version=2022-09-01")
    assert answer.status == 200
    assert answer.body["resourceManager"] == azure.url
    assert answer.body["authentication"]["loginEndpoint"] == azure.url
    assert answer.body["authentication"]["audiences"][0] == azure.url
    assert answer.body["authentication"]["identityProvider"] == "AAD"


async def test_without_a_token_arm_says_where_to_sign_in(azure):
    answer = await azure.send("GET", "/subscriptions?api-version=2022-12-01")
    assert (answer.status, answer.code) == (401, "AuthenticationFailed")
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith(f'Bearer authorization_uri="{azure.url}/')


async def test_one_secret_can_be_made_wrong(azure):
    await azure.add_fault(clientId=CLIENT, clientSecret="wrong", count=0)
    answer = await token_request(azure, secret="wrong")
    assert (answer.status, answer.body["error"], answer.body["error_codes"]) == (
        401,
        "invalid_client",
        [7000215],
    )
    assert answer.body["error_description"].startswith("AADSTS7000215: Invalid client secret provided.")
    assert (await token_request(azure, secret="right")).status == 200
    assert (await token_request(azure, client="other", secret="wrong")).status == 200
    async with credential(azure, "wrong") as identity:
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            await identity.get_token(f"{azure.url}/.default")


async def test_the_secret_of_a_fault_is_not_shown(azure):
    await azure.add_fault(clientId=CLIENT, clientSecret="very secret")
    assert "very secret" not in json.dumps(await azure.faults())
